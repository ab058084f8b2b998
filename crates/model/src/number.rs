//! Numbers without floats: decimals in millionths, and money in minor units.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json_borrow::Value;

/// A decimal number as an integer of millionths, so that sums do not depend on the order of the addends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Decimal(pub i64);

/// How many millionths make one.
pub const DECIMAL_ONE: i64 = 1_000_000;

impl Decimal {
    /// Whole number to decimal; `None` beyond ±9.2 × 10¹².
    pub fn from_integer(number: i64) -> Option<Decimal> {
        number.checked_mul(DECIMAL_ONE).map(Decimal)
    }

    /// Reads `12`, `-3.5`, `1e3`; digits beyond the sixth are rounded half away from zero.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut units: i128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            if !byte.is_ascii_digit() {
                return None;
            }
            units = units.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
        }
        let shift = exponent.checked_add(6)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let scaled = if shift >= 0 {
            units.checked_mul(10i128.checked_pow(shift.unsigned_abs())?)?
        } else {
            match 10i128.checked_pow(shift.unsigned_abs()) {
                Some(power) => units.checked_add(power / 2)? / power,
                None => 0,
            }
        };
        i64::try_from(if negative { -scaled } else { scaled }).ok().map(Decimal)
    }

    /// From a JSON number (exactly as its shortest decimal text reads). `None` for anything else.
    pub fn from_json(value: &Value<'_>) -> Option<Decimal> {
        let Value::Number(number) = value else { return None };
        match number.as_i64() {
            Some(integer) => Decimal::from_integer(integer),
            None => number.as_f64().and_then(Decimal::from_f64),
        }
    }

    /// From the shortest decimal text that reads back as this float.
    pub fn from_f64(number: f64) -> Option<Decimal> {
        number.is_finite().then(|| format!("{number}")).and_then(|text| Decimal::parse(&text))
    }

    /// For display and JSON only, never for arithmetic.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / DECIMAL_ONE as f64
    }

    /// As a JSON number: whole numbers without a fraction.
    pub fn to_json(self) -> serde_json::Value {
        if self.0 % DECIMAL_ONE == 0 { (self.0 / DECIMAL_ONE).into() } else { self.as_f64().into() }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.unsigned_abs() / 1_000_000, self.0.unsigned_abs() % 1_000_000);
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        write!(f, "{sign}{whole}.{}", format!("{rest:06}").trim_end_matches('0'))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An ISO 4217 code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro, the default of a workspace.
    pub const EUR: Currency = Currency(*b"EUR");

    /// Three ASCII letters, any case. Whether the code is assigned is not checked.
    pub fn parse(text: &str) -> Option<Currency> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphabetic).then(|| Currency(bytes.map(|b| b.to_ascii_uppercase())))
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Digits of the minor unit (ISO 4217:2015 table A.1): 2 but for the currencies listed.
    pub fn minor_digits(&self) -> u32 {
        match self.code() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND" | "VUV"
            | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Currency::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not an ISO 4217 code")))
    }
}

/// An amount: an integer of minor units (cents) and its currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Money {
    /// Minor units: 4189 is 41.89 EUR.
    #[serde(rename = "amount")]
    pub minor: i64,
    /// ISO 4217.
    pub currency: Currency,
}

impl Money {
    /// From an amount in major units, rounded half away from zero to the currency's minor unit.
    pub fn from_major(amount: Decimal, currency: Currency) -> Money {
        let unit = 10i64.pow(6 - currency.minor_digits());
        Money { minor: round_div(i128::from(amount.0), i128::from(unit)) as i64, currency }
    }

    /// In major units.
    pub fn to_major(self) -> Decimal {
        Decimal(self.minor.saturating_mul(10i64.pow(6 - self.currency.minor_digits())))
    }
}

/// Division rounded half away from zero. `divisor` is positive.
pub fn round_div(dividend: i128, divisor: i128) -> i128 {
    let half = divisor / 2;
    if dividend >= 0 { (dividend + half) / divisor } else { (dividend - half) / divisor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_as_they_are_written() {
        for (text, millionths) in [
            ("12", 12_000_000),
            ("-3.5", -3_500_000),
            ("1e3", 1_000_000_000),
            ("0.0000005", 1),
            ("1.005", 1_005_000),
            ("2.5E-1", 250_000),
        ] {
            assert_eq!(Decimal::parse(text), Some(Decimal(millionths)), "{text}");
        }
        for wrong in ["", "-", "1.2.3", "abc", "1e99", "99999999999999999999", "1e2147483647", "0.12345678e-2147483648"] {
            assert_eq!(Decimal::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn money_rounds_half_away_from_zero_to_the_minor_unit() {
        let pounds = Currency::parse("gbp").unwrap();
        assert_eq!(Money::from_major(Decimal::parse("1.005").unwrap(), pounds).minor, 101);
        assert_eq!(Money::from_major(Decimal::parse("-1.005").unwrap(), pounds).minor, -101);
        assert_eq!(Money::from_major(Decimal::parse("120").unwrap(), Currency::parse("JPY").unwrap()).minor, 120);
        assert_eq!(Money { minor: 4189, currency: Currency::EUR }.to_major().to_string(), "41.89");
    }
}
