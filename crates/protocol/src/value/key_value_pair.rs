use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `KeyValuePair<K, V>`. JSON: `{"key":…,"value":…}`. MessagePack: `[key, value]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyValuePair<K, V> {
    /// The first one.
    pub key: K,
    /// The second one.
    pub value: V,
}

impl<K, V> From<(K, V)> for KeyValuePair<K, V> {
    fn from((key, value): (K, V)) -> Self {
        Self { key, value }
    }
}

impl<K, V> From<KeyValuePair<K, V>> for (K, V) {
    fn from(pair: KeyValuePair<K, V>) -> Self {
        (pair.key, pair.value)
    }
}

/// The form in JSON.
#[derive(Serialize, Deserialize)]
struct Object<K, V> {
    key: K,
    value: V,
}

impl<K: Serialize, V: Serialize> Serialize for KeyValuePair<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { key, value } = self;
        if serializer.is_human_readable() {
            Object { key, value }.serialize(serializer)
        } else {
            (key, value).serialize(serializer)
        }
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for KeyValuePair<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Object::deserialize(deserializer).map(|Object { key, value }| Self { key, value })
        } else {
            <(K, V)>::deserialize(deserializer).map(Self::from)
        }
    }
}
