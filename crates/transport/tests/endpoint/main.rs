//! Endpoints as their clients and their hub see them. The hub is the test itself: it gets every accepted
//! connection and drives its pipe.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod authorization;
mod fleet;
mod gate;
mod hub;
mod long_polling;
mod posts;
mod refresh;
mod refused;
mod request_parts;
mod resumption;
mod server_sent_events;
mod status_codes;
mod stress;
mod tokens;
mod web_sockets;
