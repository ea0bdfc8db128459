//! Collects the tokens of a connection string, and every mistake in it.

use std::time::Duration;

use super::{
    RedisClientCertificate, RedisEndpoint, RedisOptions, RedisOptionsError, RedisOptionsMistake,
    RedisPassword, RedisTlsVersions, endpoint, keywords, redact, url,
};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(60);
const DEFAULT_CONFIG_CHECK: Duration = Duration::from_secs(5);
const DEFAULT_CONNECT_RETRY: u32 = 3;

/// What has been read so far; ports wait for `ssl` and `serviceName`.
#[derive(Default)]
pub(super) struct Parser {
    pub(super) endpoints: Vec<(String, Option<u16>)>,
    /// Other than a connection string's.
    pub(super) default_port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    abort_connect: Option<bool>,
    default_database: Option<u32>,
    channel_prefix: Option<String>,
    connect_timeout: Option<Duration>,
    connect_retry: Option<u32>,
    sync_timeout: Option<Duration>,
    async_timeout: Option<Duration>,
    keep_alive: Option<Duration>,
    name: Option<String>,
    pub(super) ssl: Option<bool>,
    ssl_host: Option<String>,
    ssl_protocols: RedisTlsVersions,
    ssl_ca_file: Option<String>,
    ssl_cert_file: Option<String>,
    ssl_key_file: Option<String>,
    service_name: Option<String>,
    sentinel_user: Option<String>,
    sentinel_password: Option<String>,
    config_check: Option<Duration>,
    spread_channels: Option<bool>,
    sharded_channels: Option<bool>,
    after_password: bool,
    pub(super) mistakes: Vec<RedisOptionsMistake>,
}

impl Parser {
    pub(super) fn connection_string(&mut self, text: &str) {
        for token in text.split(',').map(str::trim).filter(|token| !token.is_empty()) {
            self.token(token);
        }
    }

    fn token(&mut self, token: &str) {
        let mut after_password = redact::holds_secret(token);
        match token.split_once('=') {
            _ if self.after_password && redact::is_rest_of_a_password(token, !self.endpoints.is_empty()) => {
                self.mistakes.push(RedisOptionsMistake::CutPassword);
                after_password = true;
            }
            Some((keyword, value)) if !url::is_url(token) && !keyword.is_empty() => {
                self.keyword(keyword.trim(), value.trim());
            }
            _ => match (redact::keyword_before_colon(token), endpoint::parse(token)) {
                (Some(keyword), _) => {
                    self.mistakes.push(RedisOptionsMistake::Colon { keyword });
                    after_password = true;
                }
                (None, Ok(endpoint)) => self.endpoints.push(endpoint),
                (None, Err(mistake)) => self.mistakes.push(mistake),
            },
        }
        self.after_password = after_password;
    }

    pub(super) fn keyword(&mut self, keyword: &str, value: &str) {
        if keyword.starts_with('$') {
            return;
        }
        let Some(known) = keywords::known(keyword) else {
            self.mistakes.push(RedisOptionsMistake::UnknownKeyword {
                keyword: redact::keyword(keyword).to_owned(),
                nearest: keywords::nearest(keyword),
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
            "protocol" => protocol(value),
            "ssl" => boolean(value, &mut self.ssl),
            "sslHost" => text(value, &mut self.ssl_host),
            "sslProtocols" => tls_versions(value, &mut self.ssl_protocols),
            "sslCaFile" => text(value, &mut self.ssl_ca_file),
            "sslCertFile" => text(value, &mut self.ssl_cert_file),
            "sslKeyFile" => text(value, &mut self.ssl_key_file),
            "serviceName" => text(value, &mut self.service_name),
            "sentinelUser" => text(value, &mut self.sentinel_user),
            "sentinelPassword" => text(value, &mut self.sentinel_password),
            "shardedChannels" => boolean(value, &mut self.sharded_channels),
            "spreadChannels" => boolean(value, &mut self.spread_channels),
            "configCheckSeconds" => seconds(value, &mut self.config_check),
            _ => Ok(()),
        };
        if let Err(expected) = outcome {
            self.bad_value(known, value, expected);
        }
    }

    pub(super) fn bad_value(&mut self, keyword: &'static str, value: &str, expected: Expected) {
        self.mistakes.push(RedisOptionsMistake::BadValue { keyword, value: value.to_owned(), expected });
    }

    pub(super) fn finish(mut self) -> Result<RedisOptions, RedisOptionsError> {
        let is_reported = |mistake: &RedisOptionsMistake| {
            matches!(mistake, RedisOptionsMistake::BadEndpoint { .. } | RedisOptionsMistake::BadUrl { .. })
        };
        if self.endpoints.is_empty() && !self.mistakes.iter().any(is_reported) {
            self.mistakes.push(RedisOptionsMistake::NoEndpoint);
        }
        let ssl_client_certificate = self.client_certificate();
        let asked = [
            ("spreadChannels", self.spread_channels == Some(true)),
            ("shardedChannels", self.sharded_channels == Some(true)),
            ("serviceName", self.service_name.is_some()),
        ];
        let asked: Vec<_> =
            asked.into_iter().filter(|(_, asked)| *asked).map(|(keyword, _)| keyword).collect();
        if let [one, other, ..] = asked[..] {
            self.mistakes.push(RedisOptionsMistake::Exclusive { keywords: (one, other) });
        }
        RedisOptionsError::unless_empty(self.mistakes)?;
        let ssl = self.ssl.unwrap_or(false);
        let default_port = match (&self.service_name, self.default_port, ssl) {
            (Some(_), ..) => 26379,
            (None, Some(port), _) => port,
            (None, None, true) => 6380,
            (None, None, false) => 6379,
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
            ssl_host: self.ssl_host,
            ssl_protocols: self.ssl_protocols,
            ssl_ca_file: self.ssl_ca_file.map(Into::into),
            ssl_client_certificate,
            service_name: self.service_name,
            sentinel_user: self.sentinel_user,
            sentinel_password: self.sentinel_password.map(RedisPassword),
            sharded_channels: self.sharded_channels.unwrap_or(false),
            spread_channels: self.spread_channels.unwrap_or(false),
            outbox: crate::OutboxOptions::default(),
            instance_name: None,
            config_check: self.config_check.unwrap_or(DEFAULT_CONFIG_CHECK),
        })
    }

    fn client_certificate(&mut self) -> Option<RedisClientCertificate> {
        let missing = match (self.ssl_cert_file.take(), self.ssl_key_file.take()) {
            (Some(certificate), Some(key)) => {
                return Some(RedisClientCertificate {
                    certificate_file: certificate.into(),
                    key_file: key.into(),
                });
            }
            (Some(_), None) => ("sslCertFile", "sslKeyFile"),
            (None, Some(_)) => ("sslKeyFile", "sslCertFile"),
            (None, None) => return None,
        };
        self.mistakes.push(RedisOptionsMistake::Missing { keyword: missing.1, beside: missing.0 });
        None
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

fn protocol(value: &str) -> Result<(), Expected> {
    match value.to_ascii_lowercase().as_str() {
        "resp2" | "resp3" | "2" | "3" => Ok(()),
        _ => Err("resp2 or resp3"),
    }
}

fn tls_versions(value: &str, slot: &mut RedisTlsVersions) -> Result<(), Expected> {
    *slot = RedisTlsVersions::parse(value).ok_or("Tls12, Tls13 or Tls12|Tls13")?;
    Ok(())
}
