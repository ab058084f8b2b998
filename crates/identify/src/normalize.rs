//! One written form per identifier.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use jumelle_model::workspace::{NamespaceRule, Normalizer};

/// Longest value of an identifier, in bytes.
pub const VALUE_BYTES_MAX: usize = 512;

/// Values that no namespace takes for a person: what broken pages send instead of an id.
const NOBODY: [&str; 8] =
    ["null", "undefined", "none", "nan", "unknown", "anonymous", "[object object]", "00000000-0000-0000-0000-000000000000"];

/// Why a value identifies nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// Nothing left after trimming.
    Empty,
    /// Over [`VALUE_BYTES_MAX`].
    TooLong,
    /// Matches a blocked pattern of the workspace, or is what broken pages send.
    Blocked,
    /// Not an e-mail address.
    NotAnEmail,
    /// Not a telephone number, in the workspace's country or any other.
    NotAPhone,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rejection::Empty => "empty",
            Rejection::TooLong => "longer than 512 bytes",
            Rejection::Blocked => "a blocked value",
            Rejection::NotAnEmail => "not an e-mail address",
            Rejection::NotAPhone => "not a telephone number",
        })
    }
}

/// Normalises a value as its namespace's rule says. `country`: ISO 3166-1 alpha-2, for numbers written without country code.
pub fn normalize(rule: &NamespaceRule, country: &str, raw: &str) -> Result<String, Rejection> {
    let trimmed = raw.trim();
    if trimmed.is_empty() {
        return Err(Rejection::Empty);
    }
    if trimmed.len() > VALUE_BYTES_MAX {
        return Err(Rejection::TooLong);
    }
    if NOBODY.iter().any(|nobody| nobody.eq_ignore_ascii_case(trimmed)) {
        return Err(Rejection::Blocked);
    }
    let value = match rule.normalize {
        Normalizer::Trim => trimmed.to_owned(),
        Normalizer::Lowercase => trimmed.to_lowercase(),
        Normalizer::Email => email(trimmed)?,
        Normalizer::E164 => e164(trimmed, country)?,
    };
    if rule.block.iter().any(|pattern| glob(&pattern.to_lowercase(), &value.to_lowercase())) {
        return Err(Rejection::Blocked);
    }
    Ok(value)
}

/// Lower case; one `@`, a local part, a domain with a dot. Dots and tags of the local part are kept: they may be two people.
fn email(text: &str) -> Result<String, Rejection> {
    let lower = text.to_lowercase();
    let (local, domain) = lower.rsplit_once('@').ok_or(Rejection::NotAnEmail)?;
    let well_formed = !local.is_empty()
        && !local.contains('@')
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && lower.len() <= 254
        && !lower.chars().any(|c| c.is_whitespace() || c.is_control());
    if well_formed { Ok(lower) } else { Err(Rejection::NotAnEmail) }
}

thread_local! {
    /// What a number was found to be: parsing one costs more than all the rest of an event, and a customer's comes with most of
    /// hers. Per country as written in the workspace.
    static NUMBERS: RefCell<HashMap<(String, String), Result<String, Rejection>>> = RefCell::default();
}

/// Numbers remembered per thread; past it all are forgotten.
const NUMBERS_MAX: usize = 32_768;

fn e164(text: &str, country: &str) -> Result<String, Rejection> {
    let key = (country.to_owned(), text.to_owned());
    if let Some(known) = NUMBERS.with_borrow(|numbers| numbers.get(&key).cloned()) {
        return known;
    }
    let found = parse_e164(text, country);
    NUMBERS.with_borrow_mut(|numbers| {
        if numbers.len() >= NUMBERS_MAX {
            numbers.clear();
        }
        numbers.insert(key, found.clone());
    });
    found
}

fn parse_e164(text: &str, country: &str) -> Result<String, Rejection> {
    let id: Option<phonenumber::country::Id> = country.parse().ok();
    let international = text.strip_prefix("00").map(|rest| format!("+{rest}"));
    let number = phonenumber::parse(id, international.as_deref().unwrap_or(text)).map_err(|_| Rejection::NotAPhone)?;
    if !phonenumber::is_valid(&number) {
        return Err(Rejection::NotAPhone);
    }
    Ok(number.format().mode(phonenumber::Mode::E164).to_string())
}

/// `*` stands for any characters, also none.
pub fn glob(pattern: &str, value: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return value.is_empty() };
    let Some(mut rest) = value.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(previous) = last.replace(part) {
            match rest.find(previous) {
                Some(at) => rest = &rest[at + str::len(previous)..],
                None => return false,
            }
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(normalize: Normalizer, block: &[&str]) -> NamespaceRule {
        NamespaceRule { key: "n".into(), limit: 1, normalize, block: block.iter().map(|b| b.to_string()).collect() }
    }

    #[test]
    fn each_normaliser_gives_one_written_form() {
        for (normalizer, raw, expected) in [
            (Normalizer::Email, " Ana.Dupont+news@Example.ORG ", Ok("ana.dupont+news@example.org")),
            (Normalizer::Email, "ana@localhost", Err(Rejection::NotAnEmail)),
            (Normalizer::Email, "a b@example.org", Err(Rejection::NotAnEmail)),
            (Normalizer::E164, "06 12 34 56 78", Ok("+33612345678")),
            (Normalizer::E164, "+33 6 12 34 56 78", Ok("+33612345678")),
            (Normalizer::E164, "0033612345678", Ok("+33612345678")),
            (Normalizer::E164, "+44 7911 123456", Ok("+447911123456")),
            (Normalizer::E164, "12", Err(Rejection::NotAPhone)),
            (Normalizer::Trim, "  Card 7 ", Ok("Card 7")),
            (Normalizer::Lowercase, "ABC", Ok("abc")),
            (Normalizer::Trim, "undefined", Err(Rejection::Blocked)),
            (Normalizer::Trim, "  ", Err(Rejection::Empty)),
        ] {
            assert_eq!(normalize(&rule(normalizer, &[]), "FR", raw), expected.map(str::to_owned), "{raw}");
        }
    }

    #[test]
    fn blocked_patterns_have_stars() {
        let emails = rule(Normalizer::Email, &["test@*", "*@noreply.*", "a*b*@x.org"]);
        for (raw, blocked) in [
            ("Test@example.org", true),
            ("someone@noreply.example.org", true),
            ("aXXbYY@x.org", true),
            ("ab@x.org", true),
            ("ba@x.org", false),
            ("contest@example.org", false),
        ] {
            assert_eq!(normalize(&emails, "FR", raw) == Err(Rejection::Blocked), blocked, "{raw}");
        }
    }
}
