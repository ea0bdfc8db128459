//! Whom a connection belongs to: an endpoint, and somebody at it.
//!
//! Source: ASP.NET Core 11 answered so; the recorded cases `endpoints` and `identity`.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use hubline_identity::{ExpiredPrincipal, Principal};
use hubline_protocol::UserId;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The issuer that .NET writes down where a token names none.
const NO_ISSUER: &str = "LOCAL AUTHORITY";

/// Claims that hold a user principal name, besides the name identifier the one thing a user is known by.
const UPN: [&str; 2] = ["upn", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"];

/// Names an endpoint, on every instance alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct EndpointId(pub(crate) [u8; 8]);

/// Names somebody, without telling who: two requests come from the same user if their identities are equal.
///
/// That is the name identifier, or else the user principal name, with its issuer; an empty one counts as none. Who has
/// neither is known by all claims, the times among them, so that only the same token is the same user. Nobody is
/// somebody too.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity(pub(crate) [u8; 16]);

/// Who a request says it comes from.
#[derive(Debug, Clone)]
pub(crate) enum Presented {
    Nobody,
    /// Somebody whose token was good once. Counts as nobody, or may go on with connections of its own.
    Expired(Arc<Principal>),
    Known(Arc<Principal>),
}

impl EndpointId {
    /// The endpoint of this name, however it is spelt: letter case, percent-encoding and a slash at the end do not
    /// count.
    pub(crate) fn named(name: &str) -> Self {
        let decoded = percent_decode_str(name).decode_utf8_lossy();
        let digest = Sha256::digest(decoded.trim_end_matches('/').to_lowercase());
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self(id)
    }
}

impl Identity {
    pub(crate) const NOBODY: Self = Self([0; 16]);

    pub(crate) fn of(principal: Option<&Principal>) -> Self {
        let Some(principal) = principal else { return Self::NOBODY };
        let issuer = principal.issuer.as_deref().filter(|issuer| *issuer != NO_ISSUER).unwrap_or_default();
        let id = principal.name_identifier.as_ref().map(UserId::as_str);
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            return Self::hashed(["id", id, issuer]);
        }
        let upn = principal.claims.iter().find(|claim| UPN.contains(&&*claim.name));
        if let Some(upn) = upn.filter(|upn| !upn.value.is_empty()) {
            return Self::hashed(["upn", &*upn.value, issuer]);
        }
        let mut claims: Vec<_> = principal.claims.iter().map(|claim| [&*claim.name, &*claim.value]).collect();
        claims.sort_unstable();
        let name = principal.name.as_deref().unwrap_or_default();
        let roles = principal.roles.iter().map(|role| ["", &**role]);
        Self::hashed(["claims", issuer, name].into_iter().chain(roles.chain(claims).flatten()))
    }

    /// The user whom the hub knows by this id, whoever vouches for it.
    pub(crate) fn of_user(id: &UserId) -> Self {
        Self::hashed(["user", id.as_str()])
    }

    fn hashed<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut identity = [0; 16];
        identity.copy_from_slice(&hash.finalize()[..16]);
        Self(identity)
    }
}

impl Presented {
    pub(crate) fn of(request: &Parts) -> Self {
        if let Some(principal) = request.extensions.get::<Arc<Principal>>() {
            return Self::Known(Arc::clone(principal));
        }
        match request.extensions.get::<ExpiredPrincipal>() {
            Some(ExpiredPrincipal(principal)) => Self::Expired(Arc::clone(principal)),
            None => Self::Nobody,
        }
    }

    /// Who it is, as far as that counts.
    pub(crate) fn principal(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Known(principal) => Some(principal),
            Self::Nobody | Self::Expired(_) => None,
        }
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointId({:016x})", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::NOBODY { "Identity(nobody)" } else { "Identity(..)" })
    }
}

#[cfg(test)]
mod tests {
    use hubline_identity::Claim;

    use super::*;

    fn somebody(id: Option<&str>, issuer: Option<&str>, claims: &[(&str, &str)]) -> Identity {
        let claim = |(name, value): &(&str, &str)| Claim { name: (*name).into(), value: (*value).into() };
        let mut principal = Principal::default();
        principal.name_identifier = id.map(Into::into);
        principal.issuer = issuer.map(Into::into);
        principal.claims = claims.iter().map(claim).collect();
        Identity::of(Some(&principal))
    }

    #[test]
    fn an_id_and_its_issuer_are_the_user_and_nothing_else_is() {
        let ada = somebody(Some("ada"), None, &[("role", "Nurse"), ("exp", "1")]);
        assert_eq!(ada, somebody(Some("ada"), None, &[("role", "Doctor"), ("upn", "x")]));
        for none in ["", NO_ISSUER] {
            assert_eq!(somebody(Some("ada"), Some(none), &[]), ada, "{none}");
        }
        for other in [
            somebody(Some("Ada"), None, &[]),
            somebody(Some("ada"), Some("https://issuer"), &[]),
            somebody(Some("bob"), None, &[("role", "Nurse"), ("exp", "1")]),
            somebody(None, None, &[("upn", "ada")]),
            Identity::of(None),
        ] {
            assert_ne!(ada, other);
        }
    }

    #[test]
    fn without_an_id_the_upn_counts_and_without_both_every_claim() {
        let upn = somebody(None, None, &[("upn", "ada"), ("exp", "1")]);
        assert_eq!(upn, somebody(None, None, &[("exp", "2"), (UPN[1], "ada")]));
        assert_ne!(upn, somebody(None, Some("issuer"), &[("upn", "ada"), ("exp", "1")]));
        let token = somebody(None, None, &[("a", "1"), ("exp", "1")]);
        assert_eq!(token, somebody(None, None, &[("exp", "1"), ("a", "1")]));
        assert_ne!(token, somebody(None, None, &[("a", "1"), ("exp", "2")]));
        assert_ne!(token, somebody(None, None, &[("a1", ""), ("exp", "1")]));
        assert_ne!(somebody(None, None, &[]), Identity::NOBODY);
        let nameless = somebody(Some(""), None, &[("upn", "ada"), ("exp", "1")]);
        assert_eq!(nameless, upn, "an empty id is none");
        assert_ne!(somebody(Some(""), None, &[("exp", "1")]), somebody(Some(""), None, &[("exp", "2")]));
    }

    #[test]
    fn an_endpoint_has_many_spellings() {
        let id = EndpointId::named("/hubs/navigation-state");
        for spelling in ["/hubs/navigation-state/", "/Hubs/Navigation-State", "/hubs/navigation%2Dstate"] {
            assert_eq!(EndpointId::named(spelling), id, "{spelling}");
        }
        assert_ne!(EndpointId::named("/hubs"), id);
        assert_eq!(EndpointId::named("/"), EndpointId::named(""));
    }

    #[test]
    fn an_expired_principal_counts_as_nobody() {
        let mut request = http::Request::new(()).into_parts().0;
        assert!(matches!(Presented::of(&request), Presented::Nobody));
        let ada = Arc::new(Principal::of_user("ada"));
        request.extensions.insert(ExpiredPrincipal(Arc::clone(&ada)));
        let expired = Presented::of(&request);
        assert!(matches!(&expired, Presented::Expired(who) if *who == ada));
        assert!(expired.principal().is_none());
        request.extensions.insert(ada);
        assert!(matches!(Presented::of(&request), Presented::Known(_)));
    }
}
