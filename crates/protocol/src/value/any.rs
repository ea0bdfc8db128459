//! Values of any type.

mod json;
mod message_pack;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::message_pack::raw;
use crate::{BindError, ClientValue, Naming};

/// `object`: any value at all, kept as it came and decoded when it is known what it should be.
///
/// In the protocol that it came in, it is written as .NET does: in JSON with its numbers as they were, without
/// white space; in MessagePack with shortest integers, and those inside containers as wide as they came.
/// In the other protocol it is written as what it says: lists, maps, numbers and texts are themselves; in JSON
/// bytes become base64, a timestamp ISO 8601, keys texts, other extension types and numbers that are not finite
/// `null`. (.NET writes an empty map instead.)
#[derive(Debug, Clone)]
pub struct Any(Kept);

#[derive(Debug, Clone)]
enum Kept {
    /// Without white space.
    Json(Box<RawValue>),
    /// One whole value.
    MessagePack(Box<[u8]>),
}

impl Any {
    /// What it holds.
    pub fn as_client_value(&self) -> ClientValue<'_> {
        match &self.0 {
            Kept::Json(value) => ClientValue::Json(value.get().as_bytes()),
            Kept::MessagePack(value) => ClientValue::MessagePack(value),
        }
    }

    /// Decodes it.
    ///
    /// # Errors
    /// It is not a `T`.
    pub fn decode<T: DeserializeOwned>(&self, naming: Naming) -> Result<T, BindError> {
        self.as_client_value().decode(naming)
    }

    /// Whether it is `null` or nil.
    pub fn is_null(&self) -> bool {
        self.as_client_value().is_null()
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (&self.0, serializer.is_human_readable()) {
            (Kept::Json(value), _) => value.serialize(serializer),
            (Kept::MessagePack(value), true) => message_pack::Item::new(value).serialize(serializer),
            (Kept::MessagePack(value), false) => {
                raw::Raw(&message_pack::rewritten(value)).serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return raw::deserialize(deserializer, "a value", |value| {
                Some(Self(Kept::MessagePack(value.into())))
            });
        }
        let value = Box::<RawValue>::deserialize(deserializer)?;
        let compact = json::compact(value.get()).map_err(D::Error::custom)?;
        Ok(Self(Kept::Json(compact.unwrap_or(value))))
    }
}
