use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// Name of the newtype that stands for a value as it is on the wire: its content is the value's bytes.
///
/// What serde has no word for goes through it: extension types, and integers that keep their width.
pub(crate) const NAME: &str = "$hubline_protocol::message_pack::Raw";

/// One value of MessagePack, to be written as it is.
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Bytes<'a>(&'a [u8]);
        impl Serialize for Bytes<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.0)
            }
        }
        serializer.serialize_newtype_struct(NAME, &Bytes(self.0))
    }
}

/// Reads one value of MessagePack as it is; `expected` says what it should be, in errors.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    parse: fn(&[u8]) -> Option<T>,
) -> Result<T, D::Error> {
    deserializer.deserialize_newtype_struct(NAME, Parsed { expected, parse })
}

struct Parsed<T> {
    expected: &'static str,
    parse: fn(&[u8]) -> Option<T>,
}

impl<T> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<T, E> {
        (self.parse)(value).ok_or_else(|| E::custom(format_args!("expected {}", self.expected)))
    }
}
