//! Why a connection ends, and what that means to everybody concerned.

use std::fmt;
use std::sync::Arc;

use hubline_pipe::{CloseCode, Frame, PipeEnd};
use hubline_protocol::handshake::DetailedErrors;
use hubline_protocol::{ConnectionId, DecodeError, HubProtocol, encode};

use crate::HubError;

/// Every label that ends are counted by.
pub(crate) const METRIC_LABELS: [&str; 22] = [
    "handshake_refused",
    "handshake_lost",
    "client_closed",
    "transport_closed",
    "input_ended",
    "transport_lost",
    "transport_violation",
    "truncated",
    "not_resumed",
    "authentication_expired",
    "refresh_refused",
    "foreign_answer",
    "sequence_gap",
    "aborted",
    "server_shutdown",
    "protocol_error",
    "client_timeout",
    "unwritable",
    "slow_client",
    "send_timeout",
    "protocol_missing",
    "on_connected_failed",
];

/// Why a connection ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client said good-bye with a Close message, perhaps with an error of its own.
    ClientClosed(Option<Box<str>>),
    /// The transport ended.
    TransportEnded(PipeEnd),
    /// The transport ended in the middle of a hub message.
    Truncated(PipeEnd),
    /// A client with stateful reconnect did not come back in time.
    NotResumed,
    /// The client's authentication has expired (`CloseOnAuthenticationExpiration`).
    AuthenticationExpired,
    /// The application refused the newer principal of a client with stateful reconnect that came back.
    RefreshRefused,
    /// The client completed an invocation that was sent to another connection.
    ForeignAnswer {
        /// Who answered.
        connection: ConnectionId,
        /// What was asked.
        invocation_id: Box<str>,
    },
    /// The client announced a message with a number that leaves some out (stateful reconnect).
    SequenceGap,
    /// A hub method called [`crate::Caller::abort`].
    Aborted,
    /// The instance is stopping.
    ServerShutdown,
    /// The client sent something that is not a hub message.
    ProtocolError(DecodeError),
    /// The client was silent for longer than `client_timeout_interval`.
    ClientTimeout,
    /// What a hub method returned cannot be written in the connection's protocol; what went wrong.
    Unwritable(Box<str>),
    /// The client let more messages pile up than `outbound_limit_bytes` and `outbound_limit_messages` allow.
    SlowClient,
    /// The client took nothing for 10 s.
    SendTimeout,
    /// Another server published a message without this connection's hub protocol.
    ProtocolMissing,
    /// `on_connected` failed.
    OnConnectedFailed(Arc<HubError>),
}

impl CloseReason {
    /// Whether a client with automatic reconnect should come back.
    pub fn allow_reconnect(&self) -> bool {
        !matches!(self, Self::ClientClosed(_) | Self::Aborted | Self::OnConnectedFailed(_))
    }

