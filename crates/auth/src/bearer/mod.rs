//! Bearer tokens (RFC 6750) as middleware.

mod challenge;
mod layer;
mod options;
mod presented;

pub use layer::{BearerAuthentication, BearerService};
pub use options::{BearerOptions, BearerOptionsError};
