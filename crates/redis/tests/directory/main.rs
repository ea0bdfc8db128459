//! The session directory over a real `redis-server`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod instance;
mod joins;
mod keys;
mod observers;
mod other_servers;
mod outages;
mod presence;
mod scale;
mod turmoil;
