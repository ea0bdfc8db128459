use std::fmt::{Display, Formatter};
use std::io;

use serde::{Deserialize, Serialize};

/// How far a connection had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectPhase {
    /// The host's name was looked up.
    Lookup,
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
    /// `POST .../negotiate`.
    Negotiate,
    /// The WebSocket upgrade, the head of the event stream, or the first poll.
    Upgrade,
    /// The SignalR handshake.
    Handshake,
}

impl Display for ConnectPhase {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lookup => "looking up the host",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Negotiate => "negotiate",
            Self::Upgrade => "opening the transport",
            Self::Handshake => "handshake",
        })
    }
}

/// Why there is no connection.
///
/// [`ConnectError::cause`] is the same for all errors that have one reason, [`ConnectError::cure`] says what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectError {
    /// Where it failed.
    pub phase: ConnectPhase,
    /// What the server answered, if that is HTTP.
    pub status: Option<u16>,
    /// What is wrong: of a refusal the first line of its body, up to 200 characters.
    pub detail: String,
    /// If the operating system said no.
    pub kind: Option<io::ErrorKind>,
    /// The operating system's number for it.
    pub os_error: Option<i32>,
}

impl ConnectError {
    pub(crate) fn new(phase: ConnectPhase, detail: impl Into<String>) -> Self {
        Self { phase, status: None, detail: detail.into(), kind: None, os_error: None }
    }

    pub(crate) fn io(phase: ConnectPhase, error: &io::Error) -> Self {
        let detail = match error.kind() {
            io::ErrorKind::ConnectionRefused => "nobody listens there (connection refused)".to_owned(),
            _ => error.to_string(),
        };
        Self { kind: Some(error.kind()), os_error: error.raw_os_error(), ..Self::new(phase, detail) }
    }

    pub(crate) fn any(phase: ConnectPhase, error: &anyhow::Error) -> Self {
        match error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()) {
            Some(io_error) => Self::io(phase, io_error),
            None => Self::new(phase, format!("{error:#}")),
        }
    }

    pub(crate) fn status(phase: ConnectPhase, status: u16, body: &[u8], location: Option<&str>) -> Self {
        let detail = location.map_or_else(|| first_line(body), |to| format!("moved to {to}"));
        Self { status: Some(status), ..Self::new(phase, detail) }
    }

    /// The reason, without what differs from connection to connection.
    pub fn cause(&self) -> String {
        let without_numbers = |text: &str| {
            let mut masked = String::new();
            for part in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
                let is_id = part.len() > 9 && part.contains(|c: char| c.is_ascii_digit());
                masked.push_str(if is_id { "..." } else { part });
            }
            masked
        };
        format!("{}: {}", self.phase, without_numbers(&self.said()))
    }

    /// What helps against it, if that can be said.
    pub fn cure(&self) -> Option<String> {
        // EMFILE, ENFILE, EADDRNOTAVAIL and ENOBUFS have these numbers on Linux; macOS has another for the last two.
        match (self.os_error, self.kind, self.status) {
            (Some(24), ..) => {
                Some("this process may open no more files: raise the limit (ulimit -n)".to_owned())
            }
            (Some(23), ..) => {
                Some("this machine may open no more files: raise fs.file-max (sysctl)".to_owned())
            }
            (_, Some(io::ErrorKind::AddrNotAvailable), _) => Some(
                "this machine has no free port left for that server: widen net.ipv4.ip_local_port_range (sysctl), or load from several machines"
                    .to_owned(),
            ),
            (_, Some(io::ErrorKind::ConnectionRefused), _) => {
                Some("start the server, or look at host and port of --url".to_owned())
            }
            (_, _, Some(status)) => self.cure_of_refusal(status),
            _ if self.phase == ConnectPhase::Tls => Some(
                "name the authority of the server's certificate with --ca FILE, or take any with --insecure".to_owned(),
            ),
            _ => None,
        }
    }

    fn cure_of_refusal(&self, status: u16) -> Option<String> {
        let has = |text: &str| self.detail.contains(text);
        let cure = match status {
            401 => "a token is needed, or this one is not believed: --token, --token-template, --token-file",
            403 => {
                "this token may not use the hub; or it is not the one that the connection was negotiated with"
            }
            404 if self.phase == ConnectPhase::Negotiate => {
                "no hub is there: look at the path of --url; a server without negotiation needs --skip-negotiation"
            }
            404 if has("No Connection with that ID") => {
                "another instance was reached than negotiated: use sticky sessions, or --skip-negotiation with WebSockets"
            }
            404 => "no hub is there, or it does not offer this transport: look at --url and --transport",
            301 | 302 | 307 | 308 => "use that address in --url",
            429 if has("Too many connections from this address") => {
                "the server's Limits:ConnectionsPerAddress is reached (0 lifts it)"
            }
            429 if has("Too many negotiations from this address") => {
                "the server's Limits:NegotiationsPerSecondPerAddress is reached (0 lifts it), or lower --connect-rate"
            }
            429 => {
                "a limit of the server or of a proxy before it is reached: raise it there, or lower --connect-rate"
            }
            503 if has("is draining") => "the instance is being drained; load the others",
            503 if has("Too many connections wait for their transport") => {
                "more were negotiated than opened a transport: lower --connect-rate"
            }
            502 | 504 => "a proxy does not reach the server",
            503 => {
                "the server, or a proxy before it, is overloaded or not ready: lower --connect-rate, raise its limit of connections"
            }
            _ => return None,
        };
        Some(cure.to_owned())
    }

    fn said(&self) -> String {
        match (self.status, self.detail.as_str()) {
            (Some(status), "") => format!("answered {status}"),
            (Some(status), detail) => format!("answered {status}: {detail}"),
            (None, detail) => detail.to_owned(),
        }
    }
}

