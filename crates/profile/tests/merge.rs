//! What is known of a person, folded in any order, and of two people who turn out to be one: the same bytes.

use jumelle_identify::Refusal;
use jumelle_model::consent::{Channel, Choice, ConsentState, Scope};
use jumelle_model::event::{Event, EventKind};
use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use jumelle_model::{Identifier, Json, Workspace};
use jumelle_profile::{Activated, Held, Known, Person, TRAITS_MAX};
use jumelle_segment::Plan;
use proptest::prelude::*;
use proptest::sample::select;

const HOUR: i64 = 3_600_000_000;

const DEFINITIONS: &str = "
workspace: {key: test, currency: EUR, rates: {GBP: [{from: 2000-01-01, rate: 1.2}]}}
purposes: {marketing: {basis: consent}}
traits:
  orders: {count: Order Completed, within: 2h}
  spent: {sum: Order Completed.total}
  favourite: {most_frequent: Product Viewed.category}
  brands: {distinct: Product Viewed.brand}
segments:
  looks: {rule: {did: Product Viewed, where: {category: sneakers}, count: {gte: 2}, within: 3h}}
  first: {rule: {did: Order Completed, first: {of: total, gte: 10}}}
  candles: {rule: {did: Order Completed, where: {products.name: candle}, max: {of: products.price, lt: 9}}}
";

fn plan() -> Plan {
    Plan::compile(&Workspace::parse(DEFINITIONS).unwrap_or_else(|problems| panic!("{problems}")))
}

/// What one message says of a person.
#[derive(Clone, Debug)]
struct Said {
    kind: EventKind,
    name: &'static str,
    source: &'static str,
    id: String,
    time: Timestamp,
    received: Timestamp,
    properties: String,
    traits: &'static str,
    context: &'static str,
    identifier: Option<Identifier>,
    choice: Option<(ConsentState, bool)>,
    is_refused: bool,
}

impl Said {
    fn fold(&self, plan: &Plan, known: &mut Known) {
        let json = |text: &'static str| serde_json::from_str::<Json<'static>>(text).expect("JSON");
        let event = Event {
            kind: self.kind,
            source: self.source,
            message_id: &self.id,
            time: self.time,
            received: self.received,
            name: self.name.into(),
            properties: serde_json::from_str(&self.properties).expect("JSON"),
            traits: json(self.traits),
            context: json(self.context),
            user_id: None,
            anonymous_id: None,
            previous_id: None,
        };
        if let Some(identifier) = &self.identifier {
            known.see(identifier, event.stamp(), self.source);
            if let Some((state, is_for_the_person)) = self.choice {
                let address = (identifier.namespace.clone(), identifier.value.clone());
                known.choices.fold(&Choice {
                    purpose: "marketing".into(),
                    channel: Some(Channel::Email),
                    state,
                    scope: if is_for_the_person { Scope::Person } else { Scope::Address(address.0.clone(), address.1.clone()) },
                    covers: vec![address],
                    stamp: event.stamp(),
                    weak: false,
                    source: self.source.into(),
                    proof: None,
                });
            }
            if self.is_refused {
                let identifier = identifier.clone();
                known.refuse(Refusal { at: self.received, identifier, other: None, namespace: "email".into(), limit: 5 });
            }
        }
        known.fold(plan, &event);
    }
}

