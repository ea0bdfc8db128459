//! The StackExchange.Redis connection string, as ASP.NET Core applications already have it.

mod endpoint;
mod mistake;
mod redact;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use endpoint::RedisEndpoint;
pub use mistake::{RedisOptionsError, RedisOptionsMistake};
pub use redact::redact_connection_string;

/// How to reach Redis, parsed from a StackExchange.Redis connection string:
/// comma separated, tokens without `=` are endpoints, all others are `key=value`.
///
/// Keys are case-insensitive, the last of a repeated key counts, an empty text value means unset.
/// Accepted without effect: `allowAdmin`, `checkCertificateRevocation`, `configChannel`,
/// `configCheckSeconds`, `defaults`, `highIntegrity`, `maintNotifications`,
/// `maintPostEventRelaxed`, `maintRelaxedTimeout`, `maintRelaxedWindowMax`, `protocol`, `proxy`,
/// `resolveDns`, `sentinelPassword`, `sentinelUser`, `setlib`, `sslHost`, `sslProtocols`,
/// `tcpKeepAlive`, `tieBreaker`, `topologyRefreshSeconds`, `tunnel`, `version`, the long obsolete
/// `highPrioritySocketThreads`, `preserveAsyncOrder`, `responseTimeout` and `writeBuffer`, and the
/// command map (`$COMMAND=name`).
///
/// Neither `Debug` nor `Display` shows the password. `Display` is for logs:
/// `redis:6379, database 2, channel prefix 'conduit_signalr:'`.
///
/// ```
/// # use hubline_redis::RedisOptions;
/// let options: RedisOptions = "redis-1,redis-2:7000,defaultDatabase=2".parse()?;
/// assert_eq!(options.endpoints[0].to_string(), "redis-1:6379");
/// assert_eq!(options.default_database, 2);
/// # Ok::<_, hubline_redis::RedisOptionsError>(())
/// ```
///
/// Source: StackExchange.Redis 2.7, `ConfigurationOptions.Parse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// Where Redis listens; never empty. Of several the first reachable one is used.
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
    /// `ssl`; default false.
    pub ssl: bool,
    /// `serviceName`: the endpoints are Sentinels that know the master by this name.
    pub service_name: Option<String>,
}

impl RedisOptions {
    /// Whether an unreachable Redis ends the program at start: only if the string says so.
    pub fn aborts_on_connect_fail(&self) -> bool {
        self.abort_connect == Some(true)
    }

    /// Whether the link can do what the string asks for.
    ///
    /// # Errors
    /// Names every setting that is well formed and not supported yet: `ssl=true`, `serviceName`.
    pub fn check_supported(&self) -> Result<(), RedisOptionsError> {
        let asked = [(self.ssl, "ssl=true"), (self.service_name.is_some(), "serviceName (Redis Sentinel)")];
        let mistakes = asked.into_iter().filter(|(asked, _)| *asked);
        RedisOptionsError::unless_empty(
            mistakes.map(|(_, setting)| RedisOptionsMistake::NotSupportedYet { setting }).collect(),
        )
    }
}

impl FromStr for RedisOptions {
    type Err = RedisOptionsError;

    /// # Errors
    /// Every mistake in the string: unknown keys, values of the wrong kind, endpoints that are
    /// none, or no endpoint at all.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parser = Parser::default();
        for token in text.split(',').map(str::trim).filter(|token| !token.is_empty()) {
            parser.token(token);
        }
        parser.finish()
    }
}

impl fmt::Display for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for endpoint in &self.endpoints {
            write!(f, "{endpoint}, ")?;
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

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(60);
const DEFAULT_CONNECT_RETRY: u32 = 3;

/// Keys with an effect here.
const HONOURED: [&str; 13] = [
    "abortConnect",
    "asyncTimeout",
    "channelPrefix",
    "connectRetry",
    "connectTimeout",
    "defaultDatabase",
    "keepAlive",
    "name",
    "password",
    "serviceName",
    "ssl",
    "syncTimeout",
    "user",
];

/// Keys StackExchange.Redis knows and that change nothing here.
const IGNORED: [&str; 27] = [
    "allowAdmin",
    "checkCertificateRevocation",
    "configChannel",
    "configCheckSeconds",
    "defaults",
    "highIntegrity",
    "highPrioritySocketThreads",
    "maintNotifications",
    "maintPostEventRelaxed",
    "maintRelaxedTimeout",
    "maintRelaxedWindowMax",
    "preserveAsyncOrder",
    "protocol",
    "proxy",
    "resolveDns",
    "responseTimeout",
    "sentinelPassword",
    "sentinelUser",
    "setlib",
    "sslHost",
    "sslProtocols",
    "tcpKeepAlive",
    "tieBreaker",
    "topologyRefreshSeconds",
    "tunnel",
    "version",
    "writeBuffer",
];

fn known_keyword(keyword: &str) -> Option<&'static str> {
    let mut known = HONOURED.iter().chain(&IGNORED);
    known.find(|known| known.eq_ignore_ascii_case(keyword)).copied()
}

/// What has been read of a string so far; ports wait for `ssl` and `serviceName`.
#[derive(Default)]
struct Parser {
    endpoints: Vec<(String, Option<u16>)>,
    user: Option<String>,
    password: Option<String>,
    abort_connect: Option<bool>,
    default_database: Option<u32>,
    channel_prefix: Option<String>,
    connect_timeout: Option<Duration>,
    connect_retry: Option<u32>,
    sync_timeout: Option<Duration>,
    async_timeout: Option<Duration>,
    keep_alive: Option<Duration>,
    name: Option<String>,
    ssl: Option<bool>,
    service_name: Option<String>,
    after_password: bool,
    mistakes: Vec<RedisOptionsMistake>,
}

