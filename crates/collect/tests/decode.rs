//! What the tracking API takes and refuses: each refusal with its index, field and rule, and nothing that panics.

use jumelle_collect::{Decoded, Judged, Limits, Rejected, consents, decode_batch, decode_single, read_event};
use jumelle_model::Workspace;
use jumelle_model::event::EventKind;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Vocabulary;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// 2026-11-25T12:00:00Z.
const NOW: &str = "2026-11-25T12:00:00Z";

fn now() -> Timestamp {
    Timestamp::parse(NOW).expect("an instant")
}

fn limits() -> Limits {
    let signals = all_signals().signals_read();
    Limits { purposes: vec!["marketing".into(), "analytics".into()], signals, ..Limits::default() }
}

/// A workspace that gives every signal a meaning.
fn all_signals() -> Workspace {
    let text = "
        purposes: {marketing: {basis: consent, gcm: [ad_storage]}, analytics: {basis: consent, tcf: [8]}}
        consent: {strings: {
            gpp: {choices: {marketing: {opt_outs: [sale]}}},
            categories: {choices: {analytics: {categories: [Analytics]}}}}}";
    Workspace::parse(text).expect("a workspace")
}

fn batch(body: &str) -> Result<Decoded, Rejected> {
    let mut made = 0;
    decode_batch(body, &limits(), now(), &mut || {
        made += 1;
        format!("made-{made}")
    })
}

fn single(body: &str, kind: Option<EventKind>) -> Result<Decoded, Rejected> {
    decode_single(body, kind, &limits(), now(), &mut || "made".into())
}

/// A track call with other fields laid over it; null takes a field away.
fn track(with: Value) -> Value {
    let mut event = json!({"type": "track", "event": "Product Viewed", "anonymousId": "v1", "messageId": "m1"});
    if let (Some(event), Value::Object(with)) = (event.as_object_mut(), with) {
        for (key, value) in with {
            if value.is_null() {
                event.remove(&key)
            } else {
                event.insert(key, value)
            };
        }
    }
    event
}

fn nested(levels: usize) -> String {
    let event = track(json!({"properties": {"deep": "HERE"}})).to_string();
    event.replace("\"HERE\"", &format!("{}{}", "[".repeat(levels), "]".repeat(levels)))
}

