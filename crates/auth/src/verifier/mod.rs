//! From the text of a token to a principal.

mod claims;
mod error;
mod lifetime;
mod principal;

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline_pipe::Principal;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use crate::bearer::{BearerOptions, BearerOptionsError};
use crate::keys::{RemoteKeySet, Snapshot};
use claims::Claims;
pub use error::TokenError;

/// Longer tokens are refused unread. Headers and queries of that size are refused by most servers anyway.
const MAXIMUM_TOKEN_BYTES: usize = 64 * 1024;

/// Verifies tokens: signature, lifetime, audience and issuer, in this order, as ASP.NET Core does.
///
/// Where the two differ this one is stricter: it refuses a token with a `crit` header (RFC 7515, section
/// 4.1.11), a header with the same member twice, base64 with padding, bytes after the payload, and a key
/// whose id is not the one that the token names.
#[derive(Debug)]
pub struct Verifier {
    options: BearerOptions,
    remote: Option<RemoteKeySet>,
}

/// A token that is not believed.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: TokenError,
    /// Who has it, if its time is over and everything else is right.
    pub(crate) expired: Option<Box<Principal>>,
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self { error, expired: None }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl Verifier {
    /// Verifies by these options. With [`RemoteKeys`](crate::RemoteKeys), starts to fetch them.
    ///
    /// # Errors
    /// There is no key to verify with, or remote keys cannot be fetched: see [`BearerOptionsError`].
    pub fn new(options: BearerOptions) -> Result<Self, BearerOptionsError> {
        let remote = options.remote_keys.as_ref().map(RemoteKeySet::start).transpose()?;
        if remote.is_none() && options.keys.is_empty() {
            return Err(BearerOptionsError::NoKeys);
        }
        Ok(Self { options, remote })
    }

    /// Who has this token, by the keys that are known at the moment.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with the token, and never what is in it.
    pub fn verify(&self, token: &str) -> Result<Principal, TokenError> {
        self.verify_at(token, SystemTime::now(), &self.snapshot()).map_err(|refused| refused.error)
    }

    /// Who has this token. If no key fits, remote keys are fetched once more, unless that was done a moment
    /// ago.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify).
    ///
    /// # Cancel safety
    /// Safe: fetching goes on elsewhere.
    pub async fn verify_with_newest_keys(&self, token: &str) -> Result<Principal, TokenError> {
        self.authenticate(token).await.map_err(|refused| refused.error)
    }

    /// [`verify_with_newest_keys`](Self::verify_with_newest_keys), which also tells who has a token that is merely
    /// expired.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<Principal, Refused> {
        let known = self.snapshot();
        let verified = self.verify_at(token, SystemTime::now(), &known);
        match (&verified, &self.remote) {
            (Err(Refused { error: TokenError::SignatureKeyNotFound, .. }), Some(remote))
                if remote.newer_than(&known).await =>
            {
                self.verify_at(token, SystemTime::now(), &self.snapshot())
            }
            _ => verified,
        }
    }

    /// What this verifies by.
    pub(crate) fn options(&self) -> &BearerOptions {
        &self.options
    }

    fn snapshot(&self) -> Snapshot {
        self.remote.as_ref().map(RemoteKeySet::snapshot).unwrap_or_default()
    }

    fn verify_at(&self, token: &str, now: SystemTime, remote: &Snapshot) -> Result<Principal, Refused> {
        let (claims, lifetime) = self.claims(token, now, remote)?;
        let meant = self.check_audience(&claims).and_then(|()| self.check_issuer(&claims, remote));
        match (lifetime, meant) {
            (Ok(()), Ok(())) => Ok(principal::of(claims, &self.options)),
            (Err(error @ TokenError::Expired(_)), Ok(())) => {
                Err(Refused { error, expired: Some(Box::new(principal::of(claims, &self.options))) })
            }
            (Err(error), _) | (Ok(()), Err(error)) => Err(error.into()),
        }
    }

    /// What a token says whose signature is good, and whether its time is right.
    fn claims(
        &self,
        token: &str,
        now: SystemTime,
        remote: &Snapshot,
    ) -> Result<(Claims, Result<(), TokenError>), TokenError> {
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
        match self.check_signature(&header, message, signature, remote) {
            // As ASP.NET Core does: a token that is too old is not worth looking for its key.
            Err(TokenError::SignatureKeyNotFound) if header.kid.is_some() => {
                self.check_lifetime(&Claims::parse(&decode(payload)?)?, now)?;
                return Err(TokenError::SignatureKeyNotFound);
            }
            checked => checked?,
        }
        let claims = Claims::parse(&decode(payload)?)?;
        let lifetime = self.check_lifetime(&claims, now);
        Ok((claims, lifetime))
    }

    fn check_signature(
        &self,
        header: &Header,
        message: &str,
        signature: &str,
        remote: &Snapshot,
    ) -> Result<(), TokenError> {
        if signature.is_empty() {
            return Err(TokenError::SignatureInvalid);
        }
        let algorithm: Algorithm = header
            .alg
            .as_deref()
            .and_then(|name| name.parse().ok())
            .ok_or(TokenError::SignatureKeyNotFound)?;
        let id = header.kid.as_deref();
        let mut named = false;
        for key in self.options.keys.iter().chain(remote.keys()).filter(|key| key.may_be(id)) {
            if key.verifies(algorithm, message, signature) {
                return Ok(());
            }
            named |= id.is_some() && key.id() == id;
        }
        Err(if named { TokenError::SignatureInvalid } else { TokenError::SignatureKeyNotFound })
    }

    fn check_lifetime(&self, claims: &Claims, now: SystemTime) -> Result<(), TokenError> {
        lifetime::check(claims.not_before, claims.expires, now, self.options.clock_skew)
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), TokenError> {
        let valid = &self.options.audiences;
        // .NET's IgnoreTrailingSlashWhenValidatingAudience, on by default.
        let bare = |audience: &str| audience.strip_suffix('/').unwrap_or(audience).to_owned();
        let fits = |own: &String| !own.is_empty() && valid.iter().any(|valid| bare(valid) == bare(own));
        match valid.is_empty() || claims.audiences.iter().any(fits) {
            true => Ok(()),
            false => Err(TokenError::audience(&claims.audiences)),
        }
    }

    fn check_issuer(&self, claims: &Claims, remote: &Snapshot) -> Result<(), TokenError> {
        let mut valid = self.options.issuers.iter().map(String::as_str).chain(remote.issuer()).peekable();
        let issuer = claims.issuer.as_deref().unwrap_or_default();
        if valid.peek().is_none() || (!issuer.is_empty() && valid.any(|valid| valid == issuer)) {
            return Ok(());
        }
        Err(TokenError::issuer(issuer))
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests;
