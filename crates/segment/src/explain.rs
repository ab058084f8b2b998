//! Rules in plain French and English, and why a person is or is not a member.

use jumelle_model::Workspace;
use jumelle_model::event::Scalar;
use jumelle_model::number::{Currency, DECIMAL_ONE, Decimal};
use jumelle_model::rule::{Aggregate, Comparison, EventQuery, Filter, ProspectState, Rule, Test};
use jumelle_model::time::{Span, Timestamp};
use serde::Serialize;

use crate::plan::{Node, Plan};
use crate::property::is_money;
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
        Rule::Not(inner) => match inner.as_ref() {
            Rule::Did(did) if is_at_least_once(&did.query, &did.test) => {
                format!(
                    "{} {}{}",
                    language.pick("aucun", "no"),
                    events(&did.query, workspace, language),
                    time(&did.query, language)
                )
            }
            inner => format!("{} ({})", language.pick("pas", "not"), explain(inner, workspace, language)),
        },
        Rule::Did(did) => did_sentence(&did.query, &did.test, workspace, language),
        Rule::Trait { path, test } => {
            format!("{} {path} {}", language.pick("le trait", "the trait"), test_sentence(test, None, language))
        }
        Rule::Computed { key, test } => {
            let computed = workspace.computed(key);
            let label = computed.and_then(|computed| match language {
                Language::Fr => computed.label.fr.as_ref().or(computed.label.en.as_ref()),
                Language::En => computed.label.en.as_ref().or(computed.label.fr.as_ref()),
            });
            let unit = computed.and_then(|computed| unit(&computed.query, workspace));
            format!("{} {}", label.unwrap_or(key), test_sentence(test, unit, language))
        }
        Rule::Prospect(ProspectState::Lapsing) => language
            .pick("sans acte de sa part, sa durée de conservation s’achève bientôt", "she does nothing and her time ends soon"),
        Rule::Prospect(ProspectState::Lapsed) => language
            .pick("sans acte de sa part, sa durée de conservation est écoulée", "she has done nothing and her time is over"),
        Rule::RetentionOver { purpose } => match language {
            Language::Fr => format!("la durée de conservation de {purpose} est écoulée"),
            Language::En => format!("the retention of {purpose} is over"),
        },
        Rule::Consent { purpose, channel } => match (language, channel) {
            (Language::Fr, None) => format!("consentement pour {purpose} sur tous les canaux"),
            (Language::En, None) => format!("consent for {purpose} on all channels"),
            (Language::Fr, Some(channel)) => format!("consentement pour {purpose} par {}", channel.as_str()),
            (Language::En, Some(channel)) => format!("consent for {purpose} by {}", channel.as_str()),
        },
    }
}

fn is_at_least_once(query: &EventQuery, test: &Test) -> bool {
    query.aggregate == Aggregate::Count && matches!(test.0.as_slice(), [Comparison::Gte(Decimal(DECIMAL_ONE))])
}

/// The currency that an aggregate's value is in, if it is an amount.
fn unit(query: &EventQuery, workspace: &Workspace) -> Option<Currency> {
    let is_value = !matches!(query.aggregate, Aggregate::Count | Aggregate::Distinct(_));
    (is_value && query.aggregate.of().is_some_and(is_money)).then_some(workspace.settings.currency)
}