fn said() -> impl Strategy<Value = Said> {
    let what = select(vec![
        (EventKind::Track, "Product Viewed"),
        (EventKind::Track, "Order Completed"),
        (EventKind::Track, "Order Completed"),
        (EventKind::Track, "Order Refunded"),
        (EventKind::Track, "Order Cancelled"),
        (EventKind::Page, "Page Viewed"),
        (EventKind::Identify, ""),
        (EventKind::Group, ""),
    ]);
    let properties = (select(vec!["\"1\"", "2", "null"]), select(vec!["12.5", "3", "\"x\""]), select(vec!["EUR", "GBP", "JPY"])).prop_map(
        |(order, total, currency)| {
            let product = r#"{"name":"candle","price":4}"#;
            format!(
                r#"{{"order_id":{order},"total":{total},"currency":"{currency}","category":"sneakers","brand":{total},"products":[{product}]}}"#
            )
        },
    );
    let traits = select(vec![
        "null",
        r#"{"city":"Lille"}"#,
        r#"{"city":"Roubaix","age":30}"#,
        r#"{"city":null}"#,
        r#"{"address":{"zip":"59000","floors":[1,2]},"age":31.5}"#,
        r#"{"caf\u00e9":true}"#,
    ]);
    let context = select(vec!["null", "{}", r#"{"traits":{"city":"Lens","vip":true}}"#, r#"{"traits":"none"}"#]);
    let identifier = select(vec![None, Some(("email", "a@x.org")), Some(("email", "b@x.org")), Some(("user_id", "7"))]);
    let choice = proptest::option::of((select(vec![ConsentState::Granted, ConsentState::Denied]), any::<bool>()));
    let when = (0..8i64, select(vec![0, 1, 500]));
    (what, properties, traits, context, identifier, choice, when, select(vec!["site", "till"]), any::<bool>()).prop_map(
        |((kind, name), properties, traits, context, identifier, choice, (hour, late), source, is_refused)| Said {
            kind,
            name,
            source,
            id: String::new(),
            time: Timestamp(hour * HOUR),
            received: Timestamp((hour + late) * HOUR),
            properties,
            traits,
            context,
            identifier: identifier.map(|(namespace, value)| Identifier::new(namespace, value)),
            choice,
            is_refused,
        },
    )
}

/// A history and one of its other orders. Message ids are unique, as in one history.
fn history(most: usize) -> impl Strategy<Value = (Vec<Said>, Vec<Said>)> {
    proptest::collection::vec(said(), 0..most).prop_flat_map(|mut all| {
        all.iter_mut().enumerate().for_each(|(n, said)| said.id = format!("m{n}"));
        (Just(all.clone()), Just(all).prop_shuffle())
    })
}

fn folded<'s>(plan: &Plan, all: impl IntoIterator<Item = &'s Said>) -> Known {
    let mut known = Known::default();
    all.into_iter().for_each(|said| said.fold(plan, &mut known));
    known
}

fn bytes(known: &Known) -> Vec<u8> {
    postcard::to_allocvec(known).expect("what is known is serialisable")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_gives_the_same_bytes((all, shuffled) in history(24)) {
        let plan = plan();
        prop_assert!(bytes(&folded(&plan, &all)) == bytes(&folded(&plan, &shuffled)));
    }

    #[test]
    fn any_split_in_three_people_found_to_be_one_gives_the_same_bytes(
        (all, shuffled) in history(24),
        side in proptest::collection::vec(0..3usize, 24),
    ) {
        let plan = plan();
        let expected = bytes(&folded(&plan, &all));
        let part = |wanted| folded(&plan, shuffled.iter().zip(&side).filter(|(_, side)| **side == wanted).map(|(said, _)| said));
        for order in [[0, 1, 2], [2, 0, 1], [2, 1, 0]] {
            let [mut first, second, third] = order.map(part);
            first.merge(second);
            first.merge(third);
            prop_assert!(bytes(&first) == expected, "one after the other: {:?}", order);
            let [mut first, mut second, third] = order.map(part);
            second.merge(third);
            first.merge(second);
            prop_assert!(bytes(&first) == expected, "the last two before: {:?}", order);
        }
    }

    #[test]
    fn what_is_stored_reads_back(all in history(24).prop_map(|(all, _)| all)) {
        let known = folded(&plan(), &all);
        let read: Known = postcard::from_bytes(&bytes(&known)).expect("reads back");
        prop_assert!(read == known);
    }
}

/// One identify call per trait, each at its own second.
fn many(range: std::ops::Range<usize>) -> Vec<(String, Timestamp, String)> {
    range.map(|n| (format!("m{n}"), Timestamp(n as i64 * 1_000_000), format!("{{\"t{}\":{n}}}", n % (TRAITS_MAX + 50)))).collect()
}

fn identified(plan: &Plan, calls: &[(String, Timestamp, String)]) -> Known {
    let mut known = Known::default();
    for (id, time, traits) in calls {
        let event = Event {
            kind: EventKind::Identify,
            source: "crm",
            message_id: id,
            time: *time,
            received: *time,
            name: "".into(),
            properties: Json::Null,
            traits: serde_json::from_str(traits).expect("JSON"),
            context: Json::Null,
            user_id: None,
            anonymous_id: None,
            previous_id: None,
        };
        known.fold(plan, &event);
        let identifier = Identifier::new("email", format!("{id}@x.org"));
        known.refuse(Refusal { at: *time, identifier, other: None, namespace: "email".into(), limit: 5 });
    }
    known
}

#[test]
fn past_the_bounds_the_newest_stay_in_any_order_and_split() {
    let plan = plan();
    let calls = many(0..TRAITS_MAX + 120);
    let forwards = identified(&plan, &calls);
    assert_eq!(forwards.traits.len(), TRAITS_MAX);
    // Trait 69 was said again by call 1,119; 70 is the oldest that nobody renewed.
    assert!(forwards.traits.contains_key("t69") && !forwards.traits.contains_key("t70"));
    assert_eq!(forwards.refusals.iter().map(|refusal| refusal.at.0 / 1_000_000).min(), Some(TRAITS_MAX as i64 + 100));

    let mut reversed = calls.clone();
    reversed.reverse();
    assert!(bytes(&identified(&plan, &reversed)) == bytes(&forwards), "backwards");
    let (odd, even): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(_, time, _)| time.0 / 1_000_000 % 2 == 1);
    let mut merged = identified(&plan, &even);
    merged.merge(identified(&plan, &odd));
    assert!(bytes(&merged) == bytes(&forwards), "two people");
}

