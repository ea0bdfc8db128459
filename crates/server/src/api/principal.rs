use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use hubline_store::clinic::Party;
use hubline_store::keys::AdminScope;

use super::Problem;

/// Who acts by the admin API: the holder of a key. The layer in front of `/api/admin` puts it into each request's extensions; as a
/// parameter of a handler it tells the audit who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminPrincipal {
    /// The key's name; a configured key is called by its setting, which has a colon, as no other key's name has.
    pub(crate) name: String,
    /// What the key may do.
    pub(crate) scope: AdminScope,
    /// Whether there is no key at all and the API is open.
    pub(crate) is_keyless: bool,
}

impl AdminPrincipal {
    /// As the audit writes it.
    pub(crate) fn party(&self) -> Party {
        Party::admin(&self.name)
    }

    /// Whether the key may do what this scope is needed for. Every handler asks for what it needs; GET is refused without
    /// [`AdminScope::Read`] and anything else without [`AdminScope::Write`] anyway.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn require(&self, scope: AdminScope) -> Result<(), Problem> {
        match self.scope >= scope {
            true => Ok(()),
            false => Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!(
                    "this needs an admin key of the scope {}, and this one has {}",
                    word(scope),
                    word(self.scope)
                ),
            )),
        }
    }
}

/// A scope as the API writes it.
fn word(scope: AdminScope) -> &'static str {
    match scope {
        AdminScope::Read => "read",
        AdminScope::Write => "write",
        AdminScope::Full => "full",
    }
}

/// 401 where the layer is missing, so that a route in the wrong place is closed rather than open.
impl<S: Sync> FromRequestParts<S> for AdminPrincipal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Self>().cloned();
        principal.ok_or_else(|| Problem::unauthorized("this needs an admin key"))
    }
}
