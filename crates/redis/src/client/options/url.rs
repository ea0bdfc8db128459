//! `redis://user:password@host:port/database?key=value`

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::parser::Parser;
use super::{RedisOptionsMistake, endpoint, redact};

/// Other than with `ssl=true` in a connection string it does not depend on TLS.
const DEFAULT_PORT: u16 = 6379;

/// Whether this is one, of whatever scheme.
pub(super) fn is_url(text: &str) -> bool {
    text.trim_start().split_once("://").is_some_and(|(scheme, _)| {
        scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) && !scheme.is_empty()
    })
}

/// Reads all of it.
pub(super) fn read(url: &str, parser: &mut Parser) {
    if let Err(expected) = read_parts(url, parser) {
        parser.mistakes.push(RedisOptionsMistake::BadUrl { url: redact::url(url), expected });
    }
}

fn read_parts(url: &str, parser: &mut Parser) -> Result<(), &'static str> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    parser.ssl = match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => Some(false),
        "rediss" | "valkeys" => Some(true),
        _ => return Err("redis:// or rediss:// in front"),
    };
    parser.default_port = Some(DEFAULT_PORT);

    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    if path.contains('@') || query.contains('@') || url.contains('#') {
        return Err("/, ?, # and @ in user, password and values percent-encoded, for example %2F");
    }
    let hosts = match authority.rsplit_once('@') {
        Some((user_info, hosts)) => {
            read_user_info(user_info, parser)?;
            hosts
        }
        None => authority,
    };
    if hosts.contains('=') {
        return Err("keys after a ?, as in redis://host:6379/0?channelPrefix=chat:");
    }
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        let endpoint = endpoint::parse(host).map_err(|_| "host or host:port after the //")?;
        parser.endpoints.push(endpoint);
    }
    // What has no value may be the other half of a password.
    if query.split('&').any(|pair| !pair.is_empty() && !pair.contains('=')) {
        return Err("key=value after the ?, with & in a value written %26");
    }
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        parser.keyword(&key, &value);
    }
    match path {
        "" => {}
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            parser.keyword("defaultDatabase", number);
        }
        _ => return Err("the number of a database after the host"),
    }
    Ok(())
}

fn read_user_info(user_info: &str, parser: &mut Parser) -> Result<(), &'static str> {
    let (user, password) = user_info
        .split_once(':')
        .ok_or("user:password before the @, or :password for Redis' default user")?;
    let decoded = |text| -> Result<Option<String>, &'static str> {
        let text: Cow<'_, str> = percent_decode_str(text)
            .decode_utf8()
            .map_err(|_| "user and password that are UTF-8 when decoded")?;
        Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
    };
    (parser.user, parser.password) = (decoded(user)?, decoded(password)?);
    Ok(())
}
