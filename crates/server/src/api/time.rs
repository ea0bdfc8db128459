use hubline::value::DateTime;
use hubline_store::Timestamp;
use time::OffsetDateTime;

/// A time of the database as the API writes it: ISO 8601 in UTC, with at most 7 digits.
pub(crate) fn shown(time: Timestamp) -> DateTime {
    OffsetDateTime::from(time).into()
}
