use std::fmt;

use serde::de::value::{MapAccessDeserializer, U32Deserializer};
use serde::de::{EnumAccess, Error, IntoDeserializer, MapAccess, Unexpected, Visitor};

use super::DotNet;

/// Reads a variant without data from its index, and none by its name, as System.Text.Json does.
pub(super) struct Numbered<V>(pub(super) V);

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
        DotNet(self.0).visit_enum(MapAccessDeserializer::new(variant))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        DotNet(self.0).visit_enum(variant)
    }
}
