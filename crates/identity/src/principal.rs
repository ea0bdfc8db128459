//! Who a request comes from.

use std::sync::Arc;
use std::time::SystemTime;

use hubline_protocol::UserId;

/// Who the host application says a request comes from.
///
/// Put it into the request's extensions, as an `Arc<Principal>`, in a middleware in front of the hub's route;
/// the crate `hubline-auth` has one for bearer tokens.
///
/// ```
/// use hubline_identity::Principal;
///
/// let ada = Principal::builder().user("ada").name("Ada").role("Doctor").claim("scope", "read").build();
/// assert!(ada.has_role("Doctor"));
/// assert_eq!(ada.claims("scope").collect::<Vec<_>>(), ["read"]);
/// ```
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
    /// Everything that was claimed, under the names of the token. `BearerAuthentication` repeats here what the other properties
    /// say; a middleware of your own has to add a claim for whatever policies ask for by claim.
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

/// Builds a [`Principal`]. What is not given is not known.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct PrincipalBuilder(Principal);

impl PrincipalBuilder {
    /// Sets [`Principal::name_identifier`].
    pub fn user(mut self, id: impl Into<UserId>) -> Self {
        self.0.name_identifier = Some(id.into());
        self
    }

    /// Sets [`Principal::issuer`].
    pub fn issuer(mut self, issuer: impl Into<Box<str>>) -> Self {
        self.0.issuer = Some(issuer.into());
        self
    }

    /// Sets [`Principal::name`].
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.0.name = Some(name.into());
        self
    }

    /// Adds a role. No claim is added for it.
    pub fn role(mut self, role: impl Into<Box<str>>) -> Self {
        self.0.roles.push(role.into());
        self
    }

    /// Adds a claim. It sets no other property of the principal, whatever its name.
    pub fn claim(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.0.claims.push(Claim { name: name.into(), value: value.into() });
        self
    }

    /// Sets [`Principal::expires`].
    pub fn expires(mut self, at: SystemTime) -> Self {
        self.0.expires = Some(at);
        self
    }

    /// The principal.
    pub fn build(self) -> Principal {
        self.0
    }
}

impl Principal {
    /// A principal of which nothing is known yet.
    pub fn builder() -> PrincipalBuilder {
        PrincipalBuilder::default()
    }

    /// A principal with this name identifier, of which nothing else is known.
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
