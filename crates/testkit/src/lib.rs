//! Real parts for tests: a `redis-server`, PostgreSQL, built server programs, and Node with the official client.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use hubline_testkit::{Launch, RedisServer, ServerProcess};
//!
//! let redis = RedisServer::start().await?;
//! let launch = Launch::new("target/release/hubline")
//!     .arg("serve")
//!     .arg("--dev")
//!     .arg("--redis")
//!     .arg(redis.connection_string());
//! let server = ServerProcess::start(launch).await?;
//! server.line_with("Redis").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything started here ends when its value is dropped. Only tests and `xtask` use this crate; it
//! knows no SignalR and shares no code with the server, so it cannot share its mistakes either.

mod certificates;
mod cluster;
mod env_file;
mod node;
mod peer;
mod port;
mod postgres_server;
mod redis_server;
mod sentinels;
mod server_process;
mod slow_link;
mod stream;

pub use certificates::Certificates;
pub use cluster::Cluster;
pub use env_file::env_file;
pub use node::Node;
pub use peer::{OLDER_CLIENTS, older_clients, peer, peer11};
pub use port::{free_port, free_ports};
pub use postgres_server::{PostgresDatabase, PostgresServer};
pub use redis_server::RedisServer;
pub use sentinels::Sentinels;
pub use server_process::{Launch, ServerProcess};
pub use slow_link::SlowLink;
pub use stream::stream;
