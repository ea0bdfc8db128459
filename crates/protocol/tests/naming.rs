//! One and the same type under serde's names and under those of .NET.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use std::collections::BTreeMap;

use hubline_protocol::value::Any;
use hubline_protocol::{ClientValue, Dialect, HubProtocol, Naming, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Call {
    caller_name: String,
    #[serde(rename = "iceServers")]
    ice_servers: Vec<Server>,
    best: Option<Server>,
    by_name: BTreeMap<String, Server>,
    state: State,
    last: Wrapped,
    event: Event,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Server {
    host_name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(Server);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum State {
    Ringing,
    InCall,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Event {
    Left { user_name: Server },
    Muted(State),
    Moved(State, Server),
}

fn server(host_name: &str) -> Server {
    Server { host_name: host_name.into() }
}

fn call(event: Event) -> Call {
    Call {
        caller_name: "ada".into(),
        ice_servers: vec![server("a")],
        best: Some(server("b")),
        by_name: BTreeMap::from([("key_name".to_owned(), server("c"))]),
        state: State::InCall,
        last: Wrapped(server("d")),
        event,
    }
}

fn dialect(protocol: HubProtocol, naming: Naming) -> Dialect {
    Dialect { protocol, naming }
}

fn value(protocol: HubProtocol, bytes: &[u8]) -> ClientValue<'_> {
    match protocol {
        HubProtocol::Json => ClientValue::Json(bytes),
        HubProtocol::MessagePack => ClientValue::MessagePack(bytes),
    }
}

fn json(naming: Naming, value: &impl Serialize) -> String {
    String::from_utf8(encode::value(dialect(HubProtocol::Json, naming), value).unwrap()).unwrap()
}

/// What MessagePack bytes say, names and all, as JSON.
fn message_pack(naming: Naming, value: &impl Serialize) -> String {
    let bytes = encode::value(dialect(HubProtocol::MessagePack, naming), value).unwrap();
    let any: Any = ClientValue::MessagePack(&bytes).decode(Naming::Serde).unwrap();
    json(Naming::Serde, &any)
}

fn read<T: DeserializeOwned>(naming: Naming, text: &str) -> Result<T, String> {
    ClientValue::Json(text.as_bytes()).decode(naming).map_err(|error| error.to_string())
}

fn read_message_pack<T: DeserializeOwned>(naming: Naming, text: &str) -> Result<T, String> {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    let bytes = encode::value(dialect(HubProtocol::MessagePack, Naming::Serde), &value).unwrap();
    ClientValue::MessagePack(&bytes).decode(naming).map_err(|error| error.to_string())
}

#[test]
fn serde_names_are_the_same_in_both_protocols() {
    let call = call(Event::Muted(State::Ringing));
    let text = r#"{"caller_name":"ada","iceServers":[{"host_name":"a"}],"best":{"host_name":"b"},"by_name":{"key_name":{"host_name":"c"}},"state":"InCall","last":{"host_name":"d"},"event":{"Muted":"Ringing"}}"#;
    assert_eq!(json(Naming::Serde, &call), text);
    assert_eq!(message_pack(Naming::Serde, &call), text);
}

#[test]
fn names_of_net_differ() {
    let call = call(Event::Muted(State::Ringing));
    assert_eq!(
        json(Naming::DotNet, &call),
        r#"{"callerName":"ada","iceServers":[{"hostName":"a"}],"best":{"hostName":"b"},"byName":{"key_name":{"hostName":"c"}},"state":1,"last":{"hostName":"d"},"event":{"Muted":0}}"#
    );
    assert_eq!(
        message_pack(Naming::DotNet, &call),
        r#"{"CallerName":"ada","IceServers":[{"HostName":"a"}],"Best":{"HostName":"b"},"ByName":{"key_name":{"HostName":"c"}},"State":"InCall","Last":{"HostName":"d"},"Event":{"Muted":"Ringing"}}"#
    );
}

#[test]
fn everything_is_read_back() {
    for event in [
        || Event::Muted(State::InCall),
        || Event::Left { user_name: server("e") },
        || Event::Moved(State::Ringing, server("f")),
    ] {
        for protocol in HubProtocol::ALL {
            for naming in [Naming::Serde, Naming::DotNet] {
                let bytes = encode::value(dialect(protocol, naming), &call(event())).unwrap();
                assert_eq!(value(protocol, &bytes).decode::<Call>(naming).unwrap(), call(event()));
            }
        }
    }
}

#[test]
fn properties_are_read_in_any_case_and_members_exactly() {
    let read_server = |text| read::<Server>(Naming::DotNet, text);
    assert_eq!(read_server(r#"{"HOSTNAME":"a","other":1}"#), Ok(server("a")));
    assert_eq!(read_server(r#"{"hostname":"a"}"#), Ok(server("a")));
    assert!(read::<Server>(Naming::Serde, r#"{"hostName":"a"}"#).is_err());
    let read_server = |text: &str| read_message_pack::<Server>(Naming::DotNet, text);
    assert_eq!(read_server(r#"{"HostName":"a","other":1}"#), Ok(server("a")));
    for name in ["hostName", "host_name", "HOSTNAME"] {
        assert!(read_server(&format!(r#"{{"{name}":"a"}}"#)).is_err(), "{name}");
    }
}

#[test]
fn enums_are_numbers_in_json_and_names_in_message_pack() {
    assert_eq!(read(Naming::DotNet, "1"), Ok(State::InCall));
    for text in ["2", "-1", "1.0", r#""InCall""#, "null", "4294967296"] {
        assert!(read::<State>(Naming::DotNet, text).is_err(), "{text}");
    }
    for text in [r#""InCall""#, r#"" InCall\n""#, r#""Ringing, InCall""#, r#""1""#] {
        assert_eq!(read_message_pack(Naming::DotNet, text), Ok(State::InCall), "{text}");
    }
    for text in ["1", r#""inCall""#, r#""2""#, r#""-1""#, r#""InCall,""#, "null"] {
        assert!(read_message_pack::<State>(Naming::DotNet, text).is_err(), "{text}");
    }
}

#[test]
fn of_a_member_that_is_given_twice_the_last_one_counts() {
    for text in [
        r#"{"hostName":"b","hostName":"a"}"#,
        r#"{"hostName":"b","other":1,"HOSTNAME":"a","other":2}"#,
        r#"{"hostName":1,"hostn\u0061me":"a"}"#,
    ] {
        assert_eq!(read(Naming::DotNet, text), Ok(server("a")), "{text}");
        assert_eq!(read(Naming::DotNet, &format!("[{text}]")), Ok(vec![server("a")]), "{text}");
        assert_eq!(
            read(Naming::DotNet, &format!(r#"{{"x":{text}}}"#))
                .map(|map: BTreeMap<String, Server>| map["x"] == server("a")),
            Ok(true)
        );
    }
    assert!(read::<Server>(Naming::DotNet, r#"{"hostName":"a","hostName":1}"#).is_err());
    assert!(read::<Server>(Naming::Serde, r#"{"host_name":"b","host_name":"a"}"#).is_err());
    // A key of a map is no member.
    let map: BTreeMap<String, i32> = read(Naming::DotNet, r#"{"a":1,"A":2,"a":3}"#).unwrap();
    assert_eq!(map, BTreeMap::from([("A".to_owned(), 2), ("a".to_owned(), 3)]));
}

#[derive(Debug, PartialEq, Deserialize)]
struct Nested {
    next: Option<Box<Nested>>,
    zero: i32,
}

#[test]
fn members_may_be_given_twice_in_few_levels() {
    let nested = |levels: usize| {
        format!("{}null{}", r#"{"next":0,"zero":1,"next":"#.repeat(levels), r#","zero":-0}"#.repeat(levels))
    };
    let zeros = |text: &str| {
        read::<Nested>(Naming::DotNet, text).map(|nested| {
            std::iter::successors(Some(&nested), |nested| nested.next.as_deref())
                .all(|nested| nested.zero == 0)
        })
    };
    assert_eq!(zeros(&nested(1)), Ok(true));
    assert_eq!(zeros(&nested(8)), Ok(true));
    assert!(zeros(&nested(9)).is_err());
}

#[test]
fn structures_are_never_arrays_where_net_reads_them() {
    assert!(read::<Server>(Naming::DotNet, r#"["a"]"#).is_err());
    assert!(read_message_pack::<Server>(Naming::DotNet, r#"["a"]"#).is_err());
    assert_eq!(read_message_pack(Naming::Serde, r#"["a"]"#), Ok(server("a")));
}

#[test]
fn json_values_pass_through() {
    let raw = RawValue::from_string(r#"{"a_b":[1,1.5,"x",null,true]}"#.into()).unwrap();
    let tree: serde_json::Value = serde_json::from_str(raw.get()).unwrap();
    for naming in [Naming::Serde, Naming::DotNet] {
        assert_eq!(json(naming, &raw), raw.get());
        assert_eq!(json(naming, &tree), raw.get());
        assert_eq!(message_pack(naming, &raw), raw.get());
        assert_eq!(message_pack(naming, &tree), raw.get());
        assert_eq!(read::<Box<RawValue>>(naming, raw.get()).unwrap().get(), raw.get());
        assert_eq!(read::<serde_json::Value>(naming, raw.get()).unwrap(), tree);
        assert_eq!(read_message_pack::<serde_json::Value>(naming, raw.get()).unwrap(), tree);
    }
}

#[test]
fn what_is_not_finite_is_no_json_of_net() {
    let encoded = |naming, number: f64| encode::value(dialect(HubProtocol::Json, naming), &number);
    assert!(encoded(Naming::DotNet, f64::NAN).is_err());
    assert!(encoded(Naming::DotNet, f64::INFINITY).is_err());
    assert_eq!(encoded(Naming::Serde, f64::NAN).unwrap(), b"null");
    assert_eq!(read::<f64>(Naming::DotNet, "-1e400"), Ok(f64::NEG_INFINITY));
    assert!(read::<f64>(Naming::DotNet, r#""1""#).is_err());
}

#[test]
fn any_is_a_real_value_in_the_other_protocol() {
    let any: Any = read(Naming::DotNet, r#"[1,-1,1.5,{"a":null}]"#).unwrap();
    assert_eq!(message_pack(Naming::DotNet, &any), r#"[1,-1,1.5,{"a":null}]"#);
    let bytes = [
        0x84, 1, 0xc4, 1, 0xff, 0xff, 0xd6, 0xff, 0x69, 0x57, 0x35, 0xa5, 0xa1, b'k', 0xca, 0x7f, 0xc0, 0, 0,
        0xa1, b'l', 0xd4, 5, 0,
    ];
    let any: Any = ClientValue::MessagePack(&bytes).decode(Naming::DotNet).unwrap();
    assert_eq!(json(Naming::DotNet, &any), r#"{"1":"/w==","-1":"2026-01-02T03:04:05Z","k":null,"l":null}"#);
}

#[test]
fn deep_values_are_refused_before_the_stack_ends() {
    let mut bytes = vec![0x91; 30_000];
    bytes.push(0xc0);
    for naming in [Naming::Serde, Naming::DotNet] {
        let value = ClientValue::MessagePack(&bytes);
        assert!(value.decode::<serde_json::Value>(naming).is_err());
        let any: Any = value.decode(naming).unwrap();
        assert_eq!(encode::value(dialect(HubProtocol::MessagePack, naming), &any).unwrap(), bytes);
        assert!(encode::value(dialect(HubProtocol::Json, naming), &any).is_err());
        let within = &bytes[bytes.len() - 129..];
        assert!(ClientValue::MessagePack(within).decode::<serde_json::Value>(naming).is_ok());
    }
}
