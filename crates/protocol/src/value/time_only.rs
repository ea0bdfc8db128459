use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::Time;

use super::{TimeSpan, text};

const TICKS_PER_DAY: i64 = 864_000_000_000;

/// `TimeOnly`: a time of day in ticks. JSON: `03:04:05` or `03:04:05.0060000`. MessagePack: ticks since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOnly(Time);

impl TimeOnly {
    fn since_midnight(self) -> TimeSpan {
        TimeSpan::from(self.0 - Time::MIDNIGHT)
    }

    /// As a [`TimeSpan`] with hours and minutes, and with neither days nor a sign.
    fn parse(text: &str) -> Option<Self> {
        let (hours, _) = text.split_once(':')?;
        TimeSpan::parse(text).filter(|_| hours.bytes().all(|byte| byte.is_ascii_digit())).and_then(Self::at)
    }

    fn at(since_midnight: TimeSpan) -> Option<Self> {
        let within = (0..TICKS_PER_DAY).contains(&since_midnight.ticks());
        within.then(|| Self(Time::MIDNIGHT + time::Duration::from(since_midnight)))
    }
}

impl From<Time> for TimeOnly {
    fn from(time: Time) -> Self {
        Self(time)
    }
}

impl From<TimeOnly> for Time {
    fn from(time: TimeOnly) -> Self {
        time.0
    }
}

/// The form that JSON has.
impl fmt::Display for TimeOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.since_midnight().fmt(f)
    }
}

impl Serialize for TimeOnly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.since_midnight().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TimeOnly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return text::deserialize(deserializer, "a time like 03:04:05", Self::parse);
        }
        let ticks = i64::deserialize(deserializer)?;
        Self::at(TimeSpan::from_ticks(ticks)).ok_or_else(|| serde::de::Error::custom("no time of a day"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, time) in [
            ("03:04:05", "03:04:05"),
            ("3:04", "03:04:00"),
            ("03:04:05.1", "03:04:05.1000000"),
            ("23:59:59.9999999", "23:59:59.9999999"),
        ] {
            assert_eq!(TimeOnly::parse(text).map(|time| time.to_string()).as_deref(), Some(time), "{text}");
        }
        for text in [
            "",
            "0",
            "5",
            "03",
            "24:00:00",
            "-00:00:00",
            "0.03:04:05",
            "1.00:00:00",
            "03:04:05.",
            "03:04:05Z",
        ] {
            assert_eq!(TimeOnly::parse(text), None, "{text}");
        }
    }
}