#[test]
fn an_event_that_is_refused_says_the_field_and_the_rule() {
    let consent = |entry: Value| track(json!({"context": {"consents": [{"purpose": "marketing", "state": "denied"}, entry]}}));
    let table: Vec<(Value, &str, &str)> = vec![
        (json!(7), "", "wrong_type"),
        (json!([]), "", "wrong_type"),
        (json!("{}"), "", "wrong_type"),
        (Value::Null, "", "wrong_type"),
        (json!({}), "type", "missing"),
        (track(json!({"type": "click"})), "type", "unknown_type"),
        (track(json!({"type": 4})), "type", "wrong_type"),
        (track(json!({"type": "Track"})), "type", "unknown_type"),
        (track(json!({"event": null})), "event", "missing"),
        (track(json!({"event": ""})), "event", "missing"),
        (track(json!({"event": "  "})), "event", "missing"),
        (track(json!({"event": {"name": "x"}})), "event", "wrong_type"),
        (track(json!({"event": "Product\u{0}Viewed"})), "event", "control_character"),
        (track(json!({"event": "Product\nViewed"})), "event", "control_character"),
        (track(json!({"event": "é".repeat(129)})), "event", "too_long"),
        (track(json!({"anonymousId": null})), "userId", "missing"),
        (track(json!({"anonymousId": ""})), "userId", "missing"),
        (track(json!({"userId": ["u1"]})), "userId", "wrong_type"),
        (track(json!({"userId": 1.5})), "userId", "wrong_type"),
        (track(json!({"userId": true})), "userId", "wrong_type"),
        (track(json!({"anonymousId": "v\u{0}1"})), "anonymousId", "control_character"),
        (track(json!({"anonymousId": "v".repeat(513)})), "anonymousId", "too_long"),
        (track(json!({"messageId": 12})), "messageId", "wrong_type"),
        (track(json!({"messageId": "m".repeat(513)})), "messageId", "too_long"),
        (track(json!({"messageId": "m\u{7f}"})), "messageId", "control_character"),
        (track(json!({"properties": []})), "properties", "wrong_type"),
        (track(json!({"properties": "total=12"})), "properties", "wrong_type"),
        (track(json!({"traits": 4})), "traits", "wrong_type"),
        (track(json!({"context": "web"})), "context", "wrong_type"),
        (track(json!({"properties": {"total": "12.50"}})), "properties.total", "number_as_text"),
        (track(json!({"properties": {"price": " 12 "}})), "properties.price", "number_as_text"),
        (track(json!({"properties": {"quantity": "2"}})), "properties.quantity", "number_as_text"),
        (
            track(json!({"properties": {"products": [{"price": 1}, {"price": "2"}]}})),
            "properties.products[1].price",
            "number_as_text",
        ),
        (track(json!({"properties": {"products": {"price": 1}}})), "properties.products", "wrong_type"),
        (track(json!({"properties": {"products": [1]}})), "properties.products[0]", "wrong_type"),
        (track(json!({"timestamp": "yesterday"})), "timestamp", "not_a_timestamp"),
        (track(json!({"timestamp": 1_764_000_000})), "timestamp", "wrong_type"),
        (track(json!({"timestamp": "1970-01-01T00:00:10Z"})), "timestamp", "too_old"),
        (track(json!({"timestamp": "2090-01-01T00:00:00Z"})), "timestamp", "in_the_future"),
        (track(json!({"timestamp": "2026-11-27T12:00:01Z"})), "timestamp", "in_the_future"),
        (track(json!({"originalTimestamp": "1970-01-01T00:00:10Z"})), "originalTimestamp", "too_old"),
        (track(json!({"timestamp": NOW, "sentAt": "2090-01-01T00:00:00Z"})), "timestamp", "too_old"),
        (track(json!({"timestamp": NOW, "sentAt": "1970-01-01T00:00:00Z"})), "timestamp", "in_the_future"),
        (track(json!({"timestamp": NOW, "sentAt": "soon"})), "sentAt", "not_a_timestamp"),
        (track(json!({"timestamp": NOW, "sentAt": 12})), "sentAt", "wrong_type"),
        (json!({"type": "alias", "userId": "u1"}), "previousId", "missing"),
        (json!({"type": "alias", "previousId": "v1"}), "userId", "missing"),
        (json!({"type": "group", "userId": "u1"}), "groupId", "missing"),
        (track(json!({"context": {"consents": {"purpose": "marketing"}}})), "context.consents", "wrong_type"),
        (consent(json!({"state": "granted"})), "context.consents[1].purpose", "missing"),
        (consent(json!("marketing")), "context.consents[1].purpose", "missing"),
        (consent(json!({"purpose": "marketting", "state": "granted"})), "context.consents[1].purpose", "unknown_purpose"),
        (consent(json!({"purpose": "!bounce", "state": "granted"})), "context.consents[1].purpose", "unknown_purpose"),
        (consent(json!({"signal": "boredom"})), "context.consents[1].signal", "unknown_signal"),
        (consent(json!({"signal": "bounce", "state": "granted"})), "context.consents[1].state", "signal_state"),
        (consent(json!({"signal": "bounce", "purpose": "marketing"})), "context.consents[1].purpose", "signal_and_purpose"),
        (consent(json!({"signal": "bounce", "channel": "fax"})), "context.consents[1].channel", "unknown_channel"),
        (consent(json!({"purpose": "marketing"})), "context.consents[1].state", "consent_state"),
        (consent(json!({"purpose": "marketing", "state": "unknown"})), "context.consents[1].state", "consent_state"),
        (consent(json!({"purpose": "marketing", "state": true})), "context.consents[1].state", "consent_state"),
        (
            consent(json!({"purpose": "marketing", "state": "granted", "channel": "fax"})),
            "context.consents[1].channel",
            "unknown_channel",
        ),
        (consent(json!({"purpose": "marketing", "state": "granted", "at": "once"})), "context.consents[1].at", "not_a_timestamp"),
        (consent(json!({"purpose": "marketing", "state": "granted", "for": "a@x.org"})), "context.consents[1].for", "wrong_type"),
        (
            consent(json!({"purpose": "marketing", "state": "granted", "for": {"email": "a@x.org", "phone": "1"}})),
            "context.consents[1].for",
            "wrong_type",
        ),
        (track(json!({"properties": {"text": "x".repeat(40 * 1024)}})), "", "too_large"),
    ];
    for (event, field, rule) in table {
        let shown = event.to_string().chars().take(120).collect::<String>();
        let good = track(json!({}));
        let decoded = batch(&json!({"batch": [good, event, good]}).to_string()).unwrap_or_else(|why| panic!("{shown}: {why:?}"));
        assert_eq!(decoded.collected.len(), 2, "{shown}: its neighbours are taken");
        let [rejected] = decoded.rejected.as_slice() else { panic!("{shown}: taken") };
        assert_eq!((rejected.index, rejected.field.as_str(), rejected.rule), (1, field, rule), "{shown}: {}", rejected.message);
        let sent = event.to_string();
        assert!(!rejected.message.is_empty() && rejected.body == sent, "{shown}");
    }
}

