#![no_main]

use hubline_protocol::HubProtocol;
use hubline_protocol::handshake::{DetailedErrors, MAX_VERSION, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| match read(bytes, &HubProtocol::ALL) {
    Ok(request) => assert!(request.version <= MAX_VERSION),
    Err(error) => {
        for detailed_errors in [DetailedErrors::Hidden, DetailedErrors::Shown] {
            let response = error.response(detailed_errors);
            let (separator, json) = response.split_last().unwrap();
            assert_eq!(*separator, 0x1e);
            assert!(!json.contains(separator));
            serde_json::from_slice::<serde_json::Value>(json).unwrap();
        }
    }
});
