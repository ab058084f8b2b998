//! The gate against a plain reading of the rules over the list of all choices: it opens exactly where the rules do, in whatever
//! order and between how many people the choices were spread before they were found to be one.

use std::sync::LazyLock;

use jumelle_consent::{Asked, Choices, Circumstances, Evidence, Party, Reason, decide};
use jumelle_model::consent::{Basis, Channel, Choice, ConsentState, Scope};
use jumelle_model::ids::{Fingerprint, Stamp};
use jumelle_model::time::Timestamp;
use jumelle_model::{Proof, Workspace};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

type Address = (String, String);

/// Later than every choice made here: a choice is never later than its arrival.
const NOW: Timestamp = Timestamp(100);
const BASES: [Option<Basis>; 4] = [Some(Basis::Consent), Some(Basis::Contract), Some(Basis::LegitimateInterest), None];
const CHANNELS: [Channel; 4] = [Channel::Email, Channel::Sms, Channel::Onsite, Channel::Postal];

/// One workspace for each of the bases that are asked about; without a policy, choices and basis alone decide.
static WORKSPACES: LazyLock<[Workspace; 4]> = LazyLock::new(|| {
    let with = |basis: &str| format!("purposes: {{marketing: {{basis: {basis}}}, service: {{basis: {basis}}}}}");
    let texts = [with("consent"), with("contract"), with("legitimate_interest"), "purposes: {}".to_owned()];
    texts.map(|text| Workspace::parse(&text).expect("a workspace of a test"))
});

fn check(
    choices: &Choices,
    purpose: &str,
    basis: Option<Basis>,
    channel: Channel,
    address: Option<&Address>,
    at: Timestamp,
) -> Result<Evidence, Reason> {
    let n = BASES.iter().position(|known| *known == basis).expect("a basis of the table");
    let party = Party { choices, circumstances: &Circumstances::default(), contacts: &[] };
    decide(&WORKSPACES[n], Asked { purpose, channel, address, destination: None }, party, at).outcome
}

fn address(namespace: &str, value: &str) -> Address {
    (namespace.to_owned(), value.to_owned())
}

/// The addresses and devices of one of two people.
fn addresses(person: &str) -> Vec<Address> {
    vec![
        address("email", &format!("{person}1@example.org")),
        address("email", &format!("{person}2@example.org")),
        address("phone", &format!("+3361234567{person}")),
        address("anonymous_id", &format!("browser-{person}")),
    ]
}

/// A choice of a person who has (some of) `own`.
fn choice(own: Vec<Address>) -> impl Strategy<Value = Choice> {
    let what = (
        select(vec!["marketing", "service"]),
        prop_oneof![1 => Just(None), 3 => select(CHANNELS.to_vec()).prop_map(Some)],
        select(vec![ConsentState::Granted, ConsentState::Denied]),
    );
    let scope =
        prop_oneof![Just(Scope::Person), select(own.clone()).prop_map(|(namespace, value)| Scope::Address(namespace, value))];
    let count = own.len();
    // Few times, so that they meet; arrival at the time of the choice or later.
    let stamp = (0..6i64, 0..3i64, 0..4u64);
    let weak = prop_oneof![3 => Just(false), 1 => Just(true)];
    (what, scope, subsequence(own, 0..=count), stamp, weak, select(vec!["site", "crm"])).prop_map(
        |((purpose, channel, state), scope, covers, (time, delay, message), weak, source)| Choice {
            purpose: purpose.to_owned(),
            channel,
            state,
            scope,
            covers,
            stamp: Stamp { time: Timestamp(time), received: Timestamp(time + delay), message: Fingerprint(message) },
            weak,
            source: source.to_owned(),
            proof: match message {
                0 => Some(Proof::from_json("{\"banner\":7}")),
                // Of one signal: what decided stands apart.
                1 | 2 => Some(Proof::from_json(&format!("{{\"method\":\"tcf\",\"because\":\"{purpose}\"}}"))),
                _ => None,
            },
        },
    )
}

