//! What the targets of both hub protocols do with a message.

use std::collections::BTreeMap;

use hubline_protocol::encode;
use hubline_protocol::value::{
    Any, Bytes, Char, DateOnly, DateTime, DateTimeOffset, Decimal, Enum, Guid, KeyValuePair, TimeOnly,
    TimeSpan, Uri, ValueTuple,
};
use hubline_protocol::{ClientValue, CompletionResult, Dialect, HubMessage, HubProtocol, Naming};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Color {
    Red,
    Green,
    Mixed { red: u8, green_part: Option<u8> },
    Named(String),
}

#[derive(Serialize, Deserialize)]
struct Person {
    name: Option<String>,
    #[serde(default)]
    birth_year: i32,
    #[serde(default)]
    friends: Vec<Person>,
    #[serde(default)]
    scores: BTreeMap<String, f64>,
    color: Option<Color>,
}

/// Reads the message and every value in it.
pub fn read(protocol: HubProtocol, bytes: &[u8]) {
    let read = HubMessage::read(protocol, bytes);
    let cancelled = match &read {
        Ok(HubMessage::CancelInvocation { invocation_id }) => Some(invocation_id),
        _ => None,
    };
    assert_eq!(HubMessage::read_cancellation(protocol, bytes).as_ref(), cancelled);
    let Ok(message) = read else { return };
    match message {
        HubMessage::Invocation(call) => {
            if let Ok(mut arguments) = call.arguments {
                while let Some(value) = arguments.take_value() {
                    decode(value);
                }
            }
        }
        HubMessage::StreamItem(item) => decode(item.item),
        HubMessage::Completion(completion) => {
            if let CompletionResult::Value(value) = completion.result {
                decode(value);
            }
        }
        _ => {}
    }
}

/// In either protocol; that may fail, but not make what cannot be read.
fn write_elsewhere(value: &Any) {
    for protocol in HubProtocol::ALL {
        let dialect = Dialect { protocol, naming: Naming::DotNet };
        if let Ok(encoded) = encode::value(dialect, value) {
            client_value(protocol, &encoded).decode::<serde::de::IgnoredAny>(Naming::DotNet).unwrap();
        }
    }
}

fn client_value(protocol: HubProtocol, encoded: &[u8]) -> ClientValue<'_> {
    match protocol {
        HubProtocol::Json => ClientValue::Json(encoded),
        HubProtocol::MessagePack => ClientValue::MessagePack(encoded),
    }
}

fn decode(value: ClientValue<'_>) {
    if let Ok(any) = value.decode::<Any>(Naming::DotNet) {
        write_elsewhere(&any);
    }
    round_trip::<bool>(value);
    round_trip::<i32>(value);
    round_trip::<u64>(value);
    round_trip::<f32>(value);
    round_trip::<f64>(value);
    round_trip::<char>(value);
    round_trip::<String>(value);
    round_trip::<Option<Vec<i64>>>(value);
    round_trip::<BTreeMap<i32, String>>(value);
    round_trip::<(i8, String)>(value);
    round_trip::<serde_json::Value>(value);
    round_trip::<Person>(value);
    round_trip::<Color>(value);
    round_trip::<Bytes>(value);
    round_trip::<Char>(value);
    round_trip::<DateOnly>(value);
    round_trip::<DateTime>(value);
    round_trip::<DateTimeOffset>(value);
    round_trip::<Decimal>(value);
    round_trip::<Enum<Color>>(value);
    round_trip::<Guid>(value);
    round_trip::<KeyValuePair<String, i32>>(value);
    round_trip::<TimeOnly>(value);
    round_trip::<TimeSpan>(value);
    round_trip::<Uri>(value);
    round_trip::<ValueTuple<(i32, String)>>(value);
}

/// What can be read and written can be read again, and is then written the same.
fn round_trip<T: DeserializeOwned + Serialize>(value: ClientValue<'_>) {
    for naming in [Naming::Serde, Naming::DotNet] {
        let Ok(decoded) = value.decode::<T>(naming) else { continue };
        for protocol in HubProtocol::ALL {
            let dialect = Dialect { protocol, naming };
            let Ok(encoded) = encode::value(dialect, &decoded) else { continue };
            // JSON has no word for what is not finite and serde's own is `null`, which is no number.
            let Ok(again) = client_value(protocol, &encoded).decode::<T>(naming) else {
                assert!(lossy::<T>(protocol), "{} {encoded:?}", std::any::type_name::<T>());
                continue;
            };
            if !lossy::<T>(protocol) {
                assert_eq!(encode::value(dialect, &again).unwrap(), encoded);
            }
        }
    }
}

fn lossy<T>(protocol: HubProtocol) -> bool {
    let name = std::any::type_name::<T>();
    protocol == HubProtocol::Json
        && ["f32", "f64", "Person", "Char"].iter().any(|lossy| name.ends_with(lossy))
}
