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
    let (mut after_secret, mut has_endpoint) = (false, false);
    for token in text.split(',').map(str::trim).filter(|token| !token.is_empty()) {
        let cut = after_secret && is_rest_of_a_password(token, has_endpoint);
        has_endpoint |= !cut && endpoint::read(token).is_ok();
        after_secret = cut || holds_secret(token);
        shown.push(match token.split_once('=') {
            _ if cut => HIDDEN.to_owned(),
            Some((keyword, _)) if after_secret => format!("{}={HIDDEN}", self::keyword(keyword.trim())),
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
    let is_well_formed = hosts.split(',').all(|host| endpoint::read(host).is_ok())
        && path.bytes().all(|byte| byte.is_ascii_digit())
        && !query.contains(['@', '#']);
    if !is_well_formed {
        return format!("{scheme}://{HIDDEN}");
    }
    let (_, address) = address.rsplit_once('@').unwrap_or(("", address));
    let user_info = user_info.map(|_| format!("{HIDDEN}@")).unwrap_or_default();
    let keys = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((keyword, _)) if holds_secret(pair) => format!("{}={HIDDEN}", self::keyword(keyword)),
        Some(_) => pair.to_owned(),
        None => HIDDEN.to_owned(),
    });
    let keys = keys.collect::<Vec<_>>().join("&");
    let separator = if keys.is_empty() { "" } else { "?" };
    format!("{scheme}://{user_info}{address}{separator}{keys}")
}

/// An endpoint, or what of something else in its place is no secret: a password may stand before an `@`, behind a colon,
/// or all alone.
pub(super) fn endpoint(token: &str) -> String {
    let scheme = token.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
    if let Some((_, host)) = token.rsplit_once('@') {
        let is_host = endpoint::read(host).is_ok();
        return format!("{scheme}{HIDDEN}@{}", if is_host { host } else { HIDDEN });
    }
    if endpoint::read(token).is_ok() && keyword_before_colon(token).is_none() {
        return token.to_owned();
    }
    match token.split_once(':') {
        Some((host, _)) if scheme.is_empty() && endpoint::read(host).is_ok() => format!("{host}:{HIDDEN}"),
        _ => format!("{scheme}{HIDDEN}"),
    }
}

/// The key, if somebody wrote `password:secret`, which reads like host and port.
pub(super) fn keyword_before_colon(token: &str) -> Option<&'static str> {
    let (keyword, _) = token.split_once(':')?;
    keywords::known(keyword).filter(|known| known.to_ascii_lowercase().ends_with("password")).or_else(|| {
        let others = ["pwd", "pass", "passwd", "secret", "auth"];
        others.iter().any(|other| other.eq_ignore_ascii_case(keyword)).then_some("password")
    })
}

/// Whether what follows a password may be its other half: neither a key that is known, or nearly so, nor an endpoint, which has
/// a port or is the first.
pub(super) fn is_rest_of_a_password(token: &str, has_endpoint: bool) -> bool {
    match token.split_once('=').map(|(keyword, _)| keyword.trim()) {
        _ if url::is_url(token) => false,
        Some(keyword) if keyword.starts_with('$') => false,
        Some(keyword) => keywords::known(keyword).is_none() && keywords::nearest(keyword).is_none(),
        None => !endpoint::read(token).is_ok_and(|(_, port)| port.is_some() || !has_endpoint),
    }
}

/// A key that nobody knows, unless it may be a password: such as one in base64, which ends in `=`.
pub(super) fn keyword(keyword: &str) -> &str {
    let is_word = keyword.len() <= 24 && keyword.bytes().all(|byte| byte.is_ascii_alphabetic());
    match is_word || keyword.starts_with('$') || keywords::nearest(keyword).is_some() {
        true => keyword,
        false => HIDDEN,
    }
}
