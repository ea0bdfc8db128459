//! Bytes to hub messages.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::{Arguments, Completion, CompletionResult, DecodeError, HubMessage, Invocation, StreamItem};

/// .NET's `JsonReaderOptions.MaxDepth` as SignalR leaves it.
const MAX_DEPTH: usize = 64;

/// Reads one hub message, given without its separator. What follows the object is ignored.
///
/// # Errors
/// Anything that ends the connection on ASP.NET Core; never a value that merely does not fit a method's
/// argument, because values are not looked at here.
pub fn read(text: &[u8]) -> Result<HubMessage<'_>, DecodeError> {
    let mut message = Properties::default();
    Fields::read(text, |name, value| message.set(name, value))?;
    message.build()
}

/// The properties of any hub message, as they were found.
#[derive(Default)]
struct Properties<'a> {
    message_type: Option<i64>,
    invocation_id: Option<Cow<'a, str>>,
    target: Option<Cow<'a, str>>,
    arguments: Option<Vec<&'a RawValue>>,
    stream_ids: Vec<Cow<'a, str>>,
    item: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<Cow<'a, str>>,
    sequence_id: Option<i64>,
}

impl<'a> Properties<'a> {
    fn set(&mut self, name: &str, value: &'a RawValue) -> Result<(), DecodeError> {
        match name {
            "type" => self.message_type = Some(integer32("type", value)?.into()),
            "invocationId" => self.invocation_id = Some(string("invocationId", value)?),
            "target" => self.target = Some(string("target", value)?),
            "arguments" => self.arguments = Some(array("arguments", value)?),
            "streamIds" => self.stream_ids = stream_ids(value)?,
            "item" => self.item = Some(value),
            "result" => self.result = Some(value),
            "error" => self.error = Some(string("error", value)?),
            "sequenceId" => self.sequence_id = Some(integer("sequenceId", value)?),
            "headers" => check_headers(value)?,
            "allowReconnect" => check_boolean("allowReconnect", value)?,
            _ => {}
        }
        Ok(())
    }

    fn build(self) -> Result<HubMessage<'a>, DecodeError> {
        let missing = DecodeError::MissingProperty;
        let required_id =
            |id: Option<Cow<'a, str>>| id.filter(|id| !id.is_empty()).ok_or(missing("invocationId"));
        Ok(match self.message_type.ok_or(missing("type"))? {
            message_type @ (1 | 4) => {
                let streaming = message_type == 4;
                let invocation_id = match streaming {
                    true => Some(required_id(self.invocation_id)?),
                    false => self.invocation_id.filter(|id| !id.is_empty()),
                };
                HubMessage::Invocation(Invocation {
                    invocation_id,
                    target: self.target.ok_or(missing("target"))?,
                    arguments: Arguments::new(self.arguments.ok_or(missing("arguments"))?),
                    stream_ids: self.stream_ids,
                    streaming,
                })
            }
            2 => {
                let invocation_id = self.invocation_id.ok_or(missing("invocationId"))?;
                let item = self.item.ok_or(missing("item"))?;
                if invocation_id.is_empty() {
                    return Err(DecodeError::NamelessStream);
                }
                HubMessage::StreamItem(StreamItem { invocation_id, item })
            }
            3 => HubMessage::Completion(Completion {
                invocation_id: required_id(self.invocation_id)?,
                result: match (self.error, self.result) {
                    (Some(_), Some(_)) => return Err(DecodeError::ErrorAndResult),
                    (Some(error), None) => CompletionResult::Error(error),
                    (None, Some(value)) => CompletionResult::Value(value),
                    (None, None) => CompletionResult::Void,
                },
            }),
            5 => HubMessage::CancelInvocation { invocation_id: required_id(self.invocation_id)? },
            6 => HubMessage::Ping,
            7 => HubMessage::Close { error: self.error },
            8 => HubMessage::Ack { sequence_id: self.sequence_id.ok_or(missing("sequenceId"))? },
            9 => HubMessage::Sequence { sequence_id: self.sequence_id.ok_or(missing("sequenceId"))? },
            message_type => HubMessage::Unknown { message_type },
        })
    }
}

/// The properties of a JSON object in the order they were sent; of duplicates the last one counts.
pub(crate) struct Fields<F> {
    each: F,
    error: Option<DecodeError>,
}

