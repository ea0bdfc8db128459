//! Bytes to hub messages.

use std::borrow::Cow;

use super::scanner::{Kind, Scanner, Text};
use crate::message::ArgumentList;
use crate::{
    Arguments, ClientValue, Completion, CompletionResult, DecodeError, HubMessage, Invocation, StreamItem,
};

/// Reads one hub message, given without its separator. What follows the object is ignored.
///
/// # Errors
/// Anything that ends the connection on ASP.NET Core; never a value that merely does not fit a method's
/// argument, because values are not looked at here.
pub fn read(text: &[u8]) -> Result<HubMessage<'_>, DecodeError> {
    let mut message = Properties::default();
    properties(text, |name, scanner| match name.decode() {
        Err(error @ DecodeError::LoneSurrogate) => Err(error),
        name => message.set(&name.unwrap_or_default(), scanner),
    })?;
    message.build()
}

/// As [`read`], for whom only cancellations matter.
pub(crate) fn read_cancellation(text: &[u8]) -> Option<Cow<'_, str>> {
    match may_be_cancellation(text).then(|| read(text))? {
        Ok(HubMessage::CancelInvocation { invocation_id }) => Some(invocation_id),
        _ => None,
    }
}

/// Whether a property has the value 5, in which way a cancellation says its type. Rarely true of other messages.
fn may_be_cancellation(text: &[u8]) -> bool {
    memchr::memchr_iter(b'5', text).any(|at| text[..at].trim_ascii_end().ends_with(b":"))
}

/// Calls `each` with every property of the object that `text` begins with; it must read the property's value.
///
/// Of duplicates the last one counts, and a name that is no text is that of no property: both are up to `each`.
pub(crate) fn properties<'a, F>(text: &'a [u8], each: F) -> Result<(), DecodeError>
where
    F: FnMut(Text<'a>, &mut Scanner<'a>) -> Result<(), DecodeError>,
{
    let mut scanner = Scanner::new(text);
    match scanner.kind()? {
        Kind::Object => scanner.object(each),
        Kind::Array => Err(DecodeError::NotAnObject("Array")),
        kind => {
            scanner.value()?;
            Err(DecodeError::NotAnObject(match kind {
                Kind::True | Kind::False => "Boolean",
                kind => token_type(kind),
            }))
        }
    }
}

/// The properties of any hub message, as they were found.
#[derive(Default)]
struct Properties<'a> {
    message_type: Option<i32>,
    invocation_id: Option<Cow<'a, str>>,
    target: Option<Cow<'a, str>>,
    arguments: Option<ArgumentList<'a>>,
    stream_ids: Vec<Cow<'a, str>>,
    item: Option<&'a [u8]>,
    result: Option<&'a [u8]>,
    error: Option<Cow<'a, str>>,
    sequence_id: Option<i64>,
    allow_reconnect: bool,
    trace_parent: Option<Cow<'a, str>>,
}

impl<'a> Properties<'a> {
    fn set(&mut self, name: &str, value: &mut Scanner<'a>) -> Result<(), DecodeError> {
        match name {
            "type" => self.message_type = Some(integer32("type", value)?),
            "invocationId" => self.invocation_id = Some(string("invocationId", value)?),
            "target" => self.target = Some(string("target", value)?),
            "arguments" => self.arguments = Some(arguments(value)?),
            "streamIds" => self.stream_ids = stream_ids(value)?,
            "item" => self.item = Some(value.value()?),
            "result" => self.result = Some(value.value()?),
            "error" => self.error = Some(string("error", value)?),
            "sequenceId" => self.sequence_id = Some(integer64("sequenceId", value)?),
            "headers" => self.trace_parent = headers(value)?,
            "allowReconnect" => self.allow_reconnect = boolean("allowReconnect", value)?,
            _ => drop(value.value()?),
        }
        Ok(())
    }

    fn build(self) -> Result<HubMessage<'a>, DecodeError> {
        let missing = DecodeError::MissingProperty;
        Ok(match self.message_type.ok_or(missing("type"))? {
            message_type @ (1 | 4) => HubMessage::Invocation(self.invocation(message_type == 4)?),
            2 => {
                let invocation_id = self.invocation_id.ok_or(missing("invocationId"))?;
                let item = self.item.ok_or(missing("item"))?;
                if invocation_id.is_empty() {
                    return Err(DecodeError::NamelessStream);
                }
                HubMessage::StreamItem(StreamItem { invocation_id, item: ClientValue::Json(item) })
            }
            3 => HubMessage::Completion(Completion {
                invocation_id: required_id(self.invocation_id)?,
                result: match (self.error, self.result) {
                    (Some(_), Some(_)) => return Err(DecodeError::ErrorAndResult),
                    (Some(error), None) => CompletionResult::Error(error),
                    (None, Some(value)) => CompletionResult::Value(ClientValue::Json(value)),
                    (None, None) => CompletionResult::Void,
                },
            }),
            5 => HubMessage::CancelInvocation { invocation_id: required_id(self.invocation_id)? },
            6 => HubMessage::Ping,
            7 => HubMessage::Close { error: self.error, allow_reconnect: self.allow_reconnect },
            8 => HubMessage::Ack { sequence_id: self.sequence_id.ok_or(missing("sequenceId"))? },
            9 => HubMessage::Sequence { sequence_id: self.sequence_id.ok_or(missing("sequenceId"))? },
            message_type => HubMessage::Unknown { message_type: message_type.into() },
        })
    }

    fn invocation(self, streaming: bool) -> Result<Invocation<'a>, DecodeError> {
        Ok(Invocation {
            invocation_id: match streaming {
                true => Some(required_id(self.invocation_id)?),
                false => self.invocation_id.filter(|id| !id.is_empty()),
            },
            target: self.target.ok_or(DecodeError::MissingProperty("target"))?,
            arguments: Ok(Arguments::new(self.arguments.ok_or(DecodeError::MissingProperty("arguments"))?)),
            stream_ids: self.stream_ids,
            streaming,
            trace_parent: self.trace_parent,
        })
    }
}

