//! What `POST {hub}/negotiate` answers.
//!
//! Source: TransportProtocols.md, and the recorded cases in `conformance/cases/negotiate.json`.

use serde::{Deserialize, Serialize};

use crate::{ConnectionId, TransferFormat};

/// Highest negotiate version the server speaks. Version 1 tells the connection token from the id.
pub const MAX_VERSION: i32 = 1;

/// A way to carry a connection, in the order in which clients try them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TransportKind {
    /// RFC 6455.
    WebSockets,
    /// The `text/event-stream` of HTML.
    ServerSentEvents,
    /// Requests that wait for data.
    LongPolling,
}

impl TransportKind {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSockets => "WebSockets",
            Self::ServerSentEvents => "ServerSentEvents",
            Self::LongPolling => "LongPolling",
        }
    }

    /// What it can carry.
    pub fn transfer_formats(self) -> &'static [TransferFormat] {
        match self {
            Self::ServerSentEvents => &[TransferFormat::Text],
            Self::WebSockets | Self::LongPolling => &[TransferFormat::Text, TransferFormat::Binary],
        }
    }
}

/// Why a negotiation is refused. It travels as status 200 with only `error` in the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiateError {
    /// `negotiateVersion` is not a 32-bit integer, or is given twice.
    #[error("The client requested a non-integer protocol version.")]
    NotAnInteger,
    /// `negotiateVersion` is under the endpoint's minimum.
    #[error("The client requested version '{0}', but the server does not support this version.")]
    TooLow(i32),
}

/// Finds the version to answer with from the values of the query parameter `negotiateVersion`.
///
/// # Errors
/// The parameter is not one integer, or is under `minimum`.
pub fn version<'a>(
    mut requested: impl Iterator<Item = &'a str>,
    minimum: i32,
) -> Result<i32, NegotiateError> {
    let version = match (requested.next(), requested.next()) {
        (None, _) => 0,
        (Some(one), None) => one.trim().parse::<i32>().map_err(|_| NegotiateError::NotAnInteger)?,
        (Some(_), Some(_)) => return Err(NegotiateError::NotAnInteger),
    };
    if version < minimum {
        return Err(NegotiateError::TooLow(version));
    }
    Ok(version.min(MAX_VERSION))
}

/// A successful negotiation.
#[derive(Debug, Clone, Copy)]
pub struct NegotiateResponse<'a> {
    /// Whether a lost WebSocket may be followed by another; written, in front, only if so.
    pub use_stateful_reconnect: bool,
    /// 0 or 1.
    pub version: i32,
    /// The public id.
    pub connection_id: &'a ConnectionId,
    /// The secret that later requests carry; in version 0 the id takes its place.
    pub connection_token: &'a str,
    /// What the endpoint offers.
    pub transports: &'a [TransportKind],
    /// After how many seconds the client's authentication ends, if it may be refreshed (.NET 11).
    pub token_lifetime_seconds: Option<i32>,
}

impl NegotiateResponse<'_> {
    /// The body of the response.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            use_stateful_reconnect: Option<bool>,
            negotiate_version: i32,
            connection_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            connection_token: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            token_lifetime_seconds: Option<i32>,
            available_transports: Vec<Transport>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Transport {
            transport: &'static str,
            transfer_formats: Vec<&'static str>,
        }
        json_bytes(&Body {
            use_stateful_reconnect: self.use_stateful_reconnect.then_some(true),
            negotiate_version: self.version,
            connection_id: self.connection_id.as_str(),
            connection_token: (self.version > 0).then_some(self.connection_token),
            token_lifetime_seconds: self.token_lifetime_seconds,
            available_transports: self
                .transports
                .iter()
                .map(|transport| Transport {
                    transport: transport.name(),
                    transfer_formats: transport
                        .transfer_formats()
                        .iter()
                        .map(|format| format.name())
                        .collect(),
                })
                .collect(),
        })
    }
}

/// The body of a successful `POST {hub}/refresh` (.NET 11).
pub fn refreshed_json(token_lifetime_seconds: Option<i32>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        #[serde(skip_serializing_if = "Option::is_none")]
        token_lifetime_seconds: Option<i32>,
    }
    json_bytes(&Body { token_lifetime_seconds })
}

/// The body of a refused `POST {hub}/refresh` (.NET 11).
pub fn refresh_error_json(code: &'static str) -> Vec<u8> {
    error_json(code)
}

impl NegotiateError {
    /// The body of the response.
    pub fn to_json(&self) -> Vec<u8> {
        error_json(&self.to_string())
    }
}

impl TransferFormat {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Binary => "Binary",
        }
    }
}

fn error_json(error: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        error: &'a str,
    }
    json_bytes(&Body { error })
}

fn json_bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_real_server_reads_them() {
        let read = |values: &[&str], minimum| version(values.iter().copied(), minimum);
        assert_eq!(read(&[], 0), Ok(0));
        assert_eq!(read(&[" +1 "], 0), Ok(1));
        assert_eq!(read(&["7"], 0), Ok(1));
        for bad in ["", "1.5", "x", "99999999999"] {
            assert_eq!(read(&[bad], 0), Err(NegotiateError::NotAnInteger), "{bad}");
        }
        assert_eq!(read(&["1", "1"], 0), Err(NegotiateError::NotAnInteger));
        assert_eq!(read(&["-1"], 0), Err(NegotiateError::TooLow(-1)));
        assert_eq!(read(&[], 1), Err(NegotiateError::TooLow(0)));
    }

    #[test]
    fn the_token_shows_from_version_1() {
        let response = |version, use_stateful_reconnect| {
            let connection_id = "id".into();
            let response = NegotiateResponse {
                use_stateful_reconnect,
                version,
                connection_id: &connection_id,
                connection_token: "token",
                transports: &[TransportKind::ServerSentEvents],
                token_lifetime_seconds: None,
            };
            String::from_utf8(response.to_json()).unwrap()
        };
        let transports =
            r#""availableTransports":[{"transport":"ServerSentEvents","transferFormats":["Text"]}]}"#;
        assert_eq!(response(0, false), format!(r#"{{"negotiateVersion":0,"connectionId":"id",{transports}"#));
        assert_eq!(
            response(1, false),
            format!(r#"{{"negotiateVersion":1,"connectionId":"id","connectionToken":"token",{transports}"#)
        );
        assert!(response(1, true).starts_with(r#"{"useStatefulReconnect":true,"negotiateVersion":1,"#));
    }
}
