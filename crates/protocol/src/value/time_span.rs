use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::{self, Cursor};

pub(super) const TICKS_PER_SECOND: i64 = 10_000_000;
const NANOSECONDS_PER_TICK: u32 = 100;
const SECONDS_PER_DAY: i64 = 86_400;

/// `TimeSpan`: a length of time that may be negative, in ticks of 100 ns.
///
/// JSON: `[-][days.]hours:minutes:seconds[.fraction]`, the fraction of seven digits; fewer digits, days alone and no
/// seconds are read as well. MessagePack: its ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeSpan(i64);

impl TimeSpan {
    /// So many units of 100 ns.
    pub const fn from_ticks(ticks: i64) -> Self {
        Self(ticks)
    }

    /// How many units of 100 ns.
    pub const fn ticks(self) -> i64 {
        self.0
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        let negative = cursor.take(b'-');
        let first = cursor.number()?;
        let days_alone = cursor.is_at_end();
        let (days, hours) = if days_alone {
            (first, 0)
        } else if cursor.take(b'.') {
            (first, cursor.number()?)
        } else {
            (0, first)
        };
        let minutes = if days_alone { 0 } else { cursor.number_behind(b':')? };
        let (seconds, fraction) = if cursor.is_at_end() {
            (0, 0)
        } else {
            (cursor.number_behind(b':')?, if cursor.take(b'.') { cursor.fraction(1..=7)? } else { 0 })
        };
        if !cursor.is_at_end() || hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let seconds = i64::from(days) * SECONDS_PER_DAY + i64::from(hours * 3600 + minutes * 60 + seconds);
        let ticks = i128::from(seconds) * i128::from(TICKS_PER_SECOND) + i128::from(fraction);
        i64::try_from(if negative { -ticks } else { ticks }).ok().map(Self)
    }
}

/// The form that JSON has.
impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticks = self.0.unsigned_abs();
        let (seconds, fraction) =
            (ticks / TICKS_PER_SECOND.unsigned_abs(), ticks % TICKS_PER_SECOND.unsigned_abs());
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let days = seconds / SECONDS_PER_DAY.unsigned_abs();
        if days > 0 {
            write!(f, "{days}.")?;
        }
        write!(f, "{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)?;
        if fraction > 0 { write!(f, ".{fraction:07}") } else { Ok(()) }
    }
}

/// It does not fit; a `TimeSpan` spans 29,000 years either way, a [`Duration`] is never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of the range of the other type")]
pub struct TimeSpanRangeError;

impl TryFrom<Duration> for TimeSpan {
    type Error = TimeSpanRangeError;

    fn try_from(duration: Duration) -> Result<Self, TimeSpanRangeError> {
        let ticks = duration.as_nanos() / u128::from(NANOSECONDS_PER_TICK);
        i64::try_from(ticks).map(Self).map_err(|_| TimeSpanRangeError)
    }
}

impl TryFrom<TimeSpan> for Duration {
    type Error = TimeSpanRangeError;

    fn try_from(span: TimeSpan) -> Result<Self, TimeSpanRangeError> {
        let ticks = u64::try_from(span.0).map_err(|_| TimeSpanRangeError)?;
        Ok(Self::from_nanos(ticks % 10_000_000 * u64::from(NANOSECONDS_PER_TICK))
            + Self::from_secs(ticks / 10_000_000))
    }
}

/// The nearest there is, where the duration is over 29,000 years.
#[cfg(feature = "time")]
impl From<time::Duration> for TimeSpan {
    fn from(duration: time::Duration) -> Self {
        let ticks = duration.whole_nanoseconds() / i128::from(NANOSECONDS_PER_TICK);
        Self(i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX }))
    }
}

#[cfg(feature = "time")]
impl From<TimeSpan> for time::Duration {
    fn from(span: TimeSpan) -> Self {
        Self::seconds(span.0 / TICKS_PER_SECOND)
            + Self::nanoseconds(span.0 % TICKS_PER_SECOND * i64::from(NANOSECONDS_PER_TICK))
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            text::deserialize(deserializer, "a TimeSpan like 1.02:03:04.0050000", Self::parse)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (ticks, text) in [
            (0, "00:00:00"),
            (10_000_000, "00:00:01"),
            (-1, "-00:00:00.0000001"),
            (900_610_010_000, "1.01:01:01.0010000"),
            (i64::MAX, "10675199.02:48:05.4775807"),
            (i64::MIN, "-10675199.02:48:05.4775808"),
        ] {
            assert_eq!(TimeSpan::from_ticks(ticks).to_string(), text);
            assert_eq!(TimeSpan::parse(text), Some(TimeSpan::from_ticks(ticks)));
        }
        assert_eq!(TimeSpan::parse("00:00:00.5").map(TimeSpan::ticks), Some(5_000_000));
        for text in [
            "",
            "1.",
            ".5",
            "-",
            "00:00.5",
            "25:00:00",
            "00:60:00",
            "00:00:60",
            "00:00:00.",
            "00:00:00.12345678",
            "10675199.02:48:05.4775808",
            "+00:00:00",
            "00:00:00 ",
            "99999999999.00:00:00",
            "1.2.00:00:00",
        ] {
            assert_eq!(TimeSpan::parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations() {
        let span = TimeSpan::try_from(Duration::from_nanos(1_000_000_199)).unwrap();
        assert_eq!(span.ticks(), 10_000_001);
        assert_eq!(Duration::try_from(span), Ok(Duration::from_nanos(1_000_000_100)));
        assert_eq!(Duration::try_from(TimeSpan::from_ticks(-1)), Err(TimeSpanRangeError));
        assert_eq!(TimeSpan::try_from(Duration::MAX), Err(TimeSpanRangeError));
    }

    #[cfg(feature = "time")]
    #[test]
    fn durations_of_the_time_crate() {
        for ticks in [0, 1, -1, i64::MAX, i64::MIN] {
            let span = TimeSpan::from_ticks(ticks);
            assert_eq!(TimeSpan::from(time::Duration::from(span)), span);
        }
        assert_eq!(TimeSpan::from(time::Duration::MIN).ticks(), i64::MIN);
    }
}
