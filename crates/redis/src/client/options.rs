//! The StackExchange.Redis connection string, as ASP.NET Core applications already have it, and Redis URLs.

mod endpoint;
mod keywords;
mod mistake;
mod outbox;
mod parser;
mod redact;
mod tls_versions;
mod url;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub use endpoint::RedisEndpoint;
pub use mistake::{RedisOptionsError, RedisOptionsMistake};
pub use outbox::OutboxOptions;
use parser::Parser;
pub use redact::redact_connection_string;
pub use tls_versions::RedisTlsVersions;

/// How to reach Redis, parsed from a StackExchange.Redis connection string:
/// comma separated, tokens without `=` are endpoints, all others are `key=value`.
///
/// Keys are case-insensitive, the last of a repeated key counts, an empty text value means unset.
/// Accepted without effect: `allowAdmin`, `checkCertificateRevocation` (nobody is asked whether a
/// certificate has been revoked), `configChannel`, `defaults`, `highIntegrity`,
/// `maintNotifications`, `maintPostEventRelaxed`, `maintRelaxedTimeout`, `maintRelaxedWindowMax`,
/// `protocol` (RESP2 is spoken), `proxy`, `resolveDns`, `setlib`, `tcpKeepAlive`, `tieBreaker`,
/// `topologyRefreshSeconds`, `tunnel`, `version`, the long obsolete `highPrioritySocketThreads`,
/// `preserveAsyncOrder`, `responseTimeout` and `writeBuffer`, and the command map
/// (`$COMMAND=name`).
///
/// `shardedChannels`, `spreadChannels`, `sslCaFile`, `sslCertFile` and `sslKeyFile` are Hubline's own;
/// StackExchange.Redis refuses a string that has them.
///
/// A URL is taken too: `redis://user:password@host:port/database?key=value`, `rediss://` for TLS.
/// There may be several hosts, separated by commas, the keys are those above, and the default port
/// is 6379. User, password and values are percent-encoded.
///
/// Neither `Debug` nor `Display` shows a password. `Display` is for logs:
/// `redis:6379, database 2, channel prefix 'conduit_signalr:'`.
///
/// ```
/// # use hubline_redis::RedisOptions;
/// let options: RedisOptions = "redis-1,redis-2:7000,defaultDatabase=2".parse()?;
/// assert_eq!(options.endpoints[0].to_string(), "redis-1:6379");
/// assert_eq!(options.default_database, 2);
///
/// let options: RedisOptions = "rediss://app:s3cret@redis:6380/2?channelPrefix=chat:".parse()?;
/// assert!(options.ssl);
/// # Ok::<_, hubline_redis::RedisOptionsError>(())
/// ```
///
/// Source: StackExchange.Redis 2.7, `ConfigurationOptions.Parse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// Where Redis listens; never empty. Of several the first one that is a master is used, without
    /// one the first that can be reached; but see `spread_channels` and `service_name`.
    /// Default port 6379, 6380 with `ssl=true`, 26379 with `serviceName`.
    pub endpoints: Vec<RedisEndpoint>,
    /// `user`: the ACL user; unset means Redis' `default` user.
    pub user: Option<String>,
    /// `password`.
    pub password: Option<RedisPassword>,
    /// `abortConnect`: whether an unreachable Redis ends the program at start.
    /// Unset means false, other than in StackExchange.Redis; see [`aborts_on_connect_fail`].
    ///
    /// [`aborts_on_connect_fail`]: Self::aborts_on_connect_fail
    pub abort_connect: Option<bool>,
    /// `defaultDatabase`; default 0. Pub/sub is the same in every database, keys are not.
    pub default_database: u32,
    /// `channelPrefix`: precedes every channel name, nothing is put between.
    pub channel_prefix: Option<String>,
    /// `connectTimeout` in milliseconds; default 5 s.
    pub connect_timeout: Duration,
    /// `connectRetry`: attempts of the initial connect; default 3.
    pub connect_retry: u32,
    /// `syncTimeout` in milliseconds; default 5 s.
    pub sync_timeout: Duration,
    /// `asyncTimeout` in milliseconds; default as `syncTimeout`.
    pub async_timeout: Duration,
    /// `keepAlive` in seconds: how often an idle link is pinged; default 60 s, also for 0 and -1.
    pub keep_alive: Duration,
    /// `name`: what `CLIENT SETNAME` gets, without blanks.
    pub name: Option<String>,
    /// `ssl`: whether links are TLS; default false.
    pub ssl: bool,
    /// `sslHost`: the name that certificates have to be for, and that is asked for; default the
    /// endpoint's host.
    pub ssl_host: Option<String>,
    /// `sslProtocols`: versions of TLS, separated by `|`; default 1.2 and 1.3.
    pub ssl_protocols: RedisTlsVersions,
    /// `sslCaFile`: PEM certificates of the authorities to trust; default those of the system.
    pub ssl_ca_file: Option<PathBuf>,
    /// `sslCertFile`, `sslKeyFile`: PEM files with the certificates and the private key with which
    /// Redis is told who this is; default neither.
    pub ssl_client_certificate: Option<RedisClientCertificate>,
    /// `serviceName`: the endpoints are Sentinels that know the master by this name.
    pub service_name: Option<String>,
    /// `sentinelUser`: the Sentinels' ACL user.
    pub sentinel_user: Option<String>,
    /// `sentinelPassword`: the Sentinels' password; unset, they get `user` and `password` in case they want one.
    pub sentinel_password: Option<RedisPassword>,
    /// `configCheckSeconds`: how often somebody is asked whether the master is still the master, where
    /// there is somebody to ask; default 5 s, also for 0 and -1, other than in StackExchange.Redis (60 s).
    pub config_check: Duration,
    /// `shardedChannels`: whether channels of a cluster stay within the shard that has their slot, with the
    /// prefix in the name. Needs Redis 7, and Hubline in the whole fleet. Default false: ASP.NET Core's kind.
    pub sharded_channels: bool,
    /// `spreadChannels`: the endpoints are independent servers, and each has its share of the channels.
    /// Every instance of the fleet has to have the same ones, written the same way, in whatever order.
    /// What is kept in keys is kept on the first by name. Default false.
    pub spread_channels: bool,
    /// What is kept while Redis cannot be reached; not part of the string.
    pub outbox: OutboxOptions,
    /// `Redis:InstanceName`: stands before the names of Hubline's own keys; not part of the string. Default: unset,
    /// `channel_prefix` stands there.
    pub instance_name: Option<String>,
}

