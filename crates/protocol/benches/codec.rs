//! What a message costs: `cargo bench -p hubline-protocol`.
//!
//! Each call has one text for its argument, decoded where it is read.

#![allow(clippy::unwrap_used, reason = "what fails here is the benchmark")]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hubline_protocol::encode::{self, CompletionOutcome};
use hubline_protocol::{CompletionResult, Dialect, HubMessage, HubProtocol, Naming, framing};

fn main() {
    divan::main();
}

const PROTOCOLS: [HubProtocol; 2] = HubProtocol::ALL;
const SIZES: [usize; 2] = [100, 10_000];
const CASES: [(HubProtocol, usize); 4] =
    [(PROTOCOLS[0], SIZES[0]), (PROTOCOLS[0], SIZES[1]), (PROTOCOLS[1], SIZES[0]), (PROTOCOLS[1], SIZES[1])];

fn dialect(protocol: HubProtocol) -> Dialect {
    Dialect { protocol, naming: Naming::Serde }
}

fn read(protocol: HubProtocol, payload: &[u8]) -> HubMessage<'_> {
    let framed = framing::split(protocol, payload, usize::MAX).unwrap().unwrap();
    HubMessage::read(protocol, framed.message).unwrap()
}

#[divan::bench(args = CASES)]
fn encode_invocation(bencher: Bencher<'_, '_>, (protocol, size): (HubProtocol, usize)) {
    let text = "x".repeat(size);
    bencher
        .counter(BytesCount::new(size))
        .bench(|| encode::invocation(dialect(protocol), Some("1"), "Echo", &(black_box(&text),)).unwrap());
}

#[divan::bench(args = CASES)]
fn decode_invocation(bencher: Bencher<'_, '_>, (protocol, size): (HubProtocol, usize)) {
    let sent = encode::invocation(dialect(protocol), Some("1"), "Echo", &("x".repeat(size),)).unwrap();
    bencher.counter(BytesCount::new(size)).bench(|| {
        let HubMessage::Invocation(call) = read(protocol, black_box(sent.payload())) else { unreachable!() };
        call.arguments.unwrap().take::<String>(Naming::Serde).unwrap()
    });
}

#[divan::bench(args = CASES)]
fn encode_completion(bencher: Bencher<'_, '_>, (protocol, size): (HubProtocol, usize)) {
    let text = "x".repeat(size);
    bencher.counter(BytesCount::new(size)).bench(|| {
        let value = encode::value(dialect(protocol), black_box(&text)).unwrap();
        encode::completion(protocol, "1", CompletionOutcome::Value(&value))
    });
}

#[divan::bench(args = CASES)]
fn decode_completion(bencher: Bencher<'_, '_>, (protocol, size): (HubProtocol, usize)) {
    let value = encode::value(dialect(protocol), &"x".repeat(size)).unwrap();
    let sent = encode::completion(protocol, "1", CompletionOutcome::Value(&value));
    bencher.counter(BytesCount::new(size)).bench(|| {
        let HubMessage::Completion(completion) = read(protocol, black_box(sent.payload())) else {
            unreachable!()
        };
        let CompletionResult::Value(value) = completion.result else { unreachable!() };
        value.decode::<String>(Naming::Serde).unwrap()
    });
}

#[divan::bench(args = PROTOCOLS)]
fn encode_ping(protocol: HubProtocol) -> encode::Encoded {
    encode::ping(black_box(protocol))
}

#[divan::bench(args = PROTOCOLS)]
fn decode_ping(bencher: Bencher<'_, '_>, protocol: HubProtocol) {
    let sent = encode::ping(protocol);
    bencher.bench(|| matches!(read(protocol, black_box(sent.payload())), HubMessage::Ping));
}
