use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// A whole number of a body or a query, from `MIN` to `MAX`; its description says so. In JSON `5.0` is one, as in JSON Schema and for
/// clients that know one kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// This number, or the bound that is nearest to it.
    pub(crate) fn nearest(number: i64) -> Self {
        Self(number.clamp(MIN, MAX))
    }

    /// The number.
    pub(crate) fn get(self) -> i64 {
        self.0
    }

    /// The number, where the bounds are those of a `u32`.
    pub(crate) fn as_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Option<i64>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Option<i64>, E> {
                Ok(Some(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Option<i64>, E> {
                Ok(i64::try_from(number).ok())
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Option<i64>, E> {
                let is_whole = number.fract() == 0.0;
                Ok(is_whole.then(|| format!("{number:.0}").parse().ok()).flatten())
            }
        }

        let number = deserializer.deserialize_i64(Number).ok().flatten();
        let number = number.filter(|number| (MIN..=MAX).contains(number));
        number
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("a whole number from {MIN} to {MAX} is needed")))
    }
}

impl<const MIN: i64, const MAX: i64> ToSchema for Whole<MIN, MAX> {}

impl<const MIN: i64, const MAX: i64> PartialSchema for Whole<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        integer(MIN, MAX).into()
    }
}

/// The description of a number within bounds.
pub(super) fn integer(min: i64, max: i64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(min))
        .maximum(Some(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Small = Whole<-1, 100>;

    #[test]
    fn a_whole_number_may_have_a_point_and_has_bounds() {
        for (json, number) in [("7", 7), ("7.0", 7), ("0.7e1", 7), ("-1", -1), ("-0.0", 0), ("100", 100)] {
            assert_eq!(serde_json::from_str::<Small>(json).unwrap().get(), number, "{json}");
        }
        for json in ["7.5", "1e300", "-2.0", "101", "\"7\"", "null", "18446744073709551615", "[7]"] {
            let error = serde_json::from_str::<Small>(json).unwrap_err().to_string();
            assert!(error.starts_with("a whole number from -1 to 100 is needed"), "{json}: {error}");
        }
        let query = |text: &str| serde_urlencoded::from_str::<Vec<(String, Small)>>(text);
        assert_eq!(query("a=7").unwrap()[0].1.as_u32(), 7);
        for text in ["a=", "a=7.5", "a=seven", "a=-2", "a=99999999999999999999"] {
            assert!(query(text).unwrap_err().to_string().contains("from -1 to 100"), "{text}");
        }
    }
}
