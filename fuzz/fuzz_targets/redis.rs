//! Payloads of the Redis backplane: what is read is written, and read again as the same.

#![no_main]

use hubline_redis::wire::{Ack, Completion, GroupCommand, Invocation};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    if let Ok(invocation) = Invocation::decode(payload) {
        assert_eq!(Invocation::decode(&invocation.encode()).as_ref(), Ok(&invocation));
    }
    if let Ok(command) = GroupCommand::decode(payload) {
        assert_eq!(GroupCommand::decode(&command.encode()), Ok(command));
    }
    if let Ok(ack) = Ack::decode(payload) {
        assert_eq!(Ack::decode(&ack.encode()), Ok(ack));
    }
    if let Ok(completion) = Completion::decode(payload) {
        assert_eq!(Completion::decode(&completion.encode()), Ok(completion));
    }
});
