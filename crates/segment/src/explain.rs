//! Rules in plain French and English, and why a person is or is not a member.

use jumelle_model::Workspace;
use jumelle_model::event::Scalar;
use jumelle_model::rule::{Aggregate, Comparison, EventQuery, Rule, Test};
use jumelle_model::time::{Span, Timestamp};
use serde::Serialize;

use crate::plan::{Node, Plan};
use crate::{Facts, States};

/// A language of the house.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// French.
    Fr,
    /// English.
    En,
}

/// A part of a rule with its outcome for one person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Why {
    /// The part in plain words.
    pub sentence: String,
    /// It holds.
    pub holds: bool,
    /// What was found, as text.
    pub observed: Option<String>,
    /// When time alone may change it.
    pub until: Option<Timestamp>,
    /// Parts of the part.
    pub parts: Vec<Why>,
}

impl Language {
    fn pick(self, fr: &str, en: &str) -> String {
        match self {
            Language::Fr => fr.to_owned(),
            Language::En => en.to_owned(),
        }
    }
}

/// A rule as one sentence.
pub fn explain(rule: &Rule, workspace: &Workspace, language: Language) -> String {
    let list = |rules: &[Rule], word: String| {
        let parts: Vec<String> = rules
            .iter()
            .map(|rule| match rule {
                Rule::All(inner) | Rule::Any(inner) if inner.len() > 1 => format!("({})", explain(rule, workspace, language)),
                _ => explain(rule, workspace, language),
            })
            .collect();
        parts.join(&format!(" {word} "))
    };
    match rule {
        Rule::All(rules) if rules.is_empty() => language.pick("tout le monde", "everyone"),
        Rule::Any(rules) if rules.is_empty() => language.pick("personne", "nobody"),
        Rule::All(rules) => list(rules, language.pick("et", "and")),
        Rule::Any(rules) => list(rules, language.pick("ou", "or")),
        Rule::Not(rule) => format!("{} ({})", language.pick("pas", "not"), explain(rule, workspace, language)),
        Rule::Did(did) => query_sentence(&did.query, Some(&did.test), language),
        Rule::Trait { path, test } => {
            format!("{} {path} {}", language.pick("le trait", "the trait"), test_sentence(test, language))
        }
        Rule::Computed { key, test } => {
            let label = workspace.computed(key).and_then(|computed| match language {
                Language::Fr => computed.label.fr.clone().or(computed.label.en.clone()),
                Language::En => computed.label.en.clone().or(computed.label.fr.clone()),
            });
            format!("{} {}", label.as_deref().unwrap_or(key), test_sentence(test, language))
        }
        Rule::Consent { purpose, channel } => {
            let channel =
                channel.map_or_else(|| language.pick("tous les canaux", "all channels"), |channel| channel.as_str().to_owned());
            match language {
                Language::Fr => format!("consentement pour {purpose} par {channel}"),
                Language::En => format!("consent for {purpose} by {channel}"),
            }
        }
    }
}

fn query_sentence(query: &EventQuery, test: Option<&Test>, language: Language) -> String {
    let mut sentence = match (&query.aggregate, language) {
        (Aggregate::Count, Language::Fr) => format!("nombre de « {} »", query.event),
        (Aggregate::Count, Language::En) => format!("number of “{}”", query.event),
        (aggregate, language) => {
            let of = aggregate.of().unwrap_or_default();
            let word = match (aggregate, language) {
                (Aggregate::Sum(_), Language::Fr) => "somme de",
                (Aggregate::Sum(_), Language::En) => "sum of",
                (Aggregate::Min(_), Language::Fr) => "minimum de",
                (Aggregate::Min(_), Language::En) => "minimum of",
                (Aggregate::Max(_), Language::Fr) => "maximum de",
                (Aggregate::Max(_), Language::En) => "maximum of",
                (Aggregate::Avg(_), Language::Fr) => "moyenne de",
                (Aggregate::Avg(_), Language::En) => "average of",
                (Aggregate::First(_), Language::Fr) => "premier",
                (Aggregate::First(_), Language::En) => "first",
                (Aggregate::Last(_), Language::Fr) => "dernier",
                (Aggregate::Last(_), Language::En) => "last",
                (Aggregate::Distinct(_), Language::Fr) => "nombre de valeurs différentes de",
                (Aggregate::Distinct(_), Language::En) => "number of different values of",
                (_, Language::Fr) => "valeur la plus fréquente de",
                (_, Language::En) => "most frequent value of",
            };
            match language {
                Language::Fr => format!("{word} {of} dans « {} »", query.event),
                Language::En => format!("{word} {of} in “{}”", query.event),
            }
        }
    };
    if !query.filters.is_empty() {
        let filters: Vec<String> =
            query.filters.iter().map(|filter| format!("{} {}", filter.path, test_sentence(&filter.test, language))).collect();
        sentence.push_str(&format!(" ({} {})", language.pick("où", "where"), filters.join(&language.pick(" et ", " and "))));
    }
    if let Some(within) = query.within {
        sentence.push_str(&match language {
            Language::Fr => format!(" depuis {}", span(within, language)),
            Language::En => format!(" in the last {}", span(within, language)),
        });
    }
    if let Some(since) = query.since {
        sentence.push_str(&format!(" {} {since}", language.pick("depuis le", "since")));
    }
    if let Some(until) = query.until {
        sentence.push_str(&format!(" {} {until}", language.pick("avant le", "before")));
    }
    match test {
        Some(test) => format!("{sentence} {}", test_sentence(test, language)),
        None => sentence,
    }
}

