#![no_main]

use hubline_protocol::negotiate::{MAX_VERSION, version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (i32, &str)| {
    let (minimum, values) = input;
    match version(values.split('&'), minimum) {
        Ok(version) => assert!(version <= MAX_VERSION),
        Err(error) => assert!(serde_json::from_slice::<serde_json::Value>(&error.to_json()).is_ok()),
    }
});
