//! Bearer tokens for users of a test.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

/// When tokens expire, which ASP.NET Core wants to be said: in the year 2100.
const EXPIRES: u64 = 4_102_444_800;

/// A token of RFC 7519 for a user, signed with HS256.
pub(crate) fn sign(key: &str, user: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = serde_json::json!({ "sub": user, "exp": EXPIRES }).to_string();
    let unsigned = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), unsigned.as_bytes());
    format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(tag))
}
