//! Two people joined by one event and taken apart again stand, at the gate, where they would stand had they never been joined.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jumelle_collect::Collected;
use jumelle_engine::{Draft, Engine, Loss, Options, Question, Split, SplitReason, Wall, rebuild};
use jumelle_model::consent::Channel;
use jumelle_model::event::EventKind;
use jumelle_model::time::Timestamp;
use jumelle_model::{Identifier, ProfileId, Workspace};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const WORKSPACE: &str = r#"
workspace: {key: shop, locale: en, timezone: Europe/Paris, currency: EUR}
sources: {site: {kind: web, write_key: wk}}
identifiers: {user_id: {limit: 9}, email: {limit: 9, normalize: email}, phone: {limit: 9}, anonymous_id: {limit: 9}}
purposes:
  marketing: {basis: consent}
  news: {basis: consent}
  offers: {basis: legitimate_interest}
destinations: {tool: {connector: webhook, url: "http://127.0.0.1:1/", allow_private: true}}
segments: {buyers: {rule: {did: Bought, count: {gte: 2}}}, lookers: {rule: {did: Looked}}}
"#;
const PURPOSES: [&str; 3] = ["marketing", "news", "offers"];
const CHANNELS: [Channel; 4] = [Channel::Email, Channel::Sms, Channel::Onsite, Channel::Postal];
const START: i64 = 1_790_000_000_000_000;
const DAY: i64 = 86_400_000_000;

/// Of two people who are taken for one, and of a third who speaks of them.
fn identifiers(person: usize) -> Vec<(&'static str, &'static str)> {
    match person {
        0 => vec![("user_id", "u1"), ("email", "ana@example.org"), ("email", "work@example.org"), ("anonymous_id", "laptop")],
        1 => vec![("email", "leo@example.org"), ("phone", "+33612345678"), ("anonymous_id", "tablet")],
        _ => vec![("email", "eve@example.org")],
    }
}

#[derive(Clone, Debug)]
struct Said {
    naming: Vec<(&'static str, &'static str)>,
    event: &'static str,
    days_ago: i64,
    choices: Vec<Value>,
}

fn a_choice() -> impl Strategy<Value = Value> {
    let everybody: Vec<_> = (0..2).flat_map(identifiers).collect();
    let channel = proptest::option::of(select(CHANNELS.to_vec()));
    let what =
        prop_oneof![5 => select(PURPOSES.to_vec()).prop_map(|purpose| ("purpose", purpose)), 1 => Just(("signal", "objection"))];
    (what, channel, any::<bool>(), proptest::option::of(select(everybody)), 0..50i64).prop_map(
        |((kind, name), channel, yes, target, days_ago)| {
            let state = match (kind, yes) {
                ("signal", true) => "lifted",
                ("signal", false) => "on",
                (_, true) => "granted",
                (_, false) => "denied",
            };
            let mut choice = json!({kind: name, "state": state, "at": Timestamp(START - days_ago * DAY)});
            if let Some(channel) = channel {
                choice["channel"] = channel.as_str().into();
            }
            if let Some((namespace, value)) = target {
                choice["for"] = json!({namespace: value});
            }
            choice
        },
    )
}

fn said() -> impl Strategy<Value = Said> {
    let by = prop_oneof![4 => Just(0usize), 4 => Just(1usize), 1 => Just(2usize)];
    by.prop_flat_map(|by| {
        let own = identifiers(by);
        let all = own.len();
        (Just(by), subsequence(own, 1..=all), select(vec!["Looked", "Bought"]), 0..60i64, prop::collection::vec(a_choice(), 0..3))
    })
    .prop_map(|(by, naming, event, days_ago, mut choices)| {
        if by == 2 {
            // Of somebody else's person as a whole it cannot speak.
            choices.retain(|choice| choice["for"].is_object());
        }
        Said { naming, event, days_ago, choices }
    })
}

struct House {
    _room: tempfile::TempDir,
    options: Options,
    engine: Arc<Engine>,
    wall: Arc<AtomicI64>,
}

impl House {
    async fn open() -> House {
        let room = tempfile::tempdir().unwrap();
        let wall = Arc::new(AtomicI64::new(START));
        let mut options = Options::new(room.path());
        options.wall = Wall::simulated(wall.clone());
        let engine = Engine::open(&options).unwrap();
        engine.apply(&Workspace::parse(WORKSPACE).unwrap(), "test").await.unwrap();
        let house = House { _room: room, options, engine, wall };
        for person in 0..3 {
            house.hear(&format!("all-{person}"), &identifiers(person), "Looked", 70, &[]).await;
        }
        house
    }

