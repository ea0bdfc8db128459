use serde_json::value::RawValue;

use crate::json::write_string;

/// The same JSON without white space and with its strings escaped as .NET does; `None` if it is so already.
///
/// # Errors
/// A string in it is half of a surrogate pair.
pub(super) fn compact(text: &str) -> serde_json::Result<Option<Box<RawValue>>> {
    let mut compact = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', ' ', '\t', '\n', '\r']) {
        compact.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        if !rest.starts_with('"') {
            rest = &rest[1..];
            continue;
        }
        let (string, behind) = rest.split_at(end_of_string(rest));
        write_string(&mut compact, &serde_json::from_str::<std::borrow::Cow<'_, str>>(string)?);
        rest = behind;
    }
    compact.extend_from_slice(rest.as_bytes());
    if compact == text.as_bytes() {
        return Ok(None);
    }
    serde_json::from_slice(&compact).map(Some)
}

/// Where the string ends that `text`, which is JSON, begins with.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    let ends = |byte: u8| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    };
    text.bytes().skip(1).position(ends).map_or(text.len(), |length| length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_and_escapes_change() {
        let compacted = |text: &str| compact(text).unwrap().map(|value| value.get().to_owned());
        assert_eq!(compacted(r#"[1.50,"a b",{"c":null}]"#), None);
        assert_eq!(
            compacted("[ 1.50,\n\"a \\\"b\" , {\"c\" : null}]").unwrap(),
            r#"[1.50,"a \"b",{"c":null}]"#
        );
        assert_eq!(compacted(r#""\u0041\/\\""#).unwrap(), r#""A/\\""#);
        assert!(compact(r#""\ud800""#).is_err());
    }
}
