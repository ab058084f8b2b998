//! Reading a property of an event for rules: paths, items of a list, money in the workspace's currency.

use jumelle_model::event::{Event, Scalar, lookup};
use jumelle_model::identifier::identifier_key;
use jumelle_model::number::{Currency, Decimal, Money, round_div};
use jumelle_model::rule::{Aggregate, MONEY_PROPERTIES, ORDER_COMPLETED, ORDER_REFUNDED};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{ExchangeRate, Settings};
use jumelle_model::{Json, number::DECIMAL_ONE};
use serde::{Deserialize, Serialize};

use crate::comparison::Value;

/// The list whose items a path may address (`products.name`).
pub const ITEMS: &str = "products";

/// Names of an order's amount; each stands for the others where one is missing.
const ORDER_AMOUNTS: [&str; 3] = ["total", "revenue", "value"];

/// Names of a refund's amount, the first that is there.
const REFUND_AMOUNTS: [&str; 4] = ["total", "revenue", "value", "amount"];

/// Bytes of an order id at most; a longer one is known by its hash.
const ORDER_ID_BYTES_MAX: usize = 64;

/// What amounts are converted with.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    currency: Currency,
    rates: Vec<ExchangeRate>,
}

/// What a refund takes off its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Refund {
    /// An amount without a rate of exchange: nothing, and counted.
    Unconverted,
    /// This much, in the workspace's currency.
    Amount(Decimal),
    /// All of it.
    Full,
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
        let in_force = self.rates.iter().filter(|rate| rate.currency == currency && rate.from <= time);
        let rate = in_force.max_by_key(|rate| rate.from)?;
        let product = i128::from(money.to_major().0) * i128::from(rate.rate.0);
        let converted = Decimal(i64::try_from(round_div(product, i128::from(DECIMAL_ONE))).ok()?);
        Some(Money::from_major(converted, self.currency).to_major())
    }

    fn money(&self, event: &Event<'_>, value: Value<'static>) -> Value<'static> {
        let Value::Number(amount) = value else { return value };
        let currency = match lookup(&event.properties, "currency") {
            Some(Json::Str(code)) => Currency::parse(code),
            _ => Some(self.currency),
        };
        let converted = currency.and_then(|currency| self.convert(amount, currency, event.time));
        converted.map_or(Value::Unconverted, Value::Number)
    }

    fn value<'e>(&self, event: &Event<'_>, found: Option<&'e Json<'_>>, path: &str) -> Value<'e> {
        match Value::of_json(found) {
            Value::Number(amount) if is_money(path) => self.money(event, Value::Number(amount)),
            other => other,
        }
    }

    /// The property at `path` of an event.
    pub fn of_event<'e>(&self, event: &'e Event<'_>, path: &str) -> Value<'e> {
        let mut found = lookup(&event.properties, path);
        if found.is_none() && is_order_amount(path) && matches!(event.name.as_ref(), ORDER_COMPLETED | ORDER_REFUNDED) {
            found = ORDER_AMOUNTS.iter().find_map(|other| lookup(&event.properties, other));
        }
        self.value(event, found, path)
    }

    /// The property at `path` of one item of an event.
    pub fn of_item<'e>(&self, event: &Event<'_>, item: &'e Json<'_>, path: &str) -> Value<'e> {
        self.value(event, lookup(item, path), path)
    }

    /// What an `Order Refunded` takes off. Without a number for an amount it takes everything.
    pub fn refund(&self, event: &Event<'_>) -> Refund {
        let found = REFUND_AMOUNTS.iter().find_map(|path| lookup(&event.properties, path));
        let amount = match Value::of_json(found) {
            Value::Number(amount) => self.money(event, Value::Number(amount)),
            _ => Value::Missing,
        };
        match amount {
            // Some senders write what they give back as a negative amount.
            Value::Number(amount) => Refund::Amount(Decimal(amount.0.saturating_abs())),
            Value::Unconverted => Refund::Unconverted,
            _ => Refund::Full,
        }
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

fn is_order_amount(path: &str) -> bool {
    ORDER_AMOUNTS.contains(&path)
}

/// Whether refunds reduce what this aggregate of orders reads.
pub fn is_net(aggregate: &Aggregate) -> bool {
    let reads = |of: &str| is_order_amount(of);
    matches!(aggregate, Aggregate::Sum(of) | Aggregate::Avg(of) | Aggregate::Min(of) | Aggregate::Max(of) if reads(of))
}

/// The items of an event.
pub fn items<'e, 'a>(event: &'e Event<'a>) -> &'e [Json<'a>] {
    match lookup(&event.properties, ITEMS) {
        Some(Json::Array(items)) => items,
        _ => &[],
    }
}

/// What an order is known by; without an `order_id`, by its message. A number and its text are the same id.
pub fn order_id(event: &Event<'_>) -> String {
    let id = match lookup(&event.properties, "order_id").and_then(Scalar::from_json) {
        Some(id) => id.to_string(),
        None => format!("message:{}", event.message_id),
    };
    if id.len() > ORDER_ID_BYTES_MAX { format!("hash:{:032x}", identifier_key("order", &id)) } else { id }
}
