use hubline::value::DateTime;
use hubline_store::Timestamp;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time of the database as the API writes it: ISO 8601 in UTC, with at most 7 digits.
pub(crate) fn shown(time: Timestamp) -> DateTime {
    OffsetDateTime::from(time).into()
}

/// A time as the API reads it: RFC 3339 with any offset, or without one, which is UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let with_zone = OffsetDateTime::parse(&text, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339));
        let expected = &"a date and time of RFC 3339, such as 2026-01-02T15:04:05Z";
        with_zone
            .map(|time| Self(time.into()))
            .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_any_offset_or_is_in_utc() {
        let read = |text: &str| serde_json::from_value::<Moment>(text.into());
        let noon = read("2026-01-02T12:00:00Z").unwrap();
        for same in ["2026-01-02T12:00:00", "2026-01-03T10:00:00+22:00", "2026-01-02t12:00:00.0000000z"] {
            assert_eq!(read(same).unwrap(), noon, "{same}");
        }
        for wrong in ["", "noon", "2026-01-02", "2026-02-30T12:00:00Z"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