#[test]
fn too_deep_and_not_json() {
    for (body, field, rule) in [
        (nested(65), "", "too_deep"),
        (nested(100), "", "too_deep"),
        (nested(200), "", "too_deep"),
        (nested(15_000), "", "too_deep"),
        (track(json!({})).to_string().replace("v1", "\\ud800"), "", "invalid_json"),
        (r#"{"type":"track","event":"A","userId":"u","properties":{"n":1e999}}"#.to_owned(), "", "invalid_json"),
    ] {
        let shown: String = body.chars().take(90).collect();
        let decoded = batch(&format!("{{\"batch\":[{body}]}}")).unwrap_or_else(|why| panic!("{shown}: {why:?}"));
        let rejected = decoded.rejected.first().unwrap_or_else(|| panic!("{shown}: taken"));
        assert_eq!((rejected.field.as_str(), rejected.rule), (field, rule), "{shown}: {}", rejected.message);
        assert_eq!(single(&body, None).expect("JSON as a whole").rejected[0].rule, rule, "{shown}: alone");
    }
    assert_eq!(batch(&format!("{{\"batch\":[{}]}}", nested(60))).expect("JSON").collected.len(), 1, "60 levels are taken");
    for (body, field, rule) in [
        ("", "", "invalid_json"),
        ("{", "", "invalid_json"),
        ("{\"batch\":[{]}", "", "invalid_json"),
        ("{\"batch\":[]} trailing", "", "invalid_json"),
        ("\u{0}", "", "invalid_json"),
        ("[]", "batch", "wrong_type"),
        ("7", "batch", "wrong_type"),
        ("{}", "batch", "wrong_type"),
        ("{\"batch\":{}}", "batch", "wrong_type"),
        ("{\"batch\":[],\"sentAt\":7}", "batch", "wrong_type"),
    ] {
        let rejected = batch(body).expect_err(body);
        assert_eq!((rejected.field.as_str(), rejected.rule), (field, rule), "{body}: {}", rejected.message);
    }
    for body in ["", "{", "{]", "{\"a\":}", "nul"] {
        let rejected = single(body, Some(EventKind::Track)).expect_err(body);
        assert_eq!((rejected.field.as_str(), rejected.rule), ("", "invalid_json"), "{body}");
    }
    let many = format!("{{\"batch\":[{}1]}}", "1,".repeat(10_000));
    assert_eq!(batch(&many).expect_err("10,001 events").rule, "too_many_events");
}

#[test]
fn a_batch_with_three_bad_of_a_hundred_keeps_ninety_seven() {
    let mut events: Vec<Value> = (0..100).map(|n| track(json!({"messageId": format!("m{n}")}))).collect();
    events[3] = track(json!({"properties": {"total": "9"}}));
    events[50] = track(json!({"timestamp": "1970-01-01"}));
    events[99] = json!({"type": "track", "event": "A"});
    let decoded = batch(&json!({"batch": events}).to_string()).expect("a batch");
    let ids: Vec<&str> = decoded.collected.iter().map(|event| event.message_id.as_str()).collect();
    let expected: Vec<String> = (0..100).filter(|n| ![3, 50, 99].contains(n)).map(|n| format!("m{n}")).collect();
    assert_eq!(ids, expected);
    let rejected: Vec<_> = decoded.rejected.iter().map(|one| (one.index, one.field.as_str(), one.rule)).collect();
    assert_eq!(rejected, [(3, "properties.total", "number_as_text"), (50, "timestamp", "too_old"), (99, "userId", "missing")]);
    let shown = serde_json::to_value(&decoded.rejected[0]).expect("serialisable");
    assert_eq!(
        shown,
        json!({
            "index": 3, "field": "properties.total", "rule": "number_as_text",
            "message": "total is the text \"9\"; write the number without quotes: 9",
        })
    );
}

#[test]
fn unusual_but_right() {
    for event in [
        track(json!({"event": "Coup de 💘 🇫🇷"})),
        track(json!({"event": "x".repeat(256)})),
        track(json!({"userId": 12, "anonymousId": null})),
        track(json!({"userId": u64::MAX})),
        track(json!({"anonymousId": null, "traits": {"email": "a@x.org"}})),
        track(json!({"anonymousId": null, "context": {"externalIds": [{"type": "loyalty_card", "id": "7"}]}})),
        track(json!({"properties": {"total": "on request", "note": "12", "price": 1e300}})),
        track(json!({"properties": {"products": []}})),
        track(json!({"context": {"consents": []}})),
        json!({"type": "page", "userId": "u1"}),
        json!({"type": "alias", "userId": "u1", "previousId": 7}),
        json!({"type": "group", "userId": "u1", "groupId": "g"}),
    ] {
        let decoded = batch(&json!({"batch": [event]}).to_string()).expect("a batch");
        assert!(decoded.rejected.is_empty(), "{event}: {:?}", decoded.rejected);
    }
    let decoded = single(r#" {"event":"A","userId":"u1","writeKey":"wk"} "#, Some(EventKind::Track)).expect("an event");
    assert_eq!((decoded.write_key.as_deref(), decoded.collected[0].message_id.as_str()), (Some("wk"), "made"));
    let from_path = single(r#"{"type":"track","userId":"u1"}"#, Some(EventKind::Identify)).expect("an event");
    assert_eq!(from_path.collected[0].kind, EventKind::Identify, "the path says which call it is");
}

#[test]
fn the_sender_s_clock_is_corrected() {
    // `timestamp`, `sentAt` of the event, `sentAt` of the batch → the time of the event.
    for (timestamp, sent, batch_sent, expected) in [
        (None, None, None, NOW),
        (Some("2026-11-25T11:00:00Z"), None, None, "2026-11-25T11:00:00Z"),
        (Some("2011-09-01"), None, None, "2011-09-01T00:00:00Z"),
        (Some("2026-11-25T13:00:00Z"), None, None, NOW),
        // A clock that was never set, and one that runs ahead of the century: only the distance to sentAt counts.
        (Some("1970-01-01T00:00:10Z"), None, Some("1970-01-01T00:00:40Z"), "2026-11-25T11:59:30Z"),
        (Some("2090-01-01T00:00:00Z"), None, Some("2090-01-01T01:00:00Z"), "2026-11-25T11:00:00Z"),
        (Some("2090-01-01T00:00:00Z"), Some("2090-01-01T01:00:00Z"), None, "2026-11-25T11:00:00Z"),
        // The batch's counts; an event may carry the one of a first try.
        (Some("2026-11-25T10:00:00Z"), Some("2026-11-25T10:00:00Z"), Some("2026-11-25T11:00:00Z"), "2026-11-25T11:00:00Z"),
        (Some("2026-11-25T12:00:00+02:00"), None, Some("2026-11-25T10:00:00Z"), NOW),
        // Sent before it happened: never later than its arrival.
        (Some("2026-11-25T11:00:00Z"), None, Some("2026-11-25T10:00:00Z"), NOW),
    ] {
        let event = track(json!({"timestamp": timestamp, "sentAt": sent}));
        let decoded = batch(&json!({"batch": [event], "sentAt": batch_sent}).to_string()).expect("a batch");
        let shown = format!("{timestamp:?} {sent:?} {batch_sent:?}: {:?}", decoded.rejected);
        assert_eq!(decoded.collected.first().map(|event| event.time), Timestamp::parse(expected), "{shown}");
    }
}

fn read<'b>(body: &'b str, vocabulary: Vocabulary) -> jumelle_model::Event<'b> {
    read_event(EventKind::Track, "site", "m1", (now(), now()), body, vocabulary).expect("an object")
}

#[test]
fn the_context_of_the_batch_is_the_event_s_and_is_checked_as_such() {
    let context = json!({"traits": {"email": "a@x.org"}, "consents": [{"purpose": "marketing", "state": "denied"}]});
    let bare = json!({"type": "track", "event": "A"});
    let own = track(json!({"context": {"page": {"url": "/"}}}));
    let body = json!({"batch": [bare, own], "context": context}).to_string();
    let decoded = batch(&body).expect("a batch");
    assert!(decoded.rejected.is_empty(), "the context names the person: {:?}", decoded.rejected);
    assert!(decoded.collected[0].has_consents, "the answer waits for the gate");
    assert_eq!(
        consents(&read(&decoded.collected[0].body, Vocabulary::Segment), &Workspace::empty(), &mut Judged::default()).len(),
        1
    );
    assert!(
        !decoded.collected[1].has_consents
            && consents(&read(&decoded.collected[1].body, Vocabulary::Segment), &Workspace::empty(), &mut Judged::default())
                .is_empty()
    );

    let wrong = json!({"consents": [{"purpose": "marketing", "state": "maybe"}]});
    let decoded = batch(&json!({"batch": [track(json!({}))], "context": wrong}).to_string()).expect("a batch");
    assert_eq!(decoded.rejected.first().map(|one| one.rule), Some("consent_state"));
    let decoded = batch(&json!({"batch": [track(json!({}))], "context": "web"}).to_string()).expect("a batch");
    assert_eq!(decoded.rejected.first().map(|one| (one.field.as_str(), one.rule)), Some(("context", "wrong_type")));

    // One large context is not multiplied by the number of events.
    let large = json!({"batch": vec![track(json!({})); 100], "context": {"text": "x".repeat(40 * 1024)}}).to_string();
    let decoded = batch(&large).expect("a batch");
    assert!(decoded.collected.is_empty());
    assert!(decoded.rejected.iter().all(|one| one.rule == "too_large" && one.body.len() < 1024));
}

#[test]
fn a_field_that_stands_twice_is_refused_because_two_readers_may_read_two_things() {
    let twice =
        r#"{"type":"track","event":"A","userId":"u1","context":{},"context":{"consents":[{"purpose":"x","state":"denied"}]}}"#;
    let decoded = single(twice, None).expect("JSON");
    assert_eq!(decoded.rejected.first().map(|one| (one.field.as_str(), one.rule)), Some(("context", "duplicate_field")));
    let user = r#"{"type":"track","event":"A","userId":"u1","userId":"u2"}"#;
    assert_eq!(single(user, None).expect("JSON").rejected.first().map(|one| one.field.as_str()), Some("userId"));
}

#[test]
fn the_documented_table_of_ga4_is_the_one_in_use() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/ga4.md")).expect("the page is there");
    let mut sections = page.split("\n## ").skip(1);
    let mut table = |title: &str| -> Vec<(String, String)> {
        let section = sections.next().filter(|section| section.starts_with(title)).expect(title);
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
            (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
        })
        .collect()
    };
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    assert_eq!(table("Events"), owned(&jumelle_collect::GA4_EVENTS));
    assert_eq!(table("Parameters"), owned(&jumelle_collect::GA4_PROPERTIES));
}

