//! `workspace:` the house itself.

use super::reader::{Reader, is_key, not_a_key};
use crate::number::{Currency, Decimal};
use crate::time::Timestamp;
use crate::workspace::node::{Node, Value, get, join};
use crate::workspace::{ExchangeRate, Settings};

pub fn by_default() -> Settings {
    Settings {
        key: "default".into(),
        locale: "en".into(),
        timezone: "UTC".into(),
        country: "GB".into(),
        currency: Currency::EUR,
        rates: Vec::new(),
    }
}

pub fn settings(reader: &mut Reader, node: &Node) -> Settings {
    let mut settings = by_default();
    let path = "workspace";
    let Some(entries) = reader.map(node, path) else { return settings };
    reader.only(entries, path, &["key", "locale", "timezone", "country", "currency", "rates"]);
    if let Some(node) = get(entries, "key")
        && let Some(key) = reader.text(node, "workspace.key")
    {
        if !is_key(&key) {
            reader.at(node, "workspace.key", not_a_key(&key));
        }
        settings.key = key;
    }
    if let Some(locale) =
        get(entries, "locale").and_then(|node| reader.choice(node, "workspace.locale", &[("fr", "fr"), ("en", "en")]))
    {
        settings.locale = locale.to_owned();
    }
    if let Some(node) = get(entries, "timezone")
        && let Some(name) = reader.text(node, "workspace.timezone")
    {
        if jiff::tz::TimeZone::get(&name).is_err() {
            reader.at(
                node,
                "workspace.timezone",
                format!("{name:?} is not a time zone; write an IANA name such as Europe/Paris"),
            );
        }
        settings.timezone = name;
    }
    if settings.locale == "fr" {
        settings.country = "FR".into();
    }
    if let Some(node) = get(entries, "country")
        && let Some(country) = reader.text(node, "workspace.country")
    {
        if country.parse::<phonenumber::country::Id>().is_err() {
            reader.at(node, "workspace.country", format!("{country:?} is not a country; write two capital letters such as FR"));
        }
        settings.country = country;
    }
    if let Some(node) = get(entries, "currency")
        && let Some(text) = reader.text(node, "workspace.currency")
    {
        match Currency::parse(&text) {
            Some(currency) => settings.currency = currency,
            None => reader.at(node, "workspace.currency", not_a_currency(&text)),
        }
    }
    if let Some(node) = get(entries, "rates") {
        settings.rates = rates(reader, node, settings.currency);
    }
    settings
}

fn not_a_currency(text: &str) -> String {
    format!("{text:?} is not a currency; write three letters such as EUR")
}

/// `rates: {GBP: [{from: 2011-01-01, rate: 1.17}]}`, sorted by currency and date.
fn rates(reader: &mut Reader, node: &Node, own: Currency) -> Vec<ExchangeRate> {
    let mut rates: Vec<ExchangeRate> = Vec::new();
    for (key, list) in reader.map(node, "workspace.rates").unwrap_or_default() {
        let path = join("workspace.rates", &key.text);
        let Some(currency) = Currency::parse(&key.text) else {
            reader.at_key(key, &path, not_a_currency(&key.text));
            continue;
        };
        if currency == own {
            reader.at_key(key, &path, format!("{currency} is the workspace's currency; its rate is 1"));
        }
        for (n, entry) in reader.list(list, &path).unwrap_or_default().iter().enumerate() {
            let path = format!("{path}[{n}]");
            let Some((from, rate)) = rate(reader, entry, &path) else { continue };
            if rates.iter().any(|other| other.currency == currency && other.from == from) {
                reader.at(entry, &path, format!("{currency} has another rate from {from}"));
            }
            rates.push(ExchangeRate { currency, from, rate });
        }
    }
    rates.sort_by_key(|rate| (rate.currency, rate.from));
    rates
}

fn rate(reader: &mut Reader, node: &Node, path: &str) -> Option<(Timestamp, Decimal)> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["from", "rate"]);
    let (Some(from), Some(rate)) = (get(entries, "from"), get(entries, "rate")) else {
        reader.at(node, path, "a rate is {from: 2011-01-01, rate: 1.17}");
        return None;
    };
    let from = instant(reader, from, &join(path, "from"));
    let path = join(path, "rate");
    let units = number(reader, rate, &path)?;
    if units <= Decimal(0) {
        reader.at(rate, &path, "a rate is more than 0");
        return None;
    }
    Some((from?, units))
}

pub fn instant(reader: &mut Reader, node: &Node, path: &str) -> Option<Timestamp> {
    let text = reader.text(node, path)?;
    let at = Timestamp::parse(&text);
    if at.is_none() {
        reader.at(node, path, format!("{text:?} is not an instant; write 2026-01-01T00:00:00Z"));
    }
    at
}

/// A number that is kept exactly, and written exactly by [`Decimal::to_json`].
pub fn number(reader: &mut Reader, node: &Node, path: &str) -> Option<Decimal> {
    let Value::Number(text) = &node.value else {
        let what = match &node.value {
            Value::Text(text) => format!("the text {text:?}"),
            _ => node.kind().to_owned(),
        };
        reader.at(node, path, format!("a number is expected here, not {what}"));
        return None;
    };
    let number = Decimal::parse(text).filter(|number| {
        let json = number.to_json();
        json.is_i64() || json.as_f64().and_then(Decimal::from_f64) == Some(*number)
    });
    if number.is_none() {
        reader.at(
            node,
            path,
            format!("{text} has more digits than a number keeps (9 × 10¹², 15 in all); an identifier is a text: {text:?}"),
        );
    }
    number
}
