//! The requests of a SignalR client.

use std::fmt::Write;

use crate::client::options::ConnectOptions;
use crate::wire::hub_url::HubUrl;
use crate::wire::messages::Protocol;

/// The sample key of RFC 6455, section 1.3: this client needs no nonce.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server answers to that key.
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) fn post(
    url: &HubUrl,
    target: &str,
    token: Option<&str>,
    options: &ConnectOptions,
    body: &[u8],
) -> Vec<u8> {
    let mut head = head("POST", url, target, token, options);
    let kind = match options.protocol {
        Protocol::Json => "text/plain;charset=UTF-8",
        Protocol::MessagePack => "application/octet-stream",
    };
    let _ = write!(head, "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut request = head.into_bytes();
    request.extend_from_slice(body);
    request
}

pub(crate) fn get(
    url: &HubUrl,
    target: &str,
    token: Option<&str>,
    options: &ConnectOptions,
    accept: &str,
) -> Vec<u8> {
    let mut head = head("GET", url, target, token, options);
    let _ = write!(head, "Accept: {accept}\r\n\r\n");
    head.into_bytes()
}

pub(crate) fn delete(url: &HubUrl, target: &str, token: Option<&str>, options: &ConnectOptions) -> Vec<u8> {
    let mut head = head("DELETE", url, target, token, options);
    head.push_str("Content-Length: 0\r\n\r\n");
    head.into_bytes()
}

pub(crate) fn upgrade(url: &HubUrl, target: &str, token: Option<&str>, options: &ConnectOptions) -> Vec<u8> {
    let mut head = head("GET", url, target, token, options);
    let _ = write!(
        head,
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    head.into_bytes()
}

fn head(method: &str, url: &HubUrl, target: &str, token: Option<&str>, options: &ConnectOptions) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    let given = |name: &str| options.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    if !given("host") {
        let _ = write!(head, "Host: {}\r\n", url.authority());
    }
    if !given("user-agent") {
        head.push_str(concat!("User-Agent: hubline/", env!("CARGO_PKG_VERSION"), "\r\n"));
    }
    if let Some(token) = token {
        let _ = write!(head, "Authorization: Bearer {token}\r\n");
    }
    for (name, value) in &options.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head
}
