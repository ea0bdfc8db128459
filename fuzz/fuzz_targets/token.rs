//! Bearer tokens. Nobody here can sign one, so none may be believed but the seed that was signed.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use hubline_auth::{BearerOptions, VerificationKey, Verifier};
use libfuzzer_sys::fuzz_target;

/// Signed with the key below, valid until the year 2100: the one good token of the corpus.
const SIGNED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJyb2xlIjpbIkRvY3RvciJdLCJleHAiOjQxMDI0NDQ4MDB9.";

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let key = VerificationKey::secret(b"a key for fuzzing, of 32 bytes or more").unwrap();
    Verifier::new(BearerOptions::default().key(key).clock_skew(Duration::ZERO)).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(token) = std::str::from_utf8(bytes) else { return };
    match VERIFIER.verify(token) {
        Ok(principal) => {
            assert!(token.starts_with(SIGNED));
            assert_eq!(principal.name_identifier.as_ref().map(AsRef::as_ref), Some("ada"));
        }
        Err(error) => _ = error.description(),
    }
});
