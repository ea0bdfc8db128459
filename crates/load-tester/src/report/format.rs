//! Numbers as people read them.

use std::fmt::{Display, Formatter, Result};

/// Microseconds with three digits and a unit: `850 µs`, `1.23 ms`, `45.6 s`, `12 min 5 s`; nothing measured is `-`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) u64);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let micros = self.0 as f64;
        let text = match self.0 {
            0..1_000 => format!("{} µs", self.0),
            1_000..999_500 => format!("{} ms", three_digits(micros / 1e3)),
            999_500..59_950_000 => format!("{} s", three_digits(micros / 1e6)),
            _ => {
                let seconds = (self.0 + 500_000) / 1_000_000;
                format!("{} min {} s", seconds / 60, seconds % 60)
            }
        };
        f.pad(&text)
    }
}

/// A count in groups of three digits: `12,345`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count(pub(crate) u64);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() * 4 / 3);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A rate: whole from 10 on, with three digits below.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate(pub(crate) f64);

impl Display for Rate {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        #[expect(clippy::cast_possible_truncation, reason = "a rate is far below 2^64")]
        #[expect(clippy::cast_sign_loss, reason = "and never negative")]
        match self.0 {
            rate if rate >= 9.995 => Count(rate.round() as u64).fmt(f),
            rate if rate > 0.0 => f.pad(&three_digits(rate)),
            _ => f.pad("0"),
        }
    }
}

/// Seconds as a length of time: `45 s`, `5 min`, `1 h 4 min`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length(pub(crate) f64);

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        #[expect(clippy::cast_possible_truncation, reason = "a run is far below 2^64 s")]
        #[expect(clippy::cast_sign_loss, reason = "and never negative")]
        let seconds = self.0.max(0.0).round() as u64;
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let text = match (hours, minutes, rest) {
            (0, 0, _) => format!("{rest} s"),
            (0, _, 0) => format!("{minutes} min"),
            (0, ..) => format!("{minutes} min {rest} s"),
            (_, 0, _) => format!("{hours} h"),
            _ => format!("{hours} h {minutes} min"),
        };
        f.pad(&text)
    }
}

/// Bytes as MB, or GB from 1,000 MB on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let megabytes = self.0 as f64 / 1e6;
        if megabytes < 999.5 {
            f.pad(&format!("{} MB", three_digits(megabytes)))
        } else {
            f.pad(&format!("{} GB", three_digits(megabytes / 1e3)))
        }
    }
}

fn three_digits(value: f64) -> String {
    match value {
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// `1 connection`, `2 connections`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    let more = if count == 1 { "" } else { "s" };
    format!("{} {one}{more}", Count(count))
}

/// Text that is longer than `width` in lines of that: broken at spaces, and within words that are longer than a line.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split_whitespace() {
        let word: Vec<char> = word.chars().collect();
        for (number, piece) in word.chunks(width).enumerate() {
            let gap = usize::from(length > 0 && number == 0);
            if length > 0 && length + gap + piece.len() > width {
                lines.push(String::new());
                length = 0;
            }
            let line = lines.last_mut().expect("there is always one");
            if length > 0 && number == 0 {
                line.push(' ');
                length += 1;
            }
            line.extend(piece);
            length += piece.len();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        for (micros, expected) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_000, "1.00 ms"),
            (9_996, "10.0 ms"),
            (123_456, "123 ms"),
            (999_499, "999 ms"),
            (999_500, "1.00 s"),
            (59_949_999, "59.9 s"),
            (59_950_000, "1 min 0 s"),
            (600_000_000, "10 min 0 s"),
        ] {
            assert_eq!(Time(micros).to_string(), expected);
        }
        assert_eq!(format!("{:>8}|", Time(1)), "    1 µs|");
    }

    #[test]
    fn counts_rates_and_lengths_are_grouped() {
        let counts = [0, 999, 1_000, 1_234_567].map(|count| Count(count).to_string());
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        let rates = [0.0, 0.5, 9.99, 9.996, 12_345.6].map(|rate| Rate(rate).to_string());
        assert_eq!(rates, ["0", "0.50", "9.99", "10", "12,346"]);
        let lengths = [0.4, 45.0, 300.0, 301.0, 3_600.0, 3_840.0].map(|length| Length(length).to_string());
        assert_eq!(lengths, ["0 s", "45 s", "5 min", "5 min 1 s", "1 h", "1 h 4 min"]);
        assert_eq!([Bytes(1_500_000), Bytes(2_000_000_000)].map(|b| b.to_string()), ["1.50 MB", "2.00 GB"]);
        assert_eq!((counted(1, "file"), counted(2, "file")), ("1 file".to_owned(), "2 files".to_owned()));
    }

    #[test]
    fn text_is_broken_at_spaces_and_nothing_is_lost() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a http://h/longer x", 7), ["a", "http://", "h/longe", "r x"]);
        assert_eq!(wrapped("", 7), [""]);
    }
}
