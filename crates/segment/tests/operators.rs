//! The meaning of each operator, as a table: a rule, what happened (minute, event, properties), the minute of the question, the
//! answer. Both evaluators are asked.

mod people;

use jumelle_model::time::Timestamp;
use jumelle_segment::{Plan, evaluate_events};
use people::*;

type Happened<'c> = &'c [(i64, &'c str, &'c str)];

fn ask(rule: &str, happened: Happened<'_>, minute: i64, expected: bool) {
    let workspace = workspace_of(rule);
    let plan = Plan::compile(&workspace);
    let sent: Vec<Sent> = happened.iter().map(|(minute, name, properties)| Sent::at(*minute, name, properties)).collect();
    let person = Person { states: observed(&plan, &sent) };
    let at = Timestamp(BASE + minute * MINUTE);
    let events: Vec<_> = sent.iter().map(Sent::event).collect();
    assert_eq!(plan.evaluate(0, &person, at).member, expected, "incremental: {rule} after {happened:?} at minute {minute}");
    let set_based = evaluate_events(&workspace.segments[0].rule, &events, &person, &workspace, at);
    assert_eq!(set_based, expected, "set-based: {rule} after {happened:?} at minute {minute}");
}

#[test]
fn comparisons() {
    // The test on `p`, then the properties that satisfy it and those that do not.
    let table: &[(&str, &[&str], &[&str])] = &[
        ("a", &[r#"{"p":"a"}"#], &[r#"{"p":"A"}"#, r#"{"p":null}"#, "{}", "null", r#"{"p":["a"]}"#]),
        ("{eq: 12}", &[r#"{"p":12}"#, r#"{"p":12.0}"#], &[r#"{"p":"12"}"#, r#"{"p":12.000001}"#, r#"{"p":true}"#]),
        ("{eq: true}", &[r#"{"p":true}"#], &[r#"{"p":"true"}"#, r#"{"p":1}"#, r#"{"p":false}"#]),
        ("{ne: a}", &[r#"{"p":"b"}"#, r#"{"p":""}"#], &[r#"{"p":"a"}"#, r#"{"p":1}"#, r#"{"p":null}"#, "{}", r#"{"p":{}}"#]),
        ("[a, 3]", &[r#"{"p":"a"}"#, r#"{"p":3}"#], &[r#"{"p":"3"}"#, r#"{"p":"b"}"#, "{}"]),
        ("{not_in: [a, b]}", &[r#"{"p":"c"}"#], &[r#"{"p":"a"}"#, r#"{"p":3}"#, r#"{"p":null}"#, "{}", r#"{"p":["c"]}"#]),
        ("{not_in: [a, 3]}", &[r#"{"p":"c"}"#, r#"{"p":4}"#], &[r#"{"p":3}"#, r#"{"p":true}"#]),
        ("{gt: 2}", &[r#"{"p":2.000001}"#, r#"{"p":1e3}"#], &[r#"{"p":2}"#, r#"{"p":"3"}"#, "{}", r#"{"p":1e300}"#]),
        ("{gte: 2}", &[r#"{"p":2}"#], &[r#"{"p":1.999999}"#, r#"{"p":true}"#]),
        ("{lt: 2}", &[r#"{"p":-5}"#], &[r#"{"p":2}"#, r#"{"p":null}"#, "{}"]),
        ("{lte: 2}", &[r#"{"p":2}"#], &[r#"{"p":2.5}"#, r#"{"p":"1"}"#]),
        ("{gte: 1, lt: 3}", &[r#"{"p":1}"#, r#"{"p":2.9}"#], &[r#"{"p":3}"#, r#"{"p":0}"#]),
        ("{contains: an}", &[r#"{"p":"candle"}"#, r#"{"p":"an"}"#], &[r#"{"p":"CANDLE"}"#, r#"{"p":7}"#, r#"{"p":["an"]}"#]),
        ("{starts_with: can}", &[r#"{"p":"candle"}"#], &[r#"{"p":"a can"}"#, "{}"]),
        ("{matches: '^c.p$'}", &[r#"{"p":"cup"}"#, r#"{"p":"cöp"}"#], &[r#"{"p":"cups"}"#, r#"{"p":3}"#]),
        (
            "{exists: true}",
            &[r#"{"p":0}"#, r#"{"p":""}"#, r#"{"p":false}"#, r#"{"p":[]}"#, r#"{"p":{}}"#],
            &[r#"{"p":null}"#, "{}", "null"],
        ),
        ("{exists: false}", &[r#"{"p":null}"#, "{}", "null"], &[r#"{"p":0}"#, r#"{"p":[]}"#]),
    ];
    for (test, satisfied, not) in table {
        let rule = format!("{{did: E, where: {{p: {test}}}}}");
        satisfied.iter().for_each(|properties| ask(&rule, &[(1, "E", properties)], 5, true));
        not.iter().for_each(|properties| ask(&rule, &[(1, "E", properties)], 5, false));
    }
}

#[test]
fn paths_and_items() {
    let dear_candle = r#"{"products":[{"name":"candle","price":9},{"name":"cup","price":2}]}"#;
    let cheap_candle = r#"{"products":[{"name":"candle","price":4},{"name":"cup","price":2}]}"#;
    let candle = "where: {products.name: candle, products.price: {lte: 5}}";
    ask("{did: E, where: {a.b: 1}}", &[(1, "E", r#"{"a":{"b":1}}"#)], 5, true);
    ask("{did: E, where: {a.b: 1}}", &[(1, "E", r#"{"a":[{"b":1}]}"#)], 5, false);
    // The same item satisfies all of them.
    ask(&format!("{{did: E, {candle}}}"), &[(1, "E", dear_candle)], 5, false);
    ask(&format!("{{did: E, {candle}}}"), &[(1, "E", cheap_candle)], 5, true);
    // Counting counts events, not items; an aggregate takes each matching item's value.
    ask("{did: E, where: {products.price: {gt: 1}}, count: 1}", &[(1, "E", dear_candle)], 5, true);
    ask("{did: E, sum: {of: products.price, eq: 11}}", &[(1, "E", dear_candle)], 5, true);
    ask("{did: E, where: {products.name: cup}, sum: {of: products.price, eq: 2}}", &[(1, "E", dear_candle)], 5, true);
    ask("{did: E, distinct: {of: products.name, eq: 2}}", &[(1, "E", dear_candle), (2, "E", cheap_candle)], 5, true);
    // No list, no item: nothing matches, not even `exists: false`.
    ask("{did: E, where: {products.name: {exists: false}}}", &[(1, "E", r#"{"products":"none"}"#)], 5, false);
    ask("{did: E, where: {products.name: {exists: false}}}", &[(1, "E", r#"{"products":[{}]}"#)], 5, true);
}

#[test]
fn aggregates() {
    let some: Happened<'_> =
        &[(1, "E", r#"{"x":3}"#), (2, "E", r#"{"x":1}"#), (3, "E", r#"{"x":"9"}"#), (4, "E", "{}"), (5, "E", r#"{"x":3}"#)];
    let none: Happened<'_> = &[];
    for (aggregate, with_some, with_none) in [
        ("count: {gte: 5}", true, false),
        ("count: {lte: 2}", false, true),
        ("count: 0", false, true),
        ("sum: {of: x, eq: 7}", true, false),
        ("sum: {of: x, eq: 0}", false, true),
        ("distinct: {of: x, eq: 3}", true, false),
        ("distinct: {of: x, eq: 0}", false, true),
        // Numbers only; missing where there is none.
        ("min: {of: x, eq: 1}", true, false),
        ("max: {of: x, eq: 3}", true, false),
        ("max: {of: x, exists: false}", false, true),
        // 7 / 3, compared exactly: more than the nearest decimal below, equal to none.
        ("avg: {of: x, gt: 2.333333}", true, false),
        ("avg: {of: x, eq: 2.333333}", false, false),
        ("avg: {of: x, ne: 2.333333}", true, false),
        ("avg: {of: x, exists: false}", false, true),
        ("first: {of: x, eq: 3}", true, false),
        ("last: {of: x, eq: 3}", true, false),
        ("most_frequent: {of: x, eq: 3}", true, false),
        ("most_frequent: {of: x, exists: false}", false, true),
    ] {
        ask(&format!("{{did: E, {aggregate}}}"), some, 5, with_some);
        ask(&format!("{{did: E, {aggregate}}}"), none, 5, with_none);
        ask(&format!("{{did: E, {aggregate}, within: 1h}}"), some, 5, with_some);
        ask(&format!("{{did: E, {aggregate}, within: 1h}}"), none, 5, with_none);
    }
    // Among equals the smaller: numbers before texts.
    ask("{did: E, most_frequent: {of: x, eq: 2}}", &[(1, "E", r#"{"x":"a"}"#), (2, "E", r#"{"x":2}"#)], 5, true);
    ask("{computed: orders, gte: 1}", &[(1, "Order Completed", "{}")], 5, true);
    ask("{computed: orders, eq: 0}", none, 5, true);
}

#[test]
fn time() {
    let one: Happened<'_> = &[(10, "E", "{}")];
    ask("{did: E}", one, 100_000, true);
    ask("{did: E, within: 10m}", one, 10, true);
    ask("{did: E, within: 10m}", one, 19, true);
    ask("{did: E, within: 10m}", one, 20, false);
    ask("{not: {did: E, within: 10m}}", one, 20, true);
    ask("{did: E, since: '2026-01-01T00:10:00Z'}", one, 20, true);
    ask("{did: E, since: '2026-01-01T00:10:01Z'}", one, 20, false);
    ask("{did: E, until: '2026-01-01T00:10:00Z'}", one, 20, false);
    ask("{did: E, until: '2026-01-01T00:10:01Z'}", one, 20, true);
}

#[test]
fn money_and_orders() {
    let order = "Order Completed";
    for (rule, happened, expected) in [
        // 10.005 GBP is 10.01 GBP; at 1.1 that is 11.011, which is 11.01 EUR. After 05:00 the rate is 1.2.
        ("sum: {of: price, eq: 11.01}", vec![(1, "E", r#"{"price":10.005,"currency":"GBP"}"#)], true),
        ("sum: {of: price, eq: 12.01}", vec![(301, "E", r#"{"price":10.005,"currency":"gbp"}"#)], true),
        ("sum: {of: price, eq: 5}", vec![(1, "E", r#"{"price":9,"currency":"JPY"}"#), (2, "E", r#"{"price":5}"#)], true),
        ("sum: {of: weight, eq: 9}", vec![(1, "E", r#"{"weight":9,"currency":"JPY"}"#)], true),
        // The same order twice counts once, the newest version; a number and its text are one id.
        ("count: 1", vec![(1, order, r#"{"order_id":"7"}"#), (2, order, r#"{"order_id":7}"#)], true),
        ("count: 2", vec![(1, order, "{}"), (2, order, "{}")], true),
        (
            "sum: {of: total, eq: 8}",
            vec![(1, order, r#"{"order_id":7,"total":5}"#), (2, order, r#"{"order_id":7,"total":8}"#)],
            true,
        ),
        ("count: 0", vec![(1, order, r#"{"order_id":7}"#), (2, "Order Cancelled", r#"{"order_id":7}"#)], true),
        ("count: 0", vec![(1, "Order Cancelled", r#"{"order_id":7}"#), (2, order, r#"{"order_id":7}"#)], true),
        // Refunds take off, never below zero, and do not un-count.
        (
            "sum: {of: total, eq: 3}",
            vec![(1, order, r#"{"order_id":7,"total":5}"#), (2, "Order Refunded", r#"{"order_id":7,"total":2}"#)],
            true,
        ),
        (
            "sum: {of: total, eq: 3}",
            vec![(1, "Order Refunded", r#"{"order_id":7,"amount":-2}"#), (2, order, r#"{"order_id":7,"total":5}"#)],
            true,
        ),
        (
            "sum: {of: revenue, eq: 0}",
            vec![(1, order, r#"{"order_id":7,"total":5}"#), (2, "Order Refunded", r#"{"order_id":7,"total":9}"#)],
            true,
        ),
        (
            "max: {of: total, eq: 0}",
            vec![(1, order, r#"{"order_id":7,"total":5}"#), (2, "Order Refunded", r#"{"order_id":7}"#)],
            true,
        ),
        (
            "last: {of: total, eq: 5}",
            vec![(1, order, r#"{"order_id":7,"total":5}"#), (2, "Order Refunded", r#"{"order_id":7}"#)],
            true,
        ),
        ("count: 1", vec![(1, order, r#"{"order_id":7,"total":5}"#), (2, "Order Refunded", r#"{"order_id":7}"#)], true),
        (
            "sum: {of: total, eq: 5}",
            vec![
                (1, order, r#"{"order_id":7,"total":5}"#),
                (2, "Order Refunded", r#"{"order_id":7,"total":1,"currency":"JPY"}"#),
            ],
            true,
        ),
        // A refund takes nothing off an amount that was sent negative.
        (
            "sum: {of: total, eq: -5}",
            vec![(1, order, r#"{"order_id":7,"total":-5}"#), (2, "Order Refunded", r#"{"order_id":7}"#)],
            true,
        ),
        // Each of an order's amounts stands for the others; not in an item, not in another event.
        ("sum: {of: total, eq: 4}", vec![(1, order, r#"{"value":4}"#)], true),
        ("sum: {of: value, eq: 5}", vec![(1, order, r#"{"revenue":4,"total":5}"#)], true),
        ("sum: {of: total, eq: 0}", vec![(1, "E", r#"{"value":4}"#)], true),
        ("sum: {of: products.value, eq: 0}", vec![(1, order, r#"{"products":[{"total":4}]}"#)], true),
    ] {
        let event = if happened.iter().any(|(_, name, _)| *name == "E") { "E" } else { order };
        for within in ["", ", within: 30d"] {
            ask(&format!("{{did: {event}, {rule}{within}}}"), &happened, 600, expected);
        }
    }
}

#[test]
fn the_rest_of_the_language() {
    for (rule, expected) in [
        ("{all: []}", true),
        ("{any: []}", false),
        ("{trait: city, eq: Lille}", true),
        ("{trait: city, ne: Lille}", false),
        ("{trait: age, gte: 30}", true),
        ("{trait: shoe}", false),
        ("{trait: shoe, ne: '42'}", false),
        ("{not: {trait: shoe, eq: '42'}}", true),
        // A list of children is there, and has no value of its own.
        ("{trait: children}", true),
        ("{trait: children, ne: 3}", false),
        ("{consent: {purpose: marketing, channel: email}}", true),
        ("{consent: {purpose: marketing}}", false),
        ("{all: [{trait: city, eq: Lille}, {any: [{trait: age, lt: 3}, {not: {did: E}}]}]}", true),
    ] {
        ask(rule, &[], 5, expected);
    }
}
