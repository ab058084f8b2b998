//! Comparing one value. A missing value, or one of another type, satisfies nothing but `exists`.

use std::cmp::Ordering;
use std::collections::HashMap;

use jumelle_model::Json;
use jumelle_model::event::Scalar;
use jumelle_model::number::Decimal;
use jumelle_model::rule::{Comparison, EventQuery, Rule, Test};
use regex::Regex;

/// A value to be compared, borrowed from where it was found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value<'v> {
    /// Not there, or null.
    Missing,
    /// There, without a single value: a list, an object, a number out of range.
    Opaque,
    /// An amount in a currency without a rate at that time: there, but kept out of sums and comparisons.
    Unconverted,
    /// True or false.
    Bool(bool),
    /// A number, or an amount in the workspace's currency.
    Number(Decimal),
    /// A text.
    Text(&'v str),
    /// `sum / number` in millionths, compared without rounding. `number` is not 0.
    Ratio {
        /// Of all values, in millionths.
        sum: i128,
        /// How many.
        number: u64,
    },
}

impl<'v> Value<'v> {
    /// Of a JSON value; money is not converted here.
    pub fn of_json(json: Option<&'v Json<'_>>) -> Value<'v> {
        match json {
            None | Some(Json::Null) => Value::Missing,
            Some(Json::Bool(flag)) => Value::Bool(*flag),
            Some(Json::Str(text)) => Value::Text(text),
            Some(number @ Json::Number(_)) => Decimal::from_json(number).map_or(Value::Opaque, Value::Number),
            Some(_) => Value::Opaque,
        }
    }

    /// Of a kept value.
    pub fn of(scalar: Option<&'v Scalar>) -> Value<'v> {
        match scalar {
            None => Value::Missing,
            Some(Scalar::Bool(flag)) => Value::Bool(*flag),
            Some(Scalar::Number(number)) => Value::Number(*number),
            Some(Scalar::Text(text)) => Value::Text(text),
        }
    }

    /// To keep it; a ratio is rounded by nobody but its reader, so it has none here.
    pub fn to_scalar(self) -> Option<Scalar> {
        match self {
            Value::Bool(flag) => Some(Scalar::Bool(flag)),
            Value::Number(number) => Some(Scalar::Number(number)),
            Value::Text(text) => Some(Scalar::Text(text.to_owned())),
            Value::Missing | Value::Opaque | Value::Unconverted | Value::Ratio { .. } => None,
        }
    }

    fn against(self, other: Decimal) -> Option<Ordering> {
        match self {
            Value::Number(number) => Some(number.cmp(&other)),
            Value::Ratio { sum, number } => Some(sum.cmp(&(i128::from(other.0) * i128::from(number)))),
            _ => None,
        }
    }

    /// `None`: of another type.
    fn equals(self, other: &Scalar) -> Option<bool> {
        match (self, other) {
            (Value::Bool(mine), Scalar::Bool(flag)) => Some(mine == *flag),
            (Value::Text(mine), Scalar::Text(text)) => Some(mine == text),
            (_, Scalar::Number(number)) => self.against(*number).map(Ordering::is_eq),
            _ => None,
        }
    }
}

/// Regular expressions, compiled once.
#[derive(Clone, Debug, Default)]
pub struct Patterns(HashMap<String, Regex>);

impl Patterns {
    fn add(&mut self, test: &Test) {
        for comparison in &test.0 {
            // One that does not compile matches nothing; `Workspace::parse` has refused it.
            if let Comparison::Matches(pattern) = comparison
                && let Ok(regex) = Regex::new(pattern)
            {
                self.0.insert(pattern.clone(), regex);
            }
        }
    }

    /// Those of a query's filters.
    pub fn add_query(&mut self, query: &EventQuery) {
        query.filters.iter().for_each(|filter| self.add(&filter.test));
    }

    /// Those of a rule.
    pub fn add_rule(&mut self, rule: &Rule) {
        match rule {
            Rule::All(rules) | Rule::Any(rules) => rules.iter().for_each(|rule| self.add_rule(rule)),
            Rule::Not(rule) => self.add_rule(rule),
            Rule::Did(did) => {
                self.add(&did.test);
                self.add_query(&did.query);
            }
            Rule::Trait { test, .. } | Rule::Computed { test, .. } => self.add(test),
            Rule::Consent { .. } | Rule::Prospect(_) | Rule::RetentionOver { .. } => {}
        }
    }
}

/// Whether a value satisfies a test.
pub fn holds(test: &Test, value: Value<'_>, patterns: &Patterns) -> bool {
    test.0.iter().all(|comparison| compare(comparison, value, patterns))
}

fn compare(comparison: &Comparison, value: Value<'_>, patterns: &Patterns) -> bool {
    let ordered = |number: &Decimal, wanted: fn(Ordering) -> bool| value.against(*number).is_some_and(wanted);
    let text = |wanted: &dyn Fn(&str) -> bool| matches!(value, Value::Text(text) if wanted(text));
    match comparison {
        Comparison::Exists(wanted) => (value != Value::Missing) == *wanted,
        Comparison::Eq(other) => value.equals(other) == Some(true),
        Comparison::Ne(other) => value.equals(other) == Some(false),
        Comparison::In(others) => others.iter().any(|other| value.equals(other) == Some(true)),
        // As `ne`: of the type of one of them at least, and equal to none.
        Comparison::NotIn(others) => {
            let mut same_type = others.is_empty() && !matches!(value, Value::Missing | Value::Opaque | Value::Unconverted);
            for other in others {
                match value.equals(other) {
                    Some(true) => return false,
                    Some(false) => same_type = true,
                    None => {}
                }
            }
            same_type
        }
        Comparison::Gt(other) => ordered(other, Ordering::is_gt),
        Comparison::Gte(other) => ordered(other, Ordering::is_ge),
        Comparison::Lt(other) => ordered(other, Ordering::is_lt),
        Comparison::Lte(other) => ordered(other, Ordering::is_le),
        Comparison::Contains(part) => text(&|text| text.contains(part.as_str())),
        Comparison::StartsWith(part) => text(&|text| text.starts_with(part.as_str())),
        Comparison::Matches(pattern) => text(&|text| patterns.0.get(pattern).is_some_and(|regex| regex.is_match(text))),
    }
}
