use serde::de::IgnoredAny;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `ValueTuple<…>`, around one of Rust's tuples. MessagePack: an array.
///
/// In JSON it loses its items, as in .NET: `{}` is written, and whatever object is read gives defaults. A tuple
/// without this wrapper is an array in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ValueTuple<T>(pub T);

impl<T> From<T> for ValueTuple<T> {
    fn from(tuple: T) -> Self {
        Self(tuple)
    }
}

impl<T: Serialize> Serialize for ValueTuple<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_map(Some(0))?.end()
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for ValueTuple<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            std::collections::HashMap::<String, IgnoredAny>::deserialize(deserializer)?;
            Ok(Self::default())
        } else {
            T::deserialize(deserializer).map(Self)
        }
    }
}
