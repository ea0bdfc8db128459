use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::{iso8601, text, timestamp};
use crate::message_pack::{Reader, raw};

/// `DateTime` of kind UTC or unspecified, from year 1 to 9999, in ticks.
///
/// JSON: ISO 8601, with a `Z` where it is UTC. An offset is read and taken off, so that the result is UTC, where
/// .NET makes it the server's local time. MessagePack: a timestamp, which always is read as UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DateTime {
    /// In UTC.
    Utc(PrimitiveDateTime),
    /// Somewhere; written to MessagePack as if it were UTC.
    Unspecified(PrimitiveDateTime),
}

impl DateTime {
    fn parse(text: &str) -> Option<Self> {
        let iso8601::Moment { local, offset } = iso8601::parse(text)?;
        match offset {
            None => Some(Self::Unspecified(local)),
            Some(offset) => {
                let seconds = i64::from(offset.whole_seconds());
                let utc = local.checked_sub(time::Duration::seconds(seconds))?;
                (1..=9999).contains(&utc.year()).then_some(Self::Utc(utc))
            }
        }
    }
}

impl From<OffsetDateTime> for DateTime {
    fn from(moment: OffsetDateTime) -> Self {
        let utc = moment.to_offset(UtcOffset::UTC);
        Self::Utc(PrimitiveDateTime::new(utc.date(), utc.time()))
    }
}

impl From<PrimitiveDateTime> for DateTime {
    fn from(moment: PrimitiveDateTime) -> Self {
        Self::Unspecified(moment)
    }
}

/// The date and time as they stand.
impl From<DateTime> for PrimitiveDateTime {
    fn from(moment: DateTime) -> Self {
        match moment {
            DateTime::Utc(moment) | DateTime::Unspecified(moment) => moment,
        }
    }
}

/// What is unspecified is taken as UTC.
impl From<DateTime> for OffsetDateTime {
    fn from(moment: DateTime) -> Self {
        PrimitiveDateTime::from(moment).assume_utc()
    }
}

/// The form that JSON has.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        iso8601::write(f, PrimitiveDateTime::from(*self))?;
        if matches!(self, Self::Utc(_)) { f.write_str("Z") } else { Ok(()) }
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            raw::Raw(&timestamp::encode(PrimitiveDateTime::from(*self))).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return text::deserialize(deserializer, "a date and time of ISO 8601", Self::parse);
        }
        raw::deserialize(deserializer, "a timestamp", |value| {
            Reader::new(value).token().ok().and_then(timestamp::decode).map(Self::Utc)
        })
    }
}
