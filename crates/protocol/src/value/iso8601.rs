//! Dates and times as System.Text.Json reads and writes them.

use std::fmt;

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use super::text::Cursor;

/// The largest offset that .NET knows: 14 hours.
pub(super) const MOST_MINUTES: i32 = 14 * 60;

/// A date and time, and how it relates to UTC if the text says so.
pub(super) struct Moment {
    pub(super) local: PrimitiveDateTime,
    pub(super) offset: Option<UtcOffset>,
}

/// Reads `date[Thour:minute[:second[.fraction]][Z|±hour[:minute]]]`.
pub(super) fn parse(text: &str) -> Option<Moment> {
    let mut cursor = Cursor::new(text);
    let date = date(&mut cursor)?;
    if cursor.is_at_end() {
        return Some(Moment { local: date.midnight(), offset: None });
    }
    let local = date.with_time(time(&mut cursor)?);
    let offset = if cursor.is_at_end() { None } else { Some(offset(&mut cursor)?) };
    cursor.is_at_end().then_some(Moment { local, offset })
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

fn time(cursor: &mut Cursor<'_>) -> Option<Time> {
    if !cursor.take(b'T') {
        return None;
    }
    let hour = cursor.digits(2).filter(|_| cursor.take(b':'))?;
    let minute = cursor.digits(2)?;
    let second = if cursor.take(b':') { cursor.digits(2)? } else { 0 };
    let fraction = if cursor.take(b'.') { cursor.fraction(0..=16)? } else { 0 };
    let small = |number: u32| u8::try_from(number).ok();
    Time::from_hms_nano(small(hour)?, small(minute)?, small(second)?, 100 * fraction).ok()
}

fn offset(cursor: &mut Cursor<'_>) -> Option<UtcOffset> {
    if cursor.take(b'Z') {
        return Some(UtcOffset::UTC);
    }
    let sign = if cursor.take(b'-') { -1 } else { i32::from(cursor.take(b'+')) };
    let hours = cursor.digits(2).filter(|_| sign != 0)?;
    let minutes = if cursor.take(b':') { cursor.digits(2).filter(|minutes| *minutes < 60)? } else { 0 };
    let minutes = i32::try_from(60 * hours + minutes).ok().filter(|minutes| *minutes <= MOST_MINUTES)?;
    UtcOffset::from_whole_seconds(60 * sign * minutes).ok()
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
