//! SignalR over HTTP: negotiate, WebSockets, server-sent events and long polling.
//!
//! An [`Endpoint`] answers everything under one hub path and hands each connection, as a
//! [`hubline_pipe::Pipe`], to the handler it was made with. It is a function from request to response; the
//! `hubline` crate makes an axum route and a tower service of it.
//!
//! The life of a connection:
//!
//! 1. `POST {path}/negotiate` returns a connection token, which can be used for 15 s. A negotiation leaves nothing else on
//!    the server, except with version 0 of the protocol.
//! 2. A GET with the token attaches a transport, and the connection enters the table of [`Connections`]. A WebSocket is a
//!    pipe by itself. An event stream is a response that does not end. A long-polling connection lives between its polls,
//!    and for 15 s without one. Clients of the latter two send by POST, through a bounded inbox: a POST is answered
//!    once its whole body is in the inbox.
//! 3. The connection leaves the table when its handler is done with it. A long-polling connection stays until a poll has
//!    fetched its last messages, 15 s at most.
//!
//! A connection belongs to its endpoint and to the user who negotiated it. Each request is checked before anything is done
//! for it, and a refused request changes nothing. A user may replace the principal by a newer one where the endpoint allows
//! it ([`EndpointOptions::authentication_refresh`]). [`ExpiredPrincipals`] says what a client may do whose token has
//! expired.
//!
//! With stateful reconnect a client replaces a lost WebSocket by another one, which resumes the connection
//! ([`hubline_pipe::Resumer`]).
//!
//! In a fleet ([`Connections::in_fleet`]) each request may reach any instance; the answer is the same as on the instance
//! with the connection.
//!
//! This crate does not read hub messages, authenticate, answer CORS preflights, or open WebSockets over HTTP/2.

mod address_limits;
mod admission;
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
