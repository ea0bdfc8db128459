//! One pass over JSON text that finds where values begin and end, and decodes none of them.

use std::borrow::Cow;

use crate::DecodeError;

/// .NET's `JsonReaderOptions.MaxDepth` as SignalR leaves it.
const MAX_DEPTH: usize = 64;

/// Reads JSON from front to back. Every error is [`DecodeError::Json`]: the text is not JSON, or nests too deep.
///
/// Strings are not checked for UTF-8, because ASP.NET Core does not before it decodes them.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// What the next value is, judged by its first byte.
    pub(crate) fn kind(&mut self) -> Result<Kind, DecodeError> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(DecodeError::Json),
        }
    }

    /// Passes over the next value and gives its text.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], DecodeError> {
        let kind = self.kind()?;
        let start = self.at;
        match kind {
            Kind::Object => self.object(|_, scanner| scanner.value().map(drop))?,
            Kind::Array => self.array(|scanner| scanner.value().map(drop))?,
            Kind::String => drop(self.string()?),
            Kind::Number => self.number()?,
            Kind::True => self.literal(b"true")?,
            Kind::False => self.literal(b"false")?,
            Kind::Null => self.literal(b"null")?,
        }
        Ok(&self.text[start..self.at])
    }

    /// Calls `each` with the name of every property; it must read the property's value.
    pub(crate) fn object<F>(&mut self, mut each: F) -> Result<(), DecodeError>
    where
        F: FnMut(Text<'a>, &mut Self) -> Result<(), DecodeError>,
    {
        self.container(b'{', b'}', |scanner| {
            if scanner.peek() != Some(b'"') {
                return Err(DecodeError::Json);
            }
            let name = scanner.string()?;
            scanner.expect(b':')?;
            each(name, scanner)
        })
    }

    /// Calls `each` before every item; it must read the item.
    pub(crate) fn array<F>(&mut self, each: F) -> Result<(), DecodeError>
    where
        F: FnMut(&mut Self) -> Result<(), DecodeError>,
    {
        self.container(b'[', b']', each)
    }

    fn container<F>(&mut self, open: u8, close: u8, mut each: F) -> Result<(), DecodeError>
    where
        F: FnMut(&mut Self) -> Result<(), DecodeError>,
    {
        self.expect(open)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(DecodeError::Json);
        }
        if self.peek() == Some(close) {
            self.at += 1;
        } else {
            loop {
                each(self)?;
                match self.next() {
                    Some(b',') => {}
                    Some(byte) if byte == close => break,
                    _ => return Err(DecodeError::Json),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads a string.
    pub(crate) fn string(&mut self) -> Result<Text<'a>, DecodeError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = &self.text[self.at..];
            let length = memchr::memchr2(b'"', b'\\', rest).ok_or(DecodeError::Json)?;
            if rest[..length].iter().any(|byte| *byte < b' ') {
                return Err(DecodeError::Json);
            }
            self.at += length + 1;
            if rest[length] == b'"' {
                return Ok(Text { quoted: &self.text[start - 1..self.at], escaped });
            }
            escaped = true;
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), DecodeError> {
        let rest = &self.text[self.at..];
        self.at += match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 1,
            [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => 5,
            _ => return Err(DecodeError::Json),
        };
        Ok(())
    }

    fn number(&mut self) -> Result<(), DecodeError> {
        self.skip_if(|byte| byte == b'-');
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(DecodeError::Json),
        }
        if self.skip_if(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.skip_if(|byte| matches!(byte, b'e' | b'E')) {
            self.skip_if(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        match self.text.get(self.at) {
            None | Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}') => Ok(()),
            Some(_) => Err(DecodeError::Json),
        }
    }

    fn digits(&mut self) -> Result<(), DecodeError> {
        let count = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(DecodeError::Json) } else { Ok(()) }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), DecodeError> {
        if !self.text[self.at..].starts_with(literal) {
            return Err(DecodeError::Json);
        }
        self.at += literal.len();
        Ok(())
    }

    fn skip_if(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let found = self.text.get(self.at).is_some_and(|byte| wanted(*byte));
        self.at += usize::from(found);
        found
    }

    /// The next byte behind white space, not taken.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn expect(&mut self, wanted: u8) -> Result<(), DecodeError> {
        if self.next() == Some(wanted) { Ok(()) } else { Err(DecodeError::Json) }
    }
}

/// A string as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    quoted: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The string, borrowed where it holds no escapes.
    ///
    /// # Errors
    /// It is not UTF-8, or an escape is half of a surrogate pair.
    pub(crate) fn decode(self) -> Result<Cow<'a, str>, DecodeError> {
        if self.escaped {
            return serde_json::from_slice(self.quoted).map(Cow::Owned).map_err(|_| {
                // Its escapes are good ones, so what is left is half of a surrogate pair.
                std::str::from_utf8(self.quoted).map_or(DecodeError::Json, |_| DecodeError::LoneSurrogate)
            });
        }
        let inner = &self.quoted[1..self.quoted.len() - 1];
        std::str::from_utf8(inner).map(Cow::Borrowed).map_err(|_| DecodeError::Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_of_values() {
        for (text, value) in [
            (r#" {"a":[1,{"b":null}],"c":"]}\""} x"#, r#"{"a":[1,{"b":null}],"c":"]}\""}"#),
            ("-0.5e+7,", "-0.5e+7"),
            (r#""\u00e9\\" "#, r#""\u00e9\\""#),
            ("[ ]", "[ ]"),
            ("true", "true"),
        ] {
            let found = Scanner::new(text.as_bytes()).value().unwrap();
            assert_eq!(found, value.as_bytes());
        }
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            " ",
            "01",
            "1.",
            ".5",
            "1e",
            "+1",
            "--1",
            "1x",
            "nul",
            "True",
            "[1,]",
            "[,1]",
            "{,}",
            "{1:2}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "[1",
            "{\"a\":1",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\",
            "\"\n\"",
            "'a'",
            "[1 2]",
        ] {
            assert_eq!(Scanner::new(text.as_bytes()).value(), Err(DecodeError::Json), "{text}");
        }
    }
}
