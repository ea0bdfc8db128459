use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};

use super::DotNet;
use super::names::{is_member, is_property};

/// Reads a structure from a map, and from no array, with the names that .NET gives its fields.
pub(super) struct Structure<V> {
    pub(super) visitor: V,
    pub(super) fields: &'static [&'static str],
    pub(super) human_readable: bool,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Structure<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let matches = if self.human_readable { is_property } else { is_member };
        self.visitor.visit_map(Fields { access, fields: self.fields, matches })
    }
}

struct Fields<A> {
    access: A,
    fields: &'static [&'static str],
    matches: fn(&str, &str) -> bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.access.next_key_seed(Field { seed, fields: self.fields, matches: self.matches })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.access.next_value_seed(DotNet(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.access.size_hint()
    }
}

/// Turns the name of a member or property into serde's name of the field.
struct Field<K> {
    seed: K,
    fields: &'static [&'static str],
    matches: fn(&str, &str) -> bool,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Field<K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for Field<K> {
    type Value = K::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<K::Value, E> {
        let field = match self.fields.iter().find(|field| (self.matches)(field, name)) {
            Some(field) => field,
            // Serde's own name is not the one on the wire here, so it must not be taken for the field.
            None if self.fields.contains(&name) => "",
            None => name,
        };
        self.seed.deserialize(field.into_deserializer())
    }
}
