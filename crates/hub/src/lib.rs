//! SignalR hubs: connections, dispatch, Clients and Groups.
//!
//! A [`Hub`] is a set of plain async functions under names. Each takes first what it needs from the server
//! ([`Clients`], [`Groups`], [`Caller`], [`State`], [`HubContext`]), then the arguments the client sends.
//!
//! ```
//! use hubline_hub::{Caller, Clients, Hub, HubError};
//!
//! async fn send_message(clients: Clients, caller: Caller, text: String) -> Result<(), HubError> {
//!     if text.is_empty() {
//!         return Err(HubError::new("a message needs a text"));
//!     }
//!     clients.all().send("ReceiveMessage", (caller.connection_id(), text)).await?;
//!     Ok(())
//! }
//!
//! async fn add(a: i64, b: i64) -> i64 {
//!     a + b
//! }
//!
//! let hub: Hub = Hub::new("Chat").method("SendMessage", send_message).method("Add", add);
//! ```
//!
//! Methods may return streams ([`Hub::stream`]), take streams ([`Upload`]), look whether anybody still waits
//! ([`Cancellation`]) and ask clients for results ([`SingleClientProxy::invoke`]).
//!
//! Methods may read the request that opened their connection ([`Headers`], [`Cookies`], [`Extension`], [`PeerAddress`]) and
//! keep values for it ([`Items`]).
//!
//! Nothing is served and no Redis is spoken here: connections come as [`hubline_pipe::Pipe`]s, other instances are behind a
//! [`hubline_backplane::Backplane`], who is connected there in a [`hubline_directory::SessionDirectory`].

mod activity;
mod call_durations;
mod callback;
mod caller;
mod cancellation;
mod client_results;
mod clients;
mod congestion;
mod connection;
mod context;
mod directory;
mod dispatcher;
mod dot_net;
mod draining;
mod error;
mod error_rules;
mod extract;
mod filter;
mod groups;
mod handler;
mod hub;
mod inbox;
mod invocation;
mod items;
mod lifecycle;
mod options;
mod outbox;
mod request;
mod request_parts;
mod result;
mod router;
mod statistics;
mod stream;
mod striped;
mod upload;
mod wakes;

/// What the attribute `#[hubline::method]` writes.
#[doc(hidden)]
pub mod __private {
    pub use crate::result::{IsHubError, is_hub_result};
    pub use serde::Serialize;
}

pub use call_durations::MethodStatistics;
pub use caller::Caller;
pub use cancellation::{Cancellation, Cancelled};
pub use clients::{ClientArguments, ClientProxy, Clients, HubClients, SingleClientProxy};
pub use connection::{CloseReason, Disconnected};
pub use context::HubContext;
pub use directory::Directory;
pub use draining::{DrainingConnection, Left};
pub use error::{HubError, InvokeError, OrHubError, SendError};
pub use extract::{Binding, FromInvocation, FromRef, State};
pub use filter::{HubFilter, Invocation, Next, NextCallback};
pub use groups::Groups;
pub use handler::{Handler, MethodFuture, ResultFuture, StreamHandler};
pub use hub::Hub;
pub use hubline_backplane::GroupError;
pub use items::Items;
pub use lifecycle::LocalConnection;
pub use options::{BackplaneFailureMode, HubLimits, HubOptions};
pub use request::{Cookies, Extension, Headers, PeerAddress};
pub use request_parts::MissingRequestParts;
pub use result::{IntoHubResult, ItemStream, Returned};
pub use statistics::HubStatistics;
pub use stream::HubStream;
pub use upload::{Upload, UploadError};
pub use wakes::collect_wakes;
