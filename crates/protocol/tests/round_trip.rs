//! What is written is read again, in both protocols and under both namings, however it is cut into pieces.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use std::collections::BTreeMap;

use hubline_protocol::encode::{self, CompletionOutcome};
use hubline_protocol::value::{Bytes, Char, Guid, KeyValuePair, TimeSpan};
use hubline_protocol::{CompletionResult, DecodeError, Dialect, HubMessage, HubProtocol, Naming, framing};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Line,
    Circle { radius: f64 },
    Named(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    text: String,
    signed_integer: i64,
    unsigned_integer: u64,
    float: f64,
    single: f32,
    flag: bool,
    character: char,
    missing_or_not: Option<i16>,
    shapes: Vec<Shape>,
    by_name: BTreeMap<String, KeyValuePair<i8, String>>,
    by_number: BTreeMap<i32, bool>,
    tuple: (u8, Option<String>),
    bytes: Bytes,
    unit: Char,
    guid: Guid,
    span: TimeSpan,
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Point),
        Just(Shape::Line),
        (-1e9..1e9).prop_map(|radius| Shape::Circle { radius }),
        any::<String>().prop_map(Shape::Named),
    ]
}

prop_compose! {
    fn everything()(
        text in any::<String>(),
        (signed_integer, unsigned_integer, flag) in any::<(i64, u64, bool)>(),
        float in prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL,
        single in prop::num::f32::NORMAL | prop::num::f32::ZERO,
        character in any::<char>(),
        missing_or_not in any::<Option<i16>>(),
        shapes in vec(shape(), 0..4),
        by_name in btree_map(any::<String>(), any::<(i8, String)>().prop_map(KeyValuePair::from), 0..3),
        by_number in btree_map(any::<i32>(), any::<bool>(), 0..20),
        tuple in any::<(u8, Option<String>)>(),
        bytes in vec(any::<u8>(), 0..300).prop_map(Bytes::from),
        unit in (0u16..0xd800).prop_map(Char::from_code),
        guid in any::<u128>().prop_map(|guid| Guid::from(uuid::Uuid::from_u128(guid))),
        span in any::<i64>().prop_map(TimeSpan::from_ticks),
    ) -> Everything {
        Everything {
            text, signed_integer, unsigned_integer, float, single, flag, character, missing_or_not, shapes, by_name,
            by_number, tuple, bytes, unit, guid, span,
        }
    }
}

fn dialects() -> impl Iterator<Item = Dialect> {
    HubProtocol::ALL
        .into_iter()
        .flat_map(|protocol| [Naming::Serde, Naming::DotNet].map(|naming| Dialect { protocol, naming }))
}

fn message(protocol: HubProtocol, payload: &[u8]) -> HubMessage<'_> {
    let framed = framing::split(protocol, payload, payload.len()).unwrap().unwrap();
    assert_eq!(framed.used, payload.len());
    HubMessage::read(protocol, framed.message).unwrap()
}

