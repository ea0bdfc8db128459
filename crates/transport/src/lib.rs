//! SignalR over HTTP: negotiate, WebSockets, server-sent events and long polling.
//!
//! An [`Endpoint`] answers everything under one hub path and hands each connection, as a
//! [`hubline_pipe::Pipe`], to the handler it was made with. It is a function from request to response; the
//! `hubline` crate makes an axum route and a tower service of it.
//!
//! A connection is negotiated, then attached to one transport, then gone:
//!
//! - `POST {path}/negotiate` puts it into the table of [`Connections`], where it waits 15 s for its transport.
//! - A GET attaches it. A WebSocket is the pipe by itself. An event stream is a response that does not end;
//!   a long-polling connection lives between its polls, and for 15 s without one. Both get what their client
//!   sends by POST, through a bounded inbox: a POST is answered once its whole body has entered.
//! - It leaves the table when the handler is done with it; a long-polling connection stays a little longer
//!   for the poll that fetches its last messages.
//!
//! It belongs to the endpoint and to the user that it was negotiated by. One gate judges every request for it before
//! anything is done, and lets nobody else through; what is refused changes nothing. Its user may replace its
//! principal by a newer one where the endpoint allows it ([`EndpointOptions::authentication_refresh`]). What is left to
//! somebody whose token has expired says [`ExpiredPrincipals`].
//!
//! With stateful reconnect a lost WebSocket is followed by another one: the request that brings it claims the
//! connection's place from the handler ([`hubline_pipe::Resumer`]).
//!
//! In a fleet ([`Connections::in_fleet`]) a request may land on any instance, and is answered as if it had landed
//! where its connection is.
//!
//! Not here: what is in the bytes, who a principal is, CORS, and HTTP/2's way to open a WebSocket.

mod address_limits;
mod authentication;
mod body;
mod connection_manager;
mod connections;
mod encoded_principal;
mod endpoint;
mod gate;
mod identity;
mod inbox;
mod long_polling;
mod options;
mod outgoing;
mod reachability;
mod refusal;
mod relay;
mod request;
mod request_context;
mod requester;
mod response;
mod server_sent_events;
mod stall;
mod statistics;
mod tickets;
mod token;
mod upgrade;
mod web_socket;

pub use address_limits::{AddressLimits, AddressRefusals, RemoteAddress};
pub use body::{Aborted, Body};
pub use connections::Connections;
pub use endpoint::Endpoint;
pub use options::{AuthenticationRefresh, EndpointOptions, ExpiredPrincipals, RefreshError};
pub use stall::{BodyError, BodyTimeout, SendTimeout, Stalled};
pub use statistics::{ConnectionStatistics, Durations, TransportStatistics};
pub use tickets::{TokenKey, TokenKeyError};
pub use token::ConnectionToken;
pub use upgrade::{BareIo, BareSocket, Io};
