//! Numbers and strings spelled as System.Text.Json spells them.
//!
//! Any JSON reader takes either spelling. It matters where bytes are compared: recorded cases, and Redis
//! payloads beside those of ASP.NET Core servers.

use std::io::{self, Write};

use serde_json::ser::{CharEscape, Formatter};

pub(super) struct DotNetFormatter;

impl Formatter for DotNetFormatter {
    fn write_f64<W: Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        write_float(writer, format_args!("{value:e}"), format_args!("{value}"), 17)
    }

    fn write_f32<W: Write + ?Sized>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        write_float(writer, format_args!("{value:e}"), format_args!("{value}"), 9)
    }

    fn write_char_escape<W: Write + ?Sized>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::Quote => writer.write_all(br#"\""#),
            CharEscape::ReverseSolidus => writer.write_all(br"\\"),
            CharEscape::Solidus => writer.write_all(b"/"),
            CharEscape::Backspace => writer.write_all(br"\b"),
            CharEscape::FormFeed => writer.write_all(br"\f"),
            CharEscape::LineFeed => writer.write_all(br"\n"),
            CharEscape::CarriageReturn => writer.write_all(br"\r"),
            CharEscape::Tab => writer.write_all(br"\t"),
            CharEscape::AsciiControl(byte) => write!(writer, "\\u{byte:04X}"),
        }
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.is_ascii() && memchr::memchr(0x7f, fragment.as_bytes()).is_none() {
            return writer.write_all(fragment.as_bytes());
        }
        let mut written = 0;
        for (at, character) in fragment.char_indices() {
            if !is_escaped(character) {
                continue;
            }
            writer.write_all(&fragment.as_bytes()[written..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04X}")?;
            }
            written = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }
}

/// What `JavaScriptEncoder.UnsafeRelaxedJsonEscaping` escapes beyond quotes, backslashes and C0 controls: controls,
/// spaces and separators other than the plain space, what is for private use, and what is no character. (What Unicode
/// has not assigned yet it escapes too; that differs from one release of .NET to the next.)
fn is_escaped(character: char) -> bool {
    matches!(
        character,
        '\u{7f}'..='\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}'
            | '\u{3000}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{feff}' | '\u{fffe}'..
    )
}

/// Shortest digits; an exponent (`1E+300`, `1E-05`) where there would be more than `precision` digits before the
/// point, and below `10^-4`.
fn write_float<W: Write + ?Sized>(
    writer: &mut W,
    scientific: std::fmt::Arguments<'_>,
    positional: std::fmt::Arguments<'_>,
    precision: i32,
) -> io::Result<()> {
    let scientific = scientific.to_string();
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return writer.write_fmt(positional);
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..precision).contains(&exponent) {
        return writer.write_fmt(positional);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(writer, "{digits}E{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use crate::json::value;

    fn written(value_to_write: &impl serde::Serialize) -> String {
        let mut out = Vec::new();
        value(&mut out, value_to_write, crate::Naming::Serde).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers() {
        for (number, text) in [
            (3.0, "3"),
            (1.5, "1.5"),
            (-0.0, "-0"),
            (1e300, "1E+300"),
            (1e-7, "1E-07"),
            (0.0001, "0.0001"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1000000000000000"),
            (1e17, "1E+17"),
            (1e-5, "1E-05"),
            (123_456_789_012_345_678.0, "1.2345678901234568E+17"),
            (1_234_567_890_123_456.0, "1234567890123456"),
            (1.234_5e20, "1.2345E+20"),
            (f64::MAX, "1.7976931348623157E+308"),
        ] {
            assert_eq!(written(&number), text);
        }
        assert_eq!(written(&0.1f32), "0.1");
        assert_eq!(written(&1e8f32), "100000000");
        assert_eq!(written(&1e9f32), "1E+09");
        assert_eq!(written(&16_777_216f32), "16777216");
    }

    #[test]
    fn strings() {
        assert_eq!(written(&"<&'+é>/\"\\"), r#""<&'+é>/\"\\""#);
        assert_eq!(written(&"\u{1}\u{1f}\n\u{7f}\u{80}"), r#""\u0001\u001F\n\u007F\u0080""#);
        assert_eq!(written(&"😀\u{2028}"), r#""\uD83D\uDE00\u2028""#);
        assert_eq!(
            written(&"a b\u{a0}\u{3000}\u{fffe}\u{200b}\u{fffd}"),
            "\"a b\\u00A0\\u3000\\uFFFE\u{200b}\u{fffd}\""
        );
    }
}
