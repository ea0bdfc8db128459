//! Tower layers for hosts of hubs: bearer authentication, allowed origins (CORS) and allowed hosts.
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
//! This crate issues no tokens and has no cookies and no sessions. A request without a valid token is passed on without a
//! principal, and the wrapped service answers 401 or 403 by its policy, unless
//! [`refuse_invalid_tokens`](BearerOptions::refuse_invalid_tokens) is on. The first refusal of each kind is logged with its
//! remedy, all are [counted](BearerAuthentication::refusals). Signatures are verified by `ring`, which TLS is linked with
//! anyway. A browser cannot send headers with a WebSocket, so its token travels in the query: configure the access log of a
//! proxy in front to leave out queries.

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
pub use refusals::LayerRefusal;
pub use verifier::{TokenError, Verifier};
