//! A token in its three parts (RFC 7515, section 7.1).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::TokenError;

/// Longer tokens are refused unread. Headers and queries of that size are refused by most servers anyway.
pub(super) const MAXIMUM_TOKEN_BYTES: usize = 64 * 1024;

/// A token whose signature nobody has looked at yet.
pub(super) struct Compact<'a> {
    pub(super) header: Header,
    /// Header and payload as they were signed.
    pub(super) message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: Option<String>,
    pub(super) kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl<'a> Compact<'a> {
    pub(super) fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAXIMUM_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.contains('.') {
            return Err(TokenError::Malformed);
        }
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        Ok(Self { header, message, payload, signature })
    }

    /// The claims, as JSON.
    pub(super) fn payload(&self) -> Result<Vec<u8>, TokenError> {
        decode(self.payload)
    }

    /// `None` if there is none.
    pub(super) fn signature(&self) -> Option<Signature> {
        (!self.signature.is_empty()).then(|| Signature(decode_url_safe(self.signature)))
    }
}

/// Bytes of a signature; `None` in it is what is no base64, and nobody's.
pub(super) struct Signature(pub(super) Option<Vec<u8>>);

/// As ASP.NET Core 11 reads header and payload: also padded, as the load balancers of AWS write them, and also in the
/// ordinary alphabet. The signature is over the text as it is.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    let part = match part.contains(['+', '/']) {
        true => Cow::Owned(part.replace('+', "-").replace('/', "_")),
        false => Cow::Borrowed(part),
    };
    decode_url_safe(&part).ok_or(TokenError::Malformed)
}

/// Padding has to be whole if there is any.
fn decode_url_safe(part: &str) -> Option<Vec<u8>> {
    let engine = if part.ends_with('=') { &URL_SAFE } else { &URL_SAFE_NO_PAD };
    engine.decode(part).ok()
}
