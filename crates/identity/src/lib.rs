//! Who a request comes from, and what that user may do.
//!
//! A [`Principal`] is what an authentication middleware found out about the sender of a request; a [`Policy`] says
//! which principals may use a hub or one of its methods, and answers with an [`Access`].
//!
//! Nothing here authenticates: the crate `hubline-auth` verifies bearer tokens, and a host may use middleware of its
//! own.

mod policy;
mod principal;

pub use policy::{Access, Policy};
pub use principal::{Claim, ExpiredPrincipal, Principal, PrincipalBuilder};
