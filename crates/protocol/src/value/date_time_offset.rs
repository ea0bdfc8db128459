use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::iso8601::{self, Moment, Zone};
use super::{DateTime, text};

/// `DateTimeOffset`: a local date and time and by how many minutes it is ahead of UTC, 14 hours at most.
///
/// JSON: ISO 8601 with an offset, never `Z`; without one it is read as UTC, where .NET takes the server's local
/// time. MessagePack: `[timestamp, minutes]`, the timestamp being the local time. Seconds of an offset are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTimeOffset(OffsetDateTime);

impl DateTimeOffset {
    fn parse(text: &str) -> Option<Self> {
        let Moment { local, zone } = iso8601::parse(text)?;
        match zone {
            Zone::Unsaid | Zone::Utc => Self::of(local, UtcOffset::UTC),
            Zone::Offset(offset) => Self::of(local, offset),
        }
    }

    /// `None` where the moment is out of .NET's range in UTC.
    fn of(local: PrimitiveDateTime, offset: UtcOffset) -> Option<Self> {
        let moment = local.assume_offset(offset);
        let utc = moment.checked_to_offset(UtcOffset::UTC)?;
        (utc.year() >= 1).then_some(Self(moment))
    }

    fn local(self) -> PrimitiveDateTime {
        PrimitiveDateTime::new(self.0.date(), self.0.time())
    }
}

impl From<OffsetDateTime> for DateTimeOffset {
    fn from(moment: OffsetDateTime) -> Self {
        Self(moment)
    }
}

impl From<DateTimeOffset> for OffsetDateTime {
    fn from(moment: DateTimeOffset) -> Self {
        moment.0
    }
}

/// The form that JSON has.
impl fmt::Display for DateTimeOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        iso8601::write(f, self.local())?;
        let minutes = self.0.offset().whole_minutes();
        let sign = if minutes < 0 { '-' } else { '+' };
        let minutes = minutes.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl Serialize for DateTimeOffset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (DateTime::Utc(self.local()), self.0.offset().whole_minutes()).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for DateTimeOffset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return text::deserialize(deserializer, "a date and time of ISO 8601", Self::parse);
        }
        let (local, minutes) = <(DateTime, i16)>::deserialize(deserializer)?;
        Some(i32::from(minutes))
            .filter(|minutes| minutes.abs() <= iso8601::MOST_MINUTES)
            .and_then(|minutes| UtcOffset::from_whole_seconds(60 * minutes).ok())
            .and_then(|offset| Self::of(local.into(), offset))
            .ok_or_else(|| serde::de::Error::custom("out of the range of a DateTimeOffset"))
    }
}
