//! Pages of which origins may use a server.

mod allowed_origins;
mod layer;
mod origin;
mod origin_pattern;

pub use allowed_origins::{AllowedOrigins, OriginPredicate};
pub use layer::{CrossOrigin, CrossOriginService};
pub use origin::{InvalidOrigin, Origin};
pub use origin_pattern::OriginPattern;
