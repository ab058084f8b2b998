//! Random people and rules: small sets of names, values and times, so that they meet at the edges.
#![allow(dead_code, reason = "each test binary uses its part")]

use jumelle_model::consent::Channel;
use jumelle_model::event::{Event, EventKind, Scalar};
use jumelle_model::number::Decimal;
use jumelle_model::rule::{Aggregate, Comparison, Did, EventQuery, Filter, Rule, Test};
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::{ComputedTrait, Label, Segment};
use jumelle_model::{Json, Workspace};
use jumelle_segment::{Facts, Plan, States};
use proptest::prelude::*;
use proptest::sample::select;

pub const MINUTE: i64 = 60_000_000;
/// Where the people's time begins: 2026-01-01T00:00:00Z.
pub const BASE: i64 = 1_767_225_600_000_000;

const BASE_WORKSPACE: &str = "
workspace:
  key: test
  currency: EUR
  rates: {GBP: [{from: 2025-01-01, rate: 1.1}, {from: '2026-01-01T05:00:00Z', rate: 1.2}]}
purposes: {marketing: {basis: consent}}
";

/// An event as it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub name: String,
    pub time: Timestamp,
    pub received: Timestamp,
    pub id: String,
    pub properties: String,
}

impl Sent {
    pub fn at(minute: i64, name: &str, properties: &str) -> Sent {
        let time = Timestamp(BASE + minute * MINUTE);
        Sent { name: name.into(), time, received: time, id: format!("{name}{minute}{properties}"), properties: properties.into() }
    }

    pub fn event(&self) -> Event<'_> {
        Event {
            kind: EventKind::Track,
            source: "site",
            message_id: &self.id,
            time: self.time,
            received: self.received,
            name: self.name.as_str().into(),
            properties: serde_json::from_str(&self.properties).expect("properties are JSON"),
            traits: Json::Null,
            context: Json::Null,
            user_id: None,
            anonymous_id: None,
            previous_id: None,
        }
    }
}

/// A person with fixed traits and one consent.
#[derive(Default)]
pub struct Person {
    pub states: States,
}

impl Facts for Person {
    fn trait_value(&self, path: &str) -> Option<Scalar> {
        match path {
            "city" => Some(Scalar::Text("Lille".into())),
            "age" => Decimal::from_integer(30).map(Scalar::Number),
            _ => None,
        }
    }
    fn trait_exists(&self, path: &str) -> bool {
        matches!(path, "city" | "age" | "children")
    }
    fn consent_open(&self, purpose: &str, channel: Option<Channel>, _: Timestamp) -> bool {
        purpose == "marketing" && channel == Some(Channel::Email)
    }
    fn states(&self) -> &States {
        &self.states
    }
}

pub fn observed(plan: &Plan, sent: &[Sent]) -> States {
    let mut states = States::default();
    sent.iter().for_each(|sent| plan.observe(&mut states, &sent.event()));
    states
}

pub fn bytes(states: &States) -> Vec<u8> {
    postcard::to_allocvec(states).expect("states are serialisable")
}

pub fn workspace(rules: Vec<Rule>, computed: Vec<EventQuery>) -> Workspace {
    let mut workspace = Workspace::parse(BASE_WORKSPACE).expect("the base workspace is right");
    let key = |n: usize| format!("c{n}");
    workspace.traits = computed
        .into_iter()
        .enumerate()
        .map(|(n, query)| ComputedTrait { key: key(n), label: Label::default(), query })
        .collect();
    workspace.segments =
        rules.into_iter().enumerate().map(|(n, rule)| Segment { key: key(n), label: Label::default(), rule }).collect();
    workspace
}

/// A workspace from the text of one rule.
pub fn workspace_of(rule: &str) -> Workspace {
    let text = format!("{BASE_WORKSPACE}traits: {{orders: {{count: Order Completed}}}}\nsegments: {{s: {{rule: {rule}}}}}\n");
    Workspace::parse(&text).unwrap_or_else(|problems| panic!("{rule}: {problems}"))
}

