//! One SignalR client: negotiation with redirects, every transport and protocol, calls, events, reconnects.

mod arguments;
mod carrier;
pub(crate) mod error;
pub(crate) mod link;
pub(crate) mod message;
mod negotiate;
pub(crate) mod network;
pub(crate) mod options;
mod post;
mod request;
mod simple;
mod stateful;
#[cfg(test)]
mod tests;

pub use arguments::ConnectArgs;
pub(crate) use arguments::header;
pub use error::{CallError, ConnectError, ConnectPhase, Disconnected};
pub use network::{Network, NetworkOptions};
pub use options::{ConnectOptions, TokenPlace, TransportChoice};
pub use simple::{Client, Event};
