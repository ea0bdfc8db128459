use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer, U32Deserializer};
use serde::de::{EnumAccess, Error, IntoDeserializer, MapAccess, Unexpected, Visitor};

use super::FromDotNet;

/// Reads a variant without data from its index, and none by its name, as System.Text.Json does.
pub(super) struct Numbered<V>(pub(super) FromDotNet<V>);

impl<'de, V: Visitor<'de>> Visitor<'de> for Numbered<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number of a variant of ")?;
        self.0.expecting(f)
    }

    fn visit_u64<E: Error>(self, index: u64) -> Result<V::Value, E> {
        let index = u32::try_from(index).map_err(|_| E::invalid_value(Unexpected::Unsigned(index), &self))?;
        let index: U32Deserializer<E> = index.into_deserializer();
        self.0.visit_enum(index)
    }

    fn visit_map<A: MapAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(MapAccessDeserializer::new(variant))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(variant)
    }
}

/// Reads a variant without data from a text as MessagePack-CSharp does, which leaves it to `Enum.Parse`.
pub(super) struct Named<V> {
    pub(super) visitor: FromDotNet<V>,
    pub(super) variants: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Named<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a variant of ")?;
        self.visitor.expecting(f)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
        let index = parse(text, self.variants).and_then(|number| u32::try_from(number).ok());
        match index {
            Some(index) => self.visitor.visit_enum::<U32Deserializer<E>>(index.into_deserializer()),
            None => self.visitor.visit_enum(StrDeserializer::<E>::new(text)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(MapAccessDeserializer::new(variant))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(variant)
    }
}

/// The number that `Enum.Parse` makes of a text: a number, or names between commas, whose numbers are put together
/// bit by bit. White space around them does not count; the case of letters does. A variant's number is its index.
pub(crate) fn parse(text: &str, variants: &[&str]) -> Option<i32> {
    let text = text.trim();
    if text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-')) {
        return text.parse().ok();
    }
    text.split(',').map(str::trim).try_fold(0, |all, name| {
        let index = variants.iter().position(|variant| *variant == name)?;
        Some(all | i32::try_from(index).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_by_enum_parse() {
        let color = |text| parse(text, &["Red", "Green", "Blue"]);
        for (text, number) in [
            ("Red", 0),
            (" \tBlue\u{a0}\n", 2),
            ("Red, Blue", 2),
            ("Green,Blue", 3),
            (" Blue , Green , Red ", 3),
            ("Green,Green", 1),
            ("2", 2),
            (" +01 ", 1),
            ("-0", 0),
            ("-1", -1),
            ("2147483647", i32::MAX),
        ] {
            assert_eq!(color(text), Some(number), "{text:?}");
        }
        for text in [
            "",
            " ",
            "red",
            "Re d",
            ",",
            "Red,",
            ",Red",
            "Red,,Blue",
            "Red,1",
            "1,2",
            "1.0",
            "0x1",
            "2147483648",
        ] {
            assert_eq!(color(text), None, "{text:?}");
        }
    }
}
