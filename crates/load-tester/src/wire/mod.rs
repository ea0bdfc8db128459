//! Connections in the shape of bytes: HTTP, TLS, WebSockets, server-sent events, long polls, hub messages.

pub(crate) mod connection;
mod event_stream;
pub(crate) mod framing;
pub(crate) mod http;
mod long_polling;
pub(crate) mod messages;
mod socket;
pub(crate) mod target;
mod tls;
pub(crate) mod web_socket;
