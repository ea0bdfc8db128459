//! Hub messages to bytes. The order of properties is ASP.NET Core's.

use serde::Serialize;

use super::formatter::DotNetFormatter;
use crate::Naming;
use crate::dot_net::DotNet;
use crate::encode::{Call, CompletionOutcome, EncodeError};
use crate::framing::RECORD_SEPARATOR;

/// `{"type":1,"invocationId":…,"target":…,"arguments":[…]}`
pub(crate) fn invocation(
    out: &mut Vec<u8>,
    call: Call<'_>,
    arguments: &impl Serialize,
    naming: Naming,
) -> Result<(), EncodeError> {
    out.extend(if call.streaming { br#"{"type":4,"# } else { br#"{"type":1,"# });
    if let Some(id) = call.invocation_id {
        out.extend(br#""invocationId":"#);
        write_string(out, id);
        out.push(b',');
    }
    out.extend(br#""target":"#);
    write_string(out, call.target);
    out.extend(br#","arguments":"#);
    value(out, arguments, naming)?;
    if !call.stream_ids.is_empty() {
        out.extend(br#","streamIds":"#);
        value(out, &call.stream_ids, naming)?;
    }
    out.extend([b'}', RECORD_SEPARATOR]);
    Ok(())
}

/// `{"type":5,"invocationId":…}`
pub(crate) fn cancel_invocation(out: &mut Vec<u8>, invocation_id: &str) {
    out.extend(br#"{"type":5,"invocationId":"#);
    write_string(out, invocation_id);
    out.extend([b'}', RECORD_SEPARATOR]);
}

/// `{"type":3,"invocationId":…}` with `error` or `result` behind it, or nothing.
pub(crate) fn completion(out: &mut Vec<u8>, invocation_id: &str, outcome: &CompletionOutcome<'_>) {
    out.extend(br#"{"type":3,"invocationId":"#);
    write_string(out, invocation_id);
    match outcome {
        CompletionOutcome::Error(error) => {
            out.extend(br#","error":"#);
            write_string(out, error);
        }
        CompletionOutcome::Value(encoded) => {
            out.extend(br#","result":"#);
            out.extend(*encoded);
        }
        CompletionOutcome::Void => {}
    }
    out.extend([b'}', RECORD_SEPARATOR]);
}

/// `{"type":2,"invocationId":…,"item":…}`
pub(crate) fn stream_item(out: &mut Vec<u8>, invocation_id: &str, encoded: &[u8]) {
    out.extend(br#"{"type":2,"invocationId":"#);
    write_string(out, invocation_id);
    out.extend(br#","item":"#);
    out.extend(encoded);
    out.extend([b'}', RECORD_SEPARATOR]);
}

/// `{"type":8,"sequenceId":…}`, or 9
pub(crate) fn numbered(out: &mut Vec<u8>, message_type: u8, sequence_id: u64) {
    out.extend(format!(r#"{{"type":{message_type},"sequenceId":{sequence_id}}}"#).into_bytes());
    out.push(RECORD_SEPARATOR);
}

/// `{"type":7,"error":…,"allowReconnect":true}`; a false `allowReconnect` is left out.
pub(crate) fn close(out: &mut Vec<u8>, error: Option<&str>, allow_reconnect: bool) {
    out.extend(br#"{"type":7"#);
    if let Some(error) = error {
        out.extend(br#","error":"#);
        write_string(out, error);
    }
    if allow_reconnect {
        out.extend(br#","allowReconnect":true"#);
    }
    out.extend([b'}', RECORD_SEPARATOR]);
}

/// One value as System.Text.Json writes it under SignalR's settings.
///
/// A number that JSON cannot express becomes `null` as serde's users know it, and an error under
/// [`Naming::DotNet`].
pub(crate) fn value(
    out: &mut Vec<u8>,
    value: &(impl Serialize + ?Sized),
    naming: Naming,
) -> Result<(), EncodeError> {
    let mut serializer = serde_json::Serializer::with_formatter(out, DotNetFormatter);
    match naming {
        Naming::Serde => value.serialize(&mut serializer),
        Naming::DotNet => value.serialize(DotNet(&mut serializer)),
    }
    .map_err(|error| EncodeError::new("JSON", &error))
}

pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to a Vec has no way to fail.
    _ = value(out, text, Naming::Serde);
}