fn span(span: Span, language: Language) -> String {
    let text = span.to_string();
    let (number, unit) = text.split_at(text.len() - 1);
    let many = number != "1";
    let word = match (unit, language) {
        ("d", Language::Fr) => {
            if many {
                "jours"
            } else {
                "jour"
            }
        }
        ("d", Language::En) => {
            if many {
                "days"
            } else {
                "day"
            }
        }
        ("h", Language::Fr) => {
            if many {
                "heures"
            } else {
                "heure"
            }
        }
        ("h", Language::En) => {
            if many {
                "hours"
            } else {
                "hour"
            }
        }
        ("m", _) => {
            if many {
                "minutes"
            } else {
                "minute"
            }
        }
        (_, Language::Fr) => {
            if many {
                "secondes"
            } else {
                "seconde"
            }
        }
        (_, Language::En) => {
            if many {
                "seconds"
            } else {
                "second"
            }
        }
    };
    format!("{number} {word}")
}

fn test_sentence(test: &Test, language: Language) -> String {
    let quote = |scalar: &Scalar| match scalar {
        Scalar::Text(text) => match language {
            Language::Fr => format!("« {text} »"),
            Language::En => format!("“{text}”"),
        },
        other => other.to_string(),
    };
    let list = |scalars: &[Scalar]| scalars.iter().map(quote).collect::<Vec<_>>().join(", ");
    let parts: Vec<String> = test
        .0
        .iter()
        .map(|comparison| match comparison {
            Comparison::Eq(scalar) => format!("= {}", quote(scalar)),
            Comparison::Ne(scalar) => format!("≠ {}", quote(scalar)),
            Comparison::In(scalars) => format!("{} {}", language.pick("parmi", "among"), list(scalars)),
            Comparison::NotIn(scalars) => format!("{} {}", language.pick("hors de", "none of"), list(scalars)),
            Comparison::Gt(number) => format!("> {number}"),
            Comparison::Gte(number) => format!("≥ {number}"),
            Comparison::Lt(number) => format!("< {number}"),
            Comparison::Lte(number) => format!("≤ {number}"),
            Comparison::Contains(text) => {
                format!("{} {}", language.pick("contient", "contains"), quote(&Scalar::Text(text.clone())))
            }
            Comparison::StartsWith(text) => {
                format!("{} {}", language.pick("commence par", "starts with"), quote(&Scalar::Text(text.clone())))
            }
            Comparison::Matches(text) => format!("{} /{text}/", language.pick("correspond à", "matches")),
            Comparison::Exists(true) => language.pick("existe", "exists"),
            Comparison::Exists(false) => language.pick("n'existe pas", "does not exist"),
        })
        .collect();
    parts.join(&language.pick(" et ", " and "))
}

/// Why a person is, or is not, in segment number `segment` at an instant.
pub fn explain_verdict(
    plan: &Plan,
    workspace: &Workspace,
    segment: usize,
    facts: &dyn Facts,
    at: Timestamp,
    language: Language,
) -> Option<Why> {
    let rule = &workspace.segments.get(segment)?.rule;
    Some(why(plan, workspace, rule, plan.segment_node(segment)?, facts, at, language))
}

fn why(
    plan: &Plan,
    workspace: &Workspace,
    rule: &Rule,
    node: &Node,
    facts: &dyn Facts,
    at: Timestamp,
    language: Language,
) -> Why {
    let mut next = Timestamp::MAX;
    let holds = plan.holds(node, facts, at, &mut next);
    let below = |rules: &[Rule], nodes: &[Node]| {
        rules.iter().zip(nodes).map(|(rule, node)| why(plan, workspace, rule, node, facts, at, language)).collect()
    };
    let (sentence, parts) = match (rule, node) {
        (Rule::All(rules), Node::All(nodes)) => (language.pick("toutes ces conditions", "all of these"), below(rules, nodes)),
        (Rule::Any(rules), Node::Any(nodes)) => (language.pick("l'une de ces conditions", "any of these"), below(rules, nodes)),
        (Rule::Not(rule), Node::Not(node)) => {
            (language.pick("pas ceci", "not this"), below(std::slice::from_ref(rule), std::slice::from_ref(node)))
        }
        _ => (explain(rule, workspace, language), Vec::new()),
    };
    let until = (next != Timestamp::MAX && parts.is_empty()).then_some(next);
    Why { sentence, holds, observed: observed(plan, node, facts.states(), facts, at, language), until, parts }
}

fn observed(plan: &Plan, node: &Node, states: &States, facts: &dyn Facts, at: Timestamp, language: Language) -> Option<String> {
    match node {
        Node::Query { query, .. } => {
            let computed = plan.value(*query, states, at);
            let mut text = computed.value.map_or_else(|| language.pick("rien", "nothing"), |value| value.to_string());
            if computed.coarse {
                text.push_str(&language.pick(" (à l'heure près)", " (to the hour)"));
            }
            if computed.unconverted > 0 {
                text.push_str(&match language {
                    Language::Fr => format!(" ({} montants sans taux de change laissés de côté)", computed.unconverted),
                    Language::En => format!(" ({} amounts without a rate of exchange left out)", computed.unconverted),
                });
            }
            Some(text)
        }
        Node::Trait { path, .. } => {
            Some(facts.trait_value(path).map_or_else(|| language.pick("absent", "absent"), |value| value.to_string()))
        }
        _ => None,
    }
}
