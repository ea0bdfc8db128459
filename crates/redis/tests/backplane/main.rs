//! The pub/sub backplane over a real `redis-server`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod compatibility;
mod conformance;
mod connecting;
mod fleet;
mod instance;
mod limits;
mod log;
mod monitor;
mod numbering;
mod other_servers;
mod outages;
mod outbox;
mod panics;
mod raw_channels;
mod sentinel;
mod sharded;
mod slow;
mod spread;
mod tls;