fn property() -> impl Strategy<Value = Option<(&'static str, &'static str)>> {
    let names = ["category", "price", "total", "revenue", "value", "order_id", "currency", "amount"];
    let value = |name: &'static str| -> Vec<&'static str> {
        match name {
            "category" => vec!["\"a\"", "\"b\"", "\"ab\"", "3", "null", "[1]", "true"],
            "order_id" => vec!["\"1\"", "1", "\"2\"", "2", "null"],
            "currency" => vec!["\"EUR\"", "\"GBP\"", "\"JPY\"", "\"gbp\"", "\"?\"", "4"],
            _ => vec!["1", "2.005", "10.5", "10.5", "-3", "\"12\"", "null", "{}", "1e30", "0"],
        }
    };
    select(names.to_vec()).prop_flat_map(move |name| select(value(name)).prop_map(move |value| Some((name, value))))
}

fn item() -> impl Strategy<Value = String> {
    let name = select(vec!["\"candle\"", "\"cup\"", "null", "7"]);
    let price = select(vec!["1", "2.5", "10.5", "\"2\"", "null"]);
    (name, price).prop_map(|(name, price)| format!("{{\"name\":{name},\"price\":{price}}}"))
}

fn properties() -> impl Strategy<Value = String> {
    let list = prop_oneof![
        3 => proptest::collection::vec(item(), 0..3).prop_map(|items| Some(format!("[{}]", items.join(",")))),
        1 => Just(Some("\"none\"".to_owned())),
        3 => Just(None),
    ];
    // An order id and a currency more often than chance would have it: they are what orders turn on.
    let order = select(vec![Some(("order_id", "\"1\"")), Some(("order_id", "2")), None]);
    let currency = select(vec![Some(("currency", "\"GBP\"")), Some(("currency", "\"JPY\"")), None]);
    (proptest::collection::vec(property(), 0..5), order, currency, list).prop_map(|(others, order, currency, list)| {
        let mut seen = std::collections::BTreeMap::new();
        for (name, value) in others.into_iter().chain([order, currency]).flatten() {
            seen.insert(name, value.to_owned());
        }
        if let Some(list) = list {
            seen.insert("products", list);
        }
        let fields: Vec<String> = seen.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

/// Up to `most` events within ten hours, on a grid of ten minutes and one microsecond beside it, some of them late.
pub fn events(most: usize) -> impl Strategy<Value = Vec<Sent>> {
    let name = select(vec![
        "Product Viewed",
        "Product Viewed",
        "Order Completed",
        "Order Completed",
        "Order Refunded",
        "Order Cancelled",
        "Other",
    ]);
    let one = (name, 0..60i64, -1..=1i64, select(vec![0, 0, 5, 400i64]), properties());
    proptest::collection::vec(one, 0..most).prop_map(|all| {
        let sent = |(n, (name, tens, beside, late, properties)): (usize, (&str, i64, i64, i64, String))| {
            let time = Timestamp(BASE + tens * 10 * MINUTE + beside);
            Sent { name: name.into(), time, received: Timestamp(time.0 + late * MINUTE), id: format!("m{n}"), properties }
        };
        all.into_iter().enumerate().map(sent).collect()
    })
}

fn number() -> impl Strategy<Value = Decimal> {
    select(vec!["0", "1", "2", "3", "2.01", "10.5", "11.55", "12.6", "-1", "1.5", "12000"])
        .prop_map(|text| Decimal::parse(text).expect("a number"))
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        number().prop_map(Scalar::Number),
        select(vec!["a", "b", "candle", "12", "Lille"]).prop_map(|text| Scalar::Text(text.into())),
        any::<bool>().prop_map(Scalar::Bool),
    ]
}

fn bound() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        number().prop_map(Comparison::Gte),
        number().prop_map(Comparison::Gt),
        number().prop_map(Comparison::Lt),
        number().prop_map(Comparison::Lte),
        number().prop_map(|number| Comparison::Eq(Scalar::Number(number))),
        number().prop_map(|number| Comparison::Ne(Scalar::Number(number))),
    ]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        4 => bound(),
        1 => scalar().prop_map(Comparison::Eq),
        1 => scalar().prop_map(Comparison::Ne),
        1 => proptest::collection::vec(scalar(), 0..3).prop_map(Comparison::In),
        1 => proptest::collection::vec(scalar(), 0..3).prop_map(Comparison::NotIn),
        1 => select(vec!["a", "and"]).prop_map(|text| Comparison::Contains(text.into())),
        1 => select(vec!["c", "b"]).prop_map(|text| Comparison::StartsWith(text.into())),
        1 => select(vec!["^c.p$", "a|b"]).prop_map(|text| Comparison::Matches(text.into())),
        2 => any::<bool>().prop_map(Comparison::Exists),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    proptest::collection::vec(comparison(), 1..3).prop_map(Test)
}

