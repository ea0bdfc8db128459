use std::fmt;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::text;

/// `decimal`: up to 28 digits behind the point, whose number is kept: `12.340` stays `12.340`.
///
/// JSON: a number, never a string. MessagePack: a string, never a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(rust_decimal::Decimal);

impl From<rust_decimal::Decimal> for Decimal {
    fn from(decimal: rust_decimal::Decimal) -> Self {
        Self(decimal)
    }
}

impl From<Decimal> for rust_decimal::Decimal {
    fn from(decimal: Decimal) -> Self {
        decimal.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        // rust_decimal takes them, .NET does not.
        if text.contains('_') {
            return None;
        }
        let decimal = if text.contains(['e', 'E']) {
            rust_decimal::Decimal::from_scientific(text)
        } else {
            text.parse()
        };
        let mut decimal = decimal.ok()?;
        if decimal.is_zero() {
            decimal.set_sign_positive(true);
        }
        Some(Self(decimal))
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let number = RawValue::from_string(self.to_string()).map_err(serde::ser::Error::custom)?;
            number.serialize(serializer)
        } else {
            serializer.collect_str(self)
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return text::deserialize(deserializer, "a decimal", Self::parse);
        }
        let number = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(number.get()).ok_or_else(|| D::Error::custom(format_args!("{number} is not a decimal")))
    }
}
