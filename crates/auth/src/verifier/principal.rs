//! Makes a principal of claims, by the names that ASP.NET Core maps.

use hubline_identity::{Claim, Principal};

use super::claims::Claims;
use crate::bearer::BearerOptions;

/// `ClaimTypes.NameIdentifier`, and what `JsonWebTokenHandler` maps to it.
const NAME_IDENTIFIER: [&str; 3] =
    ["sub", "nameid", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"];

/// `ClaimTypes.Name`, and what is mapped to it. `name` is not.
const NAME: [&str; 2] = ["unique_name", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"];

/// `ClaimTypes.Role`, and what is mapped to it.
const ROLE: [&str; 3] = ["role", "roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"];

/// The principal of these claims. Of several ids, or names, the first in the token's order counts.
pub(super) fn of(claims: Claims, options: &BearerOptions) -> Principal {
    let mut principal = Principal::default();
    for (name, value) in claims.all {
        if is_named(&name, &NAME_IDENTIFIER, &options.name_identifier_claims) {
            principal.name_identifier.get_or_insert_with(|| (&*value).into());
        }
        if is_named(&name, &NAME, &options.name_claims) {
            principal.name.get_or_insert_with(|| value.clone());
        }
        if is_named(&name, &ROLE, &options.role_claims) {
            principal.roles.push(value.clone());
        }
        principal.claims.push(Claim { name, value });
    }
    principal.issuer = claims.issuer.map(Into::into);
    principal.expires = claims.expires;
    principal
}

fn is_named(name: &str, known: &[&str], own: &[String]) -> bool {
    known.contains(&name) || own.iter().any(|own| own == name)
}
