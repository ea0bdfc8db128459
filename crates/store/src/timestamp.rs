use std::time::Duration;

use time::OffsetDateTime;

/// A time as the database keeps it: units of 100 ns since 1970-01-01T00:00:00Z, the precision of .NET's `DateTime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time it is.
    pub fn now() -> Self {
        OffsetDateTime::now_utc().into()
    }

    /// The time so much later; the last that there is, if that is later than this.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(ticks(span)))
    }

    /// The time so much earlier; the first that there is, if that is earlier than this.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(ticks(span)))
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(time: OffsetDateTime) -> Self {
        Self(i64::try_from(time.unix_timestamp_nanos() / 100).unwrap_or(i64::MAX))
    }
}

impl From<Timestamp> for OffsetDateTime {
    /// Times that [`OffsetDateTime`] cannot hold become 1970.
    fn from(Timestamp(ticks): Timestamp) -> Self {
        Self::from_unix_timestamp_nanos(i128::from(ticks) * 100).unwrap_or(Self::UNIX_EPOCH)
    }
}

fn ticks(span: Duration) -> i64 {
    i64::try_from(span.as_nanos() / 100).unwrap_or(i64::MAX)
}
