//! Values out of JSON text.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::dot_net::{FromDotNet, Repeats};
use crate::{BindError, Naming};

/// Decodes one value.
///
/// What serde_json refuses and System.Text.Json does not is tried again: `-0` where an integer is wanted, and with
/// .NET's names a member that is given twice. Most values never come there.
pub(crate) fn decode<T: DeserializeOwned>(value: &[u8], naming: Naming) -> Result<T, BindError> {
    once(value, naming, Repeats::NONE).or_else(|error| again(value, naming).ok_or(error))
}

fn once<T: DeserializeOwned>(value: &[u8], naming: Naming, repeats: Repeats) -> Result<T, BindError> {
    let mut deserializer = serde_json::Deserializer::from_slice(value);
    let decoded = match naming {
        Naming::Serde => T::deserialize(&mut deserializer),
        Naming::DotNet => T::deserialize(FromDotNet(&mut deserializer, repeats)),
    };
    decoded
        .and_then(|decoded| deserializer.end().map(|()| decoded))
        .map_err(|error| BindError::new(error.to_string()))
}

fn again<T: DeserializeOwned>(value: &[u8], naming: Naming) -> Option<T> {
    let unsigned = with_unsigned_zeros(value);
    let may_repeat = naming == Naming::DotNet && matches!(value.first(), Some(b'{' | b'['));
    if may_repeat || matches!(unsigned, Cow::Owned(_)) {
        once(&unsigned, naming, Repeats::SOME).ok()
    } else {
        None
    }
}

/// The text with `0` for each `-0`, which serde_json takes for a float. Floats lose that sign too.
fn with_unsigned_zeros(text: &[u8]) -> Cow<'_, [u8]> {
    let (mut out, mut copied, mut at) = (Vec::new(), 0, 0);
    while let Some(found) = memchr::memchr2(b'"', b'-', &text[at..]) {
        at += found;
        if text[at] == b'"' {
            at += string_length(&text[at..]);
            continue;
        }
        let is_zero = text.get(at + 1) == Some(&b'0');
        if is_zero && !matches!(text.get(at + 2), Some(b'0'..=b'9' | b'.' | b'e' | b'E')) {
            out.extend_from_slice(&text[copied..at]);
            copied = at + 1;
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[copied..]);
    Cow::Owned(out)
}

/// How long the string is that the text begins with, quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Buffered {
        Whole { count: i64 },
        Text(String),
    }

    fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        let both = [Naming::Serde, Naming::DotNet]
            .map(|naming| decode(text.as_bytes(), naming).map_err(|error| error.to_string()));
        let [serde, dot_net] = both;
        serde.and(dot_net)
    }

    #[test]
    fn minus_zero_is_zero_wherever_an_integer_is_wanted() {
        assert_eq!(read("-0"), Ok(0i8));
        assert_eq!(read("-0"), Ok(0u64));
        assert_eq!(read("-0"), Ok(0i128));
        assert_eq!(read("-0"), Ok(Some(0)));
        assert_eq!(read("[-0,1,-0 ,-10, -0]"), Ok(vec![0, 1, 0, -10, 0]));
        let expected = BTreeMap::from([("\"-0".to_owned(), (0, "-0,".to_owned()))]);
        assert_eq!(read(r#"{"\"-0":[-0,"-0,"]}"#), Ok(expected));
        assert_eq!(read(r#"{"count":-0}"#), Ok(Buffered::Whole { count: 0 }));
        for text in ["-0.0", "-0e0", "1.0", "1e0", "\"-0\""] {
            assert!(read::<i32>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn floats_keep_the_sign_of_zero() {
        for text in ["-0", "-0.0", "-0e-5"] {
            assert!(read::<f64>(text).unwrap().is_sign_negative(), "{text}");
            assert!(read::<f32>(text).unwrap().is_sign_negative(), "{text}");
        }
    }

    #[test]
    fn only_whole_zeros_lose_their_sign() {
        for text in ["-0.5", "-01", "[1e-0,\"-0\",\"\\\\\",\"-0\"]", "\"", "\"\\", "-", "--", "-10"] {
            let unsigned = with_unsigned_zeros(text.as_bytes());
            assert_eq!(
                unsigned.escape_ascii().to_string().replace("1e0", "1e-0"),
                text.as_bytes().escape_ascii().to_string()
            );
        }
        assert_eq!(&*with_unsigned_zeros(b"{\"a\":-0,\"b\":[-0]}"), b"{\"a\":0,\"b\":[0]}");
    }
}