/// The messages in `bytes`, which come in pieces that end at `cuts`.
fn messages(
    protocol: HubProtocol,
    bytes: &[u8],
    mut cuts: Vec<usize>,
    limit: usize,
) -> (Vec<Vec<u8>>, Option<DecodeError>) {
    cuts.sort_unstable();
    let (mut messages, mut begin) = (Vec::new(), 0);
    for come in cuts.into_iter().filter(|cut| *cut < bytes.len()).chain([bytes.len()]) {
        while begin <= come {
            match framing::split(protocol, &bytes[begin..come], limit) {
                Ok(Some(framed)) => {
                    messages.push(framed.message.to_vec());
                    begin += framed.used;
                }
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

proptest! {
    #[test]
    fn invocations(value in everything(), id in "[^\\x00].{0,9}", target in ".{1,9}") {
        for dialect in dialects() {
            let arguments = (&value, &value.shapes, &value.text);
            let sent = encode::invocation(dialect, Some(&id), &target, &arguments).unwrap();
            let HubMessage::Invocation(call) = message(dialect.protocol, sent.payload()) else { panic!() };
            prop_assert_eq!(call.invocation_id.as_deref(), Some(&*id));
            prop_assert_eq!(&*call.target, &*target);
            let mut arguments = call.arguments.unwrap();
            prop_assert_eq!(&arguments.take::<Everything>(dialect.naming).unwrap(), &value);
            prop_assert_eq!(&arguments.take::<Vec<Shape>>(dialect.naming).unwrap(), &value.shapes);
            prop_assert_eq!(&arguments.take::<String>(dialect.naming).unwrap(), &value.text);
            prop_assert!(arguments.is_empty());
        }
    }

    #[test]
    fn calls_of_a_client(id in "[^\\x00].{0,9}", stream in "[^\\x00].{0,9}", streaming: bool, uploads: bool) {
        let ids = [&*stream, "2"];
        for dialect in dialects() {
            let stream_ids = if uploads { &ids[..] } else { &[] };
            let call = encode::Call { invocation_id: Some(&id), target: "Total", stream_ids, streaming };
            let sent = encode::call(dialect, call, &(1,)).unwrap();
            let HubMessage::Invocation(call) = message(dialect.protocol, sent.payload()) else { panic!() };
            prop_assert_eq!((call.invocation_id.as_deref(), call.streaming), (Some(&*id), streaming));
            prop_assert_eq!(&call.stream_ids, stream_ids);
            prop_assert_eq!(call.arguments.unwrap().take::<u8>(dialect.naming).unwrap(), 1);
            let sent = encode::cancel_invocation(dialect.protocol, &id);
            let HubMessage::CancelInvocation { invocation_id } = message(dialect.protocol, sent.payload()) else {
                panic!()
            };
            prop_assert_eq!(&*invocation_id, &*id);
        }
    }

    #[test]
    fn completions_and_stream_items(value in everything(), id in ".{1,9}") {
        for dialect in dialects() {
            let encoded = encode::value(dialect, &value).unwrap();
            let sent = encode::completion(dialect.protocol, &id, CompletionOutcome::Value(&encoded));
            let HubMessage::Completion(completion) = message(dialect.protocol, sent.payload()) else { panic!() };
            let CompletionResult::Value(result) = completion.result else { panic!() };
            prop_assert_eq!(&*completion.invocation_id, &*id);
            prop_assert_eq!(&result.decode::<Everything>(dialect.naming).unwrap(), &value);

            let sent = encode::stream_item(dialect.protocol, &id, &encoded);
            let HubMessage::StreamItem(item) = message(dialect.protocol, sent.payload()) else { panic!() };
            prop_assert_eq!(&item.item.decode::<Everything>(dialect.naming).unwrap(), &value);
        }
    }

    #[test]
    fn numbered_messages(number in 0..i64::MAX) {
        for protocol in HubProtocol::ALL {
            let number = number.cast_unsigned();
            let sent = encode::ack(protocol, number);
            let HubMessage::Ack { sequence_id } = message(protocol, sent.payload()) else { panic!() };
            prop_assert_eq!(sequence_id.cast_unsigned(), number);
            let sent = encode::sequence(protocol, number);
            let HubMessage::Sequence { sequence_id } = message(protocol, sent.payload()) else { panic!() };
            prop_assert_eq!(sequence_id.cast_unsigned(), number);
        }
    }

    #[test]
    fn any_cut_gives_the_same_messages(
        texts in vec(".{0,200}", 0..6),
        rest in vec(any::<u8>(), 0..9),
        cuts in vec(0usize..2000, 0..9),
        limit in 0usize..400,
    ) {
        for dialect in dialects() {
            let encoded = |text| encode::invocation(dialect, None, "a", &[text]).unwrap().payload().to_vec();
            let mut bytes: Vec<u8> = texts.iter().flat_map(encoded).collect();
            bytes.extend(&rest);
            let whole = messages(dialect.protocol, &bytes, Vec::new(), limit);
            prop_assert_eq!(messages(dialect.protocol, &bytes, cuts.clone(), limit), whole);
        }
    }

    #[test]
    fn bytes_of_strangers_panic_nobody(bytes in vec(any::<u8>(), 0..99)) {
        for protocol in HubProtocol::ALL {
            _ = HubMessage::read(protocol, &bytes);
            _ = framing::split(protocol, &bytes, 50);
        }
    }
}
