//! Options of bearer authentication.

use std::time::Duration;

use crate::keys::{RemoteKeys, RemoteKeysError, VerificationKey};

/// Which tokens are valid, and where in a request they are. The defaults are ASP.NET Core's.
///
/// Without `issuers` a token of any issuer is valid if a key fits, and without `audiences` one that was issued for
/// another service of the same issuer is valid too.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BearerOptions {
    /// Keys for verifying signatures. Default none.
    pub keys: Vec<VerificationKey>,
    /// Keys to be fetched, besides `keys`. Default none.
    pub remote_keys: Option<RemoteKeys>,
    /// Issuers whose tokens are valid (`iss`, ASP.NET Core's `ValidIssuers`). Default any. The issuer that the metadata of
    /// `remote_keys` names is added.
    pub issuers: Vec<String>,
    /// Audiences, one of which a token must name (`aud`, ASP.NET Core's `ValidAudiences`). A slash at
    /// the end makes no difference. Default any.
    pub audiences: Vec<String>,
    /// How far the clocks of issuer and server may differ. Default 5 minutes.
    pub clock_skew: Duration,
    /// Whether a token may also come as the query parameter `access_token`, which then goes before the
    /// header: browsers cannot send headers with a WebSocket or an `EventSource`. Default true; leave it so
    /// only on the paths of hubs, because addresses end up in logs.
    pub token_from_query: bool,
    /// Whether a 401 says what is wrong with the token. Default true.
    pub include_error_details: bool,
    /// Whether a request with an invalid token is answered 401 without the wrapped service. One whose token is expired, and
    /// valid otherwise, still reaches it, as an [`ExpiredPrincipal`](crate::ExpiredPrincipal): with
    /// `ExpiredPrincipals::KeepOwnConnections` a hub's path lets it go on with its own connections and open none. Default
    /// false, as in ASP.NET Core: a request with an invalid token is anonymous.
    pub refuse_invalid_tokens: bool,
    /// Names of claims that hold the user's id, besides `sub`, `nameid` and .NET's long name. Default none.
    pub name_identifier_claims: Vec<String>,
    /// Names of claims that hold the user's name, besides `unique_name` and .NET's long name. Default none.
    pub name_claims: Vec<String>,
    /// Names of claims that hold roles, besides `role`, `roles` and .NET's long name. Default none.
    pub role_claims: Vec<String>,
}

impl Default for BearerOptions {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            remote_keys: None,
            issuers: Vec::new(),
            audiences: Vec::new(),
            clock_skew: Duration::from_secs(5 * 60),
            token_from_query: true,
            include_error_details: true,
            refuse_invalid_tokens: false,
            name_identifier_claims: Vec::new(),
            name_claims: Vec::new(),
            role_claims: Vec::new(),
        }
    }
}

impl BearerOptions {
    /// Adds a key.
    #[must_use]
    pub fn key(mut self, key: VerificationKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Sets [`remote_keys`](Self::remote_keys).
    #[must_use]
    pub fn remote_keys(mut self, keys: RemoteKeys) -> Self {
        self.remote_keys = Some(keys);
        self
    }

    /// Adds an issuer.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Adds an audience.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Sets [`refuse_invalid_tokens`](Self::refuse_invalid_tokens).
    #[must_use]
    pub fn refuse_invalid_tokens(mut self) -> Self {
        self.refuse_invalid_tokens = true;
        self
    }

    /// Sets [`clock_skew`](Self::clock_skew).
    #[must_use]
    pub fn clock_skew(mut self, clock_skew: Duration) -> Self {
        self.clock_skew = clock_skew;
        self
    }
}

/// Why a verifier cannot be made of these options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BearerOptionsError {
    /// There are no keys and no [`RemoteKeys`]: no token could be valid.
    #[error("there is no key to verify tokens with")]
    NoKeys,
    /// The keys cannot be fetched.
    #[error(transparent)]
    RemoteKeys(#[from] RemoteKeysError),
}
