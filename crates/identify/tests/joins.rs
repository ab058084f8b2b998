//! Who is whom: a table of stories, and what holds after any story.

use std::collections::{BTreeMap, BTreeSet};

use jumelle_identify::{Graph, Resolution, evidence, resolve};
use jumelle_model::event::{Event, EventKind};
use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use jumelle_model::{Identifier, Json, Workspace};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const DEFINITIONS: &str = "
workspace: {key: test, country: FR}
identifiers:
  user_id: {limit: 1}
  loyalty_card: {limit: 3, normalize: lowercase}
  email: {limit: 2, block: ['test@*', 'noreply@*']}
  phone: {limit: 2}
  anonymous_id: {limit: 4}
";

/// People in memory.
#[derive(Default)]
struct People {
    owners: BTreeMap<Identifier, ProfileId>,
    /// Ids that answer with another.
    renamed: BTreeMap<ProfileId, ProfileId>,
    arrivals: i64,
}

impl Graph for People {
    fn owner(&self, identifier: &Identifier) -> Option<ProfileId> {
        self.owners.get(identifier).copied()
    }
    fn counts(&self, person: ProfileId) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for (identifier, _) in self.owners.iter().filter(|(_, owner)| **owner == person) {
            *counts.entry(identifier.namespace.clone()).or_default() += 1;
        }
        counts
    }
}

impl People {
    /// Takes in what one message says, given as its JSON body, and applies the decision.
    fn hear(&mut self, workspace: &Workspace, body: &Value) -> Option<Resolution> {
        let text = body.to_string();
        let json: Json<'_> = serde_json::from_str(&text).expect("JSON");
        let part = |key: &str| {
            json.as_object().and_then(|object| object.iter().find(|(found, _)| *found == key)).map(|(_, value)| value.clone())
        };
        let id = |key: &str| body[key].as_str().map(|text| text.to_owned().into());
        let arrival = self.arrivals;
        self.arrivals += 1;
        // 1 ms apart: profile ids sort by the millisecond of arrival.
        let received = Timestamp(1_700_000_000_000_000 + arrival * 1_000);
        let message_id = format!("m{arrival}");
        let event = Event {
            kind: body["type"].as_str().and_then(EventKind::parse).unwrap_or(EventKind::Identify),
            source: "site",
            message_id: &message_id,
            time: received,
            received,
            name: "".into(),
            properties: Json::Null,
            traits: part("traits").unwrap_or(Json::Null),
            context: part("context").unwrap_or(Json::Null),
            user_id: id("userId"),
            anonymous_id: id("anonymousId"),
            previous_id: id("previousId"),
        };
        let found = evidence(workspace, &event);
        let resolution = resolve(workspace, self, &found, received, &message_id)?;
        for identifier in &resolution.attached {
            let before = self.owners.insert(identifier.clone(), resolution.person);
            assert_eq!(before, None, "{identifier} was somebody's already");
        }
        for absorbed in &resolution.absorbed {
            assert!(resolution.person < *absorbed, "the older id survives");
            self.owners.values_mut().filter(|owner| **owner == *absorbed).for_each(|owner| *owner = resolution.person);
            self.renamed.insert(*absorbed, resolution.person);
        }
        // The event is the person's whom its most trusted identifier names.
        if let Some(most_trusted) = found.identifiers.first() {
            assert_eq!(self.owner(most_trusted), Some(resolution.person), "{most_trusted}");
        }
        for identifier in &resolution.seen {
            assert_eq!(self.owner(identifier), Some(resolution.person), "{identifier} was seen as hers");
        }
        Some(resolution)
    }

    /// Each person's identifiers, the oldest person first: `email:a user_id:1 | email:b`.
    fn written(&self) -> String {
        let mut people: BTreeMap<ProfileId, BTreeSet<String>> = BTreeMap::new();
        for (identifier, owner) in &self.owners {
            people.entry(*owner).or_default().insert(identifier.to_string());
        }
        let each = |identifiers: &BTreeSet<String>| identifiers.iter().cloned().collect::<Vec<_>>().join(" ");
        people.values().map(each).collect::<Vec<_>>().join(" | ")
    }
}

fn workspace() -> Workspace {
    Workspace::parse(DEFINITIONS).unwrap_or_else(|problems| panic!("{problems}"))
}

fn email(value: &str) -> Value {
    json!({"email": value})
}

