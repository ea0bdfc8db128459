//! Counts of refused tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::TokenError;

/// Counts requests whose bearer token was refused, by reason. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct TokenRefusals(Arc<[AtomicU64; KINDS.len()]>);

/// A kind of refusal.
struct Kind {
    /// Behind `token_`.
    name: &'static str,
    /// What to change if such a token should be valid.
    cure: &'static str,
}

/// The kind of a request that was answered 401 and had no token.
const MISSING: usize = 0;

/// In the order of [`index`].
const KINDS: [Kind; 10] = [
    Kind {
        name: "token_missing",
        cure: "clients give their token by accessTokenFactory, as `Authorization: Bearer ...` or in the query parameter \
               access_token; hubline serve lets anonymous users in with Authentication:AllowAnonymous=true",
    },
    Kind {
        name: "token_malformed",
        cure: "the token has to be a signed JSON Web Token (JWS) in its compact form, its registered claims of the kinds that \
               RFC 7519 names",
    },
    Kind {
        name: "token_signature_key_not_found",
        cure: "no known key made the signature: see that Jwt:Key, Jwt:JwksUrl or Authentication:Schemes:Bearer \
               (BearerOptions::keys, ::remote_keys) are the keys of whoever issues the tokens, and that the algorithm fits",
    },
    Kind {
        name: "token_signature_invalid",
        cure: "the token was changed, or is of another issuer that calls its key by the same kid",
    },
    Kind { name: "token_no_expiration", cure: "the issuer has to give its tokens the claim exp" },
    Kind {
        name: "token_lifetime_invalid",
        cure: "the issuer has to give its tokens an nbf before their exp",
    },
    Kind {
        name: "token_not_yet_valid",
        cure: "the clocks of issuer and server differ: set them, or Jwt:ClockSkew (BearerOptions::clock_skew)",
    },
    Kind {
        name: "token_expired",
        cure: "clients have to fetch a new token when the old one ends; if the clocks of issuer and server differ set them, or \
               Jwt:ClockSkew (BearerOptions::clock_skew)",
    },
    Kind {
        name: "token_audience_invalid",
        cure: "the token's aud has to be among Jwt:Audience and Authentication:Schemes:Bearer:ValidAudiences \
               (BearerOptions::audiences)",
    },
    Kind {
        name: "token_issuer_invalid",
        cure: "the token's iss has to be among Jwt:Issuer and Authentication:Schemes:Bearer:ValidIssuers \
               (BearerOptions::issuers), or the one of the provider's metadata",
    },
];

impl Kind {
    fn kind(&self) -> &'static str {
        self.name.trim_start_matches("token_")
    }
}

impl TokenRefusals {
    /// Each kind with the number of its requests, `missing` those that were answered 401 and brought no token.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        KINDS.iter().zip(self.0.iter()).map(|(kind, count)| (kind.kind(), count.load(Ordering::Relaxed)))
    }

    /// What is told of a request that was refused for such a token.
    pub(super) fn reason(error: &TokenError) -> &'static str {
        KINDS[index(error)].name
    }

    /// Counts a request with such a token, or without one if it is `None`. Logs the first of each kind.
    pub(super) fn add(&self, error: Option<&TokenError>) {
        let index = error.map_or(MISSING, index);
        let first = self.0[index].fetch_add(1, Ordering::Relaxed) == 0;
        let kind = &KINDS[index];
        let (name, cure) = (kind.kind(), kind.cure);
        match (error, first) {
            (Some(error), true) => {
                tracing::info!(kind = name, %error, cure, "A bearer token was not believed; more of this kind are only counted");
            }
            (None, true) => {
                tracing::info!(
                    kind = name,
                    cure,
                    "A request without a bearer token was answered 401; more are only counted"
                );
            }
            (Some(error), false) => tracing::debug!(kind = name, %error, "A bearer token was not believed"),
            (None, false) => {}
        }
    }
}

fn index(error: &TokenError) -> usize {
    match error {
        TokenError::Malformed => 1,
        TokenError::SignatureKeyNotFound => 2,
        TokenError::SignatureInvalid => 3,
        TokenError::NoExpiration => 4,
        TokenError::LifetimeInvalid { .. } => 5,
        TokenError::NotYetValid(_) => 6,
        TokenError::Expired(_) => 7,
        TokenError::AudienceInvalid(_) => 8,
        TokenError::IssuerInvalid(_) => 9,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn each_kind_has_its_own_count() {
        let now = SystemTime::now();
        let errors = [
            TokenError::Malformed,
            TokenError::SignatureKeyNotFound,
            TokenError::SignatureInvalid,
            TokenError::NoExpiration,
            TokenError::LifetimeInvalid { not_before: now, expires: now },
            TokenError::NotYetValid(now),
            TokenError::Expired(now),
            TokenError::AudienceInvalid("a".into()),
            TokenError::IssuerInvalid("a".into()),
        ];
        let refusals = TokenRefusals::default();
        refusals.add(None);
        for (number, error) in errors.iter().enumerate() {
            (0..number + 2).for_each(|_| refusals.clone().add(Some(error)));
        }
        let counts: Vec<_> = refusals.counts().collect();
        let names = [
            "missing",
            "malformed",
            "signature_key_not_found",
            "signature_invalid",
            "no_expiration",
            "lifetime_invalid",
            "not_yet_valid",
            "expired",
            "audience_invalid",
            "issuer_invalid",
        ];
        assert_eq!(counts, names.into_iter().zip(1..).collect::<Vec<_>>());
    }
}
