//! What tokens must be like.

use std::time::Duration;

use crate::keys::{RemoteKeys, RemoteKeysError, VerificationKey};

/// Which tokens are believed and where they are looked for. The defaults are ASP.NET Core's.
///
/// Without issuers any issuer will do, as long as a key fits, and without audiences a token that was meant
/// for another service of the same issuer will do too.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BearerOptions {
    /// Keys that are known from the start. Default none.
    pub keys: Vec<VerificationKey>,
    /// Keys to be fetched, besides `keys`. Default none.
    pub remote_keys: Option<RemoteKeys>,
    /// Issuers whose tokens are believed (`iss`, ASP.NET Core's `ValidIssuers`). Default any; with the metadata
    /// of a provider, the one named there comes to them.
    pub issuers: Vec<String>,
    /// Audiences one of which a token must be meant for (`aud`, ASP.NET Core's `ValidAudiences`). A slash at
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
    /// Whether a request whose token is not believed is answered 401 without the wrapped service. One whose token is merely
    /// expired goes on, as an [`ExpiredPrincipal`](crate::ExpiredPrincipal): what it may still do is for the wrapped
    /// service to say, and a hub's path lets it do nothing new with `ExpiredPrincipals::KeepOwnConnections`. Default
    /// false, as in ASP.NET Core: such a request is nobody's, and gets in where nobody needs to be signed in.
    pub refuse_invalid_tokens: bool,
    /// Claims that are the user's id, besides `sub`, `nameid` and .NET's long name. Default none.
    pub name_identifier_claims: Vec<String>,
    /// Claims that are the user's name, besides `unique_name` and .NET's long name. Default none.
    pub name_claims: Vec<String>,
    /// Claims that are roles, besides `role`, `roles` and .NET's long name. Default none.
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

    /// Fetches keys.
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

    /// Answers 401 to tokens that are not believed, whatever is asked for.
    #[must_use]
    pub fn refuse_invalid_tokens(mut self) -> Self {
        self.refuse_invalid_tokens = true;
        self
    }

    /// Lets clocks differ by this much.
    #[must_use]
    pub fn clock_skew(mut self, clock_skew: Duration) -> Self {
        self.clock_skew = clock_skew;
        self
    }
}

/// Why nothing can be verified by these options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BearerOptionsError {
    /// Without keys no token is good.
    #[error("there is no key to verify tokens with")]
    NoKeys,
    /// The keys cannot be fetched.
    #[error(transparent)]
    RemoteKeys(#[from] RemoteKeysError),
}
