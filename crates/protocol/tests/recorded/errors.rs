//! What ends a connection, and in which words.

use hubline_protocol::{DecodeError, HubMessage, HubProtocol, encode, framing};

use crate::cases::{Exchange, exchanges};

/// A text of .NET's own JSON reader.
const NOT_IMITATED: &str = "lone-surrogate-target";

fn error(exchange: &Exchange) -> Option<DecodeError> {
    let mut rest = &exchange.sent[..];
    loop {
        match framing::split(exchange.protocol, rest, 32768) {
            Err(error) => return Some(error),
            Ok(None) => return None,
            Ok(Some(framed)) => {
                rest = &rest[framed.used..];
                if let Err(error) = HubMessage::read(exchange.protocol, framed.message) {
                    return Some(error);
                }
            }
        }
    }
}

fn is_close(exchange: &Exchange) -> bool {
    match exchange.protocol {
        HubProtocol::Json => {
            exchange.received.iter().any(|message| message.starts_with(br#"{"type":7,"error""#))
        }
        HubProtocol::MessagePack => exchange.received.iter().any(|message| {
            let message = framing::split(exchange.protocol, message, usize::MAX).unwrap().unwrap().message;
            message.starts_with(&[0x93, 7, 0xd9])
        }),
    }
}

#[test]
fn detailed_errors_are_worded_as_recorded() {
    let mut compared = 0;
    let of_the_bytes =
        |exchange: &Exchange| exchange.name.starts_with("json-") || exchange.name.starts_with("mess");
    for (file, filter) in [
        ("detailed-errors.json", &of_the_bytes as &dyn Fn(&Exchange) -> bool),
        ("detailed-json-reader-texts.json", &|exchange| exchange.name != NOT_IMITATED),
    ] {
        for exchange in exchanges(file).iter().filter(|exchange| filter(exchange) && is_close(exchange)) {
            let name = &exchange.name;
            let Some(error) = error(exchange) else { panic!("{name}: nothing wrong") };
            let text = format!("Connection closed with an error. {}: {error}", error.type_name());
            let close = encode::close(exchange.protocol, Some(&text), true);
            assert_eq!(exchange.received.first().map(Vec::as_slice), Some(close.payload()), "{name}: {text}");
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared}");
}

/// The same inputs, most of them, and more: fatal is what was fatal and nothing else.
#[test]
fn what_ends_the_connection_is_what_ended_it() {
    for file in ["json-protocol.json", "messagepack-protocol.json"] {
        let exchanges = exchanges(file);
        assert!(exchanges.len() > 60);
        for exchange in exchanges {
            if exchange.received.is_empty()
                || exchange.name.ends_with("text-frame")
                || exchange.name.starts_with("unknown-type")
                || exchange.name == "one-and-a-half"
            {
                continue;
            }
            assert_eq!(error(&exchange).is_some(), is_close(&exchange), "{}", exchange.name);
        }
    }
}
