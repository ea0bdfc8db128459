//! Hubs inside of other people's applications, over real sockets.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod backplane;
mod client;
mod connections;
mod drain;
mod hosts;
mod middleware;
mod request;
mod shutdown;