    async fn hear(&self, id: &str, naming: &[(&str, &str)], event: &str, days_ago: i64, choices: &[Value]) {
        let external: Vec<Value> = naming.iter().map(|(namespace, value)| json!({"type": namespace, "id": value})).collect();
        let mut body = json!({"type": "track", "event": event, "context": {"externalIds": external, "consents": choices}});
        if let Some((_, email)) = naming.iter().find(|(namespace, _)| *namespace == "email") {
            body["context"]["traits"] = json!({"email": email, "said_by": id});
        }
        if choices.is_empty() {
            body["context"].as_object_mut().unwrap().remove("consents");
        }
        let event = Collected {
            kind: EventKind::Track,
            message_id: id.to_owned(),
            time: Timestamp(START - days_ago * DAY),
            body: body.to_string(),
            has_consents: !choices.is_empty(),
            claims: Default::default(),
        };
        self.wall.fetch_add(1_000_000, Ordering::AcqRel);
        self.submit(Draft::Event { source: "site".into(), event }).await;
    }

    async fn submit(&self, draft: Draft) {
        self.engine.intake().submit(vec![draft], true).await.unwrap();
    }

    fn id(&self, (namespace, value): (&str, &str)) -> ProfileId {
        self.engine.shared().find(namespace, value).unwrap().unwrap().unwrap().id
    }

    /// Everything that the gate answers, and what else is known of the two.
    fn answers(&self) -> Vec<String> {
        let mut answers = Vec::new();
        for person in 0..2 {
            for (namespace, value) in identifiers(person) {
                for purpose in PURPOSES {
                    for channel in CHANNELS {
                        let question = Question { purpose, channel, destination: "tool", namespace, value };
                        let answer = self.engine.shared().allowed(question).unwrap().unwrap();
                        answers.push(format!("{purpose}/{}@{namespace}:{value}: {}", channel.as_str(), answer.code()));
                    }
                }
            }
            let (namespace, value) = identifiers(person)[0];
            let known = self.engine.shared().find(namespace, value).unwrap().unwrap().unwrap();
            answers.push(format!("{person} is in {:?}", known.memberships.keys().collect::<Vec<_>>()));
            let names: Vec<_> = known.known.identifiers.keys().map(|one| format!("{}:{}", one.namespace, one.value)).collect();
            answers.push(format!("{person} is {names:?}"));
            let email = known.known.trait_scalar("email").map(|email| email.to_string()).unwrap_or_default();
            let is_own = identifiers(person).iter().any(|(_, value)| *value == email);
            answers.push(format!("{person} has a trait of somebody else: {}", !is_own));
        }
        answers
    }

    async fn close(self) {
        self.engine.stop().await;
        let House { engine, options, .. } = self;
        drop(engine);
        // Tasks that were told to stop let go of the directory.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let report = rebuild(&options, Loss::Refuse).unwrap();
        assert!(report.identical, "{:?}", report.differences);
    }
}

fn keys(person: usize) -> Vec<u128> {
    let key = |(namespace, value): (&str, &str)| Identifier::new(namespace, value).key();
    identifiers(person).into_iter().map(key).collect()
}

async fn joined_and_apart(before: &[Said], while_joined: &[Said], after: &[Said], by: [usize; 2]) {
    let (joined, never) = (House::open().await, House::open().await);
    let mut n = 0;
    for (part, list) in [before, while_joined, after].into_iter().enumerate() {
        for said in list {
            n += 1;
            for house in [&joined, &never] {
                house.hear(&format!("m{n}"), &said.naming, said.event, said.days_ago, &said.choices).await;
            }
        }
        if part == 0 {
            let both = [identifiers(0)[by[0]], identifiers(1)[by[1]]];
            joined.hear("joins", &both, "Joined", 0, &[]).await;
            assert_eq!(joined.id(both[0]), joined.id(both[1]), "one event made them one");
        }
        if part == 1 {
            let profile = joined.id(("user_id", "u1"));
            let reason = Some(SplitReason::SharedDevice);
            let split = Split { profile, staying: keys(0), leaving: keys(1), reason, by: "test".into() };
            joined.submit(Draft::Split(split)).await;
            assert_eq!(joined.id(("user_id", "u1")), profile, "who stays keeps the id");
            joined.hear("again", &[identifiers(0)[by[0]], identifiers(1)[by[1]]], "Joined", 0, &[]).await;
            assert_ne!(joined.id(("email", "leo@example.org")), profile, "nothing joins them again");
        }
    }
    let (found, expected) = (joined.answers(), never.answers());
    assert_eq!(found, expected);
    joined.close().await;
    never.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn each_stands_at_the_gate_where_she_would_stand_had_they_never_been_joined(
        before in prop::collection::vec(said(), 0..6),
        while_joined in prop::collection::vec(said(), 0..6),
        after in prop::collection::vec(said(), 0..3),
        (mine, hers) in (0..4usize, 0..3usize),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(joined_and_apart(&before, &while_joined, &after, [mine, hers]));
    }
}
