//! `Key=value;Key="quoted; value"`, as .NET's `DbConnectionStringBuilder` reads it.

use std::iter::Peekable;
use std::str::Chars;

/// The pairs of a connection string in their order, keys without case and spaces, each with the key as it is written.
///
/// # Errors
/// What is wrong, without any value.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String, String)>, String> {
    let mut rest = text.chars().peekable();
    let mut pairs = Vec::new();
    loop {
        while rest.next_if(|next| next.is_whitespace() || *next == ';').is_some() {}
        if rest.peek().is_none() {
            return Ok(pairs);
        }
        let key = key(&mut rest).ok_or("expected Key=value pairs, separated by ;")?;
        while rest.next_if(|next| next.is_whitespace()).is_some() {}
        let value = match rest.next_if(|next| matches!(next, '"' | '\'')) {
            Some(quote) => {
                quoted(&mut rest, quote).map_err(|wrong| format!("the value of {} {wrong}", shown(&key)))?
            }
            None => plain(&mut rest),
        };
        pairs.push((plain_key(&key), key, value));
    }
}

/// A key as it is compared.
pub(super) fn plain_key(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, ' ' | '_')).map(|c| c.to_ascii_lowercase()).collect()
}

/// A key as it may be shown: one that looks like no word may be the rest of a password that should have been quoted.
pub(super) fn shown(key: &str) -> &str {
    let is_word = key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b' ');
    if is_word { key } else { "a part of it" }
}

/// Up to the `=`; `==` is one that belongs to the key.
fn key(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut key = String::new();
    loop {
        match rest.next()? {
            '=' if rest.next_if_eq(&'=').is_none() => break,
            ';' => return None,
            c => key.push(c),
        }
    }
    let key = key.trim();
    (!key.is_empty()).then(|| key.to_owned())
}

fn plain(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut value = String::new();
    while let Some(c) = rest.next_if(|next| *next != ';') {
        value.push(c);
    }
    value.trim().to_owned()
}

/// Up to the closing quote; a doubled one belongs to the value.
fn quoted(rest: &mut Peekable<Chars<'_>>, quote: char) -> Result<String, &'static str> {
    let mut value = String::new();
    loop {
        match rest.next().ok_or("begins with a quote and has no closing one")? {
            c if c == quote && rest.next_if_eq(&quote).is_none() => break,
            c => value.push(c),
        }
    }
    while rest.next_if(|next| next.is_whitespace()).is_some() {}
    match rest.peek() {
        None | Some(';') => Ok(value),
        Some(_) => Err("goes on behind its closing quote"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_be_quoted() {
        let text = r#" Host = db ;Password="a;b""c='d'";User Id='it''s'; ;Search_Path=; A==B=c=d "#;
        let pairs: Vec<_> = parse(text).unwrap().into_iter().map(|(key, _, value)| (key, value)).collect();
        let expected = [
            ("host", "db"),
            ("password", "a;b\"c='d'"),
            ("userid", "it's"),
            ("searchpath", ""),
            ("a=b", "c=d"),
        ];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn mistakes_are_told_without_the_value() {
        for (text, wrong) in [
            ("s3cret", "expected Key=value"),
            ("Host=a;s3cret;b=c", "expected Key=value"),
            ("Password=\"s3cret", "the value of Password begins with a quote"),
            ("Password='a's3cret", "the value of Password goes on"),
            ("=s3cret", "expected Key=value"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wrong) && !error.contains("s3cret"), "{error}");
        }
    }
}
