//! The first message of a connection, always JSON: `{"protocol":"json","version":1}` and the byte 0x1E.
//!
//! Source: HubProtocol.md, "Handshake", and the recorded cases in `conformance/cases/handshake.json`.

use crate::framing::RECORD_SEPARATOR;
use crate::json;
use crate::{DecodeError, HubProtocol};

/// Highest protocol version the server speaks. Version 2 adds acknowledgements.
pub const MAX_VERSION: i32 = 2;

/// The whole successful answer.
pub const ACCEPTED: &[u8] = b"{}\x1e";

/// What a client asked for and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeRequest {
    /// The hub protocol of everything that follows.
    pub protocol: HubProtocol,
    /// 2 or less; 0 and negative ones are accepted, as ASP.NET Core does.
    pub version: i32,
}

/// Why a handshake is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// No such protocol, or the hub does not offer it.
    #[error("The protocol '{0}' is not supported.")]
    UnknownProtocol(String),
    /// The version is over [`MAX_VERSION`].
    #[error("The server does not support version {version} of the '{protocol}' protocol.")]
    UnsupportedVersion {
        /// As sent.
        version: i32,
        /// As sent.
        protocol: String,
    },
    /// The transport cannot carry the protocol.
    #[error(
        "Cannot use the '{0}' protocol on the current transport. The transport does not support 'Binary' transfer format."
    )]
    ImpossibleFormat(HubProtocol),
    /// Not finished in time, or longer than a message may be.
    #[error("Handshake was canceled.")]
    Canceled,
    /// Not a handshake request. The detail is shown only when detailed errors are on.
    #[error("An unexpected error occurred during connection handshake.")]
    Malformed {
        /// .NET's name for the error and its text.
        detail: String,
    },
}

impl HandshakeError {
    fn malformed(error: &DecodeError, text: &[u8]) -> Self {
        let content = match error {
            DecodeError::MissingProperty(_) => {
                format!(" Message content: {}", String::from_utf8_lossy(text))
            }
            _ => String::new(),
        };
        // Here the real server reads without the wrapper that it has around hub messages.
        let type_name = if *error == DecodeError::Json { "JsonReaderException" } else { error.type_name() };
        Self::Malformed { detail: format!("{type_name}: {error}{content}") }
    }

    /// The error object a client gets, separator included.
    pub fn response(&self, detailed_errors: DetailedErrors) -> Vec<u8> {
        let text = match (self, detailed_errors) {
            (Self::Malformed { detail }, DetailedErrors::Shown) => format!("{self} {detail}"),
            _ => self.to_string(),
        };
        let mut response = br#"{"error":"#.to_vec();
        json::write_string(&mut response, &text);
        response.extend([b'}', RECORD_SEPARATOR]);
        response
    }
}

/// Whether clients are told what went wrong inside the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DetailedErrors {
    /// Only what a hub method means for its caller.
    #[default]
    Hidden,
    /// Everything; for development.
    Shown,
}

impl From<bool> for DetailedErrors {
    fn from(shown: bool) -> Self {
        if shown { Self::Shown } else { Self::Hidden }
    }
}

/// Reads a handshake request, given without its separator, for a hub that offers these protocols.
///
/// # Errors
/// Everything that [`HandshakeError`] lists but the time limit and what depends on the transport.
pub fn read(text: &[u8], supported: &[HubProtocol]) -> Result<HandshakeRequest, HandshakeError> {
    let (protocol, version) = properties(text).map_err(|error| HandshakeError::malformed(&error, text))?;
    let known = HubProtocol::from_name(&protocol).filter(|known| supported.contains(known));
    let Some(known) = known else {
        return Err(HandshakeError::UnknownProtocol(protocol));
    };
    if version > MAX_VERSION {
        return Err(HandshakeError::UnsupportedVersion { version, protocol });
    }
    Ok(HandshakeRequest { protocol: known, version })
}

fn properties(text: &[u8]) -> Result<(String, i32), DecodeError> {
    let mut protocol = None;
    let mut version = None;
    json::properties(text, |name, value| {
        match &*name.decode().unwrap_or_default() {
            "protocol" => protocol = Some(json::string("protocol", value)?.into_owned()),
            "version" => version = Some(json::integer32("version", value)?),
            _ => drop(value.value()?),
        }
        Ok(())
    })?;
    Ok((
        protocol.ok_or(DecodeError::MissingProperty("protocol"))?,
        version.ok_or(DecodeError::MissingProperty("version"))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_clients_send() {
        let json = HandshakeRequest { protocol: HubProtocol::Json, version: 1 };
        let read = |text: &[u8]| read(text, &HubProtocol::ALL);
        assert_eq!(read(br#"{"protocol":"json","version":1}"#), Ok(json));
        assert_eq!(read(br#"{"x":[{}],"version":0,"protocol":"JSON","version":1} rest"#), Ok(json));
        assert_eq!(
            read(br#"{"protocol":"messagepack","version":2}"#),
            Ok(HandshakeRequest { protocol: HubProtocol::MessagePack, version: 2 })
        );
    }

    #[test]
    fn says_why_it_refuses() {
        let read = |text: &[u8]| read(text, &HubProtocol::ALL);
        let text = |request: &str| {
            String::from_utf8(read(request.as_bytes()).unwrap_err().response(DetailedErrors::Shown)).unwrap()
        };
        assert_eq!(
            text(r#"{"protocol":"Zip","version":9}"#),
            "{\"error\":\"The protocol 'Zip' is not supported.\"}\u{1e}"
        );
        assert_eq!(
            text(r#"{"protocol":"json","version":3}"#),
            "{\"error\":\"The server does not support version 3 of the 'json' protocol.\"}\u{1e}"
        );
        assert_eq!(
            text(r#"{"version":1}"#),
            "{\"error\":\"An unexpected error occurred during connection handshake. InvalidDataException: Missing required property 'protocol'. Message content: {\\\"version\\\":1}\"}\u{1e}"
        );
        assert!(matches!(
            read(b"{\"protocol\":\"json\",\"version\":1.0}"),
            Err(HandshakeError::Malformed { .. })
        ));
        assert!(matches!(read(b""), Err(HandshakeError::Malformed { .. })));
    }
}
