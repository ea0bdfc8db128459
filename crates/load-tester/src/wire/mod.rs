//! Connections in the shape of bytes: HTTP, TLS, WebSockets, server-sent events, long polls, hub messages.

pub(crate) mod connection;
pub(crate) mod event_stream;
pub(crate) mod framing;
pub(crate) mod http;
pub(crate) mod hub_url;
mod long_polling;
pub(crate) mod messages;
pub(crate) mod socket;
pub(crate) mod target;
pub(crate) mod tls;
pub(crate) mod web_socket;
