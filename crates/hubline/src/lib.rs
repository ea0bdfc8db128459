//! A SignalR server for Rust.
//!
//! Official SignalR clients connect to it unmodified. A hub is a set of plain async functions; here is a
//! whole server:
//!
//! ```no_run
//! use hubline::{Caller, Clients, Hub, HubError, Server};
//!
//! async fn send_message(clients: Clients, caller: Caller, text: String) -> Result<(), HubError> {
//!     clients.all().send("ReceiveMessage", (caller.connection_id(), text)).await?;
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let server = Server::new();
//!     let chat = server.add_hub(Hub::new("Chat").method("SendMessage", send_message));
//!     let app = axum::Router::new().merge(chat.map("/chathub"));
//!     axum::serve(tokio::net::TcpListener::bind("localhost:5000").await?, app).await
//! }
//! ```
//!
//! Several instances become one with a Redis backplane (crate `hubline-redis`), byte-compatible with ASP.NET
//! Core's: [`ServerBuilder::backplane`]. axum's paths are case-sensitive, ASP.NET Core's are not: clients must
//! spell a path as it was mapped.
//!
//! What is not here yet: transports other than WebSockets, MessagePack connections, streams, client results,
//! authorization, stateful reconnect.

mod http;
mod server;
mod service;

pub use hubline_backplane::{Backplane, InProcess, Status};
pub use hubline_hub::{
    Binding, Caller, ClientArguments, ClientProxy, Clients, CloseReason, Disconnected, FromInvocation,
    FromRef, GroupError, Groups, Handler, Hub, HubClients, HubContext, HubError, HubOptions, IntoHubResult,
    SendError, State,
};
pub use hubline_pipe::{ConnectionInfo, Principal};
pub use hubline_protocol::handshake::DetailedErrors;
pub use hubline_protocol::negotiate::TransportKind;
pub use hubline_protocol::{BindError, ConnectionId, GroupName, InvocationId, UserId};
pub use hubline_transport::EndpointOptions;

pub use http::{Workers, serve};
pub use server::{HubHandle, Server, ServerBuilder};
pub use service::HubService;
