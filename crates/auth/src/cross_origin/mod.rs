//! Which pages of other origins may use a server.

mod allowed_origins;
mod layer;

pub use allowed_origins::{AllowedOrigins, InvalidOrigin, Origin};
pub use layer::{CrossOrigin, CrossOriginService};
