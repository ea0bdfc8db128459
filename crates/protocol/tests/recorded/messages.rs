//! What the messages say that are no errors.

use hubline_protocol::{CompletionResult, HubMessage, HubProtocol, Naming, framing};

use crate::cases::{Exchange, exchanges};

fn exchange(file: &str, name: &str) -> Exchange {
    let mut exchanges = exchanges(file).into_iter();
    exchanges.find(|exchange| exchange.name == name).unwrap_or_else(|| panic!("no case {name}"))
}

fn describe(file: &str, name: &str) -> String {
    let exchange = exchange(file, name);
    match HubMessage::read(exchange.protocol, exchange.first()).unwrap() {
        HubMessage::Invocation(call) => {
            let arguments = match call.arguments {
                Ok(mut arguments) => {
                    let mut taken = Vec::new();
                    while !arguments.is_empty() {
                        taken.push(arguments.take::<i64>(Naming::Serde).map_err(|_| ()));
                    }
                    format!("{taken:?}")
                }
                Err(error) => error.to_string(),
            };
            let Some(id) = call.invocation_id else { return format!("{}{arguments}", call.target) };
            format!("{id}: {}{arguments}{:?}", call.target, call.stream_ids)
        }
        HubMessage::StreamItem(item) => {
            format!("item {} {:?}", item.invocation_id, item.item.decode::<i64>(Naming::Serde).ok())
        }
        HubMessage::Completion(completion) => {
            let result = match completion.result {
                CompletionResult::Error(error) => format!("error {error}"),
                CompletionResult::Void => "void".to_owned(),
                CompletionResult::Value(value) => format!("{:?}", value.decode::<i64>(Naming::Serde).ok()),
            };
            format!("completion {} {result}", completion.invocation_id)
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn tolerated_by_the_messagepack_reader() {
    for (name, message) in [
        ("five-items", "1: Add[Ok(1), Ok(2)][]"),
        ("extra-items", "1: Add[Ok(1), Ok(2)][]"),
        ("id-nil", "Add[Ok(1), Ok(2)]"),
        ("id-empty", "Add[Ok(1), Ok(2)]"),
        ("headers-filled", "1: Add[Ok(1), Ok(2)][]"),
        ("wide-integers", "1: Add[Ok(1), Ok(2)][]"),
        ("arguments-nil", "1: AddReading array length for 'arguments' failed.[]"),
        ("arguments-map", "1: AddReading array length for 'arguments' failed.[]"),
        ("four-items", "1: AddReading array length for 'arguments' failed.[]"),
        ("argument-mismatch", "1: Add[Ok(1), Err(())][]"),
        ("item-three-items", "item 7 None"),
        ("item-unknown", "item 7 Some(1)"),
        ("completion-error-nil", "completion 7 void"),
        ("completion-void-unknown", "completion 7 void"),
        ("trailing-bytes-in-frame", "1: Add[Ok(1), Ok(2)][]"),
        ("length-not-minimal", "Ping"),
        ("ping-more", "Ping"),
        ("cancel-unknown", "CancelInvocation { invocation_id: \"7\" }"),
        ("unknown-type-100", "Unknown { message_type: 100 }"),
    ] {
        assert_eq!(describe("messagepack-protocol.json", name), message, "{name}");
    }
}

#[test]
fn tolerated_by_the_json_reader() {
    for (name, message) in [
        ("type-last", "1: Add[Ok(1), Ok(2)][]"),
        ("unknown-properties", "1: Add[Ok(1), Ok(2)][]"),
        ("white-space", "1: Add[Ok(1), Ok(2)][]"),
        ("duplicate-arguments", "1: Add[Ok(1), Ok(2)][]"),
        ("duplicate-id", "1: Add[Ok(1), Ok(2)][]"),
        ("escaped-strings", "1: Add[Ok(1), Ok(2)][]"),
        ("headers", "1: Add[Ok(1), Ok(2)][]"),
        ("argument-whole-float-for-int", "1: Add[Ok(1), Err(())][]"),
        ("argument-quoted-number", "1: Add[Ok(1), Err(())][]"),
        ("invalid-utf8-argument", "1: EchoString[Err(())][]"),
        ("id-empty", "Add[Ok(1), Ok(2)]"),
        ("two-values", "Ping"),
    ] {
        assert_eq!(describe("json-protocol.json", name), message, "{name}");
    }
}

/// Whoever looks for cancellations alone finds the same ones.
#[test]
fn cancellations_are_found_among_other_messages() {
    let mut found = 0;
    for file in ["json-protocol.json", "messagepack-protocol.json", "streaming.json"] {
        for Exchange { name, protocol, sent, .. } in exchanges(file) {
            let mut rest = &sent[..];
            while let Ok(Some(framed)) = framing::split(protocol, rest, usize::MAX) {
                rest = &rest[framed.used..];
                let expected = match HubMessage::read(protocol, framed.message) {
                    Ok(HubMessage::CancelInvocation { invocation_id }) => Some(invocation_id),
                    _ => None,
                };
                found += usize::from(expected.is_some());
                assert_eq!(HubMessage::read_cancellation(protocol, framed.message), expected, "{name}");
            }
        }
    }
    assert!(found > 5, "{found}");
}

#[test]
fn names_of_protocols() {
    assert!(
        HubProtocol::ALL
            .into_iter()
            .all(|protocol| HubProtocol::from_name(protocol.name()) == Some(protocol))
    );
}
