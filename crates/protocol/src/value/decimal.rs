use std::fmt;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::text;

/// Digits behind the point.
const MOST_DIGITS: i64 = 28;
const LARGEST: u128 = (1 << 96) - 1;
const TWENTY_NINE_DIGITS: u128 = 10u128.pow(28);

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
    /// Reads `[sign]digits[.digits][exponent]`, and rounds what is finer than a decimal can be to the nearest one.
    fn parse(text: &str) -> Option<Self> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, self::exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let mut digits = Vec::with_capacity(number.len());
        for byte in whole.bytes().chain(fraction.bytes()) {
            digits.push(byte.is_ascii_digit().then(|| byte - b'0')?);
        }
        if digits.is_empty() {
            return None;
        }
        let point = exponent.saturating_add(i64::try_from(whole.len()).ok()?);
        let (mantissa, scale) = nearest(&digits, point)?;
        let mantissa = i128::try_from(mantissa).ok()?;
        let signed = if negative { -mantissa } else { mantissa };
        rust_decimal::Decimal::try_from_i128_with_scale(signed, scale).ok().map(Self)
    }
}

/// What follows the letter; as large as it gets where it is larger.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let size = is_number.then(|| digits.parse().unwrap_or(i64::MAX))?;
    Some(if text.starts_with('-') { -size } else { size })
}

/// Mantissa and scale of the decimal nearest to these digits, `point` of which are before the point: it may lie in front of
/// them and behind them too. `None` where the number is too large.
///
/// Source: recorded cases `json-spellings/decimal` and `messagepack-spellings/decimal`.
fn nearest(digits: &[u8], point: i64) -> Option<(u128, u32)> {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = digits.get(zeros..).unwrap_or_default();
    let point = point.saturating_sub(i64::try_from(zeros).ok()?);
    if digits.is_empty() {
        return Some((0, u32::try_from(point.saturating_neg().clamp(0, MOST_DIGITS)).ok()?));
    }
    let finest = point.saturating_add(MOST_DIGITS);
    if finest < 0 {
        return Some((0, u32::try_from(MOST_DIGITS).ok()?));
    }
    let wanted = i64::try_from(digits.len()).ok()?.max(point).min(finest);
    let (mut mantissa, mut taken) = (0, 0);
    let mut left = digits;
    while taken < wanted {
        let (digit, rest) = left.split_first().unwrap_or((&0, &[]));
        let more = 10 * mantissa + u128::from(*digit);
        if more > LARGEST {
            break;
        }
        (mantissa, taken, left) = (more, taken + 1, rest);
    }
    round(mantissa, u32::try_from(taken - point).ok()?, left)
}

/// Rounds by the digits that are left. Between two decimals the even one is taken, or the larger one where the mantissa
/// has all of 29 digits, of which .NET sees no further one.
fn round(mantissa: u128, scale: u32, left: &[u8]) -> Option<(u128, u32)> {
    let up = match left {
        [5, exactly @ ..] if exactly.iter().all(|digit| *digit == 0) => {
            mantissa % 2 == 1 || mantissa >= TWENTY_NINE_DIGITS
        }
        [first, ..] => *first >= 5,
        [] => false,
    };
    match mantissa + u128::from(up) {
        mantissa if mantissa <= LARGEST => Some((mantissa, scale)),
        too_large => Some((too_large.div_ceil(10), scale.checked_sub(1)?)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_fine_is_rounded() {
        for (text, decimal) in [
            ("12.340", "12.340"),
            ("-0.00", "0.00"),
            ("1.10e1", "11.0"),
            ("12345.6789e-10", "0.00000123456789"),
            ("1e-29", "0.0000000000000000000000000000"),
            ("5e-29", "0.0000000000000000000000000000"),
            ("6e-29", "0.0000000000000000000000000001"),
            ("15e-29", "0.0000000000000000000000000002"),
            ("0.12345678901234567890123456785", "0.1234567890123456789012345678"),
            ("0.123456789012345678901234567850000001", "0.1234567890123456789012345679"),
            ("8.00000000000000000000000000149", "8.000000000000000000000000001"),
            ("8.0000000000000000000000000025", "8.000000000000000000000000002"),
            ("1.00000000000000000000000000005", "1.0000000000000000000000000001"),
            ("79228162514264337593543950335.4999", "79228162514264337593543950335"),
            ("7.92281625142643375935439503355", "7.922816251426433759354395034"),
            ("7922816251426433759354395033500e-2", "79228162514264337593543950335"),
            ("1e-99999999999999999999", "0.0000000000000000000000000000"),
            ("0e99999999999999999999", "0"),
            ("0e-3", "0.000"),
            (".5", "0.5"),
            ("1.", "1"),
            ("+1E+02", "100"),
        ] {
            assert_eq!(
                Decimal::parse(text).map(|decimal| decimal.to_string()).as_deref(),
                Some(decimal),
                "{text}"
            );
        }
        for text in [
            "",
            "-",
            ".",
            "e1",
            "1e",
            "1e+",
            "1e1.0",
            "--1",
            "1_000",
            "1,0",
            " 1",
            "1 ",
            "0x1",
            "1m",
            "NaN",
            "1.2.3",
            "\"1\"",
            "79228162514264337593543950335.5",
            "79228162514264337593543950336",
            "8e28",
            "1e99999999999999999999",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
