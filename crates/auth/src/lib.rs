//! Who calls a hub, from which page and under which name: middleware for hosts of hubs.
//!
//! [`BearerAuthentication`] reads the bearer token of a request, verifies it and puts an
//! `Arc<`[`Principal`]`>` into the request's extensions, where a hub's path looks for it:
//!
//! ```
//! use axum::{Router, routing::get};
//! use hubline_auth::{BearerAuthentication, BearerOptions, VerificationKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = VerificationKey::secret(b"a secret that is at least 32 bytes long")?;
//! let bearer = BearerAuthentication::new(BearerOptions::default().key(key).audience("chat"))?;
//! let app: Router = Router::new()
//!     .route("/chat", get(|| async { "where the hub is" }))
//!     .layer(bearer);
//! # drop(app);
//! # Ok(())
//! # }
//! ```
//!
//! With [`RemoteKeys`] the keys come from a JWKS URL, or from an OpenID Connect provider's metadata, and
//! follow their rotation. [`CrossOrigin`] decides which pages of other origins may use a hub, [`HostFilter`] under which
//! names a server may be reached.
//!
//! All are [`tower_layer::Layer`]s: they wrap an axum `Router` and any other service over `http` types.
//!
//! This crate does not issue tokens, has no cookies and no sessions, and refuses nobody for lack of a good
//! token unless it is [told to](BearerOptions::refuse_invalid_tokens): the wrapped service decides, by its policy, and
//! answers 401 or 403. The first refusal of each kind is logged with what helps, all are
//! [counted](BearerAuthentication::refusals). Signatures are verified by `ring`, which TLS is linked with anyway. A
//! browser cannot send headers with a WebSocket, so its token travels in the query: see that the access log of a proxy in
//! front leaves out queries.

mod authority;
mod bearer;
mod cross_origin;
mod host_filter;
mod keys;
mod refusals;
mod verifier;

pub use bearer::{BearerAuthentication, BearerOptions, BearerOptionsError, BearerService, TokenRefusals};
pub use cross_origin::{
    AllowedOrigins, CrossOrigin, CrossOriginService, InvalidOrigin, Origin, OriginPattern, OriginPredicate,
};
pub use host_filter::{AllowedHost, HostFilter, HostFilterService, InvalidHost};
pub use hubline_identity::{Claim, ExpiredPrincipal, Principal};
pub use keys::{KeyError, RemoteKeys, RemoteKeysError, Unsuitable, VerificationKey};
pub use verifier::{TokenError, Verifier};