#[test]
fn the_later_fact_wins_by_time_then_arrival_then_message() {
    let plan = plan();
    let call = |id: &str, time: i64, city: &str| (id.to_owned(), Timestamp(time), format!("{{\"city\":\"{city}\"}}"));
    let known = identified(&plan, &[call("late", 1, "Lens"), call("new", 3, "Lille"), call("old", 2, "Roubaix")]);
    assert_eq!(known.traits.get("city").unwrap().json, "\"Lille\"");
    assert_eq!((known.first_seen, known.last_seen, known.events), (Some(Timestamp(1)), Some(Timestamp(3)), 3));
    assert_eq!(known.trait_scalar("city").map(|scalar| scalar.to_string()).as_deref(), Some("Lille"));
}

#[test]
fn an_absorbed_person_leaves_her_memberships_and_what_tools_have_received() {
    let sent = |value: &str| jumelle_consent::Sent { address: None, data: vec![("email".into(), format!("\"{value}\""))] };
    let (older, newer) = (ProfileId(1), ProfileId(2));
    let (mut mine, mut theirs) = (Person::new(older), Person::new(newer));
    mine.transition(Timestamp(5), "looks", true);
    theirs.transition(Timestamp(3), "looks", true);
    theirs.transition(Timestamp(4), "first", true);
    theirs
        .activations
        .insert("mail".into(), Activated { held: Held::In, last: Some(sent("b@x.org")), received: Some(sent("b@x.org")) });
    mine.activations.insert("mail".into(), Activated { held: Held::Blocked, last: None, received: None });
    mine.absorb(theirs);
    assert_eq!(mine.id, older);
    assert!(mine.known.absorbed.contains(&newer));
    assert_eq!(mine.memberships, [("first".to_owned(), Timestamp(4)), ("looks".to_owned(), Timestamp(3))].into_iter().collect());
    assert_eq!(mine.transitions.iter().map(|transition| transition.at.0).collect::<Vec<_>>(), [3, 4, 5]);
    let mail = mine.activations.get("mail").unwrap();
    assert_eq!((mail.held, mail.received.as_ref()), (Held::In, Some(&sent("b@x.org"))));
}
