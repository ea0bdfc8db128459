use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::Date;

use super::{iso8601, text};

/// The Julian day of 0001-01-01.
const FIRST: i32 = 1_721_426;

/// `DateOnly`, from 0001-01-01 to 9999-12-31. JSON: `2026-01-02`. MessagePack: days since the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateOnly(Date);

impl From<Date> for DateOnly {
    fn from(date: Date) -> Self {
        Self(date)
    }
}

impl From<DateOnly> for Date {
    fn from(date: DateOnly) -> Self {
        date.0
    }
}

/// The form that JSON has.
impl fmt::Display for DateOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        iso8601::write_date(f, self.0)
    }
}

impl Serialize for DateOnly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (self.0.to_julian_day() - FIRST).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for DateOnly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let parse = |text: &str| iso8601::parse_date(text).map(Self);
            return text::deserialize(deserializer, "a date like 2026-01-02", parse);
        }
        let days = u32::deserialize(deserializer)?;
        i32::try_from(days)
            .ok()
            .and_then(|days| Date::from_julian_day(days.checked_add(FIRST)?).ok())
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("a date behind 9999-12-31"))
    }
}