fn required_id(id: Option<Cow<'_, str>>) -> Result<Cow<'_, str>, DecodeError> {
    id.filter(|id| !id.is_empty()).ok_or(DecodeError::MissingProperty("invocationId"))
}

/// Reads a string.
pub(crate) fn string<'a>(
    property: &'static str,
    value: &mut Scanner<'a>,
) -> Result<Cow<'a, str>, DecodeError> {
    typed(property, value, Kind::String, "of type String")?;
    value.string().and_then(Text::decode)
}

/// Reads a number that must be a 32-bit integer.
pub(crate) fn integer32(property: &'static str, value: &mut Scanner<'_>) -> Result<i32, DecodeError> {
    typed(property, value, Kind::Number, "of type Number")?;
    number(value.value()?).ok_or(DecodeError::NotInt32)
}

fn integer64(property: &'static str, value: &mut Scanner<'_>) -> Result<i64, DecodeError> {
    typed(property, value, Kind::Number, "of type Number")?;
    number(value.value()?).ok_or(DecodeError::NotInt64)
}

fn number<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn arguments<'a>(value: &mut Scanner<'a>) -> Result<ArgumentList<'a>, DecodeError> {
    typed("arguments", value, Kind::Array, "of type Array")?;
    let mut arguments = ArgumentList::new();
    value.array(|item| {
        arguments.push(ClientValue::Json(item.value()?));
        Ok(())
    })?;
    Ok(arguments)
}

fn stream_ids<'a>(value: &mut Scanner<'a>) -> Result<Vec<Cow<'a, str>>, DecodeError> {
    typed("streamIds", value, Kind::Array, "of type Array")?;
    let mut ids = Vec::new();
    value.array(|id| match id.kind()? {
        Kind::String => {
            ids.push(id.string()?.decode()?);
            Ok(())
        }
        Kind::Null => Err(DecodeError::NullStreamId),
        other => Err(DecodeError::StreamIdType(token_type(other))),
    })?;
    Ok(ids)
}

/// Checks all headers, and returns the only one that means something.
fn headers<'a>(value: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>, DecodeError> {
    typed("headers", value, Kind::Object, "of type StartObject")?;
    let mut trace_parent = None;
    value.object(|name, header| match header.kind()? {
        Kind::String => {
            let text = header.string()?;
            if name.decode().is_ok_and(|name| name.eq_ignore_ascii_case(Invocation::TRACE_PARENT)) {
                trace_parent = text.decode().ok();
            }
            Ok(())
        }
        _ => Err(DecodeError::HeaderType(name.decode().unwrap_or_default().into_owned())),
    })?;
    Ok(trace_parent.filter(|text| text.len() <= Invocation::LONGEST_TRACE_PARENT))
}

fn boolean(property: &'static str, value: &mut Scanner<'_>) -> Result<bool, DecodeError> {
    match value.kind()? {
        kind @ (Kind::True | Kind::False) => value.value().map(|_| kind == Kind::True),
        _ => Err(DecodeError::WrongType { property, expected: "true or false" }),
    }
}

fn typed(
    property: &'static str,
    value: &mut Scanner<'_>,
    kind: Kind,
    expected: &'static str,
) -> Result<(), DecodeError> {
    if value.kind()? == kind { Ok(()) } else { Err(DecodeError::WrongType { property, expected }) }
}

