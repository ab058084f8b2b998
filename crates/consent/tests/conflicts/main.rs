//! Conflicts between choices (DESIGN §8.7 to 8.9): a table of cases, and a property over sequences of merges, orders, repeats.

mod oracle;

use std::sync::LazyLock;

use jiff::civil::Date;
use jumelle_consent::{Asked, Choices, Circumstances, Contact, Party, decide};
use jumelle_model::consent::{Channel, Choice, ConsentState, Scope};
use jumelle_model::ids::{Fingerprint, Stamp};
use jumelle_model::time::Timestamp;
use jumelle_model::{Proof, Workspace};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::oracle::{Address, DAY, Question, START, says};

const TABLE: &str = include_str!("../data/cases.txt");

static WORKSPACE: LazyLock<Workspace> =
    LazyLock::new(|| Workspace::parse(include_str!("../data/workspace.yaml")).unwrap_or_else(|problems| panic!("{problems}")));

/// What the gate says, in the oracle's words.
fn gate(choices: &Choices, question: &Question) -> &'static str {
    let born = question.age.map(|age| Date::constant(2026, 1, 1).saturating_sub(jiff::Span::new().years(i64::from(age))));
    let contacts: Vec<Contact> = question
        .contacts
        .iter()
        .map(|(at, channel, purpose)| Contact { at: *at, channel: *channel, purpose: purpose.clone() })
        .collect();
    let circumstances = Circumstances {
        country: question.country.clone(),
        born,
        customer_for: if question.customer { vec!["offers".into()] } else { Vec::new() },
        ..Circumstances::default()
    };
    let asked = Asked {
        purpose: &question.purpose,
        channel: question.channel.expect("a question has a channel"),
        address: question.address.as_ref(),
        destination: question.destination.as_deref(),
    };
    let party = Party { choices, circumstances: &circumstances, contacts: &contacts };
    match decide(&WORKSPACE, asked, party, question.at).outcome {
        Ok(jumelle_consent::Evidence::Granted(_)) => "granted",
        Ok(_) => "basis",
        Err(reason) => reason.code(),
    }
}

fn folded(list: &[Choice]) -> Choices {
    let mut choices = Choices::default();
    list.iter().for_each(|choice| choices.fold(choice));
    choices
}

fn address(name: &str) -> Address {
    let namespace = match name {
        "mobile" | "desk" => "phone",
        "laptop" | "tablet" => "anonymous_id",
        _ => "email",
    };
    (namespace.to_owned(), name.to_owned())
}

// ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────

/// `12+marketing/email@home#2`: on day 12 a grant, for e-mail, for the address `home`, given for the text version 2. `-` is a
/// denial; `w` behind the day: undated; `*home,work` in the place of `@home`: by the person, who had these addresses.
fn choice(text: &str, number: usize) -> Choice {
    let sign = text.find(['+', '-']).unwrap_or_else(|| panic!("{text}: no + or -"));
    let (day, rest) = text.split_at(sign);
    let (day, weak) = day.strip_suffix('w').map_or((day, false), |day| (day, true));
    let (state, rest) = match rest.split_at(1) {
        ("+", rest) => (ConsentState::Granted, rest),
        (_, rest) => (ConsentState::Denied, rest),
    };
    let (rest, version) = rest.split_once('#').map_or((rest, None), |(rest, version)| (rest, Some(version)));
    let (what, scope, covers) = match rest.split_once(['@', '*']) {
        Some((what, names)) if rest.contains('*') => (what, Scope::Person, names.split(',').map(address).collect()),
        Some((what, name)) => (what, Scope::Address(address(name).0, name.to_owned()), Vec::new()),
        None => (rest, Scope::Person, Vec::new()),
    };
    let (purpose, channel) = what.split_once('/').map_or((what, None), |(purpose, channel)| (purpose, Some(channel)));
    let day: f64 = day.parse().unwrap_or_else(|_| panic!("{text}: no day"));
    let time = Timestamp(START + (day * DAY as f64) as i64);
    Choice {
        purpose: purpose.to_owned(),
        channel: channel.map(|name| Channel::parse(name).unwrap_or_else(|| panic!("{text}: no channel"))),
        state,
        scope,
        covers,
        stamp: Stamp { time, received: time, message: Fingerprint(number as u64) },
        weak,
        source: "site".into(),
        proof: version.map(|version| Proof::from_json(&format!("{{\"text_version\":\"{version}\"}}"))),
    }
}

