use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, Visitor};

use super::names::{is_member, is_property};
use super::{FromDotNet, Repeats};
use crate::json;

/// Reads a structure from a map, and from no array, with the names that .NET gives its fields.
pub(super) struct Structure<V> {
    pub(super) visitor: V,
    pub(super) fields: &'static [&'static str],
    pub(super) human_readable: bool,
    pub(super) repeats: Repeats,
    /// Which entries of the map to pass over; none of those behind its end.
    pub(super) superseded: Vec<bool>,
}

/// Which members of a JSON object, counted from the first, are followed by another one for the same field.
pub(super) fn superseded(object: &str, fields: &[&str]) -> Vec<bool> {
    let mut found = Vec::new();
    // What is not an object has no members, and is refused by who reads it.
    _ = json::properties(object.as_bytes(), |name, member| {
        let name = name.decode().unwrap_or_default();
        found.push(fields.iter().position(|field| is_property(field, &name)));
        member.value().map(drop)
    });
    let mut seen = vec![false; fields.len()];
    let mut superseded = vec![false; found.len()];
    for (member, field) in found.into_iter().enumerate().rev() {
        superseded[member] = field.is_some_and(|field| std::mem::replace(&mut seen[field], true));
    }
    superseded
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Structure<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let matches = if self.human_readable { is_property } else { is_member };
        let Self { visitor, fields, repeats, superseded, .. } = self;
        visitor.visit_map(Fields { access, fields, matches, repeats, superseded: superseded.into_iter() })
    }
}

struct Fields<A> {
    access: A,
    fields: &'static [&'static str],
    matches: fn(&str, &str) -> bool,
    repeats: Repeats,
    superseded: std::vec::IntoIter<bool>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while self.superseded.next() == Some(true) {
            self.access.next_entry::<IgnoredAny, IgnoredAny>()?;
        }
        self.access.next_key_seed(Field { seed, fields: self.fields, matches: self.matches })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.access.next_value_seed(FromDotNet(seed, self.repeats))
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
