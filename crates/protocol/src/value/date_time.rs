use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::iso8601::{self, Moment, Zone};
use super::{text, timestamp};
use crate::message_pack::{Reader, raw};

/// `DateTime` of any kind, from year 1 to 9999, in ticks.
///
/// JSON: ISO 8601, with a `Z` where it is UTC and `+00:00` where it is local; whatever has an offset is read as local,
/// the offset taken off. The local time of a server is UTC here, as it is of an ASP.NET Core server that runs in UTC.
/// MessagePack: a timestamp, which always is read as UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DateTime {
    /// In UTC.
    Utc(PrimitiveDateTime),
    /// In the server's time zone, which is UTC; a .NET client makes it local time of its own.
    Local(PrimitiveDateTime),
    /// Somewhere; written to MessagePack as if it were UTC.
    Unspecified(PrimitiveDateTime),
}

impl DateTime {
    fn parse(text: &str) -> Option<Self> {
        let Moment { local, zone } = iso8601::parse(text)?;
        match zone {
            Zone::Unsaid => Some(Self::Unspecified(local)),
            Zone::Utc => Some(Self::Utc(local)),
            Zone::Offset(offset) => {
                let seconds = i64::from(offset.whole_seconds());
                let utc = local.checked_sub(time::Duration::seconds(seconds))?;
                (1..=9999).contains(&utc.year()).then_some(Self::Local(utc))
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
            DateTime::Utc(moment) | DateTime::Local(moment) | DateTime::Unspecified(moment) => moment,
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
        f.write_str(match self {
            Self::Utc(_) => "Z",
            Self::Local(_) => "+00:00",
            Self::Unspecified(_) => "",
        })
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

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn no_more_than_seven_digits_are_written() {
        let moment = datetime!(2026-01-02 03:04:05.123456789 UTC);
        assert_eq!(DateTime::from(moment).to_string(), "2026-01-02T03:04:05.1234567Z");
        let local = PrimitiveDateTime::new(moment.date(), moment.time());
        assert_eq!(DateTime::from(local).to_string(), "2026-01-02T03:04:05.1234567");
        assert_eq!(
            crate::value::DateTimeOffset::from(moment).to_string(),
            "2026-01-02T03:04:05.1234567+00:00"
        );
        assert_eq!(
            DateTime::from(datetime!(2026-01-02 03:04:05.000000099 UTC)).to_string(),
            "2026-01-02T03:04:05Z"
        );
    }

    #[test]
    fn what_has_an_offset_is_local_and_nothing_else_is() {
        let noon = datetime!(2026-01-02 12:00);
        for (text, moment) in [
            ("2026-01-02T12:00:00Z", DateTime::Utc(noon)),
            ("2026-01-02T12:00:00", DateTime::Unspecified(noon)),
            ("2026-01-02T12:00:00+00:00", DateTime::Local(noon)),
        ] {
            assert_eq!(DateTime::parse(text), Some(moment));
            assert_eq!(moment.to_string(), text);
        }
        assert_eq!(DateTime::parse("2026-01-02T14:30:00+02:30"), Some(DateTime::Local(noon)));
    }
}
