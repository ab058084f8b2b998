//! Definitions that hold: read, written again, replaced one by one, compared.

use jumelle_model::consent::Channel;
use jumelle_model::rule::{Aggregate, Comparison, Rule};
use jumelle_model::workspace::reduce::{ReduceWhen, Reduction};
use jumelle_model::workspace::{Difference, FieldPath, Initial, Normalizer, Secret};
use jumelle_model::{EventKind, Span, Workspace};
use proptest::prelude::*;

/// The example of the design document.
const MAISON: &str = include_str!("data/maison.yaml");
/// Every word of the language.
const EVERYTHING: &str = include_str!("data/everything.yaml");
const EXAMPLES: [&str; 3] = [
    include_str!("../../../examples/sneakers/workspace.yaml"),
    include_str!("../../../examples/online_retail/workspace.yaml"),
    include_str!("../../../examples/ecom/workspace.yaml"),
];

#[track_caller]
fn parse(text: &str) -> Workspace {
    Workspace::parse(text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

#[test]
fn what_is_written_reads_back_equal() {
    for text in [MAISON, EVERYTHING, "", "workspace:", "{}"].into_iter().chain(EXAMPLES) {
        let workspace = parse(text);
        let written = workspace.to_text();
        assert_eq!(parse(&written), workspace, "{written}");
        assert_eq!(parse(&written).to_text(), written);
    }
    assert_eq!(parse(""), Workspace::empty());
}

#[test]
fn the_example_of_the_design_is_understood() {
    let workspace = parse(MAISON);
    assert_eq!((workspace.settings.country.as_str(), workspace.settings.locale.as_str()), ("FR", "fr"));
    let trust: Vec<(&str, u32)> = workspace.identifiers.iter().map(|rule| (rule.key.as_str(), rule.limit)).collect();
    assert_eq!(trust, [("user_id", 1), ("loyalty_card", 3), ("email", 5), ("phone", 5), ("anonymous_id", 500)]);
    let (rank, email) = workspace.namespace("email").unwrap();
    assert_eq!((rank, email.normalize, email.block.len()), (2, Normalizer::Email, 2));
    let spent = &workspace.computed("spent_365d").unwrap().query;
    assert_eq!((spent.event.as_str(), &spent.aggregate), ("Order Completed", &Aggregate::Sum("total".into())));
    let Rule::All(rules) = &workspace.segment("sneakers_undecided").unwrap().rule else { panic!("all") };
    let [Rule::Did(viewed), Rule::Not(bought)] = rules.as_slice() else { panic!("{rules:?}") };
    assert_eq!((viewed.query.filters[0].path.as_str(), viewed.query.within), ("category", Span::parse("30d")));
    let Rule::Did(bought) = bought.as_ref() else { panic!("did") };
    assert!(matches!(bought.test.0.as_slice(), [Comparison::Gte(one)] if one.to_string() == "1"), "no aggregate: at least once");
    assert_eq!(workspace.destination("crm_hook").unwrap().secret, Some(Secret::Env("HOOK_SECRET".into())));
    let activation = workspace.activation("sneakers_mail").unwrap();
    assert_eq!((activation.channel, activation.initial), (Channel::Email, Initial::Skip));
    assert_eq!(activation.map[1], ("size".into(), FieldPath::Trait("shoe_size".into())));
    assert_eq!(workspace.source_by_write_key("wk_till").unwrap().key, "till");
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let workspace = parse("sources: {crm: {kind: file}}");
    let usual: Vec<(&str, u32)> = workspace.identifiers.iter().map(|rule| (rule.key.as_str(), rule.limit)).collect();
    assert_eq!(usual, [("user_id", 1), ("email", 5), ("phone", 5), ("anonymous_id", 500)]);
    assert_eq!(parse("identifiers: {card: {}}").identifiers[0].limit, 100);
    assert_eq!((workspace.settings.country.as_str(), workspace.settings.currency.code()), ("GB", "EUR"));
}

#[test]
fn scalars_of_yaml_are_what_people_mean() {
    for (yaml, json) in [
        ("01000", r#""01000""#),
        ("+33612345678", r#""+33612345678""#),
        ("12", "12"),
        (".5", "0.5"),
        ("-1e3", "-1000"),
        ("0", "0"),
        ("0.10", "0.1"),
        ("\"12\"", r#""12""#),
        ("!!str 12", r#""12""#),
        ("True", "true"),
        ("yes", r#""yes""#),
        ("2026-01-01", r#""2026-01-01""#),
    ] {
        let rule =
            |scalar: &str| parse(&format!("segments: {{a: {{rule: {{trait: x, eq: {scalar}}}}}}}")).segments.remove(0).rule;
        assert_eq!(rule(yaml), rule(json), "{yaml}");
    }
}

#[test]
fn json_reads_as_json_says() {
    // Tabs, surrogate pairs and long keys: what YAML readers refuse.
    let long = "x".repeat(2_000);
    let text = format!(
        "{{\n\t\"segments\": {{\n\t\t\"a\": {{\"label\": \"\\ud83d\\udc5f \\/ \\u0000\", \"rule\": {{\"did\": \"X\", \"where\": {{\"{long}\": 1}}}}}}\n\t}}\n}}"
    );
    let workspace = parse(&text);
    assert_eq!(workspace.segments[0].label.fr.as_deref(), Some("👟 / \0"));
    assert_eq!(parse(&workspace.to_text()), workspace);
    let problems = Workspace::parse("{\n\t\"sources\": {\n\t\t\"é\": {\"kind\": \"file\", \"x\": 1}}}").unwrap_err();
    let places: Vec<_> = problems.0.iter().map(|problem| (problem.line, problem.column, problem.path.as_str())).collect();
    assert_eq!(places, [(3, 3, "sources.é"), (3, 25, "sources.é.x")]);
}

#[test]
fn one_definition_is_replaced_added_and_removed() {
    let workspace = parse(MAISON);
    let replaced = workspace.replace("segments", "sneakers_undecided", Some(r#"{"rule": {"did": "Product Viewed"}}"#)).unwrap();
    assert_eq!(
        Difference::between(&workspace, &replaced).to_string(),
        "~ segment sneakers_undecided: label.fr, label.en, rule.did, rule.count, rule.all"
    );
    let added = workspace.replace("purposes", "surveys", Some("basis: consent")).unwrap();
    assert_eq!(Difference::between(&workspace, &added).to_string(), "+ purpose surveys");
    let removed = added.replace("purposes", "surveys", None).unwrap();
    assert_eq!(removed, workspace);
    // The order of trust survives the removal of a namespace from the middle.
    let without = workspace.replace("identifiers", "loyalty_card", None).unwrap();
    let keys: Vec<&str> = without.identifiers.iter().map(|rule| rule.key.as_str()).collect();
    assert_eq!(keys, ["user_id", "email", "phone", "anonymous_id"]);
    assert_eq!(Difference::between(&workspace, &without).to_string(), "- identifier loyalty_card");
}

#[test]
fn problems_of_a_replacement_have_the_places_of_its_text() {
    let workspace = parse(MAISON);
    for (collection, key, text, said) in [
        (
            "segments",
            "a",
            Some("{\"rule\":\n  {\"did\": \"X\", \"within\": \"14 days\"}}"),
            "2:26: segments.a.rule.within: \"14 days\" is not a duration; write 14d",
        ),
        ("segments", "a", Some("rule: [}"), "1:8: not YAML: while parsing a node, did not find expected node content"),
        (
            "sources",
            "site",
            Some("{kind: web, kind: app, write_key: wk}"),
            "1:13: sources.site.kind: the key \"kind\" stands here twice",
        ),
        (
            "sources",
            "A",
            Some("{kind: file}"),
            "sources.A: \"A\" is not a key; write lower-case letters, digits and _, a letter first, 64 at most",
        ),
        // Another definition names it: there is no place in the text given.
        (
            "destinations",
            "crm_hook",
            None,
            "activations.sneakers_mail.destination: there is no destination \"crm_hook\"; none is defined",
        ),
        ("sources", "web", None, "sources has no \"web\""),
        (
            "source",
            "site",
            None,
            "\"source\" is not one of sources, identifiers, purposes, traits, segments, destinations, activations",
        ),
    ] {
        let problems = workspace.replace(collection, key, text).unwrap_err().to_string();
        let first = problems.lines().next().unwrap_or_default();
        assert_eq!(first, said, "{collection} {key} {text:?}");
    }
}

#[test]
fn a_segment_that_names_another_follows_it() {
    let workspace = parse("segments:\n  a: {rule: {all: [{in_segment: b}, {trait: city}]}}\n  b: {rule: {did: X}}");
    let rule = |workspace: &Workspace| {
        let Rule::All(rules) = workspace.segment("a").unwrap().rule.clone() else { panic!("all") };
        rules[0].clone()
    };
    assert_eq!(rule(&workspace), workspace.segment("b").unwrap().rule);
    let changed = workspace.replace("segments", "b", Some("{rule: {did: Y}}")).unwrap();
    assert_eq!(rule(&changed), changed.segment("b").unwrap().rule);
    assert_ne!(rule(&changed), rule(&workspace));
    let definition = changed.definition_json("segments", "a").unwrap();
    assert_eq!(definition["rule"]["all"][0], serde_json::json!({"in_segment": "b"}));
    let problems = changed.replace("segments", "b", None).unwrap_err().to_string();
    assert_eq!(problems, "segments.a.rule.all[0].in_segment: there is no segment \"b\"; there is a");
}

#[test]
fn secrets_are_kept_for_the_history_and_never_shown() {
    let plain = "a secret of more than sixteen bytes";
    let workspace = parse(&format!(
        "destinations:\n  hook: {{connector: webhook, url: \"https://example.org\", secret: {plain}}}\n  env: {{connector: webhook, url: \"https://example.org\", secret: {{env: HOOK}}}}"
    ));
    assert!(workspace.to_text().contains(plain));
    let shown = workspace.definition_json("destinations", "hook").unwrap();
    assert_eq!(shown["secret"], "…");
    assert_eq!(workspace.definition_json("destinations", "env").unwrap()["secret"], serde_json::json!({"env": "HOOK"}));
    assert!(!format!("{workspace:?}").contains(plain));
    let other =
        workspace.replace("destinations", "hook", Some(&shown.to_string().replace('…', "another secret, as long"))).unwrap();
    let difference = Difference::between(&workspace, &other);
    assert_eq!(difference.to_string(), "~ destination hook: secret");
    assert!(!serde_json::to_string(&difference).unwrap().contains("another"));
    assert!(
        workspace
            .replace("destinations", "hook", Some(&shown.to_string()))
            .unwrap_err()
            .to_string()
            .contains("is how a secret is shown")
    );
    assert_eq!(workspace.definition_json("destinations", "none"), None);
    assert_eq!(workspace.definition_json("nothing", "hook"), None);
}

#[test]
fn the_tag_waits_for_the_purpose_that_its_source_names_else_for_all_that_need_consent() {
    let purposes = "purposes: {ads: {basis: consent}, stats: {basis: consent}, service: {basis: contract}}";
    for (source, waits_for) in [
        ("{kind: web, write_key: wk, requires: stats}", vec!["stats"]),
        ("{kind: web, write_key: wk, requires: service}", vec!["service"]),
        ("{kind: web, write_key: wk}", vec!["ads", "stats"]),
        // The tag is for pages.
        ("{kind: app, write_key: wk}", vec![]),
    ] {
        let workspace = parse(&format!("sources: {{site: {source}}}\n{purposes}"));
        let found = workspace.tag_requires(workspace.source("site").unwrap());
        assert_eq!(found.iter().map(|purpose| purpose.key.as_str()).collect::<Vec<_>>(), waits_for, "{source}");
    }
    let named = parse("sources: {site: {kind: web, write_key: wk, requires: p}}\npurposes: {p: {basis: consent}}");
    assert!(named.purpose("p").unwrap().gpc, "a refusal by the browser counts where consent is asked");
    let problems = named.replace("purposes", "p", None).unwrap_err();
    assert_eq!(problems.to_string(), "sources.site.requires: there is no purpose \"p\"; none is defined");
}

#[test]
fn who_is_set_aside() {
    let parsed = |source: &str| Workspace::parse(&format!("sources:\n  site: {source}"));
    let site =
        parsed("{kind: web, write_key: wk, set_aside: {user_agents: [\"*bot*\"], rate: {events: 1000, per: 1m}}}").unwrap();
    let aside = site.source("site").unwrap().set_aside.clone().unwrap();
    assert_eq!(aside.user_agents, ["*bot*"]);
    assert_eq!(aside.rate.map(|rate| (rate.events, rate.per.to_string())), Some((1_000, "1m".into())));
    for (set_aside, said) in [
        ("{}", "2:47: sources.site.set_aside: say what is set aside"),
        ("{user_agents: [\"**\"]}", "2:62: sources.site.set_aside.user_agents[0]: this pattern sets everybody aside"),
        ("{rate: {events: 5}}", "2:54: sources.site.set_aside.rate: a rate has events and per"),
        ("{rate: {events: 0, per: 1m}}", "2:63: sources.site.set_aside.rate.events: a whole number from 1 to 1000000"),
        ("{rate: {events: 5, per: 2d}}", "2:71: sources.site.set_aside.rate.per: \"2d\" is not a duration of a day at most"),
        ("{robots: 5}", "2:48: sources.site.set_aside.robots:"),
    ] {
        let problems = parsed(&format!("{{kind: web, write_key: wk, set_aside: {set_aside}}}")).unwrap_err().to_string();
        assert!(problems.contains(said), "{set_aside}\n{problems}");
    }
    assert!(parsed("{kind: file, set_aside: {rate: {events: 5, per: 1m}}}").is_err());
}

#[test]
fn what_is_left_of_events() {
    let parsed = |rules: &str| {
        Workspace::parse(&format!(
            "purposes: {{analytics: {{basis: consent}}, service: {{basis: contract, channels: [email]}}}}\nsources:\n  site: {{kind: web, write_key: wk, reduce: {rules}}}"
        ))
    };
    let site =
        parsed("[{purpose: analytics, to: anonymous, events: [Page Viewed]}, {purpose: service, channel: email, to: dropped}]");
    let rules = site.unwrap().source("site").unwrap().reduce.clone();
    assert_eq!((rules[0].when, rules[0].to), (ReduceWhen::Refused, Reduction::Anonymous));
    assert!(rules[0].speaks_of(EventKind::Page, "Page Viewed") && !rules[0].speaks_of(EventKind::Identify, ""));
    for (rules, said) in [
        ("{purpose: analytics}", "sources.site.reduce: "),
        ("[{purpose: analytics}]", "sources.site.reduce[0]: a rule has purpose and to: {purpose: analytics, to: counted}"),
        (
            "[{purpose: analytic, to: counted}]",
            "sources.site.reduce[0].purpose: there is no purpose \"analytic\"; there is analytics, service; did you mean analytics?",
        ),
        ("[{purpose: analytics, to: nothing}]", "sources.site.reduce[0].to: "),
        ("[{purpose: analytics, to: counted, when: denied}]", "sources.site.reduce[0].when: "),
        ("[{purpose: analytics, to: counted, channel: fax}]", "sources.site.reduce[0].channel: "),
        ("[{purpose: service, to: counted, channel: sms}]", "sources.site.reduce[0].channel: service has no channel sms"),
        ("[{purpose: service, to: counted, when: not_granted}]", "sources.site.reduce[0].when: nobody grants service"),
        ("[{purpose: analytics, to: counted, events: []}]", "sources.site.reduce[0].events: 1 to 200 names"),
        (
            "[{purpose: analytics, to: counted, events: [page]}]",
            "sources.site.reduce[0].events[0]: rules know page calls as \"Page Viewed\"",
        ),
        ("[{purpose: analytics, to: counted, events: [A, A]}]", "sources.site.reduce[0].events[1]: \"A\" stands here twice"),
        (
            "[{purpose: analytics, to: counted, events: [A], except: [B]}]",
            "sources.site.reduce[0].except: a rule names events or",
        ),
        (
            "[{purpose: analytics, to: counted}, {purpose: analytics, to: dropped, events: [A]}]",
            "sources.site.reduce[1]: this rule never decides: reduce[0] holds before it",
        ),
        ("[{purpose: analytics, to: counted, unless: x}]", "sources.site.reduce[0].unless"),
    ] {
        let problems = parsed(rules).unwrap_err().to_string();
        assert!(problems.contains(said), "{rules}\n{problems}");
    }
    let before = parsed("[{purpose: analytics, to: counted}]").unwrap();
    let after = parsed("[{purpose: analytics, to: anonymous}]").unwrap();
    assert_eq!(Difference::between(&before, &after).to_string(), "~ source site: reduce[0].to");
}

#[test]
fn a_difference_reads_as_a_plan() {
    let before = parse(MAISON);
    for (from, to, said) in [
        ("", "", "no change"),
        ("locale: fr", "locale: en", "~ workspace maison: locale, country"),
        ("key: maison, ", "", "~ workspace default: key"),
        ("  crm:   {kind: file}\n", "  crm:   {kind: file}\n  app:   {kind: app, write_key: wk_app}\n", "+ source app"),
        ("  crm:   {kind: file}\n", "  erp:   {kind: file}\n", "+ source erp\n- source crm"),
        ("write_key: wk_site}", "write_key: wk_site, requires: analytics}", "~ source site: requires"),
        ("write_key: wk_till}", "write_key: wk_till, set_aside: {rate: {events: 9, per: 1m}}}", "~ source till: set_aside"),
        ("tcf: [1, 8]}", "tcf: [1, 8], gcm: [analytics_storage], gpc: false}", "~ purpose analytics: gcm, gpc"),
        ("within: 14d", "within: 21d", "~ segment sneakers_undecided: rule.all[1].not.within"),
        ("within: 30d}\n", "within: 30d}\n        - {trait: city}\n", "~ segment sneakers_undecided: rule.all"),
        ("purpose: marketing, channel: email,", "purpose: service, channel: email,", "~ activation sneakers_mail: purpose"),
        (
            "map: {email: identifiers.email, size: traits.shoe_size}",
            "map: {email: identifiers.phone, city: traits.city}",
            "~ activation sneakers_mail: map.email, map.city, map.size",
        ),
        (", secret: {env: HOOK_SECRET}", "", "~ destination crm_hook: secret"),
        ("limit: 3", "limit: 4", "~ identifier loyalty_card: limit"),
        ("basis: contract", "basis: legitimate_interest", "~ purpose service: basis"),
        ("sum: Order Completed.total", "sum: Order Completed.tax", "~ trait spent_365d: sum.of"),
        (
            "  user_id:      {limit: 1}\n  loyalty_card: {limit: 3}\n",
            "  loyalty_card: {limit: 3}\n  user_id:      {limit: 1}\n",
            "~ identifier loyalty_card, user_id, email, phone, anonymous_id: new order of trust",
        ),
    ] {
        assert_eq!(Difference::between(&before, &parse(&MAISON.replace(from, to))).to_string(), said, "{from} → {to}");
    }
    let all = Difference::between(&Workspace::empty(), &before);
    assert_eq!(all.changes.len(), 1 + 3 + 2 + 3 + 2 + 1 + 1 + 1, "{all}");
    let removed = Difference::between(&parse("segments: {a: {rule: {did: X}}}"), &Workspace::empty());
    assert_eq!(
        serde_json::to_value(&removed).unwrap(),
        serde_json::json!({"changes": [{"collection": "segments", "key": "a", "kind": "removed", "fields": []}]})
    );
}

/// Words and marks of which wrong and right definitions are made.
fn scraps() -> impl Strategy<Value = String> {
    let words = [
        "workspace",
        "sources",
        "identifiers",
        "purposes",
        "traits",
        "segments",
        "destinations",
        "activations",
        "rule",
        "all",
        "any",
        "not",
        "did",
        "where",
        "count",
        "sum",
        "of",
        "gte",
        "in",
        "within",
        "14d",
        "trait",
        "computed",
        "consent",
        "in_segment",
        "a",
        "b",
        "kind",
        "file",
        "basis",
        "url",
        "https://x",
        "secret",
        "map",
        "1",
        "-1",
        "1e400",
        "0.5",
        "\"x\"",
        "true",
        "&a",
        "*a",
        "!!str",
        "|",
        ">",
        "#",
        "---",
        "'",
        "\\",
        "é",
        "\u{feff}",
        "\0",
    ];
    let marks = [": ", ":\n  ", "\n", "\n  ", "\n    ", "\n\t", "{", "}", "[", "]", ", ", "- ", " ", ": {", "}}"];
    let scrap = prop_oneof![3 => prop::sample::select(words.to_vec()), 4 => prop::sample::select(marks.to_vec())];
    prop::collection::vec(scrap, 0..60).prop_map(|scraps| scraps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in prop_oneof![".{0,200}", "[ -~\n\t]{0,300}", scraps()]) {
        match Workspace::parse(&text) {
            Ok(workspace) => prop_assert_eq!(parse(&workspace.to_text()), workspace),
            Err(problems) => {
                prop_assert!(!problems.0.is_empty() && problems.0.len() <= 100);
                prop_assert!(problems.0.iter().all(|problem| problem.line > 0 && problem.column > 0), "{}", problems);
            }
        }
    }

    /// Cut, doubled or changed somewhere, the right text is answered as well.
    #[test]
    fn a_damaged_text_is_answered(at in 0usize..2_000, length in 0usize..40, with in scraps()) {
        let chars: Vec<char> = EVERYTHING.chars().collect();
        let at = at % chars.len();
        let end = (at + length).min(chars.len());
        let text: String = chars[..at].iter().copied().chain(with.chars()).chain(chars[end..].iter().copied()).collect();
        if let Ok(workspace) = Workspace::parse(&text) {
            prop_assert_eq!(parse(&workspace.to_text()), workspace);
        }
    }

    /// Whatever stands in its texts, what is written reads back.
    #[test]
    fn any_value_survives_writing(text in any::<String>(), number in any::<i64>(), decimal in -9_000_000_000i64..9_000_000_000) {
        let text = if text.is_empty() { "x".to_owned() } else { text };
        let number = number / 1_000_000;
        let source = serde_json::json!({
            "segments": {"a": {"label": text, "rule": {"any": [
                {"did": text, "where": {"name": text, "size": {"in": [text, number, true]}}},
                {"trait": "x", "contains": text, "gt": serde_json::from_str::<serde_json::Value>(&format!("{}.{:06}", decimal / 1_000_000, decimal.abs() % 1_000_000)).unwrap()},
                {"in_segment": "b"},
            ]}}, "b": {"rule": {"trait": "y", "eq": text}}},
            "destinations": {"hook": {"connector": "webhook", "url": "https://example.org", "secret": format!("{text} and sixteen bytes")}},
        });
        let workspace = parse(&source.to_string());
        prop_assert_eq!(parse(&workspace.to_text()), workspace);
    }
}

#[test]
fn a_destination_of_files_reads_back_as_it_was_written() {
    let more = [
        r#"to: "folder:splio", content: full, when: {after: 5m}, format: parquet"#,
        r#"to: "folder:splio", content: difference, when: {cron: "0 6 * * mon-fri"}, format: jsonl, compress: zstd"#,
        r#"to: "sftp://sftp.example.org:2222//srv/in", user: jumelle, secret: {env: KEY},
           host_key: "SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDgK2vtfYjBuo4SQ1M", content: difference,
           when: {cron: "0 6 * * *", timezone: Europe/Paris}, separator: tab, quote: always, newline: crlf, header: false,
           encoding: iso-8859-15, formulas: keep, compress: gzip, removals: "out_{stamp}.csv", oppositions: "no_{date}_{time}.csv",
           columns: [{email: E-mail}, op], confirm_within: 12h"#,
    ];
    for more in more {
        let text = format!(
            "purposes: {{marketing: {{basis: consent}}}}\nsegments: {{all: {{rule: {{trait: email, exists: true}}}}}}\n\
             destinations:\n  splio: {{connector: file, country: FR, {more}}}\n\
             activations:\n  mail: {{segment: all, destination: splio, purpose: marketing, channel: email, map: {{email: identifiers.email}}}}\n"
        );
        let workspace = Workspace::parse(&text).unwrap_or_else(|problems| panic!("{more}: {problems}"));
        assert_eq!(Workspace::parse(&workspace.to_text()).unwrap(), workspace, "{more}");
    }
    // A file's removals may take until the next one has been transferred.
    let weekly = r#"destinations: {splio: {connector: file, to: "folder:a", content: full, when: {cron: "0 6 * * 1"}}}"#;
    let weekly = Workspace::parse(weekly).unwrap();
    assert_eq!(weekly.destinations[0].confirm_within(), jumelle_model::time::Span((7 * 24 + 1) * 3_600_000_000));
}
