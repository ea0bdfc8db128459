//! Values as logs, reports and `hubline config` may show them.

use hubline_redis::redact_connection_string;

use super::key::Content;
use super::known;

pub(super) const HIDDEN: &str = "***";

/// A value as it may be shown, by what its key holds. Of a key that nobody knows it may be anything.
pub(super) fn shown(name: &str, value: &str) -> String {
    match known::find(name) {
        Some(known) => shown_as(known.key.content, value),
        None => HIDDEN.to_owned(),
    }
}

/// A value as it may be shown.
pub(super) fn shown_as(content: Content, value: &str) -> String {
    match content {
        Content::RedisConnectionString => redact_connection_string(value),
        Content::DatabaseConnectionString => redact_database(value),
        Content::Secret => HIDDEN.to_owned(),
        Content::Url => redact_url(value, true),
        Content::Plain => redact_url(value, value.contains("://")),
    }
}

/// Texts with URLs in them, without user, password and query: some services put a key there.
fn redact_url(text: &str, is_url: bool) -> String {
    let Some((before, rest)) = text.rsplit_once('@').filter(|_| is_url) else {
        return match text.split_once('?').filter(|_| is_url) {
            Some((address, _)) => format!("{address}?{HIDDEN}"),
            None => text.to_owned(),
        };
    };
    let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
    format!("{scheme}{HIDDEN}@{}", redact_url(rest, is_url))
}

/// A connection string of the database, `Key=value;Key=value`, with nothing readable but where it leads.
fn redact_database(text: &str) -> String {
    if text.eq_ignore_ascii_case(":memory:") {
        return text.to_owned();
    }
    if text.contains(['"', '\'']) {
        return HIDDEN.to_owned(); // a quoted password may hold what looks like a key
    }
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    let shown: Vec<String> = parts
        .map(|part| match part.split_once('=') {
            Some((key, value)) if says_where(key.trim()) && is_plain(value.trim()) => part.to_owned(),
            Some((key, _)) if is_word(key.trim()) => format!("{}={HIDDEN}", key.trim()),
            _ => HIDDEN.to_owned(),
        })
        .collect();
    shown.join(";")
}

/// What no password is likely to be: names of hosts, with ports, separated by commas.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:,/[]|".contains(&byte))
}

fn is_word(key: &str) -> bool {
    key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b' ')
}

fn says_where(key: &str) -> bool {
    let postgres = ["Host", "Server", "Port", "Database", "Username", "User ID", "User Name"];
    let sqlite = ["Data Source", "DataSource", "Filename"];
    postgres.iter().chain(&sqlite).any(|readable| readable.eq_ignore_ascii_case(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_strings_show_only_where_they_lead() {
        let cases = [
            (
                "Host=postgres;Database=conduit;Username=conduit;Password=conduit123",
                "Host=postgres;Database=conduit;Username=conduit;Password=***",
            ),
            ("host = db ; PWD=s3=cret", "host = db;PWD=***"),
            ("postgres://me:s3=cret@db/x", "***"),
            ("Password=\"a;Host=s3cret\"", "***"),
            ("Data Source=/var/lib/hubline.db", "Data Source=/var/lib/hubline.db"),
            (":memory:", ":memory:"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown("connectionstrings:database", text), expected);
        }
    }
}
