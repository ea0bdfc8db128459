use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;

/// `char`: one UTF-16 unit, which may be half of a surrogate pair.
///
/// JSON: a string of it, where half a pair becomes U+FFFD. MessagePack: its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Char(u16);

impl Char {
    /// The unit of that code.
    pub const fn from_code(code: u16) -> Self {
        Self(code)
    }

    /// Its code.
    pub const fn code(self) -> u16 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let mut units = text.encode_utf16();
        let first = units.next()?;
        units.next().is_none().then_some(Self(first))
    }
}

/// The character takes two UTF-16 units, or the unit is half a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a character of one UTF-16 unit")]
pub struct NotOneUnit;

impl TryFrom<char> for Char {
    type Error = NotOneUnit;

    fn try_from(character: char) -> Result<Self, NotOneUnit> {
        u16::try_from(u32::from(character)).map(Self).map_err(|_| NotOneUnit)
    }
}

impl TryFrom<Char> for char {
    type Error = NotOneUnit;

    fn try_from(unit: Char) -> Result<Self, NotOneUnit> {
        Self::from_u32(unit.0.into()).ok_or(NotOneUnit)
    }
}

impl Serialize for Char {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_char(char::try_from(*self).unwrap_or(char::REPLACEMENT_CHARACTER))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Char {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            text::deserialize(deserializer, "a string of one UTF-16 unit", Self::parse)
        } else {
            u16::deserialize(deserializer).map(Self)
        }
    }
}