impl<'a, F> Fields<F>
where
    F: FnMut(&str, &'a RawValue) -> Result<(), DecodeError>,
{
    /// Calls `each` with every property of the object that `text` begins with.
    pub(crate) fn read(text: &'a [u8], each: F) -> Result<(), DecodeError> {
        check_depth(text)?;
        let mut fields = Self { each, error: None };
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        match deserializer.deserialize_map(&mut fields) {
            Ok(()) => Ok(()),
            Err(_) => Err(fields.error.unwrap_or_else(|| not_an_object(text))),
        }
    }
}

impl<'a, F> Visitor<'a> for &mut Fields<F>
where
    F: FnMut(&str, &'a RawValue) -> Result<(), DecodeError>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut properties: A) -> Result<(), A::Error> {
        while let Some(name) = properties.next_key_seed(Text)? {
            let value = properties.next_value()?;
            if let Err(error) = (self.each)(&name, value) {
                self.error = Some(error);
                return Err(de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// A string, borrowed where it holds no escapes. (`Cow` alone never borrows.)
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

pub(crate) fn string<'a>(property: &'static str, value: &'a RawValue) -> Result<Cow<'a, str>, DecodeError> {
    if !value.get().starts_with('"') {
        return Err(DecodeError::WrongType { property, expected: "of type String" });
    }
    Text.deserialize(value).map_err(|_| DecodeError::Json)
}

fn integer(property: &'static str, value: &RawValue) -> Result<i64, DecodeError> {
    i64::deserialize(value).map_err(|_| DecodeError::WrongType { property, expected: "of type Number" })
}

pub(crate) fn integer32(property: &'static str, value: &RawValue) -> Result<i32, DecodeError> {
    if !value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err(DecodeError::WrongType { property, expected: "of type Number" });
    }
    i32::deserialize(value).map_err(|_| DecodeError::NotInt32)
}

fn array<'a>(property: &'static str, value: &'a RawValue) -> Result<Vec<&'a RawValue>, DecodeError> {
    if !value.get().starts_with('[') {
        return Err(DecodeError::WrongType { property, expected: "of type Array" });
    }
    Vec::deserialize(value).map_err(|_| DecodeError::Json)
}

fn stream_ids(value: &RawValue) -> Result<Vec<Cow<'_, str>>, DecodeError> {
    array("streamIds", value)?
        .into_iter()
        .map(|id| match kind(id) {
            "String" => string("streamIds", id),
            "Null" => Err(DecodeError::NullStreamId),
            other => Err(DecodeError::StreamIdType(other)),
        })
        .collect()
}

fn check_headers(value: &RawValue) -> Result<(), DecodeError> {
    if !value.get().starts_with('{') {
        return Err(DecodeError::WrongType { property: "headers", expected: "of type StartObject" });
    }
    Fields::read(value.get().as_bytes(), |name, header| {
        if header.get().starts_with('"') { Ok(()) } else { Err(DecodeError::HeaderType(name.to_owned())) }
    })
}

fn check_boolean(property: &'static str, value: &RawValue) -> Result<(), DecodeError> {
    match value.get() {
        "true" | "false" => Ok(()),
        _ => Err(DecodeError::WrongType { property, expected: "true or false" }),
    }
}

/// serde_json skips raw values without counting levels, so they are counted here.
fn check_depth(text: &[u8]) -> Result<(), DecodeError> {
    if text.len() <= MAX_DEPTH {
        return Ok(());
    }
    let mut depth = 0usize;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(DecodeError::Json);
        }
    }
    Ok(())
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
}

fn not_an_object(text: &[u8]) -> DecodeError {
    let whole = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>().next();
    match whole.and_then(Result::ok).map(kind) {
        Some("StartObject") | None => DecodeError::Json,
        Some("StartArray") => DecodeError::NotAnObject("Array"),
        Some("True" | "False") => DecodeError::NotAnObject("Boolean"),
        Some(other) => DecodeError::NotAnObject(other),
    }
}

/// What a value is, in the words of .NET's `JsonTokenType`.
fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'[') => "StartArray",
        Some(b'{') => "StartObject",
        Some(b'"') => "String",
        Some(b't') => "True",
        Some(b'f') => "False",
        Some(b'n') => "Null",
        _ => "Number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn reads_properties_in_any_order() {
        let text = br#"{"target":"add","arguments":[1,"two",null],"invocationId":"0","type":1}"#;
        let HubMessage::Invocation(mut call) = read(text).unwrap() else { panic!("not an invocation") };
        assert_eq!(call.invocation_id.as_deref(), Some("0"));
        assert_eq!((&*call.target, call.arguments.len(), call.streaming), ("add", 3, false));
        assert_eq!(call.arguments.take::<i32>().unwrap(), 1);
        assert_eq!(call.arguments.take::<String>().unwrap(), "two");
        assert_eq!(call.arguments.take::<Option<i32>>().unwrap(), None);
        assert!(call.arguments.take::<i32>().is_err());
    }

    #[test]
    fn the_last_duplicate_wins_and_escaped_names_count() {
        let text = br#"{"type":6,"t\u0079pe":7,"error":"a","error":"b\n"} trailing"#;
        let HubMessage::Close { error: Some(error) } = read(text).unwrap() else { panic!("not a close") };
        assert_eq!(error, "b\n");
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
            error(r#"{"type":3,"invocationId":"1","error":"e","result":null}"#),
            "The 'error' and 'result' properties are mutually exclusive."
        );
        assert_eq!(error("[]"), "Unexpected JSON Token Type 'Array'. Expected a JSON Object.");
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