impl Display for ConnectError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.phase, self.said())
    }
}

impl std::error::Error for ConnectError {}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnected {
    /// The server sent a Close message.
    #[error("the server closed the connection{}", .error.as_deref().map(|error| format!(": {error}")).unwrap_or_default())]
    ByServer {
        /// What it said.
        error: Option<String>,
        /// Whether a client with automatic reconnects comes back.
        allow_reconnect: bool,
    },
    /// The socket, the event stream or the poll ended without a Close message.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// Nothing came for the server timeout.
    #[error("nothing came from the server for {0} s, not even a ping")]
    Silent(u64),
    /// What came is not SignalR.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
}

impl Disconnected {
    /// Whether official clients with automatic reconnects come back.
    pub fn allows_reconnect(&self) -> bool {
        match self {
            Self::ByServer { allow_reconnect, .. } => *allow_reconnect,
            Self::Lost(_) | Self::Silent(_) => true,
            Self::Protocol(_) => false,
        }
    }
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server answered with an error.
    #[error("{0}")]
    Server(String),
    /// The connection ended before the answer.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
    /// No answer came in time.
    #[error("no answer within {0} s")]
    TimedOut(u64),
    /// The server has not taken what was sent before.
    #[error("the server does not take what was sent before")]
    HeldUp,
}

/// The first line of a refusal's body that says something: of a problem document its detail, of HTML its text.
pub(crate) fn first_line(body: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(body);
    if let Ok(serde_json::Value::Object(problem)) = serde_json::from_str(&text) {
        let told =
            ["detail", "error", "title", "message"].iter().find_map(|name| problem.get(*name)?.as_str());
        if let Some(told) = told {
            return told.chars().take(LONGEST).collect();
        }
    }
    let mut visible = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                visible.push('\n');
            }
            _ if in_tag => {}
            '\n' | '\r' => visible.push('\n'),
            c if c.is_control() => {}
            c => visible.push(c),
        }
    }
    let line = visible.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_what_a_person_would_read() {
        for (body, expected) in [
            ("", ""),
            ("Too many connections from this address", "Too many connections from this address"),
            ("\r\n<html>\n<head><title>503 Service Unavailable</title></head>", "503 Service Unavailable"),
            (r#"{"type":"about:blank","title":"No","detail":"raise Limits:X"}"#, "raise Limits:X"),
            (r#"{"error":"The client requested version '2'"}"#, "The client requested version '2'"),
        ] {
            assert_eq!(first_line(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(first_line(&[b'a'; 10_000]).len(), 200);
    }

    #[test]
    fn errors_with_one_reason_have_one_cause() {
        let refused = |id: &str| {
            ConnectError::status(ConnectPhase::Upgrade, 404, format!("no {id}x here").as_bytes(), None)
        };
        assert_eq!(refused("0123456789").cause(), refused("9876543210").cause());
        assert_ne!(refused("0123456789").to_string(), refused("9876543210").to_string());
    }

    #[test]
    fn a_refusal_by_a_limit_names_the_setting() {
        let cure = |status, body: &str| {
            ConnectError::status(ConnectPhase::Negotiate, status, body.as_bytes(), None).cure().unwrap()
        };
        assert!(cure(429, "Too many connections from this address").contains("Limits:ConnectionsPerAddress"));
        assert!(
            cure(429, "Too many negotiations from this address")
                .contains("Limits:NegotiationsPerSecondPerAddress")
        );
        assert!(cure(429, "slow down").contains("--connect-rate"));
        let files = io::Error::from_raw_os_error(24);
        assert!(ConnectError::io(ConnectPhase::Tcp, &files).cure().unwrap().contains("ulimit -n"));
    }
}
