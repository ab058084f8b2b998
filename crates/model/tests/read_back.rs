//! Definitions written out and read again are the same: the history keeps them as text.

use jumelle_model::consent::{Basis, Channel};
use jumelle_model::event::Scalar;
use jumelle_model::number::{Currency, Decimal};
use jumelle_model::rule::{Aggregate, Comparison, Did, EventQuery, Filter, Rule, Test};
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::policy::Terms;
use jumelle_model::workspace::reduce::{Reduce, ReduceWhen, Reduction};
use jumelle_model::workspace::{
    Activation, CategoryChoice, ComputedTrait, ConsentString, Destination, Difference, EventRate, ExchangeRate, FieldPath,
    GppChoice, Heard, Initial, Label, NamespaceRule, Normalizer, OptOut, Purpose, Secret, Segment, SetAside, Source, SourceKind,
    Strings, TcfChoice, Vocabulary,
};
use jumelle_model::{Workspace, workspace};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Texts that a careless writer or reader would take for something else.
fn text() -> impl Strategy<Value = String> {
    let tricky = [
        "12",
        "1.5",
        "1e3",
        "true",
        "null",
        "~",
        "yes",
        "- a",
        "a: b",
        "#",
        "{env: X}",
        "*a",
        "&a",
        "'",
        "\"",
        "\\",
        "\\u0041",
        "a\nb",
        "a\tb",
        " a ",
        "é",
        "💘",
        "\u{feff}x",
        "\u{2028}",
        "\u{85}",
        "\u{7f}",
        "\u{0}",
        "products.name",
        "Order Completed",
    ];
    prop_oneof![2 => select(tricky.to_vec()).prop_map(str::to_owned), 1 => "\\PC{1,8}"]
}

fn number() -> impl Strategy<Value = Decimal> {
    // Up to 15 significant digits; the largest whole number.
    prop_oneof![
        (-999_999_999_999_999i64..=999_999_999_999_999).prop_map(Decimal),
        (-9_000i64..9_000).prop_map(|hundredths| Decimal(hundredths * 10_000)),
        select(vec![0, 1, -1, 9_223_372_036_854_000_000, 2_010_000]).prop_map(Decimal),
    ]
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![number().prop_map(Scalar::Number), text().prop_map(Scalar::Text), any::<bool>().prop_map(Scalar::Bool)]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        scalar().prop_map(Comparison::Eq),
        scalar().prop_map(Comparison::Ne),
        vec(scalar(), 1..4).prop_map(Comparison::In),
        vec(scalar(), 1..4).prop_map(Comparison::NotIn),
        number().prop_map(Comparison::Gt),
        number().prop_map(Comparison::Gte),
        number().prop_map(Comparison::Lt),
        number().prop_map(Comparison::Lte),
        text().prop_map(Comparison::Contains),
        text().prop_map(Comparison::StartsWith),
        select(vec!["^a|b$", "\\d+", "é{2}"]).prop_map(|pattern| Comparison::Matches(pattern.into())),
        any::<bool>().prop_map(Comparison::Exists),
    ]
}

/// Each comparison once at most: they are the keys of a map.
fn test() -> impl Strategy<Value = Test> {
    vec(comparison(), 1..4).prop_map(|all| {
        let mut kinds = Vec::new();
        Test(
            all.into_iter()
                .filter(|one| {
                    !kinds.contains(&std::mem::discriminant(one)) && {
                        kinds.push(std::mem::discriminant(one));
                        true
                    }
                })
                .collect(),
        )
    })
}

fn path() -> impl Strategy<Value = String> {
    let whole = |path: &String| path.split('.').all(|part| !part.is_empty());
    let plain = select(vec!["total", "products.name", "a.b.c", "caf\u{e9}"]).prop_map(str::to_owned);
    prop_oneof![3 => plain, 1 => text().prop_filter("names with dots between", whole)]
}

fn aggregate() -> impl Strategy<Value = Aggregate> {
    (0..9usize, path()).prop_map(|(n, of)| match n {
        0 => Aggregate::Count,
        1 => Aggregate::Sum(of),
        2 => Aggregate::Min(of),
        3 => Aggregate::Max(of),
        4 => Aggregate::Avg(of),
        5 => Aggregate::First(of),
        6 => Aggregate::Last(of),
        7 => Aggregate::Distinct(of),
        _ => Aggregate::MostFrequent(of),
    })
}

