//! Bytes to hub messages.

use std::borrow::Cow;

use super::reader::{ReadError, Reader, Token};
use crate::message::ArgumentList;
use crate::{
    Arguments, BindError, ClientValue, Completion, CompletionResult, DecodeError, HubMessage, Invocation,
    StreamItem,
};

/// Reads one hub message, given without its length. Bytes and items behind those it needs are ignored.
///
/// # Errors
/// Anything that ends the connection on ASP.NET Core; never a value that merely does not fit a method's
/// argument, because values are not looked at here.
pub fn read(message: &[u8]) -> Result<HubMessage<'_>, DecodeError> {
    let mut fields = Fields(Reader::new(message));
    let length = fields.length()?;
    Ok(match fields.integer32("messageType")? {
        message_type @ (1 | 4) => HubMessage::Invocation(fields.invocation(message_type == 4, length)?),
        2 => HubMessage::StreamItem(StreamItem {
            invocation_id: fields.headers_and_id("invocation ID for StreamItem message")?,
            item: ClientValue::MessagePack(fields.value_or_nothing()),
        }),
        3 => HubMessage::Completion(Completion {
            invocation_id: fields.headers_and_id("invocation ID for Completion message")?,
            result: fields.completion_result()?,
        }),
        5 => HubMessage::CancelInvocation {
            invocation_id: fields.headers_and_id("invocation ID for CancelInvocation message")?,
        },
        6 => HubMessage::Ping,
        7 => fields.close(length)?,
        8 => HubMessage::Ack { sequence_id: fields.integer64("sequenceId")? },
        9 => HubMessage::Sequence { sequence_id: fields.integer64("sequenceId")? },
        message_type => HubMessage::Unknown { message_type: message_type.into() },
    })
}

/// As [`read`], for whom only cancellations matter.
pub(crate) fn read_cancellation(message: &[u8]) -> Option<Cow<'_, str>> {
    let mut fields = Fields(Reader::new(message));
    fields.length().ok()?;
    let message_type = fields.integer32("messageType").ok()?;
    if message_type == 5 { fields.headers_and_id("invocation ID").ok() } else { None }
}

