//! The recorded cases in `conformance/cases`, read as much as these tests need.

use std::path::Path;

use hubline_protocol::{HubProtocol, framing};
use serde_json::Value;

/// What was sent, and what came back at once.
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) protocol: HubProtocol,
    pub(crate) sent: Vec<u8>,
    /// Messages as they stand on the wire.
    pub(crate) received: Vec<Vec<u8>>,
}

impl Exchange {
    /// The first message sent.
    pub(crate) fn first(&self) -> &[u8] {
        let framed = framing::split(self.protocol, &self.sent, usize::MAX);
        framed.unwrap().unwrap_or_else(|| panic!("{}: no whole message", self.name)).message
    }
}

/// Every exchange of a file.
pub(crate) fn exchanges(file: &str) -> Vec<Exchange> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/cases").join(file);
    let cases: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut exchanges = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().and_then(|name| name.split('/').next_back()).unwrap();
        let steps = case["steps"].as_array().unwrap();
        let protocol = match steps.iter().find_map(|step| step["protocol"].as_str()) {
            Some("messagepack") => HubProtocol::MessagePack,
            _ => HubProtocol::Json,
        };
        let mut begun = false;
        for step in steps {
            if let Some(sent) = sent(step) {
                if !begun {
                    let name = name.to_owned();
                    exchanges.push(Exchange { name, protocol, sent: Vec::new(), received: Vec::new() });
                }
                begun = true;
                exchanges.last_mut().unwrap().sent.extend(sent);
            } else if let Some(messages) = step["got"]["messages"].as_array().filter(|_| begun) {
                begun = false;
                exchanges.last_mut().unwrap().received.extend(messages.iter().filter_map(received));
            }
        }
    }
    exchanges
}

fn sent(step: &Value) -> Option<Vec<u8>> {
    if step["do"] != "send" || step.get("repeat").is_some() {
        return None;
    }
    match (step["text"].as_str(), step["hex"].as_str()) {
        (Some(text), _) => Some(text.replace('␞', "\u{1e}").into_bytes()),
        (_, Some(hex)) if !hex.contains('$') => Some(bytes(hex)),
        _ => None,
    }
}

fn received(message: &Value) -> Option<Vec<u8>> {
    match message {
        Value::String(text) => Some(format!("{text}\u{1e}").into_bytes()),
        message => message["hex"].as_str().filter(|hex| !hex.contains(['$', '‹'])).map(bytes),
    }
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}
