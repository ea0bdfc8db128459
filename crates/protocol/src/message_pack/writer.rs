//! Hub messages to bytes.

use rmp::encode;
use serde::Serialize;

use super::value;
use crate::Naming;
use crate::encode::{Call, CompletionOutcome, EncodeError};

/// `[1, headers, id | nil, target, arguments, streamIds]`
pub(crate) fn invocation(
    out: &mut Vec<u8>,
    call: Call<'_>,
    arguments: &impl Serialize,
    naming: Naming,
) -> Result<(), EncodeError> {
    header(out, 6, if call.streaming { 4 } else { 1 });
    match call.invocation_id {
        Some(id) => string(out, id),
        None => infallible(encode::write_nil(out)),
    }
    string(out, call.target);
    value(out, arguments, naming)?;
    value(out, &call.stream_ids, naming)
}

/// `[5, headers, id]`
pub(crate) fn cancel_invocation(out: &mut Vec<u8>, invocation_id: &str) {
    header(out, 3, 5);
    string(out, invocation_id);
}

/// `[3, headers, id, kind, error | result]` with kind 1 for an error, 2 for nothing, 3 for a result.
pub(crate) fn completion(out: &mut Vec<u8>, invocation_id: &str, outcome: &CompletionOutcome<'_>) {
    let (length, kind) = match outcome {
        CompletionOutcome::Error(_) => (5, 1),
        CompletionOutcome::Void => (4, 2),
        CompletionOutcome::Value(_) => (5, 3),
    };
    header(out, length, 3);
    string(out, invocation_id);
    infallible(encode::write_pfix(out, kind));
    match outcome {
        CompletionOutcome::Error(error) => string(out, error),
        CompletionOutcome::Value(encoded) => out.extend(*encoded),
        CompletionOutcome::Void => {}
    }
}

/// `[2, headers, id, item]`
pub(crate) fn stream_item(out: &mut Vec<u8>, invocation_id: &str, encoded: &[u8]) {
    header(out, 4, 2);
    string(out, invocation_id);
    out.extend(encoded);
}

/// `[8, sequenceId]`, or 9
pub(crate) fn numbered(out: &mut Vec<u8>, message_type: u8, sequence_id: u64) {
    infallible(encode::write_array_len(out, 2));
    infallible(encode::write_pfix(out, message_type));
    infallible(encode::write_uint(out, sequence_id));
}

/// `[6]`
pub(crate) fn ping(out: &mut Vec<u8>) {
    infallible(encode::write_array_len(out, 1));
    infallible(encode::write_pfix(out, 6));
}

/// `[7, error | nil, allowReconnect]`
pub(crate) fn close(out: &mut Vec<u8>, error: Option<&str>, allow_reconnect: bool) {
    infallible(encode::write_array_len(out, 3));
    infallible(encode::write_pfix(out, 7));
    match error {
        Some(error) => string(out, error),
        None => infallible(encode::write_nil(out)),
    }
    infallible(encode::write_bool(out, allow_reconnect));
}

fn header(out: &mut Vec<u8>, length: u32, message_type: u8) {
    infallible(encode::write_array_len(out, length));
    infallible(encode::write_pfix(out, message_type));
    infallible(encode::write_map_len(out, 0));
}

fn string(out: &mut Vec<u8>, text: &str) {
    infallible(encode::write_str(out, text));
}

/// Writing to a `Vec` has no way to fail; rmp's signatures cannot say so.
fn infallible<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok());
}
