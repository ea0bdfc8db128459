//! .NET's `TimeSpan` as text.

use std::time::Duration;

/// Units, each with what a second has of it, or it has of seconds.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("\u{b5}s", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("min", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
];

/// Reads `[d.]hh:mm[:ss[.fffffff]]`; a plain number of seconds such as `15` or `0.5` (where .NET would take days, which nobody means);
/// or a number with its unit, such as `250ms` or `12h`, which is how spans are shown.
pub(super) fn parse(text: &str) -> Option<Duration> {
    match text.contains(':') {
        true => parse_clock(text),
        false => parse_with_unit(text).or_else(|| parse_number(text, 1.0)),
    }
}

fn parse_with_unit(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = &text[number.len()..];
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    parse_number(number.trim_end(), *seconds)
}

fn parse_clock(text: &str) -> Option<Duration> {
    let parts: Vec<&str> = text.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, "0"),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let (days, hours) = hours.split_once('.').unwrap_or(("0", hours));
    let days = below(days, 10_675_200)?; // TimeSpan.MaxValue
    let minutes = (days * 24 + below(hours, 24)?) * 60 + below(minutes, 60)?;
    let seconds = parse_number(seconds, 1.0).filter(|seconds| seconds.as_secs() < 60)?;
    Some(Duration::from_secs(minutes * 60) + seconds)
}

/// So many times this number of seconds.
fn parse_number(text: &str, seconds: f64) -> Option<Duration> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let number: f64 = text.parse().ok().filter(|_| plain)?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

fn below(text: &str, limit: u64) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number < limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_and_seconds() {
        let cases = [
            ("00:00:15", Some(15.0)),
            ("0:0:0.5", Some(0.5)),
            ("01:30", Some(5400.0)),
            ("1.00:00:00", Some(86400.0)),
            ("15", Some(15.0)),
            ("0.25", Some(0.25)),
            ("0", Some(0.0)),
            ("", None),
            ("15s", Some(15.0)),
            ("250ms", Some(0.25)),
            ("1.5 s", Some(1.5)),
            ("100\u{b5}s", Some(0.0001)),
            ("30min", Some(1800.0)),
            ("12h", Some(43200.0)),
            ("30d", Some(2_592_000.0)),
            ("15m", None),
            ("15S", None),
            ("s", None),
            ("1h30min", None),
            ("00:00:15s", None),
            ("-1", None),
            ("-00:00:01", None),
            ("+1:00", None),
            ("24:00:00", None),
            ("00:60:00", None),
            ("00:00:60", None),
            ("1:2:3:4", None),
            ("1e3", None),
            ("inf", None),
            (".5", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse(text), seconds.map(Duration::from_secs_f64), "{text}");
        }
    }
}
