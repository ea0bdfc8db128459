//! Values that are written as texts.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Reads a string and makes a value of it; `expected` says of what kind, in errors.
pub(super) fn deserialize<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    parse: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Parsed { expected, parse })
}

struct Parsed<T> {
    expected: &'static str,
    parse: fn(&str) -> Option<T>,
}

impl<T> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// Reads a text of digits and signs from front to back.
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text.as_bytes())
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes `byte` if it is next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let taken = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(taken)..];
        taken
    }

    /// Takes exactly `count` digits, one at least; ten of them and more may be too many.
    pub(super) fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// How many digits are next.
    fn count_digits(&self) -> usize {
        self.0.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Takes a number of any count of digits.
    pub(super) fn number(&mut self) -> Option<u32> {
        self.digits(self.count_digits())
    }

    /// Takes `separator` and a number.
    pub(super) fn number_behind(&mut self, separator: u8) -> Option<u32> {
        if self.take(separator) { self.number() } else { None }
    }

    /// Takes the digits of a fraction, if they are so many, and gives them as ticks, cutting off what is finer.
    pub(super) fn fraction(&mut self, counts: RangeInclusive<usize>) -> Option<u32> {
        let count = self.count_digits();
        if !counts.contains(&count) {
            return None;
        }
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(
            (0..7)
                .fold(0, |ticks, at| 10 * ticks + u32::from(digits.get(at).map_or(0, |digit| digit - b'0'))),
        )
    }
}
