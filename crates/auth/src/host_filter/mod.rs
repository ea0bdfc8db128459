//! Host filtering: the names under which a server may be reached.

mod allowed_host;
mod layer;

pub use allowed_host::{AllowedHost, InvalidHost};
pub use layer::{HostFilter, HostFilterService};
