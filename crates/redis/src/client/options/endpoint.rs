//! One endpoint of a connection string.

use std::fmt;
use std::net::Ipv6Addr;

use super::RedisOptionsMistake;

/// Host and port of one Redis server (or Sentinel).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedisEndpoint {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The TCP port, never 0.
    pub port: u16,
}

impl fmt::Display for RedisEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address; port 0 means the default.
pub(super) fn parse(token: &str) -> Result<(String, Option<u16>), RedisOptionsMistake> {
    read(token).map_err(|expected| RedisOptionsMistake::BadEndpoint {
        endpoint: super::redact::endpoint(token),
        expected,
    })
}

/// [`parse`], with what is expected otherwise.
pub(super) fn read(token: &str) -> Result<(String, Option<u16>), &'static str> {
    if token.contains("://") {
        return Err("a URL alone, or host:port,user=name,password=secret");
    }
    let (host, port) = split(token).ok_or("host, host:port or [IPv6]:port")?;
    let port = match port.map(str::parse::<u16>) {
        None | Some(Ok(0)) => None,
        Some(Ok(port)) => Some(port),
        Some(Err(_)) => return Err("a port from 1 to 65535 after the colon"),
    };
    let allowed = |c: char| c.is_alphanumeric() || "-_.:".contains(c);
    match !host.is_empty() && host.chars().all(allowed) {
        true => Ok((host.to_owned(), port)),
        false => Err("host, host:port or [IPv6]:port"),
    }
}

fn split(token: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = token.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    if token.parse::<Ipv6Addr>().is_ok() {
        return Some((token, None));
    }
    match token.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((token, None)),
    }
}