#[test]
fn stories() {
    let external = |kind: &str, id: Value| json!({"externalIds": [{"type": kind, "id": id}]});
    // What it shows, what was said, who there is, and the refusals: whose value, and the limit that it would have broken.
    let table: Vec<(&str, Vec<Value>, &str, Vec<&str>)> = vec![
        (
            "a visitor says who she is",
            vec![json!({"anonymousId": "v1"}), json!({"anonymousId": "v1", "userId": "u1"})],
            "anonymous_id:v1 user_id:u1",
            vec![],
        ),
        (
            "two browsers meet at an e-mail address; written forms do not matter",
            vec![
                json!({"anonymousId": "v1", "traits": {"email": " Ana@Example.org"}}),
                json!({"anonymousId": "v2"}),
                json!({"anonymousId": "v2", "context": {"traits": {"email": "ANA@example.org "}}}),
            ],
            "anonymous_id:v1 anonymous_id:v2 email:ana@example.org",
            vec![],
        ),
        (
            "the till's loyalty card joins the shop's customer with the web's",
            vec![
                json!({"context": external("loyalty_card", json!("C7"))}),
                json!({"anonymousId": "v1", "userId": "u1"}),
                json!({"userId": "u1", "context": external("loyalty_card", json!("c7"))}),
            ],
            "anonymous_id:v1 loyalty_card:c7 user_id:u1",
            vec![],
        ),
        (
            "a number is an identifier as a text is; an object is none",
            vec![
                json!({"userId": "u1", "context": external("loyalty_card", json!(12))}),
                json!({"userId": "u1", "context": external("loyalty_card", json!({"a": 1}))}),
            ],
            "loyalty_card:12 user_id:u1",
            vec![],
        ),
        (
            "a namespace that is not declared is no evidence",
            vec![json!({"userId": "u1", "context": external("shoe_size", json!("42"))})],
            "user_id:u1",
            vec![],
        ),
        (
            "one event joins three people",
            vec![
                json!({"userId": "u1"}),
                json!({"traits": {"email": "a@x.org"}}),
                json!({"anonymousId": "v1"}),
                json!({"userId": "u1", "traits": {"email": "a@x.org"}, "anonymousId": "v1"}),
            ],
            "anonymous_id:v1 email:a@x.org user_id:u1",
            vec![],
        ),
        (
            "a household's shared e-mail: two user ids are two people, the address stays with the first",
            vec![
                json!({"userId": "u1", "traits": email("home@x.org")}),
                json!({"userId": "u2", "traits": email("home@x.org")}),
                json!({"userId": "u2", "anonymousId": "v2"}),
            ],
            "email:home@x.org user_id:u1 | anonymous_id:v2 user_id:u2",
            vec!["email:home@x.org user_id"],
        ),
        (
            "a shop's terminal: who logs in is herself, the device stays with the first",
            vec![
                json!({"anonymousId": "terminal", "userId": "u1"}),
                json!({"anonymousId": "terminal", "userId": "u2"}),
                json!({"anonymousId": "terminal", "userId": "u3", "traits": email("c@x.org")}),
            ],
            "anonymous_id:terminal user_id:u1 | user_id:u2 | email:c@x.org user_id:u3",
            vec!["anonymous_id:terminal user_id", "anonymous_id:terminal user_id"],
        ),
        (
            "the most trusted identifier decides: the refused one is the less trusted",
            vec![
                json!({"userId": "u1", "anonymousId": "v1"}),
                json!({"context": external("loyalty_card", json!("c1")), "traits": email("a@x.org")}),
                json!({"userId": "u2", "context": external("loyalty_card", json!("c1")), "anonymousId": "v1"}),
            ],
            "anonymous_id:v1 user_id:u1 | email:a@x.org loyalty_card:c1 user_id:u2",
            vec!["anonymous_id:v1 user_id"],
        ),
        (
            "a third address is not taken, and the event is hers all the same",
            vec![
                json!({"userId": "u1", "traits": email("a@x.org")}),
                json!({"userId": "u1", "traits": email("b@x.org")}),
                json!({"userId": "u1", "traits": email("c@x.org")}),
            ],
            "email:a@x.org email:b@x.org user_id:u1",
            vec!["email:c@x.org email"],
        ),
        (
            "a join that would give her three addresses is refused",
            vec![
                json!({"anonymousId": "v1", "traits": email("a@x.org")}),
                json!({"anonymousId": "v1", "traits": email("b@x.org")}),
                json!({"anonymousId": "v2", "traits": email("c@x.org")}),
                json!({"anonymousId": "v1", "traits": email("c@x.org")}),
            ],
            "anonymous_id:v1 email:a@x.org email:b@x.org | anonymous_id:v2 email:c@x.org",
            vec!["anonymous_id:v1 email"],
        ),
        (
            "blocked and broken values name nobody",
            vec![
                json!({"anonymousId": "v1", "traits": email("test@x.org")}),
                json!({"anonymousId": "v2", "traits": email("TEST@x.org")}),
                json!({"anonymousId": "v3", "userId": "undefined", "traits": {"phone": "12"}}),
                json!({"userId": "null"}),
            ],
            "anonymous_id:v1 | anonymous_id:v2 | anonymous_id:v3",
            vec![],
        ),
        (
            "one telephone in three written forms",
            vec![
                json!({"anonymousId": "v1", "traits": {"phone": "06 12 34 56 78"}}),
                json!({"anonymousId": "v2", "traits": {"phone": "+33612345678"}}),
                json!({"anonymousId": "v3", "traits": {"phone": "0033 6 12 34 56 78"}}),
            ],
            "anonymous_id:v1 anonymous_id:v2 anonymous_id:v3 phone:+33612345678",
            vec![],
        ),
        (
            "alias: the visitor becomes the customer",
            vec![json!({"anonymousId": "v1"}), json!({"type": "alias", "userId": "u1", "previousId": "v1"})],
            "anonymous_id:v1 user_id:u1",
            vec![],
        ),
        (
            "alias of a known user id names that user, and two user ids are too many",
            vec![json!({"userId": "u1"}), json!({"type": "alias", "userId": "u2", "previousId": "u1"})],
            "user_id:u1 | user_id:u2",
            vec!["user_id:u1 user_id"],
        ),
        (
            "alias before anything was heard of the previous id",
            vec![json!({"type": "alias", "userId": "u1", "previousId": "v9"}), json!({"anonymousId": "v9"})],
            "anonymous_id:v9 user_id:u1",
            vec![],
        ),
        (
            "an account's traits are not the person's",
            vec![json!({"type": "group", "userId": "u1", "traits": email("office@x.org")})],
            "user_id:u1",
            vec![],
        ),
        ("nothing that names a person", vec![json!({"traits": {"city": "Lille"}})], "", vec![]),
    ];
    let workspace = workspace();
    for (case, said, expected, refusals) in table {
        let mut people = People::default();
        let mut refused = Vec::new();
        for body in &said {
            for refusal in people.hear(&workspace, body).into_iter().flat_map(|resolution| resolution.refusals) {
                refused.push(format!("{} {}", refusal.identifier, refusal.namespace));
            }
        }
        assert_eq!(people.written(), expected, "{case}");
        assert_eq!(refused, refusals, "{case}: refusals");
        let mut again = People::default();
        said.iter().for_each(|body| drop(again.hear(&workspace, body)));
        assert_eq!(again.owners, people.owners, "{case}: the same evidence gives the same people, with the same ids");
    }
}