fn choices(own: Vec<Address>, most: usize) -> impl Strategy<Value = Vec<Choice>> {
    proptest::collection::vec(choice(own), 0..most)
}

fn folded(list: &[Choice]) -> Choices {
    let mut choices = Choices::default();
    list.iter().for_each(|choice| choices.fold(choice));
    choices
}

fn bytes(choices: &Choices) -> Vec<u8> {
    postcard::to_allocvec(choices).expect("choices are serialisable")
}

/// The rules as one would read them out, over everything that was ever chosen.
fn rules_allow(list: &[Choice], purpose: &str, basis: Option<Basis>, channel: Channel, address: Option<&Address>) -> bool {
    let Some(basis) = basis else { return false };
    let speaks_of_it = |choice: &&Choice| {
        let of_the_address = match (&choice.scope, address) {
            (Scope::Person, None) => true,
            // A person's denial covers all of her addresses, her grant those that she had.
            (Scope::Person, Some(address)) => choice.state == ConsentState::Denied || choice.covers.contains(address),
            (Scope::Address(namespace, value), Some(address)) => *namespace == address.0 && *value == address.1,
            (Scope::Address(..), None) => false,
        };
        of_the_address && choice.purpose == purpose && choice.channel.is_none_or(|chosen| chosen == channel)
    };
    let mut relevant: Vec<&Choice> = list.iter().filter(speaks_of_it).collect();
    let is_weak = |choice: &&Choice| choice.weak && choice.state == ConsentState::Granted;
    if !relevant.iter().all(is_weak) {
        relevant.retain(|choice| !is_weak(choice));
    }
    let Some(latest) = relevant.iter().map(|choice| choice.at()).max() else { return basis != Basis::Consent };
    !relevant.iter().any(|choice| choice.at() == latest && choice.state == ConsentState::Denied)
}

/// Every question that can be asked about these addresses, and about the person without one.
fn questions(addresses: &[Address]) -> Vec<(&'static str, Option<Basis>, Channel, Option<&Address>)> {
    let mut questions = Vec::new();
    for purpose in ["marketing", "service"] {
        for basis in BASES {
            for channel in CHANNELS {
                questions.push((purpose, basis, channel, None));
                questions.extend(addresses.iter().map(|address| (purpose, basis, channel, Some(address))));
            }
        }
    }
    questions
}