fn did_sentence(query: &EventQuery, test: &Test, workspace: &Workspace, language: Language) -> String {
    let events = events(query, workspace, language);
    let time = time(query, language);
    if query.aggregate == Aggregate::Count
        && let [comparison] = test.0.as_slice()
        && let Some(times) = times(comparison, language)
    {
        let comma = if query.filters.is_empty() { "" } else { "," };
        return format!("{events}{comma} {times}{time}");
    }
    let of = query.aggregate.of().unwrap_or_default();
    let aggregate = match (&query.aggregate, language) {
        (Aggregate::Count, Language::Fr) => "nombre de".to_owned(),
        (Aggregate::Count, Language::En) => "number of".to_owned(),
        (Aggregate::Sum(_), Language::Fr) => format!("somme de {of} dans"),
        (Aggregate::Sum(_), Language::En) => format!("sum of {of} in"),
        (Aggregate::Min(_), Language::Fr) => format!("minimum de {of} dans"),
        (Aggregate::Min(_), Language::En) => format!("minimum of {of} in"),
        (Aggregate::Max(_), Language::Fr) => format!("maximum de {of} dans"),
        (Aggregate::Max(_), Language::En) => format!("maximum of {of} in"),
        (Aggregate::Avg(_), Language::Fr) => format!("moyenne de {of} dans"),
        (Aggregate::Avg(_), Language::En) => format!("average of {of} in"),
        (Aggregate::First(_), Language::Fr) => format!("premier {of} dans"),
        (Aggregate::First(_), Language::En) => format!("first {of} in"),
        (Aggregate::Last(_), Language::Fr) => format!("dernier {of} dans"),
        (Aggregate::Last(_), Language::En) => format!("last {of} in"),
        (Aggregate::Distinct(_), Language::Fr) => format!("nombre de valeurs différentes de {of} dans"),
        (Aggregate::Distinct(_), Language::En) => format!("number of different values of {of} in"),
        (Aggregate::MostFrequent(_), Language::Fr) => format!("valeur la plus fréquente de {of} dans"),
        (Aggregate::MostFrequent(_), Language::En) => format!("most frequent value of {of} in"),
    };
    let test = test_sentence(test, unit(query, workspace), language);
    format!("{aggregate} {events}{time} {test}")
}

/// `“Product Viewed” where category = “sneakers”`
fn events(query: &EventQuery, workspace: &Workspace, language: Language) -> String {
    let name = quote(&query.event, language);
    if query.filters.is_empty() {
        return name;
    }
    let filter = |filter: &Filter| {
        let currency = is_money(&filter.path).then_some(workspace.settings.currency);
        format!("{} {}", filter.path, test_sentence(&filter.test, currency, language))
    };
    let filters: Vec<String> = query.filters.iter().map(filter).collect();
    format!("{name} {} {}", language.pick("où", "where"), filters.join(&language.pick(" et ", " and ")))
}

/// `at least 3 times`; `None` for a comparison that counts no times.
fn times(comparison: &Comparison, language: Language) -> Option<String> {
    let (number, fr, en) = match comparison {
        Comparison::Gte(number) => (number, "au moins", "at least"),
        Comparison::Gt(number) => (number, "plus de", "more than"),
        Comparison::Lte(number) => (number, "au plus", "at most"),
        Comparison::Lt(number) => (number, "moins de", "fewer than"),
        Comparison::Eq(Scalar::Number(number)) => (number, "exactement", "exactly"),
        _ => return None,
    };
    Some(match (language, *number) {
        (Language::En, Decimal(DECIMAL_ONE)) => format!("{en} once"),
        (Language::En, number) => format!("{en} {number} times"),
        (Language::Fr, Decimal(DECIMAL_ONE)) => format!("{fr} une fois"),
        (Language::Fr, number) => format!("{fr} {number} fois"),
    })
}

/// ` in the last 30 days`, ` since …`, or nothing for all time.
fn time(query: &EventQuery, language: Language) -> String {
    let mut text = String::new();
    if let Some(within) = query.within {
        text.push_str(&window(within, language));
    }
    if let Some(since) = query.since {
        text.push_str(&format!(" {} {since}", language.pick("depuis le", "since")));
    }
    if let Some(until) = query.until {
        text.push_str(&format!(" {} {until}", language.pick("avant le", "before")));
    }
    text
}

