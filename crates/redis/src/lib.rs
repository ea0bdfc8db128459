//! Redis backplane, byte-compatible with Microsoft.AspNetCore.SignalR.StackExchangeRedis: a fleet may mix
//! ASP.NET Core servers and Hubline.
//!
//! ```no_run
//! # async fn example(inbox: std::sync::Arc<dyn hubline_backplane::Inbox>) -> Result<(), Box<dyn std::error::Error>> {
//! use hubline_backplane::Backplane;
//! use hubline_redis::RedisBackplane;
//!
//! let backplane = RedisBackplane::connect("redis:6379,channelPrefix=conduit_signalr:".parse()?).await?;
//! let hub = backplane.attach("Chat", inbox);
//! # Ok(())
//! # }
//! ```
//!
//! [`RedisClient`] runs commands and scripts beside it, on a connection of its own.
//!
//! Redis may be one server, a master that Sentinels name, a cluster, or several independent servers, each reached by
//! TCP or TLS.

mod options;

mod client;
mod fleet;
mod link;
mod tls;
mod topology;

mod directory;
mod pub_sub;

pub use client::{CommandError, RedisClient, RedisScript};
pub use directory::{RedisDirectory, RedisDirectoryOptions};
pub use link::ConnectError;
pub use options::{
    RedisClientCertificate, RedisEndpoint, RedisOptions, RedisOptionsError, RedisOptionsMistake,
    RedisPassword, RedisTlsVersions, redact_connection_string,
};
pub use pub_sub::{
    RawChannels, RawInbox, RawMessage, RawMessages, RawPublishError, RawSubscription, RedisBackplane, wire,
};
pub use redis;
pub use tls::RedisTlsError;
