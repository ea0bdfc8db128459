//! Connection strings as logs may show them.

use super::{endpoint, keywords, url};

const HIDDEN: &str = "***";

/// The connection string with every secret replaced by `***`, also when it has mistakes.
///
/// A value stays readable only if its key is known and no secret: a misspelt `pasword` stays
/// hidden.
pub fn redact_connection_string(text: &str) -> String {
    if url::is_url(text) {
        return self::url(text.trim());
    }
    let mut shown: Vec<String> = Vec::new();
    let mut after_secret = false;
    for token in text.split(',').map(str::trim).filter(|token| !token.is_empty()) {
        let cut = after_secret && !token.contains('=') && endpoint::parse(token).is_err();
        after_secret = cut || holds_secret(token);
        shown.push(match token.split_once('=') {
            _ if cut => HIDDEN.to_owned(),
            Some((keyword, _)) if after_secret => format!("{}={HIDDEN}", keyword.trim()),
            Some(_) if !token.contains("://") => token.to_owned(),
            _ => self::endpoint(token),
        });
    }
    shown.join(",")
}

/// Whether the token is a password, or a key that may have been meant as one.
pub(super) fn holds_secret(token: &str) -> bool {
    let keyword = token.split_once('=').map(|(keyword, _)| keyword.trim());
    match keyword.filter(|_| !token.contains("://")) {
        Some(keyword) if keyword.starts_with('$') => false,
        Some(keyword) => {
            keywords::known(keyword).is_none_or(|known| known.to_ascii_lowercase().contains("password"))
        }
        None => false,
    }
}

/// A URL without the user information and without secrets among its keys.
pub(super) fn url(url: &str) -> String {
    let shown = endpoint(url);
    let (address, query) = shown.split_once('?').unwrap_or((&shown, ""));
    let (scheme, rest) = address.split_once("://").unwrap_or_default();
    let hosts = rest.trim_start_matches("***@").split('/').next().unwrap_or_default();
    // Without an @ a password may stand where a port should.
    if hosts.split(',').any(|host| endpoint::parse(host).is_err()) {
        return format!("{scheme}://{HIDDEN}");
    }
    let keys = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((keyword, _)) if holds_secret(pair) => format!("{keyword}={HIDDEN}"),
        Some(_) => pair.to_owned(),
        None => HIDDEN.to_owned(),
    });
    let keys: Vec<_> = keys.collect();
    match keys.is_empty() {
        true => address.to_owned(),
        false => format!("{address}?{}", keys.join("&")),
    }
}

/// An endpoint without the user information some write before an `@`.
pub(super) fn endpoint(token: &str) -> String {
    match token.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map(|(scheme, _)| format!("{scheme}://"));
            format!("{}{HIDDEN}@{host}", scheme.unwrap_or_default())
        }
        None => token.to_owned(),
    }
}
