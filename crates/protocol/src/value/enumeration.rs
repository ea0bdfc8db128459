use serde::de::value::U32Deserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, Unexpected};
use serde::{Deserialize, Serialize, Serializer};

use crate::dot_net::DotNet;

/// An enum of .NET, which may hold numbers that it does not define.
///
/// `E` is a Rust enum without data. JSON: its number, whatever [`Naming`](crate::Naming) says. MessagePack: its
/// name; a number that is not defined is a string of digits.
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
        let name = String::deserialize(deserializer)?;
        let variant: serde::de::value::StrDeserializer<'_, D::Error> = name.as_str().into_deserializer();
        match (E::deserialize(variant), name.parse()) {
            (Ok(variant), _) => Ok(Self::Defined(variant)),
            (Err(_), Ok(number)) => Ok(Self::of_number(number)),
            (Err(_), Err(_)) => {
                Err(D::Error::invalid_value(Unexpected::Str(&name), &"the name of a variant"))
            }
        }
    }
}

impl<'de, E: Deserialize<'de>> Enum<E> {
    fn of_number(number: i32) -> Self {
        let index = u32::try_from(number).ok();
        let variant = index.and_then(|index| {
            let index: U32Deserializer<serde::de::value::Error> = index.into_deserializer();
            E::deserialize(index).ok()
        });
        variant.map_or(Self::Undefined(number), Self::Defined)
    }
}