    /// A short name for metrics.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::ClientClosed(_) => "client_closed",
            Self::TransportEnded(PipeEnd::Closed) => "transport_closed",
            Self::TransportEnded(PipeEnd::InputEnded) => "input_ended",
            Self::TransportEnded(PipeEnd::Lost) => "transport_lost",
            Self::TransportEnded(PipeEnd::Violation(_)) => "transport_violation",
            Self::Truncated(_) => "truncated",
            Self::NotResumed => "not_resumed",
            Self::AuthenticationExpired => "authentication_expired",
            Self::RefreshRefused => "refresh_refused",
            Self::ForeignAnswer { .. } => "foreign_answer",
            Self::SequenceGap => "sequence_gap",
            Self::Aborted => "aborted",
            Self::ServerShutdown => "server_shutdown",
            Self::ProtocolError(_) => "protocol_error",
            Self::ClientTimeout => "client_timeout",
            Self::Unwritable(_) => "unwritable",
            Self::SlowClient => "slow_client",
            Self::SendTimeout => "send_timeout",
            Self::ProtocolMissing => "protocol_missing",
            Self::OnConnectedFailed(_) => "on_connected_failed",
        }
    }

    /// The error behind it, as `on_disconnected` and detailed errors tell it; `None` for a normal end.
    fn error(&self) -> Option<String> {
        Some(match self {
            Self::ClientClosed(None)
            | Self::TransportEnded(_)
            | Self::NotResumed
            | Self::AuthenticationExpired
            | Self::RefreshRefused
            | Self::Aborted
            | Self::ServerShutdown => return None,
            Self::ForeignAnswer { connection, invocation_id } => format!(
                "InvalidOperationException: Connection ID '{connection}' is not valid for invocation ID '{invocation_id}'."
            ),
            Self::SequenceGap => {
                "InvalidOperationException: Sequence ID greater than amount of messages we've received.".into()
            }
            Self::ClientClosed(Some(error)) => format!("HubException: {error}"),
            Self::ProtocolError(error) => format!("{}: {error}", error.type_name()),
            Self::Truncated(_) => "InvalidDataException: Connection terminated while reading a message.".into(),
            Self::ClientTimeout => "OperationCanceledException: Client hasn't sent a message/ping within the configured ClientTimeoutInterval.".into(),
            Self::Unwritable(error) => error.to_string(),
            Self::SlowClient => "SlowClientException: The client did not read its messages fast enough.".into(),
            Self::SendTimeout => "OperationCanceledException: The client took no message for 10 seconds.".into(),
            Self::ProtocolMissing => "InvalidOperationException: This message was received from another server that did not have the requested protocol available.".into(),
            Self::OnConnectedFailed(error) => error.to_string(),
        })
    }

    /// The Close message, unless the transport is gone.
    pub(super) fn message(&self, protocol: HubProtocol, detailed_errors: DetailedErrors) -> Option<Frame> {
        const BASE: &str = "Connection closed with an error.";
        let text = match self {
            Self::TransportEnded(PipeEnd::InputEnded) => None,
            Self::TransportEnded(_) | Self::Truncated(_) | Self::NotResumed | Self::RefreshRefused => {
                return None;
            }
            Self::ClientClosed(_) | Self::Aborted | Self::ServerShutdown | Self::AuthenticationExpired => {
                None
            }
            Self::OnConnectedFailed(error) => Some(error.text_for_client(BASE, detailed_errors)),
            _ => Some(match (detailed_errors, self.error()) {
                (DetailedErrors::Shown, Some(error)) => format!("{BASE} {error}"),
                _ => BASE.to_owned(),
            }),
        };
        let encoded = encode::close(protocol, text.as_deref(), self.allow_reconnect());
        Some(Frame::uncounted(encoded, protocol.transfer_format()))
    }

    pub(super) fn close_code(&self) -> CloseCode {
        match self {
            Self::TransportEnded(PipeEnd::Violation(code)) | Self::Truncated(PipeEnd::Violation(code)) => {
                *code
            }
            _ => CloseCode::Normal,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.error()) {
            (Self::TransportEnded(end), _) => end.fmt(f),
            (_, Some(error)) => f.write_str(&error),
            (Self::ServerShutdown, None) => f.write_str("the server is stopping"),
            (Self::NotResumed, None) => f.write_str("the client did not reconnect in time"),
            (Self::AuthenticationExpired, None) => f.write_str("the authentication has expired"),
            (Self::RefreshRefused, None) => f.write_str("the application refused the newer principal"),
            (Self::Aborted, None) => f.write_str("aborted by the hub"),
            (_, None) => f.write_str("closed by the client"),
        }
    }
}

impl From<DecodeError> for CloseReason {
    fn from(error: DecodeError) -> Self {
        Self::ProtocolError(error)
    }
}

/// A parameter of `on_disconnected`: why the connection ended.
#[derive(Debug, Clone)]
pub struct Disconnected {
    reason: CloseReason,
}

impl Disconnected {
    pub(super) fn new(reason: &CloseReason) -> Self {
        Self { reason: reason.clone() }
    }

    /// What happened.
    pub fn reason(&self) -> &CloseReason {
        &self.reason
    }

    /// What went wrong, as `Type: message`; `None` if the connection just ended, which a lost one does too.
    pub fn error(&self) -> Option<String> {
        self.reason.error()
    }
}
