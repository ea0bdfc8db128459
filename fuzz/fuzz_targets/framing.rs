#![no_main]

use hubline_protocol::framing::split;
use hubline_protocol::{DecodeError, HubProtocol};
use libfuzzer_sys::fuzz_target;

/// The messages in `bytes` as they come in two pieces, and what ended them.
fn messages(
    protocol: HubProtocol,
    bytes: &[u8],
    first: usize,
    limit: usize,
) -> (Vec<Vec<u8>>, Option<DecodeError>) {
    let (mut messages, mut begin) = (Vec::new(), 0);
    for come in [first, bytes.len()] {
        loop {
            match split(protocol, &bytes[begin..come], limit) {
                Ok(Some(framed)) => {
                    assert!(framed.used > framed.message.len() && framed.used <= limit);
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

fuzz_target!(|input: (u16, u16, &[u8])| {
    let (first, limit, bytes) = input;
    let (first, limit) = (usize::from(first).min(bytes.len()), usize::from(limit));
    for protocol in HubProtocol::ALL {
        let whole = messages(protocol, bytes, bytes.len(), limit);
        assert_eq!(messages(protocol, bytes, first, limit), whole);
    }
});