/// `marketing/email@home 9 country=BE age=14 customer to=far sent=8:email:news closed`
fn question(text: &str) -> Question {
    let mut words = text.split_whitespace();
    let what = words.next().unwrap_or_default();
    let (what, name) = what.split_once('@').map_or((what, None), |(what, name)| (what, Some(name)));
    let (purpose, channel) = what.split_once('/').unwrap_or_else(|| panic!("{text}: no channel"));
    let day = |text: &str| {
        let day: f64 = text.parse().unwrap_or_else(|_| panic!("{text}: no day"));
        Timestamp(START + (day * DAY as f64) as i64)
    };
    let mut question = Question {
        purpose: purpose.to_owned(),
        channel: Channel::parse(channel),
        address: name.map(address),
        at: day(words.next().unwrap_or_default()),
        in_text_hours: true,
        ..Question::default()
    };
    for word in words {
        match word.split_once('=') {
            Some(("country", country)) => question.country = Some(country.to_owned()),
            Some(("age", age)) => question.age = age.parse().ok(),
            Some(("to", destination)) => question.destination = Some(destination.to_owned()),
            Some(("sent", sent)) => {
                let parts: Vec<&str> = sent.split(':').collect();
                let channel = Channel::parse(parts[1]).unwrap_or_else(|| panic!("{text}: no channel"));
                question.contacts.push((day(parts[0]), channel, parts[2].to_owned()));
            }
            None if word == "customer" => question.customer = true,
            None if word == "closed" => question.in_text_hours = false,
            _ => panic!("{text}: {word} is not understood"),
        }
    }
    question
}

#[test]
fn every_case_of_the_table_is_decided_as_it_says() {
    let mut wrong = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    let lines = TABLE.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    for line in lines {
        let [name, said, asked, expected] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}: a case has four parts");
        };
        assert!(names.insert(name), "{name} stands there twice");
        let list: Vec<Choice> = said.split_whitespace().enumerate().map(|(n, text)| choice(text, n)).collect();
        let question = question(asked);
        let reversed: Vec<Choice> = list.iter().rev().cloned().collect();
        let twice = [list.clone(), reversed.clone()].concat();
        let mut answers = vec![("the oracle", says(&list, &question))];
        for (how, list) in [("in order", &list), ("in reverse", &reversed), ("twice", &twice)] {
            answers.push((how, gate(&folded(list), &question)));
        }
        for split in 0..=list.len() {
            let (left, right) = list.split_at(split);
            let mut joined = folded(right);
            joined.merge(folded(left));
            answers.push(("joined", gate(&joined, &question)));
        }
        answers.retain(|(_, answer)| *answer != expected);
        if let Some((how, answer)) = answers.first() {
            wrong.push(format!("{name}: {answer} ({how}), not {expected}"));
        }
    }
    assert!(names.len() >= 150, "{} cases", names.len());
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), names.len(), wrong.join("\n"));
}

// ── the property ─────────────────────────────────────────────────────────────────────────────────────────────────────

const PURPOSES: [&str; 7] = ["marketing", "news", "offers", "interest", "service", "recall", "gone"];
const SIGNALS: [&str; 5] = ["!bounce", "!complaint", "!opposition", "!objection", "!restriction"];
const CHANNELS: [Channel; 5] = [Channel::Email, Channel::Sms, Channel::Phone, Channel::Postal, Channel::Onsite];
/// The days of choices and questions: few, so that they meet, with those on which grants expire and rules begin.
const DAYS: [i64; 9] = [0, 1, 2, 57, 58, 60, 100, 101, 102];

fn addresses(person: usize) -> Vec<Address> {
    let names = [["home", "work", "mobile", "laptop"], ["hers", "office", "desk", "tablet"]];
    names[person].map(address).to_vec()
}

fn a_choice(person: usize) -> impl Strategy<Value = Choice> {
    let own = addresses(person);
    let purpose = prop_oneof![3 => select(PURPOSES.to_vec()), 2 => select(SIGNALS.to_vec())];
    let channel = prop_oneof![Just(None), select(CHANNELS.to_vec()).prop_map(Some)];
    let state = select(vec![ConsentState::Granted, ConsentState::Denied]);
    let scope =
        prop_oneof![Just(Scope::Person), select(own.clone()).prop_map(|(namespace, value)| Scope::Address(namespace, value))];
    let version = select(vec![None, Some("1"), Some("2"), Some("3"), Some("9")]);
    let weak = prop_oneof![4 => Just(false), 1 => Just(true)];
    (purpose, channel, state, scope, subsequence(own, 0..=4), select(DAYS.to_vec()), any::<u64>(), weak, version).prop_map(
        |(purpose, channel, state, scope, covers, day, message, weak, version)| Choice {
            purpose: purpose.to_owned(),
            channel,
            state,
            scope,
            covers,
            stamp: Stamp {
                time: Timestamp(START + day * DAY),
                received: Timestamp(START + day * DAY + 1),
                message: Fingerprint(message),
            },
            weak,
            source: "site".into(),
            proof: version.map(|version| Proof::from_json(&format!("{{\"text_version\":\"{version}\"}}"))),
        },
    )
}