fn query() -> impl Strategy<Value = EventQuery> {
    let instant = || option::of((0..4_102_444_800_000_000i64).prop_map(Timestamp));
    let time = prop_oneof![
        (1..2_000_000i64).prop_map(|seconds| (Some(Span(seconds * 1_000_000)), None, None)),
        (instant(), instant()).prop_map(|(since, until)| (
            None,
            since.min(until),
            if since == until { None } else { since.max(until) }
        )),
    ];
    (text(), btree_map(path(), test(), 0..3), aggregate(), time).prop_map(
        |(event, filters, aggregate, (within, since, until))| EventQuery {
            event,
            filters: filters.into_iter().map(|(path, test)| Filter { path, test }).collect(),
            aggregate,
            within,
            since,
            until,
        },
    )
}

/// What a number is compared with: whole ones for what is counted.
fn bounds(is_whole: bool) -> impl Strategy<Value = Test> {
    let whole = (0..=10_000i64).prop_map(|n| Decimal(n * 1_000_000));
    let bound = if is_whole { whole.boxed() } else { number().boxed() };
    (bound.clone(), bound, any::<bool>()).prop_map(|(low, other, is_listed)| match is_listed {
        true => Test(vec![Comparison::In(vec![Scalar::Number(low), Scalar::Number(other)])]),
        false => Test(vec![Comparison::Gte(low), Comparison::Ne(Scalar::Number(other))]),
    })
}

fn did() -> impl Strategy<Value = Rule> {
    (query(), test(), bounds(true), bounds(false)).prop_map(|(query, any, whole, numbers)| {
        let test = match query.aggregate {
            Aggregate::Count | Aggregate::Distinct(_) => whole,
            Aggregate::Sum(_) | Aggregate::Avg(_) => numbers,
            _ => any,
        };
        Rule::Did(Did { query, test })
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let leaf = prop_oneof![
        3 => did(),
        1 => (path(), test()).prop_map(|(path, test)| Rule::Trait { path, test }),
        1 => test().prop_map(|test| Rule::Computed { key: "t0".into(), test }),
        1 => option::of(select(Channel::ALL.to_vec())).prop_map(|channel| Rule::Consent { purpose: "p0".into(), channel }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Rule::All),
            vec(inner.clone(), 0..3).prop_map(Rule::Any),
            inner.prop_map(|rule| Rule::Not(Box::new(rule))),
        ]
    })
}

fn label() -> impl Strategy<Value = Label> {
    (option::of(text()), option::of(text())).prop_map(|(fr, en)| Label { fr, en })
}

fn settings() -> impl Strategy<Value = workspace::Settings> {
    let rate = (select(vec!["GBP", "JPY"]), 0..4_000_000_000_000_000i64, 1..9_000_000_000i64);
    (select(vec!["fr", "en"]), select(vec!["Europe/Paris", "UTC"]), select(vec!["FR", "GB", "US"]), vec(rate, 0..4)).prop_map(
        |(locale, timezone, country, rates)| {
            let mut rates: Vec<ExchangeRate> = rates
                .into_iter()
                .map(|(code, from, rate)| ExchangeRate {
                    currency: Currency::parse(code).expect("a code"),
                    from: Timestamp(from),
                    rate: Decimal(rate),
                })
                .collect();
            rates.sort_by_key(|rate| (rate.currency, rate.from));
            rates.dedup_by_key(|rate| (rate.currency, rate.from));
            let (locale, timezone, country) = (locale.into(), timezone.into(), country.into());
            workspace::Settings { key: "maison".into(), locale, timezone, country, currency: Currency::EUR, rates }
        },
    )
}

fn strings() -> impl Strategy<Value = Strings> {
    let ids = || subsequence((1..=12u8).collect::<Vec<_>>(), 0..4);
    let device = subsequence(vec![Channel::Push, Channel::Onsite, Channel::Display], 0..=3);
    let channels = prop_oneof![device.clone(), Just(vec![Channel::PartnerSharing])];
    let opt_outs = subsequence(OptOut::ALL.map(|(_, one)| one).to_vec(), 1..=4);
    let tcf = option::of((ids(), ids(), ids(), ids(), subsequence((1..=24u8).collect::<Vec<_>>(), 1..4)));
    let categories = option::of(text().prop_map(|name| vec![format!("c{name}")]));
    (option::of(1..=u16::MAX), tcf, option::of((channels, opt_outs)), categories, device).prop_map(
        |(vendor, tcf, gpp, categories, channels)| {
            let purpose = || "p0".to_owned();
            let of_tcf = |(purposes, publisher, custom, special_features, legitimate_interests)| TcfChoice {
                purpose: purpose(),
                channels: channels.clone(),
                purposes,
                publisher,
                custom,
                special_features,
                legitimate_interests,
            };
            Strings {
                vendor,
                tcf: tcf.into_iter().map(of_tcf).collect(),
                gpp: gpp.into_iter().map(|(channels, opt_outs)| GppChoice { purpose: purpose(), channels, opt_outs }).collect(),
                categories: categories
                    .into_iter()
                    .map(|categories| CategoryChoice { purpose: purpose(), channels: channels.clone(), categories })
                    .collect(),
            }
        },
    )
}