#[test]
fn a_refusal_says_what_and_why_without_the_value() {
    let workspace = workspace();
    let mut people = People::default();
    people.hear(&workspace, &json!({"userId": "u1", "traits": email("home@x.org")}));
    let resolution = people.hear(&workspace, &json!({"userId": "u2", "traits": email("home@x.org")})).expect("u2 is named");
    let owner = people.owner(&Identifier::new("user_id", "u1")).expect("u1 is known");
    let text = resolution.refusals[0].to_string();
    assert_eq!(
        text,
        format!("2023-11-14T22:13:20.001Z: not joined with {owner} by email: one person may have 1 user_id at most")
    );
    assert!(resolution.created && resolution.absorbed.is_empty());
}

fn body() -> impl Strategy<Value = Value> {
    let optional = |prefix: &'static str, many: u32| proptest::option::of((0..many).prop_map(move |n| format!("{prefix}{n}")));
    let email = proptest::option::of(select(vec!["a@x.org", "A@X.org", "b@x.org", "c@x.org", "test@x.org", "none"]));
    (optional("u", 3), optional("v", 6), email, optional("c", 4), optional("v", 6), any::<bool>()).prop_map(
        |(user, visitor, email, card, previous, is_alias)| {
            let mut body = json!({"type": if is_alias { "alias" } else { "identify" }});
            let fields = [("userId", user), ("anonymousId", visitor), ("previousId", previous)];
            for (key, value) in fields.into_iter().filter_map(|(key, value)| Some((key, value?))) {
                body[key] = json!(value);
            }
            if let Some(email) = email {
                body["traits"] = json!({"email": email});
            }
            if let Some(card) = card {
                body["context"] = json!({"externalIds": [{"type": "loyalty_card", "id": card}]});
            }
            body
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// [`People::hear`] itself asserts what holds after each message.
    #[test]
    fn no_limit_is_ever_broken_and_replay_gives_the_same_people(said in proptest::collection::vec(body(), 0..40)) {
        let workspace = workspace();
        let mut people = People::default();
        for body in &said {
            let resolution = people.hear(&workspace, body);
            for person in people.owners.values() {
                for (namespace, count) in people.counts(*person) {
                    let limit = workspace.namespace(&namespace).map_or(0, |(_, rule)| rule.limit);
                    prop_assert!(count <= limit, "{count} {namespace} after {body}");
                }
                prop_assert!(!people.renamed.contains_key(person), "an absorbed id owns nothing");
            }
            if let Some(resolution) = resolution {
                // A new person is one whose every identifier is new.
                prop_assert_eq!(resolution.created, resolution.attached.len() == resolution.seen.len());
            }
        }
        let mut again = People::default();
        said.iter().for_each(|body| drop(again.hear(&workspace, body)));
        prop_assert_eq!(again.owners, people.owners);
    }
}