#[test]
fn ga4_events_read_as_the_other_vocabulary_s() {
    let body = json!({"event": "purchase", "properties": {
        "transaction_id": "T1", "value": 12.5, "currency": "EUR",
        "items": [{"item_id": "P1", "item_name": "candle", "price": 4, "index": 1}],
    }})
    .to_string();
    let event = read(&body, Vocabulary::Ga4);
    let properties: Value = serde_json::from_str(&event.properties.to_string()).expect("JSON");
    assert_eq!(event.name, "Order Completed");
    assert_eq!(
        properties,
        json!({"order_id": "T1", "total": 12.5, "currency": "EUR", "products": [{"product_id": "P1", "name": "candle", "price": 4, "position": 1}]})
    );
    let body = json!({"event": "view_item", "properties": {"currency": "EUR", "items": [{"item_category": "sneakers", "currency": "GBP"}]}}).to_string();
    let event = read(&body, Vocabulary::Ga4);
    let properties: Value = serde_json::from_str(&event.properties.to_string()).expect("JSON");
    assert_eq!((&properties["category"], &properties["currency"]), (&json!("sneakers"), &json!("EUR")), "the top stays");
    assert_eq!(read(&body, Vocabulary::Segment).name, "view_item");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec!["track", "granted", "marketing", "email", "12", "1970-01-01", "9999-12-31T23:59:59Z", "-9999-01-01"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = [
        "type",
        "event",
        "userId",
        "anonymousId",
        "previousId",
        "groupId",
        "messageId",
        "timestamp",
        "sentAt",
        "properties",
        "traits",
        "context",
        "consents",
        "purpose",
        "channel",
        "state",
        "at",
        "for",
        "proof",
        "products",
        "items",
        "total",
        "price",
        "externalIds",
        "batch",
        "writeKey",
        "email",
    ];
    prop_oneof![8 => select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

/// An event that is nearly right, with anything in some of its fields.
fn nearly() -> impl Strategy<Value = Value> {
    proptest::collection::vec((key(), any_json()), 0..4).prop_map(|pairs| track(Value::Object(pairs.into_iter().collect())))
}

/// Whatever is collected reads back; whatever is not says why.
fn holds_together(decoded: Result<Decoded, Rejected>, expected: Option<usize>) {
    match decoded {
        Ok(decoded) => {
            for event in &decoded.collected {
                assert!(event.time <= now() && !event.message_id.is_empty());
                for vocabulary in [Vocabulary::Segment, Vocabulary::Ga4] {
                    let read = read_event(event.kind, "site", &event.message_id, (event.time, now()), &event.body, vocabulary);
                    let read = read.unwrap_or_else(|| panic!("not read back: {}", event.body));
                    assert!(
                        event.has_consents || consents(&read, &all_signals(), &mut Judged::default()).is_empty(),
                        "unannounced consents: {}",
                        event.body
                    );
                }
            }
            for rejected in &decoded.rejected {
                assert!(!rejected.rule.is_empty() && !rejected.message.is_empty());
            }
            if let Some(expected) = expected {
                assert_eq!(decoded.collected.len() + decoded.rejected.len(), expected, "none is lost");
            }
        }
        Err(rejected) => assert!(!rejected.rule.is_empty() && !rejected.message.is_empty() && expected.is_none()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn arbitrary_text_is_answered(text in any::<String>(), kind in select(EventKind::ALL.to_vec())) {
        holds_together(batch(&text), None);
        holds_together(single(&text, Some(kind)), None);
        holds_together(single(&text, None), None);
        let _ = read_event(kind, "site", "m", (now(), now()), &text, Vocabulary::Ga4);
    }

    #[test]
    fn arbitrary_json_is_answered(json in any_json(), kind in proptest::option::of(select(EventKind::ALL.to_vec()))) {
        holds_together(single(&json.to_string(), kind), Some(1));
        holds_together(batch(&json.to_string()), None);
    }

    #[test]
    fn events_that_are_nearly_right_are_answered(
        events in proptest::collection::vec(nearly(), 0..4),
        context in proptest::option::of(any_json()),
        cut in any::<prop::sample::Index>(),
    ) {
        let count = events.len();
        let mut body = json!({"batch": events});
        if let Some(context) = context {
            body["context"] = context;
        }
        let text = body.to_string();
        holds_together(batch(&text), Some(count));
        // Cut anywhere, as a connection is.
        let mut end = cut.index(text.len() + 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        holds_together(batch(&text[..end]), (end == text.len()).then_some(count));
    }
}