fn path() -> impl Strategy<Value = String> {
    let paths =
        ["category", "price", "total", "revenue", "value", "products.name", "products.price", "products.value", "nowhere"];
    select(paths.to_vec()).prop_map(str::to_owned)
}

fn aggregate() -> impl Strategy<Value = Aggregate> {
    prop_oneof![
        3 => Just(Aggregate::Count),
        2 => path().prop_map(Aggregate::Sum),
        1 => path().prop_map(Aggregate::Min),
        1 => path().prop_map(Aggregate::Max),
        1 => path().prop_map(Aggregate::Avg),
        1 => path().prop_map(Aggregate::First),
        1 => path().prop_map(Aggregate::Last),
        1 => path().prop_map(Aggregate::Distinct),
        1 => path().prop_map(Aggregate::MostFrequent),
    ]
}

pub fn query() -> impl Strategy<Value = EventQuery> {
    let event = select(vec!["Product Viewed", "Order Completed", "Order Completed", "Order Refunded"]);
    let filter = (path(), test()).prop_map(|(path, test)| Filter { path, test });
    let moment = || proptest::option::of((0..60i64).prop_map(|tens| Timestamp(BASE + tens * 10 * MINUTE)));
    let time = prop_oneof![
        3 => select(vec![10, 60, 90, 300i64]).prop_map(|minutes| (Some(Span(minutes * MINUTE)), None, None)),
        1 => (moment(), moment()).prop_map(|(since, until)| (None, since, until)),
        1 => Just((None, None, None)),
    ];
    (event, proptest::collection::vec(filter, 0..2), aggregate(), time).prop_map(
        |(event, filters, aggregate, (within, since, until))| EventQuery {
            event: event.into(),
            filters,
            aggregate,
            within,
            since,
            until,
        },
    )
}

/// A windowed count compared with bounds: the condition whose next change is known exactly.
pub fn windowed_count() -> impl Strategy<Value = Rule> {
    let minutes = select(vec![10, 60, 90, 300i64]);
    // `Workspace::parse` refuses a bound beyond what is kept.
    let bound = bound().prop_filter("kept one by one", |bound| !format!("{bound:?}").contains("12000"));
    (minutes, proptest::collection::vec(bound, 1..3)).prop_map(|(minutes, bounds)| {
        let within = Some(Span(minutes * MINUTE));
        let query = EventQuery {
            event: "Product Viewed".into(),
            filters: Vec::new(),
            aggregate: Aggregate::Count,
            within,
            since: None,
            until: None,
        };
        Rule::Did(Did { query, test: Test(bounds) })
    })
}

/// A rule that may name the computed traits `c0` to `c3`.
pub fn rule() -> impl Strategy<Value = Rule> {
    let leaf = prop_oneof![
        6 => (query(), test()).prop_map(|(query, test)| Rule::Did(Did { query, test })),
        2 => windowed_count(),
        2 => (0..4usize, test()).prop_map(|(n, test)| Rule::Computed { key: format!("c{n}"), test }),
        1 => (select(vec!["city", "age", "children", "shoe"]), test())
            .prop_map(|(path, test)| Rule::Trait { path: path.into(), test }),
        1 => proptest::option::of(select(vec![Channel::Email, Channel::Sms]))
            .prop_map(|channel| Rule::Consent { purpose: "marketing".into(), channel }),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Rule::All),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Rule::Any),
            inner.prop_map(|rule| Rule::Not(Box::new(rule))),
        ]
    })
}

/// The windows that a rule or a trait looks through.
pub fn windows(workspace: &Workspace) -> Vec<Span> {
    fn of(rule: &Rule, spans: &mut Vec<Span>) {
        match rule {
            Rule::All(rules) | Rule::Any(rules) => rules.iter().for_each(|rule| of(rule, spans)),
            Rule::Not(rule) => of(rule, spans),
            Rule::Did(did) => spans.extend(did.query.within),
            Rule::Trait { .. }
            | Rule::Computed { .. }
            | Rule::Consent { .. }
            | Rule::Prospect(_)
            | Rule::RetentionOver { .. } => {}
        }
    }
    let mut spans = Vec::new();
    workspace.segments.iter().for_each(|segment| of(&segment.rule, &mut spans));
    spans.extend(workspace.traits.iter().filter_map(|computed| computed.query.within));
    spans.sort_unstable();
    spans.dedup();
    spans
}
