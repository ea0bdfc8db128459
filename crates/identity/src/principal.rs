//! Who a request comes from.

use std::sync::Arc;
use std::time::SystemTime;

use hubline_protocol::UserId;

/// Who the host application says a request comes from.
///
/// Put it into the request's extensions, as an `Arc<Principal>`, in a middleware in front of the hub's route;
/// the crate `hubline-auth` has one for bearer tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Principal {
    /// The name identifier: the claim that is the user's id.
    pub name_identifier: Option<UserId>,
    /// Who vouches for it: the `iss` of a token. The same id from two issuers is two users.
    pub issuer: Option<Box<str>>,
    /// What to call the user.
    pub name: Option<Box<str>>,
    /// What the user may act as.
    pub roles: Vec<Box<str>>,
    /// Everything that was claimed, the above included, under the names of the token.
    pub claims: Vec<Claim>,
    /// When this stops being true.
    pub expires: Option<SystemTime>,
}

/// Who a request would come from if the time of its token were not over: everything else about the token was
/// verified.
///
/// A middleware puts it into the request's extensions in place of the `Arc<Principal>`. The request counts as
/// nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredPrincipal(pub Arc<Principal>);

/// One statement about a principal. Several may have the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// What is stated, like `scope`.
    pub name: Box<str>,
    /// Its value; what is not text in a token stands here as its JSON.
    pub value: Box<str>,
}

impl Principal {
    /// Somebody with this id, and nothing else known.
    pub fn of_user(id: impl Into<UserId>) -> Self {
        Self { name_identifier: Some(id.into()), ..Self::default() }
    }

    /// Whether the user may act as `role`. Compared ordinally.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| **own == *role)
    }

    /// The values claimed under `name`.
    pub fn claims<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.claims.iter().filter(move |claim| *claim.name == *name).map(|claim| &*claim.value)
    }
}
