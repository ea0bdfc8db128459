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
//! No HTTP and no Redis here: connections come as [`hubline_pipe::Pipe`]s, other instances are behind a
//! [`hubline_backplane::Backplane`]. Streams, client results and MessagePack connections are not here yet.

mod clients;
mod connection;
mod context;
mod dispatcher;
mod error;
mod extract;
mod groups;
mod handler;
mod hub;
mod options;
mod outbox;
mod router;
mod wakes;

pub use clients::{ClientArguments, ClientProxy, Clients, HubClients, SendError};
pub use connection::{CloseReason, Disconnected};
pub use context::{Caller, HubContext};
pub use error::HubError;
pub use extract::{Binding, FromInvocation, FromRef, State};
pub use groups::{GroupError, Groups};
pub use handler::{Handler, IntoHubResult};
pub use hub::Hub;
pub use options::HubOptions;
pub use wakes::collect_wakes;
