//! Verifies a token and makes a principal of it.

mod cache;
mod claims;
mod compact;
mod error;
mod lifetime;
mod principal;

use std::sync::Arc;
use std::time::SystemTime;

use hubline_identity::Principal;

use crate::bearer::{BearerOptions, BearerOptionsError};
use crate::keys::{Algorithm, RemoteKeySet, Snapshot, VerificationKey};
use cache::{Cache, Digest, Verified};
use claims::Claims;
use compact::{Compact, Signature};
pub use error::TokenError;

/// Verifies tokens: signature, lifetime, audience and issuer, in this order, as ASP.NET Core does.
///
/// Where the two differ this one is stricter: it refuses a token with a `crit` header (RFC 7515, section
/// 4.1.11), a header with the same member twice, bytes after the payload, and a key whose id is not the one that the
/// token names. A key that has this id is the only one that is tried.
///
/// Tokens that were verified lately are remembered by their digests, 2,048 at most, until they expire or keys are fetched
/// anew.
#[derive(Debug)]
pub struct Verifier {
    options: BearerOptions,
    remote: Option<RemoteKeySet>,
    cache: Cache,
}

/// A token that is not believed.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: TokenError,
    /// The principal of a token that is expired, and valid otherwise.
    pub(crate) expired: Option<Box<Principal>>,
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self { error, expired: None }
    }
}

impl From<Refused> for TokenError {
    fn from(refused: Refused) -> Self {
        refused.error
    }
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
        Ok(Self { options, remote, cache: Cache::new() })
    }

    /// Verifies a token by the keys that are known now, and returns its principal.
    ///
    /// # Errors
    /// [`TokenError`] names the reason and quotes nothing of the token but, once its signature is verified, issuer and audience.
    pub fn verify(&self, token: &str) -> Result<Principal, TokenError> {
        self.verify_at(token, SystemTime::now(), &self.snapshot())
            .map(Arc::unwrap_or_clone)
            .map_err(Into::into)
    }

    /// Verifies a token and returns its principal. If no key fits, remote keys are fetched first, at most once per
    /// [`refetch_interval`](crate::RemoteKeys::refetch_interval).
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// # Cancel safety
    /// Safe: a task of its own fetches the keys, and goes on.
    pub async fn verify_with_newest_keys(&self, token: &str) -> Result<Principal, TokenError> {
        self.authenticate(token).await.map(Arc::unwrap_or_clone).map_err(Into::into)
    }

    /// [`verify_with_newest_keys`](Self::verify_with_newest_keys), which also returns the principal of a token
    /// that is expired, and valid otherwise.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<Arc<Principal>, Refused> {
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

    /// The options.
    pub(crate) fn options(&self) -> &BearerOptions {
        &self.options
    }

    fn snapshot(&self) -> Snapshot {
        self.remote.as_ref().map(RemoteKeySet::snapshot).unwrap_or_default()
    }

    fn verify_at(&self, token: &str, now: SystemTime, remote: &Snapshot) -> Result<Arc<Principal>, Refused> {
        let digest = Digest::of(token);
        if let Some(principal) = digest.and_then(|digest| self.remembered(&digest, now, remote)) {
            return Ok(principal);
        }
        let (claims, lifetime) = self.claims(token, now, remote)?;
        let meant = self.check_audience(&claims).and_then(|()| self.check_issuer(&claims, remote));
        let not_before = claims.not_before;
        match (lifetime, meant) {
            (Ok(()), Ok(())) => {
                let principal = Arc::new(principal::of(claims, &self.options));
                if let Some(digest) = digest {
                    let verified = Verified { principal: Arc::clone(&principal), not_before };
                    self.cache.insert(digest, remote.generation(), verified);
                }
                Ok(principal)
            }
            (Err(error @ TokenError::Expired(_)), Ok(())) => {
                Err(Refused { error, expired: Some(Box::new(principal::of(claims, &self.options))) })
            }
            (Err(error), _) | (Ok(()), Err(error)) => Err(error.into()),
        }
    }

    /// The principal of a token that these keys have verified before, if its lifetime is valid.
    fn remembered(&self, token: &Digest, now: SystemTime, remote: &Snapshot) -> Option<Arc<Principal>> {
        let Verified { principal, not_before } = self.cache.get(token, remote.generation())?;
        match lifetime::check(not_before, principal.expires, now, self.options.clock_skew) {
            Ok(()) => Some(principal),
            Err(_) => {
                self.cache.remove(token);
                None
            }
        }
    }

    /// The claims of a token whose signature is valid, and whether its lifetime is.
    fn claims(
        &self,
        token: &str,
        now: SystemTime,
        remote: &Snapshot,
    ) -> Result<(Claims, Result<(), TokenError>), TokenError> {
        let token = Compact::split(token)?;
        match self.check_signature(&token, remote) {
            // As ASP.NET Core does: a token that is too old is not worth looking for its key.
            Err(TokenError::SignatureKeyNotFound) if token.header.kid.is_some() => {
                self.check_lifetime(&Claims::parse(&token.payload()?)?, now)?;
                return Err(TokenError::SignatureKeyNotFound);
            }
            checked => checked?,
        }
        let claims = Claims::parse(&token.payload()?)?;
        let lifetime = self.check_lifetime(&claims, now);
        Ok((claims, lifetime))
    }

    fn check_signature(&self, token: &Compact<'_>, remote: &Snapshot) -> Result<(), TokenError> {
        let Signature(signature) = token.signature().ok_or(TokenError::SignatureInvalid)?;
        let algorithm = token.header.alg.as_deref().and_then(Algorithm::named);
        let algorithm = algorithm.ok_or(TokenError::SignatureKeyNotFound)?;
        let id = token.header.kid.as_deref();
        let keys = || self.options.keys.iter().chain(remote.keys());
        let is_named = id.is_some() && keys().any(|key| key.id() == id);
        // One signature costs up to 0.1 ms to verify, so a token that names its key is tried with no other.
        let may_be = |key: &&VerificationKey| match (id, is_named) {
            (Some(_), true) => key.id() == id,
            (Some(_), false) => key.id().is_none(),
            (None, _) => true,
        };
        let message = token.message.as_bytes();
        let verifies = |signature: &Vec<u8>| {
            keys().filter(may_be).any(|key| key.verifies(algorithm, message, signature))
        };
        match signature.is_some_and(|signature| verifies(&signature)) {
            true => Ok(()),
            false if is_named => Err(TokenError::SignatureInvalid),
            false => Err(TokenError::SignatureKeyNotFound),
        }
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

#[cfg(test)]
mod tests;
