//! Dates and times as System.Text.Json reads and writes them.

use std::fmt;

use time::{Date, Duration, Month, PrimitiveDateTime, UtcOffset};

use super::text::Cursor;

/// The largest offset that .NET knows: 14 hours.
pub(super) const MOST_MINUTES: i32 = 14 * 60;

/// A date and time, and how it relates to UTC if the text says so.
pub(super) struct Moment {
    pub(super) local: PrimitiveDateTime,
    pub(super) zone: Zone,
}

/// What stands behind a date and time.
#[derive(Clone, Copy)]
pub(super) enum Zone {
    /// Nothing.
    Unsaid,
    /// A `Z`.
    Utc,
    /// An offset, which may be zero too.
    Offset(UtcOffset),
}

/// Reads `date[Thour:minute[:second[.fraction]][Z|±hour[:minute]]]`. `24:00` is the next day's midnight.
pub(super) fn parse(text: &str) -> Option<Moment> {
    let mut cursor = Cursor::new(text);
    let date = date(&mut cursor)?;
    if cursor.is_at_end() {
        return Some(Moment { local: date.midnight(), zone: Zone::Unsaid });
    }
    let local = date.midnight().checked_add(since_midnight(&mut cursor)?)?;
    let zone = if cursor.is_at_end() { Zone::Unsaid } else { zone(&mut cursor)? };
    (cursor.is_at_end() && local.year() <= 9999).then_some(Moment { local, zone })
}

/// Reads `2026-01-02`.
pub(super) fn parse_date(text: &str) -> Option<Date> {
    let mut cursor = Cursor::new(text);
    date(&mut cursor).filter(|_| cursor.is_at_end())
}

fn date(cursor: &mut Cursor<'_>) -> Option<Date> {
    let year = cursor.digits(4).filter(|year| *year > 0 && cursor.take(b'-'))?;
    let month = cursor.digits(2).filter(|_| cursor.take(b'-'))?;
    let day = cursor.digits(2)?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()
}

fn since_midnight(cursor: &mut Cursor<'_>) -> Option<Duration> {
    if !cursor.take(b'T') {
        return None;
    }
    let hour = cursor.digits(2).filter(|_| cursor.take(b':'))?;
    let minute = cursor.digits(2).filter(|minute| *minute < 60)?;
    let (second, fraction) = if cursor.take(b':') { second(cursor)? } else { (0, 0) };
    let since = Duration::seconds(i64::from(3600 * hour + 60 * minute + second))
        + Duration::nanoseconds(100 * i64::from(fraction));
    (since <= Duration::DAY).then_some(since)
}

/// Seconds, and ticks of a fraction. A point without digits may stand before a zone, but not at the end.
fn second(cursor: &mut Cursor<'_>) -> Option<(u32, u32)> {
    let second = cursor.digits(2).filter(|second| *second < 60)?;
    let fraction = if !cursor.take(b'.') {
        0
    } else if cursor.is_at_end() {
        return None;
    } else {
        cursor.fraction(0..=16)?
    };
    Some((second, fraction))
}

fn zone(cursor: &mut Cursor<'_>) -> Option<Zone> {
    if cursor.take(b'Z') {
        return Some(Zone::Utc);
    }
    let sign = if cursor.take(b'-') { -1 } else { i32::from(cursor.take(b'+')) };
    let hours = cursor.digits(2).filter(|_| sign != 0)?;
    let minutes = if cursor.take(b':') { cursor.digits(2).filter(|minutes| *minutes < 60)? } else { 0 };
    let minutes = i32::try_from(60 * hours + minutes).ok().filter(|minutes| *minutes <= MOST_MINUTES)?;
    UtcOffset::from_whole_seconds(60 * sign * minutes).ok().map(Zone::Offset)
}

/// Writes `2026-01-02T03:04:05`, with as many digits of ticks as it takes.
pub(super) fn write(f: &mut fmt::Formatter<'_>, moment: PrimitiveDateTime) -> fmt::Result {
    write_date(f, moment.date())?;
    write!(f, "T{:02}:{:02}:{:02}", moment.hour(), moment.minute(), moment.second())?;
    let mut ticks = moment.nanosecond() / 100;
    let mut digits = 7;
    while digits > 0 && ticks.is_multiple_of(10) {
        ticks /= 10;
        digits -= 1;
    }
    if digits > 0 { write!(f, ".{ticks:0digits$}") } else { Ok(()) }
}

/// Writes `2026-01-02`.
pub(super) fn write_date(f: &mut fmt::Formatter<'_>, date: Date) -> fmt::Result {
    write!(f, "{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}
