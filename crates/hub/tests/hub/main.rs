//! Hubs over pipes in memory, with the clock paused where time matters.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod authorization;
mod cancellation;
mod client;
mod client_results;
mod connection;
mod directory;
mod draining;
mod errors;
mod filters;
mod flooding;
mod lifecycle;
mod limits;
mod refresh;
mod request;
mod spans;
mod stateful_reconnect;
mod streams;