fn a_question() -> impl Strategy<Value = Question> {
    let everywhere = [addresses(0), addresses(1)].concat();
    let contact = (select(DAYS.to_vec()), select(CHANNELS.to_vec()), select(PURPOSES[..6].to_vec()));
    (
        (
            select(PURPOSES.to_vec()),
            select(CHANNELS.to_vec()),
            proptest::option::of(select(everywhere)),
            prop_oneof![1 => select(DAYS.to_vec()), 2 => Just(102i64)],
        ),
        (select(vec![None, Some("FR"), Some("BE")]), select(vec![None, Some(14), Some(15), Some(40)]), any::<bool>()),
        (proptest::collection::vec(contact, 0..4), select(vec![None, Some("near"), Some("far"), Some("bound")])),
    )
        .prop_map(|((purpose, channel, address, day), (country, age, customer), (contacts, destination))| Question {
            purpose: purpose.to_owned(),
            channel: Some(channel),
            address,
            at: Timestamp(START + day * DAY),
            country: country.map(str::to_owned),
            age,
            customer,
            contacts: contacts
                .into_iter()
                .map(|(day, channel, purpose)| (Timestamp(START + day * DAY), channel, purpose.to_owned()))
                .collect(),
            destination: destination.map(str::to_owned),
            // Day 0 is a holiday; 2, 58, 100 and 101 are Saturdays and a Sunday; at 13:00 in Paris the other days are open.
            in_text_hours: matches!(day, 1 | 57 | 60 | 102),
        })
}

/// How a history comes together: who the choices were said by at first, in what order, which of them twice, joined how.
fn histories() -> impl Strategy<Value = (Vec<Choice>, Vec<Choice>, Vec<usize>)> {
    let list = proptest::collection::vec(prop_oneof![a_choice(0), a_choice(1)], 0..16);
    list.prop_flat_map(|list| {
        let repeated = [list.clone(), list.clone()].concat();
        let count = repeated.len();
        (Just(list), Just(repeated).prop_shuffle(), proptest::collection::vec(0..5usize, count))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_sequence_of_merges_orders_or_repeats_opens_what_the_list_closes(
        (list, shuffled, parts) in histories(),
        questions in proptest::collection::vec(a_question(), 12),
    ) {
        let mut people = vec![Choices::default(); 5];
        for (choice, part) in shuffled.iter().zip(&parts) {
            people[*part].fold(choice);
        }
        // A tree of joins: (0 1) (2 3), then both, then the last into it, then the first once more.
        let [mut a, b, mut c, d, mut e]: [Choices; 5] = people.try_into().expect("five people");
        let first = a.clone();
        a.merge(b);
        c.merge(d);
        c.merge(a);
        e.merge(c);
        e.merge(first);
        for question in questions {
            let (found, expected) = (gate(&e, &question), says(&list, &question));
            let is_open = |answer: &str| matches!(answer, "granted" | "basis");
            prop_assert!(is_open(expected) || !is_open(found), "{} and not {}: {:?}", found, expected, question);
            // A choice is never later than its arrival; a clock that stands behind one may refuse more, never less.
            if list.iter().all(|choice| choice.at() <= question.at) {
                prop_assert_eq!(found, expected, "{:?}", question);
            }
        }
    }

    #[test]
    fn a_join_opens_no_address_and_a_split_gives_each_side_its_own(
        mine in proptest::collection::vec(a_choice(0), 0..10),
        hers in proptest::collection::vec(a_choice(1), 0..10),
        questions in proptest::collection::vec(a_question(), 12),
    ) {
        let (alone, other) = (folded(&mine), folded(&hers));
        let mut joined = alone.clone();
        joined.merge(other.clone());
        let is_open = |answer: &str| matches!(answer, "granted" | "basis");
        for question in questions.into_iter().filter(|question| question.address.is_some()) {
            let owner = if question.address.as_ref().is_some_and(|address| addresses(0).contains(address)) { &alone } else { &other };
            let (before, after) = (gate(owner, &question), gate(&joined, &question));
            prop_assert!(is_open(before) || !is_open(after), "{} became {}: {:?}", before, after, question);
        }
        // Folded again from her own list, as a split does, she stands where she stood.
        prop_assert_eq!(folded(&mine), alone);
    }
}
