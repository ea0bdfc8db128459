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
//!
//! # When Redis is away
//!
//! Messages reach the connections of this instance at once. Messages for other instances wait in an outbox
//! ([`OutboxOptions`]) and are sent once Redis is back and as many instances listen as before.
//! `Published::reach` says how far a message got, `Backplane::statistics` counts messages by their outcome, and
//! `Backplane::status` holds the reason why Redis is not reached. See [`RedisBackplane`].
//!
//! # Channels and keys
//!
//! Beside ASP.NET Core's channels, `{hub}:…`, and the keys of [`RedisDirectory`]:
//!
//! | name | what it is |
//! | --- | --- |
//! | channel `hubline:instance:{instance}` | messages to an instance, which alone listens |
//! | channel `hubline:connection:{id}` | messages to the instance with this connection, which listens if others cannot tell by the connection's token |
//! | key `hubline:token-key` | string: the key that signs connection tokens, then earlier ones, 32 bytes each. A day |
//! | key `hubline:token-key:{key}` | string: one that an instance signed with before it could reach Redis. 7 days |
//! | key `hubline:negotiated:{id}` | string: which instance negotiated this connection of version 0, at which endpoint, and a digest of its user. 15 s |
//! | key `hubline:claimed:{id}` | string: who has it although its negotiator is gone. 60 s |
//!
//! The channel prefix stands before the channels. [`RedisOptions::instance_name`] stands before the keys; without one, the
//! channel prefix does. ASP.NET Core neither listens at these channels nor reads these keys.
//!
//! Earlier versions put the channel prefix before these keys, instance name or not. What their instances have noted is still
//! read, so that a fleet can be upgraded one instance at a time.

mod backplane;
mod client;
mod directory;

pub use backplane::{
    RawChannels, RawInbox, RawMessage, RawMessages, RawPublishError, RawSubscription, RedisBackplane, wire,
};
pub use client::link::ConnectError;
pub use client::options::{
    OutboxOptions, RedisClientCertificate, RedisEndpoint, RedisOptions, RedisOptionsError,
    RedisOptionsMistake, RedisPassword, RedisTlsVersions, redact_connection_string,
};
pub use client::tls::RedisTlsError;
pub use client::{CommandError, RedisClient, RedisScript};
pub use directory::{RedisDirectory, RedisDirectoryOptions};
pub use redis;