/// Files with a certificate of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisClientCertificate {
    /// Certificates as PEM, ours first.
    pub certificate_file: PathBuf,
    /// Its private key as PEM, not encrypted.
    pub key_file: PathBuf,
}

impl RedisOptions {
    /// Whether an unreachable Redis ends the program at start: only if the string says so.
    pub fn aborts_on_connect_fail(&self) -> bool {
        self.abort_connect == Some(true)
    }

    /// What stands before the names of Hubline's own keys: `instance_name`, else `channel_prefix`, else nothing.
    pub fn key_prefix(&self) -> &str {
        self.instance_name.as_deref().or(self.channel_prefix.as_deref()).unwrap_or_default()
    }
}

impl FromStr for RedisOptions {
    type Err = RedisOptionsError;

    /// # Errors
    /// Every mistake in the string: unknown keys, values of the wrong kind, keys that exclude each
    /// other, endpoints that are none, or no endpoint at all.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parser = Parser::default();
        match url::is_url(text) {
            true => url::read(text.trim(), &mut parser),
            false => parser.connection_string(text),
        }
        parser.finish()
    }
}

impl fmt::Display for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(service) = &self.service_name {
            write!(f, "master '{service}' of Sentinels ")?;
        }
        for endpoint in &self.endpoints {
            write!(f, "{endpoint}, ")?;
        }
        if self.ssl {
            f.write_str("TLS, ")?;
        }
        write!(f, "database {}", self.default_database)?;
        if let Some(prefix) = &self.channel_prefix {
            write!(f, ", channel prefix '{prefix}'")?;
        }
        if let Some(name) = &self.name {
            write!(f, ", name '{name}'")?;
        }
        Ok(())
    }
}

/// A password; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisPassword(String);

impl RedisPassword {
    /// The password itself, for `AUTH`.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RedisPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests;