impl Parser {
    fn token(&mut self, token: &str) {
        let mut after_password = redact::holds_secret(token);
        match token.split_once('=') {
            Some((keyword, value)) if !endpoint::is_uri(token) && !keyword.is_empty() => {
                self.keyword(keyword.trim(), value.trim());
            }
            _ => match endpoint::parse(token) {
                Ok(endpoint) => self.endpoints.push(endpoint),
                Err(_) if self.after_password => {
                    self.mistakes.push(RedisOptionsMistake::CutPassword);
                    after_password = true;
                }
                Err(mistake) => self.mistakes.push(mistake),
            },
        }
        self.after_password = after_password;
    }

    fn keyword(&mut self, keyword: &str, value: &str) {
        if keyword.starts_with('$') {
            return;
        }
        let Some(known) = known_keyword(keyword) else {
            self.mistakes.push(RedisOptionsMistake::UnknownKeyword {
                keyword: keyword.to_owned(),
                nearest: nearest(keyword),
            });
            return;
        };
        let outcome = match known {
            "user" => text(value, &mut self.user),
            "password" => text(value, &mut self.password),
            "abortConnect" => boolean(value, &mut self.abort_connect),
            "defaultDatabase" => database(value, &mut self.default_database),
            "channelPrefix" => text(value, &mut self.channel_prefix),
            "connectTimeout" => milliseconds(value, &mut self.connect_timeout),
            "connectRetry" => count(value, &mut self.connect_retry),
            "syncTimeout" => milliseconds(value, &mut self.sync_timeout),
            "asyncTimeout" => milliseconds(value, &mut self.async_timeout),
            "keepAlive" => seconds(value, &mut self.keep_alive),
            "name" => text(&value.replace(char::is_whitespace, ""), &mut self.name),
            "ssl" => boolean(value, &mut self.ssl),
            "serviceName" => text(value, &mut self.service_name),
            _ => Ok(()),
        };
        if let Err(expected) = outcome {
            self.mistakes.push(RedisOptionsMistake::BadValue {
                keyword: known,
                value: value.to_owned(),
                expected,
            });
        }
    }

    fn finish(mut self) -> Result<RedisOptions, RedisOptionsError> {
        let reported_endpoint =
            self.mistakes.iter().any(|m| matches!(m, RedisOptionsMistake::BadEndpoint { .. }));
        if self.endpoints.is_empty() && !reported_endpoint {
            self.mistakes.push(RedisOptionsMistake::NoEndpoint);
        }
        RedisOptionsError::unless_empty(self.mistakes)?;
        let ssl = self.ssl.unwrap_or(false);
        let default_port = match (&self.service_name, ssl) {
            (Some(_), _) => 26379,
            (None, true) => 6380,
            (None, false) => 6379,
        };
        let endpoint =
            |(host, port): (String, Option<u16>)| RedisEndpoint { host, port: port.unwrap_or(default_port) };
        let sync_timeout = self.sync_timeout.unwrap_or(DEFAULT_TIMEOUT);
        Ok(RedisOptions {
            endpoints: self.endpoints.into_iter().map(endpoint).collect(),
            user: self.user,
            password: self.password.map(RedisPassword),
            abort_connect: self.abort_connect,
            default_database: self.default_database.unwrap_or(0),
            channel_prefix: self.channel_prefix,
            connect_timeout: self.connect_timeout.unwrap_or(DEFAULT_TIMEOUT),
            connect_retry: self.connect_retry.unwrap_or(DEFAULT_CONNECT_RETRY),
            sync_timeout,
            async_timeout: self.async_timeout.unwrap_or(sync_timeout),
            keep_alive: self.keep_alive.unwrap_or(DEFAULT_KEEP_ALIVE),
            name: self.name,
            ssl,
            service_name: self.service_name,
        })
    }
}

/// What a value should have been.
type Expected = &'static str;

fn text(value: &str, slot: &mut Option<String>) -> Result<(), Expected> {
    *slot = Some(value.to_owned()).filter(|value| !value.is_empty());
    Ok(())
}

fn boolean(value: &str, slot: &mut Option<bool>) -> Result<(), Expected> {
    *slot = match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => return Err("true or false"),
    };
    Ok(())
}

fn count(value: &str, slot: &mut Option<u32>) -> Result<(), Expected> {
    *slot = Some(value.parse().map_err(|_| "a whole number, 0 or more")?);
    Ok(())
}

fn database(value: &str, slot: &mut Option<u32>) -> Result<(), Expected> {
    *slot = match value {
        "-1" => None, // the library's own way to say unset
        _ => Some(value.parse().map_err(|_| "the number of a database, 0 or more")?),
    };
    Ok(())
}

fn milliseconds(value: &str, slot: &mut Option<Duration>) -> Result<(), Expected> {
    let milliseconds: Option<u32> = value.parse().ok().filter(|milliseconds| *milliseconds > 0);
    let milliseconds = milliseconds.ok_or("a whole number of milliseconds, 1 or more")?;
    *slot = Some(Duration::from_millis(milliseconds.into()));
    Ok(())
}

fn seconds(value: &str, slot: &mut Option<Duration>) -> Result<(), Expected> {
    let seconds: i32 = value.parse().map_err(|_| "a whole number of seconds")?;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    *slot = seconds.map(Duration::from_secs);
    Ok(())
}

fn nearest(keyword: &str) -> Option<&'static str> {
    let keyword = keyword.to_ascii_lowercase();
    HONOURED
        .iter()
        .chain(&IGNORED)
        .map(|known| (strsim::normalized_damerau_levenshtein(&keyword, &known.to_ascii_lowercase()), *known))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
