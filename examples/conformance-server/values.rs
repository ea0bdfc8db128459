//! Values of every kind, as arguments and as results.

use std::collections::BTreeMap;

use hubline::Hub;
use hubline::value::{
    Any, Bytes, Char, DateOnly, DateTime, DateTimeOffset, Decimal, Enum, Guid, KeyValuePair, TimeOnly,
    TimeSpan, Uri, ValueTuple,
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use time::macros::{date, datetime, time};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Color {
    Red,
    Green,
    Blue,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Person {
    name: Option<String>,
    age: i32,
    email: Option<String>,
    tags: Option<Vec<Option<String>>>,
    scores: Option<IndexMap<String, i32>>,
}

pub(crate) fn add(hub: Hub) -> Hub {
    samples(echoes(hub))
}

fn echoes(hub: Hub) -> Hub {
    hub.method("EchoString", async |value: Option<String>| value)
        .method("EchoInt", async |value: i32| value)
        .method("EchoLong", async |value: i64| value)
        .method("EchoDouble", async |value: f64| value)
        .method("EchoFloat", async |value: f32| value)
        .method("EchoBool", async |value: bool| value)
        .method("EchoBytes", async |value: Option<Bytes>| value)
        .method("EchoNullableInt", async |value: Option<i32>| value)
        .method("EchoPerson", async |value: Option<Person>| value)
        .method("EchoDateTime", async |value: DateTime| value)
        .method("EchoDateTimeOffset", async |value: DateTimeOffset| value)
        .method("EchoTimeSpan", async |value: TimeSpan| value)
        .method("EchoGuid", async |value: Guid| value)
        .method("EchoDecimal", async |value: Decimal| value)
        .method("EchoChar", async |value: Char| value)
        .method("EchoUri", async |value: Option<Uri>| value)
        .method("EchoColor", async |value: Enum<Color>| value)
        .method("EchoInts", async |value: Option<Vec<i32>>| value)
        .method("EchoAny", async |value: Any| value)
}

fn samples(hub: Hub) -> Hub {
    hub.method("SampleDateTimeUtc", async || DateTime::Utc(datetime!(2026-01-02 03:04:05.678)))
        .method("SampleDateTimeUnspecified", async || DateTime::Unspecified(datetime!(2026-01-02 03:04:05)))
        .method("SampleDateTimeOffset", async || DateTimeOffset::from(datetime!(2026-01-02 03:04:05 +02:00)))
        .method("SampleTimeSpan", async || TimeSpan::from_ticks(90_061_001 * 10_000))
        .method("SampleGuid", async || {
            Guid::from(uuid::Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef))
        })
        .method("SampleDecimal", async || Decimal::from(rust_decimal::Decimal::new(12_340, 3)))
        .method("SampleChar", async || Char::try_from('é'))
        .method("SampleUri", async || Uri::from("https://example.org/a?b=c"))
        .method("SampleColor", async || Color::Green)
        .method("SampleTuple", async || ValueTuple((1, "two")))
        .method("SampleKeyValue", async || KeyValuePair { key: "k", value: 7 })
        .method("SamplePerson", async || Person {
            name: Some("Ada <&'+é>".into()),
            age: 36,
            email: None,
            tags: Some(vec![Some("x".into()), Some("y".into())]),
            scores: Some(IndexMap::from([("Maths".into(), 10), ("bIo".into(), 1)])),
        })
        .method("SampleLong", async || 1i64 << 53)
        .method("SampleDouble", async || 1.5)
        .method("SampleWholeDouble", async || 3.0)
        .method("SampleFloat", async || 0.1f32)
        .method("SampleBytes", async || Bytes::from(vec![1, 2, 255]))
        .method("SampleDateOnly", async || DateOnly::from(date!(2026 - 01 - 02)))
        .method("SampleTimeOnly", async || TimeOnly::from(time!(3:04:05)))
        .method("SampleDictionaryIntKey", async || BTreeMap::from([(1, "one")]))
}
