//! Bearer tokens (RFC 6750) as middleware.

mod challenge;
mod layer;
mod options;
mod presented;
mod refusals;

pub use layer::{BearerAuthentication, BearerService};
pub use options::{BearerOptions, BearerOptionsError};
pub use refusals::TokenRefusals;
