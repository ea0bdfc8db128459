//! The first message of a connection.

use bytes::Buf;
use hubline_pipe::{CloseCode, Frame};
use hubline_protocol::handshake::{self, HandshakeError, HandshakeRequest};
use hubline_protocol::negotiate::TransportKind;
use hubline_protocol::{Encoded, TransferFormat, framing};

use super::wire::Wire;
use crate::HubOptions;

/// A connection that gets no further.
pub(super) enum Refused {
    /// With what the client is told.
    Because(HandshakeError),
    /// The transport ended before.
    Gone(hubline_pipe::PipeEnd),
}

impl Refused {
    pub(super) fn timed_out() -> Self {
        Self::Because(HandshakeError::Canceled)
    }

    /// A short name for metrics, beside those of [`crate::CloseReason`].
    pub(super) fn metric_label(&self) -> &'static str {
        match self {
            Self::Because(_) => "handshake_refused",
            Self::Gone(_) => "handshake_lost",
        }
    }
}

impl From<HandshakeError> for Refused {
    fn from(error: HandshakeError) -> Self {
        Self::Because(error)
    }
}

/// Reads the client's request. What follows it stays in the wire's input.
pub(super) async fn read(
    wire: &mut Wire,
    options: &HubOptions,
    transport: TransportKind,
) -> Result<HandshakeRequest, Refused> {
    let limit = options.maximum_receive_message_size.unwrap_or(usize::MAX);
    loop {
        let text = framing::split_text(&wire.input, limit).map_err(|_| HandshakeError::Canceled)?;
        if let Some(text) = text {
            let request = handshake::read(text, &options.supported_protocols)?;
            let used = text.len() + 1;
            let protocol = request.protocol;
            if !transport.transfer_formats().contains(&protocol.transfer_format()) {
                return Err(HandshakeError::ImpossibleFormat(protocol).into());
            }
            wire.input.advance(used);
            return Ok(request);
        }
        wire.receive().await.map_err(Refused::Gone)?;
    }
}

/// Tells the client why and ends the transport; no Close message follows a failed handshake.
pub(super) async fn refuse(mut wire: Wire, refused: Refused, options: &HubOptions) {
    let code = match refused {
        Refused::Because(error) => {
            tracing::debug!(%error, "a handshake was refused");
            let response = Encoded::copy_from(&error.response(options.detailed_errors));
            let frames = [Frame::uncounted(response, TransferFormat::Text)].into();
            _ = wire.send_last(frames).await;
            CloseCode::Normal
        }
        Refused::Gone(hubline_pipe::PipeEnd::Violation(code)) => code,
        Refused::Gone(_) => CloseCode::Normal,
    };
    wire.close(code).await;
}
