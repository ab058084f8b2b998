//! What people read: each rule as a sentence in both languages, and why a person is or is not a member.

mod people;

use jumelle_model::time::Timestamp;
use jumelle_segment::{Language, Plan, explain, explain_verdict};
use people::*;

#[test]
fn a_rule_is_one_sentence() {
    for (rule, en, fr) in [
        (
            "{all: [{did: Product Viewed, where: {category: sneakers}, count: {gte: 3}, within: 30d}, {not: {did: Order Completed, within: 14d}}]}",
            "“Product Viewed” where category = “sneakers”, at least 3 times in the last 30 days and no “Order Completed” in the last 14 days",
            "« Product Viewed » où category = « sneakers », au moins 3 fois sur les 30 derniers jours et aucun « Order Completed » sur les 14 derniers jours",
        ),
        (
            "{did: Order Completed, sum: {of: total, gte: 2000}, within: 1h}",
            "sum of total in “Order Completed” in the last hour ≥ 2000 EUR",
            "somme de total dans « Order Completed » sur la dernière heure ≥ 2000 EUR",
        ),
        (
            "{did: E, since: 2026-01-01}",
            "“E” at least once since 2026-01-01T00:00:00.000Z",
            "« E » au moins une fois depuis le 2026-01-01T00:00:00.000Z",
        ),
        ("{did: E, count: {gte: 2, lt: 5}}", "number of “E” ≥ 2 and < 5", "nombre de « E » ≥ 2 et < 5"),
        (
            "{any: [{trait: city, in: [Lille, Roubaix]}, {all: [{computed: orders, gte: 2}, {consent: {purpose: marketing, channel: email}}]}]}",
            "the trait city one of “Lille”, “Roubaix” or (orders ≥ 2 and consent for marketing by email)",
            "le trait city parmi « Lille », « Roubaix » ou (orders ≥ 2 et consentement pour marketing par email)",
        ),
    ] {
        let workspace = workspace_of(rule);
        assert_eq!(explain(&workspace.segments[0].rule, &workspace, Language::En), en);
        assert_eq!(explain(&workspace.segments[0].rule, &workspace, Language::Fr), fr);
    }
}

#[test]
fn a_verdict_says_what_was_found_and_until_when_it_stands() {
    let rule =
        "{all: [{did: E, count: {gte: 2}, within: 10m}, {not: {trait: city, eq: Paris}}, {did: E, sum: {of: price, gt: 1}}]}";
    let workspace = workspace_of(rule);
    let plan = Plan::compile(&workspace);
    let sent = [Sent::at(0, "E", r#"{"price":1}"#), Sent::at(4, "E", "{}"), Sent::at(6, "E", r#"{"price":5,"currency":"JPY"}"#)];
    let person = Person { states: observed(&plan, &sent) };
    let at = Timestamp(BASE + 7 * MINUTE);
    let why = explain_verdict(&plan, &workspace, 0, &person, at, Language::En).expect("there is a segment 0");
    let expected = serde_json::json!({
        "sentence": "all of these", "holds": false, "observed": null, "until": null,
        "parts": [
            {"sentence": "“E” at least 2 times in the last 10 minutes", "holds": true, "observed": "2 or more",
             "until": "2026-01-01T00:14:00.000000Z", "parts": []},
            {"sentence": "not this", "holds": true, "observed": null, "until": null, "parts": [
                {"sentence": "the trait city = “Paris”", "holds": false, "observed": "Lille", "until": null, "parts": []}]},
            {"sentence": "sum of price in “E” > 1 EUR", "holds": false,
             "observed": "1 (amounts without a rate of exchange left out: 1)", "until": null, "parts": []},
        ],
    });
    assert_eq!(serde_json::to_value(&why).expect("it is serialisable"), expected);
    assert!(explain_verdict(&plan, &workspace, 1, &person, at, Language::En).is_none());
    let dependencies = plan.dependencies(0).expect("there is a segment 0");
    assert_eq!((dependencies.queries.len(), dependencies.traits, dependencies.consent), (2, true, false));
    assert!(plan.is_touched_by("Order Completed") && !plan.is_touched_by("Page Viewed"));
}
