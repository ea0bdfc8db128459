//! What becomes of values: every `Echo*` and `Sample*` of the recorded hub, under .NET's names.

use std::collections::BTreeMap;

use hubline_protocol::encode::{self, CompletionOutcome};
use hubline_protocol::value::{
    Any, Bytes, Char, DateOnly, DateTime, DateTimeOffset, Decimal, Enum, Guid, KeyValuePair, TimeOnly,
    TimeSpan, Uri, ValueTuple,
};
use hubline_protocol::{Dialect, HubMessage, HubProtocol, Invocation, Naming};
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::macros::{date, datetime, time};

use crate::cases::exchanges;

#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
enum Color {
    Red,
    Green,
    Blue,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Person {
    name: Option<String>,
    age: i32,
    email: Option<String>,
    tags: Option<Vec<Option<String>>>,
    scores: Option<IndexMap<String, i32>>,
}

/// What the hub makes of a call.
enum Answer {
    Value(Vec<u8>),
    DoesNotBind,
    CannotBeWritten,
}

fn echo<T: DeserializeOwned + Serialize>(dialect: Dialect, call: Invocation<'_>) -> Answer {
    match call.arguments.unwrap().take::<T>(dialect.naming) {
        Ok(value) => sample(dialect, &value),
        Err(_) => Answer::DoesNotBind,
    }
}

fn sample(dialect: Dialect, value: &impl Serialize) -> Answer {
    encode::value(dialect, value).map_or(Answer::CannotBeWritten, Answer::Value)
}

fn answer(dialect: Dialect, call: Invocation<'_>) -> Answer {
    match &*call.target {
        "EchoString" => echo::<Option<String>>(dialect, call),
        "EchoInt" => echo::<i32>(dialect, call),
        "EchoLong" => echo::<i64>(dialect, call),
        "EchoDouble" => echo::<f64>(dialect, call),
        "EchoFloat" => echo::<f32>(dialect, call),
        "EchoBool" => echo::<bool>(dialect, call),
        "EchoBytes" => echo::<Option<Bytes>>(dialect, call),
        "EchoNullableInt" => echo::<Option<i32>>(dialect, call),
        "EchoPerson" => echo::<Option<Person>>(dialect, call),
        "EchoDateTime" => echo::<DateTime>(dialect, call),
        "EchoDateTimeOffset" => echo::<DateTimeOffset>(dialect, call),
        "EchoTimeSpan" => echo::<TimeSpan>(dialect, call),
        "EchoGuid" => echo::<Guid>(dialect, call),
        "EchoDecimal" => echo::<Decimal>(dialect, call),
        "EchoChar" => echo::<Char>(dialect, call),
        "EchoUri" => echo::<Option<Uri>>(dialect, call),
        "EchoColor" => echo::<Enum<Color>>(dialect, call),
        "EchoInts" => echo::<Option<Vec<i32>>>(dialect, call),
        "EchoAny" => echo::<Any>(dialect, call),
        "SampleDateTimeUtc" => sample(dialect, &DateTime::Utc(datetime!(2026-01-02 03:04:05.678))),
        "SampleDateTimeUnspecified" => sample(dialect, &DateTime::from(datetime!(2026-01-02 03:04:05))),
        "SampleDateTimeOffset" => sample(dialect, &DateTimeOffset::from(datetime!(2026-01-02 03:04:05 +2))),
        "SampleTimeSpan" => sample(dialect, &TimeSpan::from(time::Duration::milliseconds(90_061_001))),
        "SampleGuid" => {
            sample(dialect, &Guid::from(uuid::Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)))
        }
        "SampleDecimal" => sample(dialect, &Decimal::from(rust_decimal::Decimal::new(12340, 3))),
        "SampleChar" => sample(dialect, &Char::try_from('é').unwrap()),
        "SampleUri" => sample(dialect, &Uri::from("https://example.org/a?b=c")),
        "SampleColor" => sample(dialect, &Color::Green),
        "SampleTuple" => sample(dialect, &ValueTuple((1, "two"))),
        "SampleKeyValue" => sample(dialect, &KeyValuePair { key: "k", value: 7 }),
        "SamplePerson" => sample(
            dialect,
            &Person {
                name: Some("Ada <&'+é>".into()),
                age: 36,
                email: None,
                tags: Some(vec![Some("x".into()), Some("y".into())]),
                scores: Some(IndexMap::from([("Maths".into(), 10), ("bIo".into(), 1)])),
            },
        ),
        "SampleLong" => sample(dialect, &(1i64 << 53)),
        "SampleDouble" => sample(dialect, &1.5),
        "SampleWholeDouble" => sample(dialect, &3.0),
        "SampleFloat" => sample(dialect, &0.1f32),
        "SampleBytes" => sample(dialect, &Bytes::from(vec![1, 2, 255])),
        "SampleDateOnly" => sample(dialect, &DateOnly::from(date!(2026 - 01 - 02))),
        "SampleTimeOnly" => sample(dialect, &TimeOnly::from(time!(03:04:05))),
        "SampleDictionaryIntKey" => sample(dialect, &BTreeMap::from([(1, "one")])),
        other => panic!("no method {other}"),
    }
}

fn check(file: &str, protocol: HubProtocol) -> usize {
    let dialect = Dialect { protocol, naming: Naming::DotNet };
    let mut compared = 0;
    for exchange in exchanges(file) {
        let HubMessage::Invocation(call) = HubMessage::read(protocol, exchange.first()).unwrap() else {
            panic!("{}: not a call", exchange.name);
        };
        // What was sent behind the value that ended the connection.
        let Some(expected) = exchange.received.first() else { continue };
        let id = call.invocation_id.clone().unwrap();
        let (name, target) = (&exchange.name, call.target.clone());
        let sent = match answer(dialect, call) {
            Answer::Value(value) => encode::completion(protocol, &id, CompletionOutcome::Value(&value)),
            Answer::DoesNotBind => {
                let error = format!("Failed to invoke '{target}' due to an error on the server.");
                encode::completion(protocol, &id, CompletionOutcome::Error(&error))
            }
            Answer::CannotBeWritten => {
                encode::close(protocol, Some("Connection closed with an error."), true)
            }
        };
        let readable = |bytes: &[u8]| bytes.escape_ascii().to_string();
        assert_eq!(readable(sent.payload()), readable(expected), "{name} {}", readable(&exchange.sent));
        compared += 1;
    }
    compared
}

#[test]
fn json() {
    assert!(check("json-values.json", HubProtocol::Json) > 90);
    assert!(check("json-spellings.json", HubProtocol::Json) > 500);
}

#[test]
fn message_pack() {
    assert!(check("messagepack-values.json", HubProtocol::MessagePack) > 100);
    assert!(check("messagepack-spellings.json", HubProtocol::MessagePack) > 200);
}