fn definitions() -> impl Strategy<Value = Workspace> {
    let namespaces = subsequence(vec!["user_id", "email", "phone", "anonymous_id", "card"], 1..=5).prop_shuffle();
    let normalizers = [Normalizer::Trim, Normalizer::Lowercase, Normalizer::Email, Normalizer::E164];
    let namespace = (1..=10_000u32, select(normalizers.to_vec()), vec(text(), 0..2));
    let kind = select(vec![SourceKind::Web, SourceKind::App, SourceKind::Server, SourceKind::File]);
    let secret = prop_oneof![
        Just(Secret::Env("HOOK".into())),
        Just(Secret::Plain("a secret: of {16} bytes".into())),
        Just(Secret::Sealed("jumelle1.AAAA_-09".into())),
    ];
    let destination = (option::of(secret), any::<bool>(), 1..=256u32);
    let basis = select(vec![Basis::Consent, Basis::Contract, Basis::LegitimateInterest, Basis::LegalObligation]);
    let gcm = subsequence(vec!["ad_storage".to_owned(), "ad_user_data".into(), "analytics_storage".into()], 0..=3);
    let map = (select(Channel::ALL.to_vec()), any::<bool>(), vec(text(), 0..3), select(vec!["city", "a.b"]));
    (
        (settings(), vec((kind, any::<bool>(), any::<bool>()), 0..3), namespaces, vec(namespace, 5)),
        (
            vec((basis, subsequence((1..=11u8).collect::<Vec<_>>(), 0..4), gcm, any::<bool>()), 1..3),
            vec((label(), query()), 1..3),
        ),
        (vec((label(), rule()), 0..4), destination, map, strings()),
    )
        .prop_map(|((settings, sources, namespaces, rules), (purposes, traits), (segments, destination, map, strings))| {
            let key = |letter: &str, n: usize| format!("{letter}{n}");
            let mut built = Workspace::empty();
            built.settings = settings;
            built.sources = sources
                .into_iter()
                .enumerate()
                .map(|(n, (kind, is_ga4, requires))| Source {
                    consents: [None, Some(Heard::Any), Some(Heard::Choices), Some(Heard::Device)][n % 4],
                    key: key("s", n),
                    kind,
                    write_key: (kind != SourceKind::File).then(|| key("wk_", n)),
                    vocabulary: if is_ga4 { Vocabulary::Ga4 } else { Vocabulary::Segment },
                    requires: (kind == SourceKind::Web && requires).then(|| "p0".into()),
                    set_aside: (kind != SourceKind::File && requires).then(|| SetAside {
                        user_agents: vec!["*bot*".into()],
                        rate: is_ga4.then_some(EventRate { events: 7, per: Span(90_000_000) }),
                    }),
                    reduce: match (requires, is_ga4) {
                        (false, _) => Vec::new(),
                        (true, only) => vec![Reduce {
                            purpose: "p0".into(),
                            channel: only.then_some(Channel::Email),
                            to: if only { Reduction::Anonymous } else { Reduction::Dropped },
                            when: ReduceWhen::Refused,
                            events: if only { vec!["Page Viewed".into(), "a: {b}".into()] } else { Vec::new() },
                            except: if only { Vec::new() } else { vec!["Order Completed".into()] },
                        }],
                    },
                })
                .collect();
            built.identifiers = namespaces
                .into_iter()
                .zip(rules)
                .map(|(key, (limit, normalize, block))| NamespaceRule { key: key.into(), limit, normalize, block })
                .collect();
            built.purposes = purposes
                .into_iter()
                .enumerate()
                .map(|(n, (basis, tcf, gcm, gpc))| Purpose { key: key("p", n), basis, tcf, gcm, gpc, terms: Terms::default() })
                .collect();
            built.strings = strings;
            if let Some(choice) = built.strings.tcf.first() {
                // It is written once.
                built.purposes.iter_mut().filter(|purpose| purpose.key == choice.purpose).for_each(|purpose| purpose.tcf.clear());
            }
            built.traits = traits
                .into_iter()
                .enumerate()
                .map(|(n, (label, query))| ComputedTrait { key: key("t", n), label, query })
                .collect();
            built.segments =
                segments.into_iter().enumerate().map(|(n, (label, rule))| Segment { key: key("g", n), label, rule }).collect();
            let (secret, allow_private, concurrency) = destination;
            let url = "https://hooks.example.org/in?x=1".into();
            built.destinations = vec![Destination {
                key: "d0".into(),
                connector: "webhook".into(),
                url,
                settings: Vec::new(),
                secret,
                allow_private,
                concurrency,
                country: None,
                transfer: None,
                paused: concurrency % 3 == 0,
                strings: if concurrency % 5 == 0 { vec![ConsentString::Tcf, ConsentString::Gpp] } else { Vec::new() },
                take_back: jumelle_model::workspace::take_back::TakeBack {
                    confirm_within: Some(jumelle_model::time::Span(4 * 3_600 * 1_000_000)),
                    removal_none: Some(jumelle_model::workspace::take_back::RemovalNone {
                        reason: "letters".into(),
                        contact: "dpo@example.org".into(),
                    }),
                    retire: concurrency % 2 == 0,
                    list: Some(jumelle_model::workspace::take_back::ToolList {
                        url: "https://tool.example/list".into(),
                        every: Some(Span(3_600_000_000)),
                        mend: concurrency % 2 == 0,
                    }),
                    inbound: None,
                },
                file: None,
            }];
            if let Some(segment) = built.segments.first() {
                let (channel, sends, fields, trait_path) = map;
                let mut mapped: Vec<(String, FieldPath)> = Vec::new();
                for (n, field) in fields.into_iter().enumerate().filter(|(_, field)| !field.is_empty()) {
                    let path = match n {
                        0 => FieldPath::Identifier(built.identifiers[0].key.clone()),
                        1 => FieldPath::Trait(trait_path.into()),
                        _ => FieldPath::Computed("t0".into()),
                    };
                    if mapped.iter().all(|(other, _)| *other != field) {
                        mapped.push((field, path));
                    }
                }
                built.activations = vec![Activation {
                    key: "a0".into(),
                    segment: segment.key.clone(),
                    destination: "d0".into(),
                    purpose: "p0".into(),
                    channel,
                    initial: if sends { Initial::Send } else { Initial::Skip },
                    map: mapped,
                }];
            }
            built
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn definitions_written_out_read_back_equal(built in definitions()) {
        let text = built.to_text();
        let read = Workspace::parse(&text).unwrap_or_else(|problems| panic!("{problems}\nin {text}"));
        prop_assert!(Difference::between(&built, &read).changes.is_empty(), "{}", Difference::between(&built, &read));
        prop_assert_eq!(&read, &built);
        prop_assert_eq!(read.to_text(), text);
    }

    /// `GET` one definition and `PUT` it again: nothing changes. A plain secret is not shown, so it cannot come back.
    #[test]
    fn a_definition_put_back_as_it_was_shown_changes_nothing(built in definitions()) {
        let shown = |collection: &str, key: &str| built.definition_json(collection, key).expect("defined").to_string();
        let each = [
            ("identifiers", built.identifiers.iter().map(|item| item.key.clone()).collect::<Vec<_>>()),
            ("traits", built.traits.iter().map(|item| item.key.clone()).collect()),
            ("segments", built.segments.iter().map(|item| item.key.clone()).collect()),
            ("activations", built.activations.iter().map(|item| item.key.clone()).collect()),
        ];
        for (collection, keys) in each {
            for key in keys {
                let text = shown(collection, &key);
                let again = built.replace(collection, &key, Some(&text)).unwrap_or_else(|problems| panic!("{problems}\nin {text}"));
                prop_assert_eq!(&again, &built, "{} {}", collection, text);
            }
        }
    }

    #[test]
    fn arbitrary_text_is_answered(text in any::<String>(), yaml in "[a-z:{}\\[\\], \n\"'*&#|>!%-]{0,60}") {
        let _ = Workspace::parse(&text);
        if let Err(problems) = Workspace::parse(&yaml) {
            prop_assert!(problems.0.iter().all(|problem| problem.line >= 1 && problem.column >= 1 && !problem.message.is_empty()));
        }
    }

    /// The way of a hand that is still typing: a right file cut anywhere.
    #[test]
    fn a_file_that_is_cut_anywhere_is_answered(built in definitions(), cut in any::<prop::sample::Index>()) {
        let text = built.to_text();
        let mut end = cut.index(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        prop_assert!(Workspace::parse(&text[..end]).is_err() || end == 0);
    }
}