/// What a value is, in the words of .NET's `JsonTokenType`.
fn token_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Array => "StartArray",
        Kind::Object => "StartObject",
        Kind::String => "String",
        Kind::True => "True",
        Kind::False => "False",
        Kind::Null => "Null",
        Kind::Number => "Number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Naming;

    fn error(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn reads_properties_in_any_order() {
        let text = br#"{"target":"add","arguments":[1,"two",null],"invocationId":"0","type":1}"#;
        let HubMessage::Invocation(call) = read(text).unwrap() else { panic!("not an invocation") };
        let mut arguments = call.arguments.unwrap();
        assert_eq!(call.invocation_id.as_deref(), Some("0"));
        assert_eq!((&*call.target, arguments.len(), call.streaming), ("add", 3, false));
        assert_eq!(arguments.take::<i32>(Naming::Serde).unwrap(), 1);
        assert_eq!(arguments.take::<String>(Naming::Serde).unwrap(), "two");
        assert_eq!(arguments.take::<Option<i32>>(Naming::Serde).unwrap(), None);
        assert!(arguments.take::<i32>(Naming::Serde).is_err());
    }

    #[test]
    fn the_last_duplicate_wins_and_escaped_names_count() {
        let text = br#"{"type":6,"t\u0079pe":7,"error":"a","error":"b\n"} trailing"#;
        let HubMessage::Close { error: Some(error), .. } = read(text).unwrap() else { panic!("not a close") };
        assert_eq!(error, "b\n");
    }

    #[test]
    fn values_are_looked_at_only_when_they_are_taken() {
        let text = b"{\"type\":1,\"target\":\"a\",\"arguments\":[\"\xff\",\"\\ud800\", 1e999 ,2]}";
        let HubMessage::Invocation(call) = read(text).unwrap() else { panic!("not an invocation") };
        let mut arguments = call.arguments.unwrap();
        for _ in 0..2 {
            assert!(arguments.take::<String>(Naming::Serde).is_err());
        }
        assert!(arguments.take::<i32>(Naming::Serde).is_err());
        assert_eq!(arguments.take::<i32>(Naming::Serde).unwrap(), 2);
        let surrogate = "Cannot read incomplete UTF-16 JSON text as string with missing low surrogate.";
        assert_eq!(error(r#"{"type":1,"target":"\ud800","arguments":[]}"#), surrogate);
    }

    #[test]
    fn an_empty_id_is_fatal_where_one_is_needed() {
        for kind in [3, 4, 5] {
            let text = format!(r#"{{"type":{kind},"invocationId":"","target":"a","arguments":[]}}"#);
            assert_eq!(error(&text), "Missing required property 'invocationId'.");
        }
    }

    #[test]
    fn an_empty_id_is_none_on_an_invocation() {
        let text = br#"{"type":1,"invocationId":"","target":"a","arguments":[]}"#;
        let HubMessage::Invocation(call) = read(text).unwrap() else { panic!("not an invocation") };
        assert_eq!(call.invocation_id, None);
    }

    #[test]
    fn says_what_is_wrong_as_the_real_server_does() {
        assert_eq!(error("{}"), "Missing required property 'type'.");
        assert_eq!(error(r#"{"type":1,"arguments":[]}"#), "Missing required property 'target'.");
        assert_eq!(error(r#"{"type":1,"target":"a"}"#), "Missing required property 'arguments'.");
        assert_eq!(
            error(r#"{"type":4,"target":"a","arguments":[]}"#),
            "Missing required property 'invocationId'."
        );
        assert_eq!(error(r#"{"type":"1"}"#), "Expected 'type' to be of type Number.");
        assert_eq!(
            error(r#"{"type":1,"invocationId":null}"#),
            "Expected 'invocationId' to be of type String."
        );
        assert_eq!(error(r#"{"type":1,"arguments":{}}"#), "Expected 'arguments' to be of type Array.");
        assert_eq!(error(r#"{"type":1,"headers":[]}"#), "Expected 'headers' to be of type StartObject.");
        assert_eq!(error(r#"{"type":1,"headers":{"a":1}}"#), "Expected header 'a' to be of type String.");
        assert_eq!(error(r#"{"type":1,"streamIds":[null]}"#), "Null value for 'streamIds' is not valid.");
        assert_eq!(
            error(r#"{"type":7,"allowReconnect":1}"#),
            "Expected 'allowReconnect' to be true or false."
        );
        assert_eq!(
            error(r#"{"type":8,"sequenceId":1.5}"#),
            "Either the JSON value is not in a supported format, or is out of bounds for the Int64 type."
        );
        assert_eq!(
            error(r#"{"type":3,"invocationId":"1","error":"e","result":null}"#),
            "The 'error' and 'result' properties are mutually exclusive."
        );
        assert_eq!(error("[]"), "Unexpected JSON Token Type 'Array'. Expected a JSON Object.");
        assert_eq!(error("1"), "Unexpected JSON Token Type 'Number'. Expected a JSON Object.");
        assert_eq!(error("true"), "Unexpected JSON Token Type 'Boolean'. Expected a JSON Object.");
        for broken in ["", "nonsense", "{", r#"{"type":6,}"#, r#"{"type":6 /* no */}"#] {
            assert_eq!(error(broken), "Error reading JSON.", "{broken}");
        }
    }

    #[test]
    fn nests_62_levels_inside_the_arguments_and_no_more() {
        let nested = |levels: usize| {
            let text = format!(
                r#"{{"type":1,"target":"a","arguments":[{}{}]}}"#,
                "[".repeat(levels),
                "]".repeat(levels)
            );
            read(text.as_bytes()).map(|_| ())
        };
        assert_eq!(nested(62), Ok(()));
        assert_eq!(nested(63), Err(DecodeError::Json));
        assert_eq!(nested(100_000), Err(DecodeError::Json));
    }
}