fn window(within: Span, language: Language) -> String {
    let text = within.to_string();
    // A span's text ends with its unit, one letter.
    let (number, unit) = text.split_at(text.len() - 1);
    let (one, several, last_one, last_several) = match (unit, language) {
        ("d", Language::Fr) => ("jour", "jours", "le dernier", "derniers"),
        ("h", Language::Fr) => ("heure", "heures", "la dernière", "dernières"),
        ("m", Language::Fr) => ("minute", "minutes", "la dernière", "dernières"),
        (_, Language::Fr) => ("seconde", "secondes", "la dernière", "dernières"),
        ("d", Language::En) => ("day", "days", "", ""),
        ("h", Language::En) => ("hour", "hours", "", ""),
        ("m", Language::En) => ("minute", "minutes", "", ""),
        (_, Language::En) => ("second", "seconds", "", ""),
    };
    match (language, number) {
        (Language::Fr, "1") => format!(" sur {last_one} {one}"),
        (Language::Fr, number) => format!(" sur les {number} {last_several} {several}"),
        (Language::En, "1") => format!(" in the last {one}"),
        (Language::En, number) => format!(" in the last {number} {several}"),
    }
}

fn quote(text: &str, language: Language) -> String {
    match language {
        Language::Fr => format!("« {text} »"),
        Language::En => format!("“{text}”"),
    }
}

fn test_sentence(test: &Test, currency: Option<Currency>, language: Language) -> String {
    let number = |number: &Decimal| match currency {
        Some(currency) => format!("{number} {currency}"),
        None => number.to_string(),
    };
    let value = |scalar: &Scalar| match scalar {
        Scalar::Text(text) => quote(text, language),
        Scalar::Number(amount) => number(amount),
        Scalar::Bool(true) => language.pick("vrai", "true"),
        Scalar::Bool(false) => language.pick("faux", "false"),
    };
    let list = |scalars: &[Scalar]| scalars.iter().map(value).collect::<Vec<_>>().join(", ");
    let one = |comparison: &Comparison| match comparison {
        Comparison::Eq(scalar) => format!("= {}", value(scalar)),
        Comparison::Ne(scalar) => format!("≠ {}", value(scalar)),
        Comparison::In(scalars) => format!("{} {}", language.pick("parmi", "one of"), list(scalars)),
        Comparison::NotIn(scalars) => format!("{} {}", language.pick("hors de", "none of"), list(scalars)),
        Comparison::Gt(bound) => format!("> {}", number(bound)),
        Comparison::Gte(bound) => format!("≥ {}", number(bound)),
        Comparison::Lt(bound) => format!("< {}", number(bound)),
        Comparison::Lte(bound) => format!("≤ {}", number(bound)),
        Comparison::Contains(text) => format!("{} {}", language.pick("contient", "contains"), quote(text, language)),
        Comparison::StartsWith(text) => format!("{} {}", language.pick("commence par", "starts with"), quote(text, language)),
        Comparison::Matches(text) => format!("{} /{text}/", language.pick("correspond à", "matches")),
        Comparison::Exists(true) => language.pick("existe", "exists"),
        Comparison::Exists(false) => language.pick("n'existe pas", "does not exist"),
    };
    test.0.iter().map(one).collect::<Vec<_>>().join(&language.pick(" et ", " and "))
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
            let reading = plan.reading(*query, states, at);
            let computed = reading.computed();
            let mut text = computed.value.map_or_else(|| language.pick("rien", "nothing"), |value| value.to_string());
            if reading.at_least {
                text.push_str(&language.pick(" ou plus", " or more"));
            }
            if computed.coarse {
                text.push_str(&language.pick(" (à l'heure près)", " (to the hour)"));
            }
            if computed.unconverted > 0 {
                text.push_str(&match language {
                    Language::Fr => format!(" (montants sans taux de change laissés de côté : {})", computed.unconverted),
                    Language::En => format!(" (amounts without a rate of exchange left out: {})", computed.unconverted),
                });
            }
            Some(text)
        }
        Node::Trait { path, .. } => Some(match facts.trait_value(path) {
            Some(value) => value.to_string(),
            None if facts.trait_exists(path) => language.pick("une liste ou un objet", "a list or an object"),
            None => language.pick("absent", "absent"),
        }),
        _ => None,
    }
}
