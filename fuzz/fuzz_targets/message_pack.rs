#![no_main]

use hubline_protocol::HubProtocol;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hubline_fuzz::read(HubProtocol::MessagePack, bytes));