/// The items of a message, read in their order. Each name is the one that ASP.NET Core's errors use.
struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    fn length(&mut self) -> Result<u32, DecodeError> {
        let code = self.0.code().ok_or(DecodeError::EndOfStream)?;
        if !matches!(code, 0x90..=0x9f | 0xdc | 0xdd) {
            return Err(DecodeError::UnexpectedCode(code));
        }
        match self.0.token() {
            Ok(Token::Array(length)) => Ok(length),
            _ => Err(DecodeError::EndOfStream),
        }
    }

    /// `headers, id | nil, target, arguments, streamIds`
    fn invocation(&mut self, streaming: bool, length: u32) -> Result<Invocation<'a>, DecodeError> {
        let trace_parent = self.headers()?;
        let (invocation_id, target) = if streaming {
            let id = filled(self.string("invocationId")?, "invocation ID for StreamInvocation message")?;
            (Some(id), "target for StreamInvocation message")
        } else {
            let id = self.string("invocationId")?.filter(|id| !id.is_empty());
            (id, "target for Invocation message")
        };
        let target = filled(self.string("target")?, target)?;
        let arguments = self.arguments();
        // Arguments that cannot be read leave no place to go on from.
        let stream_ids = if length > 5 && arguments.is_ok() { self.stream_ids()? } else { Vec::new() };
        Ok(Invocation { invocation_id, target, arguments, stream_ids, streaming, trace_parent })
    }

    fn arguments(&mut self) -> Result<Arguments<'a>, BindError> {
        let Ok(Token::Array(count)) = self.0.token() else {
            return Err(BindError::new("Reading array length for 'arguments' failed."));
        };
        let mut arguments = ArgumentList::new();
        for _ in 0..count {
            let value = self.0.value().map_err(|_| BindError::new(BindError::MISMATCH))?;
            arguments.push(ClientValue::MessagePack(value));
        }
        Ok(Arguments::new(arguments))
    }

    fn stream_ids(&mut self) -> Result<Vec<Cow<'a, str>>, DecodeError> {
        let Ok(Token::Array(count)) = self.0.token() else {
            return Err(DecodeError::Length { kind: "array", field: "streamIds" });
        };
        (0..count).map(|_| self.stream_id()).collect()
    }

    fn stream_id(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let code = self.0.code().ok_or(DecodeError::EndOfStream)?;
        match self.0.token() {
            Ok(Token::Str([]) | Token::Nil) => Err(DecodeError::NullOrEmpty("value in streamIds received")),
            Ok(Token::Str(id)) => Ok(String::from_utf8_lossy(id)),
            Err(ReadError::End) => Err(DecodeError::EndOfStream),
            _ => Err(DecodeError::UnexpectedCode(code)),
        }
    }

    /// `kind, error | result` with kind 1 for an error, 2 for nothing, 3 for a result.
    fn completion_result(&mut self) -> Result<CompletionResult<'a>, DecodeError> {
        match self.integer32("resultKind")? {
            1 => Ok(self.string("error")?.map_or(CompletionResult::Void, CompletionResult::Error)),
            2 => Ok(CompletionResult::Void),
            3 => Ok(CompletionResult::Value(ClientValue::MessagePack(self.value_or_nothing()))),
            _ => Err(DecodeError::ResultKind),
        }
    }

    /// `error | nil, allowReconnect`, the second one only if there are three items in all.
    fn close(&mut self, length: u32) -> Result<HubMessage<'a>, DecodeError> {
        let error = self.string("error")?;
        let allow_reconnect = match length > 2 {
            true => match self.0.token() {
                Ok(Token::Bool(allow)) => allow,
                _ => return Err(DecodeError::Field { field: "allowReconnect".into(), expected: "Boolean" }),
            },
            false => false,
        };
        Ok(HubMessage::Close { error, allow_reconnect })
    }

    fn headers_and_id(&mut self, name: &'static str) -> Result<Cow<'a, str>, DecodeError> {
        self.headers()?;
        filled(self.string("invocationId")?, name)
    }

    /// Checks all headers, and returns the only one that means something: `traceparent`.
    fn headers(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let Ok(Token::Map(count)) = self.0.token() else {
            return Err(DecodeError::Length { kind: "map", field: "headers" });
        };
        let mut trace_parent = None;
        for index in 0..count {
            let name = self.header(index, "Key", "key in header")?;
            let value = self.header(index, "Value", "value in header")?;
            if name.eq_ignore_ascii_case(Invocation::TRACE_PARENT.as_bytes())
                && value.len() <= Invocation::LONGEST_TRACE_PARENT
            {
                trace_parent = std::str::from_utf8(value).ok().map(Cow::Borrowed);
            }
        }
        Ok(trace_parent)
    }

    fn header(&mut self, index: u32, part: &str, name: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.0.token() {
            Ok(Token::Str([]) | Token::Nil) => Err(DecodeError::NullOrEmpty(name)),
            Ok(Token::Str(text)) => Ok(text),
            _ => Err(DecodeError::Field {
                field: format!("headers[{index}].{part}").into(),
                expected: "String",
            }),
        }
    }

    /// Texts that are not UTF-8 are mended, as in .NET.
    fn string(&mut self, field: &'static str) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self.0.token() {
            Ok(Token::Str(text)) => Ok(Some(String::from_utf8_lossy(text))),
            Ok(Token::Nil) => Ok(None),
            _ => Err(DecodeError::Field { field: field.into(), expected: "String" }),
        }
    }

    fn integer32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        self.integer(field, "Int32")
    }

    fn integer64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        self.integer(field, "Int64")
    }

    fn integer<I: TryFrom<i128>>(
        &mut self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<I, DecodeError> {
        let integer = self.0.token().ok().and_then(Token::integer);
        integer
            .and_then(|integer| I::try_from(integer).ok())
            .ok_or(DecodeError::Field { field: field.into(), expected })
    }

    /// A value that is absent or cut short does not bind, which is no reason to end the connection.
    fn value_or_nothing(&mut self) -> &'a [u8] {
        self.0.value().unwrap_or_default()
    }
}

fn filled<'a>(text: Option<Cow<'a, str>>, name: &'static str) -> Result<Cow<'a, str>, DecodeError> {
    text.filter(|text| !text.is_empty()).ok_or(DecodeError::NullOrEmpty(name))
}
