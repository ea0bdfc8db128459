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
            Some(_) if !url::is_url(token) => token.to_owned(),
            _ => self::endpoint(token),
        });
    }
    shown.join(",")
}

/// Whether the token is a password, or a key that may have been meant as one.
pub(super) fn holds_secret(token: &str) -> bool {
    let keyword = token.split_once('=').map(|(keyword, _)| keyword.trim());
    match keyword.filter(|_| !url::is_url(token)) {
        Some(keyword) if keyword.starts_with('$') => false,
        Some(keyword) => {
            keywords::known(keyword).is_none_or(|known| known.to_ascii_lowercase().contains("password"))
        }
        None => false,
    }
}

/// A URL without the user information and without secrets among its keys; of one that is not well formed only the
/// scheme, because then a password may stand anywhere.
pub(super) fn url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    let (user_info, hosts) =
        authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
    let is_well_formed = hosts.split(',').all(|host| endpoint::parse(host).is_ok())
        && path.bytes().all(|byte| byte.is_ascii_digit())
        && !query.contains(['@', '#']);
    if !is_well_formed {
        return format!("{scheme}://{HIDDEN}");
    }
    let (_, address) = address.rsplit_once('@').unwrap_or(("", address));
    let user_info = user_info.map(|_| format!("{HIDDEN}@")).unwrap_or_default();
    let keys = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((keyword, _)) if holds_secret(pair) => format!("{keyword}={HIDDEN}"),
        Some(_) => pair.to_owned(),
        None => HIDDEN.to_owned(),
    });
    let keys = keys.collect::<Vec<_>>().join("&");
    let separator = if keys.is_empty() { "" } else { "?" };
    format!("{scheme}://{user_info}{address}{separator}{keys}")
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
