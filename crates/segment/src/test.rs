//! Comparing one value. A missing value, or one of another type, satisfies nothing but `exists: false`.

use std::collections::HashMap;

use jumelle_model::event::Scalar;
use jumelle_model::rule::{Comparison, Rule, Test};
use regex::Regex;

/// Regular expressions, compiled once.
#[derive(Clone, Debug, Default)]
pub struct Patterns(HashMap<String, Regex>);

impl Patterns {
    /// Those of a test. One that does not compile matches nothing (`Workspace::parse` has refused it).
    pub fn add(&mut self, test: &Test) {
        for comparison in &test.0 {
            if let Comparison::Matches(pattern) = comparison
                && let Ok(regex) = Regex::new(pattern)
            {
                self.0.insert(pattern.clone(), regex);
            }
        }
    }

    /// Those of a rule.
    pub fn add_rule(&mut self, rule: &Rule) {
        match rule {
            Rule::All(rules) | Rule::Any(rules) => rules.iter().for_each(|rule| self.add_rule(rule)),
            Rule::Not(rule) => self.add_rule(rule),
            Rule::Did(did) => {
                self.add(&did.test);
                did.query.filters.iter().for_each(|filter| self.add(&filter.test));
            }
            Rule::Trait { test, .. } | Rule::Computed { test, .. } => self.add(test),
            Rule::Consent { .. } => {}
        }
    }
}

/// Whether a value satisfies a test.
pub fn holds(test: &Test, value: Option<&Scalar>, patterns: &Patterns) -> bool {
    test.0.iter().all(|comparison| compare(comparison, value, patterns))
}

fn compare(comparison: &Comparison, value: Option<&Scalar>, patterns: &Patterns) -> bool {
    let Some(value) = value else { return *comparison == Comparison::Exists(false) };
    let same_type = |other: &Scalar| std::mem::discriminant(value) == std::mem::discriminant(other);
    match (comparison, value) {
        (Comparison::Exists(wanted), _) => *wanted,
        (Comparison::Eq(other), _) => value == other,
        (Comparison::Ne(other), _) => same_type(other) && value != other,
        (Comparison::In(others), _) => others.contains(value),
        (Comparison::NotIn(others), _) => !others.contains(value),
        (Comparison::Gt(other), Scalar::Number(number)) => number > other,
        (Comparison::Gte(other), Scalar::Number(number)) => number >= other,
        (Comparison::Lt(other), Scalar::Number(number)) => number < other,
        (Comparison::Lte(other), Scalar::Number(number)) => number <= other,
        (Comparison::Contains(part), Scalar::Text(text)) => text.contains(part.as_str()),
        (Comparison::StartsWith(part), Scalar::Text(text)) => text.starts_with(part.as_str()),
        (Comparison::Matches(pattern), Scalar::Text(text)) => patterns.0.get(pattern).is_some_and(|regex| regex.is_match(text)),
        _ => false,
    }
}