fn everywhere() -> Vec<Address> {
    let stranger = address("email", "stranger@example.org");
    [addresses("1"), addresses("2"), vec![stranger]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_gate_opens_exactly_where_the_rules_do(
        (shuffled, list) in choices(everywhere(), 14).prop_flat_map(|list| (Just(list.clone()).prop_shuffle(), Just(list))),
        split in 0..14usize,
    ) {
        let (left, right) = shuffled.split_at(split.min(shuffled.len()));
        let mut merged = folded(left);
        merged.merge(folded(right));
        for (purpose, basis, channel, address) in questions(&everywhere()) {
            let open = check(&merged, purpose, basis, channel, address, NOW).is_ok();
            let allowed = rules_allow(&list, purpose, basis, channel, address);
            prop_assert_eq!(open, allowed, "{} {:?} {:?} {:?}", purpose, basis, channel, address);
        }
    }

    /// A clock that was set back, or that asks about an earlier instant: what is refused by then, or later, stays refused.
    #[test]
    fn asked_by_a_clock_that_stands_behind_the_gate_never_opens_too_much(list in choices(everywhere(), 14), at in 0..6i64) {
        let at = Timestamp(at);
        let known = folded(&list);
        let not_yet = |choice: &Choice| choice.state == ConsentState::Granted && choice.at() > at;
        let until_then: Vec<Choice> = list.into_iter().filter(|choice| !not_yet(choice)).collect();
        for (purpose, basis, channel, address) in questions(&everywhere()) {
            let open = check(&known, purpose, basis, channel, address, at).is_ok();
            let allowed = rules_allow(&until_then, purpose, basis, channel, address);
            prop_assert!(allowed || !open, "{} {:?} {:?} {:?} at {}", purpose, basis, channel, address, at);
        }
    }

    #[test]
    fn folding_commutes_merges_and_repeats(
        (shuffled, list) in choices(everywhere(), 14).prop_flat_map(|list| (Just(list.clone()).prop_shuffle(), Just(list))),
        side in proptest::collection::vec(0..3usize, 14),
    ) {
        let expected = bytes(&folded(&list));
        prop_assert_eq!(&bytes(&folded(&shuffled)), &expected, "another order");
        let twice: Vec<Choice> = list.iter().chain(&shuffled).cloned().collect();
        prop_assert_eq!(&bytes(&folded(&twice)), &expected, "each one twice");

        let mut parts = vec![Vec::new(); 3];
        shuffled.into_iter().enumerate().for_each(|(n, choice)| parts[side[n]].push(choice));
        let [a, b, c] = [folded(&parts[0]), folded(&parts[1]), folded(&parts[2])];
        let joined = |order: [&Choices; 3]| {
            let mut all = order[0].clone();
            all.merge(order[1].clone());
            all.merge(order[2].clone());
            bytes(&all)
        };
        for order in [[&a, &b, &c], [&c, &a, &b], [&b, &c, &a], [&c, &b, &a]] {
            prop_assert_eq!(&joined(order), &expected, "three people, one after the other");
        }
        let (mut right_first, mut tail) = (a, b);
        tail.merge(c);
        right_first.merge(tail.clone());
        right_first.merge(tail);
        prop_assert_eq!(&bytes(&right_first), &expected, "grouped otherwise, and merged twice");
    }

    #[test]
    fn a_join_makes_no_address_or_device_reachable_that_was_not(
        mine in choices(addresses("1"), 8),
        theirs in choices(addresses("2"), 8),
    ) {
        let (mine, theirs) = (folded(&mine), folded(&theirs));
        let mut joined = mine.clone();
        joined.merge(theirs.clone());
        for (owner, whose) in [(&mine, "1"), (&theirs, "2")] {
            let own = addresses(whose);
            for (purpose, basis, channel, address) in questions(&own).into_iter().filter(|question| question.3.is_some()) {
                let before = check(owner, purpose, basis, channel, address, NOW).is_ok();
                let after = check(&joined, purpose, basis, channel, address, NOW).is_ok();
                prop_assert!(before || !after, "{} {:?} {:?} {:?} became reachable", purpose, basis, channel, address);
            }
        }
        // Without an address, at least one of the two had said yes.
        for (purpose, basis, channel, _) in questions(&[]) {
            let before = [&mine, &theirs].iter().any(|owner| check(owner, purpose, basis, channel, None, NOW).is_ok());
            let after = check(&joined, purpose, basis, channel, None, NOW).is_ok();
            prop_assert!(before || !after, "{} {:?} {:?} became reachable", purpose, basis, channel);
        }
    }

    #[test]
    fn an_address_that_comes_later_is_not_covered_by_an_earlier_grant(list in choices(addresses("1"), 10)) {
        let known = folded(&list);
        for channel in CHANNELS {
            for later in addresses("2") {
                let open = check(&known, "marketing", Some(Basis::Consent), channel, Some(&later), NOW).is_ok();
                prop_assert!(!open, "{:?} for {:?}", later, channel);
            }
        }
    }

    #[test]
    fn what_is_stored_is_read_again(list in choices(addresses("1"), 12)) {
        let known = folded(&list);
        // Something follows it in a person's row.
        let read: (Choices, u8) = postcard::from_bytes(&postcard::to_allocvec(&(&known, 42u8)).unwrap()).unwrap();
        prop_assert_eq!(read, (known, 42));
    }

    #[test]
    fn what_is_listed_is_what_counts(list in choices(addresses("1"), 10)) {
        let known = folded(&list);
        for standing in known.list() {
            let newest = list.iter().filter(|choice| choice.purpose == standing.purpose && choice.channel == standing.channel);
            prop_assert!(newest.clone().any(|choice| choice.at() == standing.since && choice.state == standing.state));
            prop_assert!(standing.receipt().starts_with("r_") && standing.receipt().len() == 34);
        }
        let receipts: std::collections::BTreeSet<String> = known.list().into_iter().map(|standing| standing.receipt()).collect();
        prop_assert_eq!(receipts.len(), known.list().len(), "one receipt per choice");
    }
}

fn said(state: ConsentState, scope: Scope, covers: &[Address], time: i64, weak: bool) -> Choice {
    Choice {
        purpose: "marketing".into(),
        channel: Some(Channel::Email),
        state,
        scope,
        covers: covers.to_vec(),
        stamp: Stamp { time: Timestamp(time), received: Timestamp(time), message: Fingerprint(time as u64) },
        weak,
        source: "site".into(),
        proof: None,
    }
}

#[test]
fn the_cases_that_the_design_names() {
    use ConsentState::{Denied, Granted};
    let (home, work) = (address("email", "home@example.org"), address("email", "work@example.org"));
    let of = |address: &Address| Scope::Address(address.0.clone(), address.1.clone());
    // What was chosen, the address asked for, and whether the gate is open.
    let table: [(&str, Vec<Choice>, Option<&Address>, bool); 12] = [
        ("nothing was chosen", vec![], Some(&home), false),
        ("given for this address", vec![said(Granted, of(&home), &[], 1, false)], Some(&home), true),
        ("given for another address", vec![said(Granted, of(&home), &[], 1, false)], Some(&work), false),
        ("given for an address, none in the message", vec![said(Granted, of(&home), &[], 1, false)], None, false),
        ("the person's grant, none in the message", vec![said(Granted, Scope::Person, &[], 1, false)], None, true),
        (
            "the person's grant, an address she had",
            vec![said(Granted, Scope::Person, std::slice::from_ref(&home), 1, false)],
            Some(&home),
            true,
        ),
        (
            "the person's grant, an address that came later",
            vec![said(Granted, Scope::Person, std::slice::from_ref(&home), 1, false)],
            Some(&work),
            false,
        ),
        (
            "the person objects after the address's grant",
            vec![said(Granted, of(&home), &[], 1, false), said(Denied, Scope::Person, &[], 2, false)],
            Some(&home),
            false,
        ),
        (
            "an earlier objection, a later grant of what she had then, and an address that came after",
            vec![said(Denied, Scope::Person, &[], 1, false), said(Granted, Scope::Person, std::slice::from_ref(&home), 2, false)],
            Some(&work),
            false,
        ),
        (
            "this address unsubscribed, the other did not",
            vec![said(Granted, Scope::Person, &[home.clone(), work.clone()], 1, false), said(Denied, of(&home), &[], 2, false)],
            Some(&work),
            true,
        ),
        (
            "equal times: the denial wins",
            vec![said(Denied, of(&home), &[], 3, false), said(Granted, of(&home), &[], 3, false)],
            Some(&home),
            false,
        ),
        (
            "an undated grant against an older, dated denial",
            vec![said(Denied, of(&home), &[], 1, false), said(Granted, of(&home), &[], 9, true)],
            Some(&home),
            false,
        ),
    ];
    for (case, list, address, open) in table {
        let known = folded(&list);
        assert_eq!(check(&known, "marketing", Some(Basis::Consent), Channel::Email, address, NOW).is_ok(), open, "{case}");
        assert_eq!(rules_allow(&list, "marketing", Some(Basis::Consent), Channel::Email, address), open, "{case}: by the rules");
    }
}
