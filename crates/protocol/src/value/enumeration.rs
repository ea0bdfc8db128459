use std::cell::Cell;
use std::marker::PhantomData;

use serde::de::value::{self, StrDeserializer, U32Deserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer, forward_to_deserialize_any};

use crate::dot_net::{DotNet, parse_enum};

/// An enum of .NET, which may hold numbers that it does not define.
///
/// `E` is a Rust enum without data. JSON: its number, whatever [`Naming`](crate::Naming) says. MessagePack: its
/// name; a number that is not defined is a string of digits. Names between commas are read as well, and put together
/// bit by bit: `Green, Blue` is 3 where `Green` is 1 and `Blue` is 2.
///
/// A plain Rust enum does as well where a number that is not defined is to be an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Enum<E> {
    /// One of its variants.
    Defined(E),
    /// Any other number.
    Undefined(i32),
}

impl<E> From<E> for Enum<E> {
    fn from(variant: E) -> Self {
        Self::Defined(variant)
    }
}

impl<E: Serialize> Serialize for Enum<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Defined(variant) => variant.serialize(DotNet(serializer)),
            Self::Undefined(number) if serializer.is_human_readable() => number.serialize(serializer),
            Self::Undefined(number) => serializer.collect_str(number),
        }
    }
}

impl<'de, E: Deserialize<'de>> Deserialize<'de> for Enum<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return i32::deserialize(deserializer).map(Self::of_number);
        }
        let text = String::deserialize(deserializer)?;
        let number = Cell::new(None);
        let defined = E::deserialize(Text { text: &text, number: &number, error: PhantomData });
        match (defined, number.get()) {
            (Ok(variant), _) => Ok(Self::Defined(variant)),
            (Err(_), Some(number)) => Ok(Self::Undefined(number)),
            (Err(error), None) => Err(error),
        }
    }
}

/// A text that `Enum.Parse` reads. The number is told too, as there may be no variant for it.
struct Text<'a, E> {
    text: &'a str,
    number: &'a Cell<Option<i32>>,
    error: PhantomData<E>,
}

impl<'de, E: Error> Deserializer<'de> for Text<'_, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_str(self.text)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        self.number.set(parse_enum(self.text, variants));
        match self.number.get() {
            Some(number) => visitor.visit_enum(index(number)),
            None => visitor.visit_enum(StrDeserializer::new(self.text)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The number as a variant's index; one that is negative is that of no variant.
fn index<E: Error>(number: i32) -> U32Deserializer<E> {
    u32::try_from(number).unwrap_or(u32::MAX).into_deserializer()
}

impl<'de, E: Deserialize<'de>> Enum<E> {
    fn of_number(number: i32) -> Self {
        E::deserialize(index::<value::Error>(number)).map_or(Self::Undefined(number), Self::Defined)
    }
}
