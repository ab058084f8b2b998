//! Reading a property of an event for rules: paths, items of a list, money in the workspace's currency.

use jumelle_model::Json;
use jumelle_model::event::{Event, Scalar, lookup};
use jumelle_model::number::{Currency, Decimal, Money, round_div};
use jumelle_model::rule::MONEY_PROPERTIES;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{ExchangeRate, Settings};

/// The list whose items a path may address (`products.name`).
pub const ITEMS: &str = "products";

/// Names of an order's amount; each stands for the others where one is missing.
pub const ORDER_AMOUNTS: [&str; 3] = ["total", "revenue", "value"];

/// What amounts are converted with.
#[derive(Clone, Debug)]
pub struct Exchange {
    currency: Currency,
    rates: Vec<ExchangeRate>,
}

/// A property's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Property {
    /// Missing, null, or of a type that has no single value.
    None,
    /// A single value.
    Value(Scalar),
    /// An amount in a currency without a rate at that time: kept out of sums, counted.
    Unconverted,
}

impl Property {
    /// The value, if there is one.
    pub fn value(self) -> Option<Scalar> {
        match self {
            Property::Value(scalar) => Some(scalar),
            Property::None | Property::Unconverted => None,
        }
    }
}

impl Exchange {
    /// Of a workspace.
    pub fn of(settings: &Settings) -> Exchange {
        Exchange { currency: settings.currency, rates: settings.rates.clone() }
    }

    /// An amount rounded to its currency's minor unit, then converted by the rate in force, rounded to the workspace's.
    fn convert(&self, amount: Decimal, currency: Currency, time: Timestamp) -> Option<Decimal> {
        let money = Money::from_major(amount, currency);
        if currency == self.currency {
            return Some(money.to_major());
        }
        let rate = self.rates.iter().rev().find(|rate| rate.currency == currency && rate.from <= time)?;
        let product = i128::from(money.to_major().0) * i128::from(rate.rate.0);
        let converted = Decimal(i64::try_from(round_div(product, 1_000_000)).ok()?);
        Some(Money::from_major(converted, self.currency).to_major())
    }
}

/// The part of `path` after the items' list, if it addresses items.
pub fn item_path(path: &str) -> Option<&str> {
    path.strip_prefix(ITEMS)?.strip_prefix('.')
}

/// Whether a path names an amount of money.
pub fn is_money(path: &str) -> bool {
    MONEY_PROPERTIES.contains(&path.rsplit('.').next().unwrap_or(path))
}

/// The items of an event.
pub fn items<'e, 'a>(event: &'e Event<'a>) -> &'e [Json<'a>] {
    match lookup(&event.properties, ITEMS) {
        Some(Json::Array(items)) => items,
        _ => &[],
    }
}

/// The property at `path` below `root` (the event's properties, or one item).
pub fn property(exchange: &Exchange, event: &Event<'_>, root: &Json<'_>, path: &str) -> Property {
    let is_order_amount = ORDER_AMOUNTS.contains(&path);
    let found = lookup(root, path).or_else(|| {
        let others = ORDER_AMOUNTS.iter().filter(|other| is_order_amount && **other != path);
        others.filter_map(|other| lookup(root, other)).next()
    });
    let Some(scalar) = found.and_then(Scalar::from_json) else { return Property::None };
    match scalar {
        Scalar::Number(amount) if is_money(path) => {
            let currency = match lookup(&event.properties, "currency") {
                Some(Json::Str(code)) => Currency::parse(code),
                _ => Some(exchange.currency),
            };
            match currency.and_then(|currency| exchange.convert(amount, currency, event.time)) {
                Some(amount) => Property::Value(Scalar::Number(amount)),
                None => Property::Unconverted,
            }
        }
        scalar => Property::Value(scalar),
    }
}

/// What an order is known by; without an `order_id`, by its message.
pub fn order_id(event: &Event<'_>) -> String {
    match lookup(&event.properties, "order_id").and_then(Scalar::from_json) {
        Some(id) => id.to_string(),
        None => format!("message:{}", event.message_id),
    }
}
