//! What instances say to each other: MessagePack, in the layout of these types.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hubline_backplane::InstanceId;
use hubline_identity::Principal;
use hubline_pipe::{CloseCode, CloseOutcome, PipeEnd};
use serde::{Deserialize, Serialize};

use crate::encoded_principal;
use crate::inbox::PostError;
use crate::refusal::Refusal;
use crate::requester::Requester;

/// Everything that goes over the fleet.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    Request(RelayRequest),
    /// A piece of a reply.
    Reply(ReplyPiece),
    /// A request is being carried out, which takes a while.
    InProgress {
        exchange: ExchangeId,
    },
    /// Replies to these requests have arrived; what was kept to repeat them can go.
    Acknowledged {
        exchanges: Vec<ExchangeId>,
    },
    /// The request was given up without its reply.
    Cancelled {
        exchange: ExchangeId,
    },
}

/// Identifies a request: the instance that makes it, and a number that it uses once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ExchangeId {
    pub(super) from: EncodedInstanceId,
    pub(super) number: u64,
}

/// An [`InstanceId`] as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct EncodedInstanceId([u8; 8]);

/// A request that has come to an instance without its connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RelayRequest {
    pub(super) exchange: ExchangeId,
    /// The token that the client has shown.
    pub(super) token: String,
    /// Who the client is; nobody asks for what is in a tunnel.
    pub(super) requester: Option<Requester>,
    pub(super) operation: Operation,
    /// Which earlier replies have arrived.
    pub(super) acknowledged: Vec<ExchangeId>,
}

/// What another instance shall do for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// Hands the connection over for a transport, if it has none.
    Connect,
    /// Waits for messages to the client; hands the connection over if it has no transport.
    Poll {
        timeout_ms: u64,
        /// Until the authentication of this poll ends.
        expires_ms: Option<u64>,
    },
    /// Puts a piece of a POST's body into the connection's inbox.
    Post {
        /// Numbered from 0.
        piece: u32,
        is_last: bool,
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// Ends the connection.
    Delete,
    /// Puts a new WebSocket in the place of a lost one. Its bytes go through the tunnel with the id of this exchange.
    Resume { path: String, query: String, expires_ms: Option<u64> },
    /// Replaces the connection's principal.
    Refresh,
    /// Passes a message of a tunnel on.
    Tunnel { id: ExchangeId, message: TunnelMessage },
}

/// The principal of a connection's authentication, `None` for nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefreshedPrincipal(#[serde(with = "encoded_principal")] pub(crate) Option<Arc<Principal>>);

/// What goes through a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TunnelMessage {
    /// From the client.
    Bytes(serde_bytes::ByteBuf),
    /// The client sends nothing more.
    Ended(EncodedPipeEnd),
    /// To the client.
    Frames(Vec<EncodedFrame>),
    /// Closes the client's WebSocket with this code.
    Close(u16),
    /// How the client took the close frame.
    CloseOutcome(EncodedCloseOutcome),
}

/// A [`CloseOutcome`] as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EncodedCloseOutcome {
    Answered,
    Lost,
    Silent,
}

/// A hub message in its encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EncodedFrame {
    pub(super) is_binary: bool,
    pub(super) payload: serde_bytes::ByteBuf,
}

/// A [`PipeEnd`] as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EncodedPipeEnd {
    Closed,
    InputEnded,
    Lost,
    Violation(u16),
}

/// Part of a [`Reply`] in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReplyPiece {
    pub(super) exchange: ExchangeId,
    /// Who replies.
    pub(super) by: EncodedInstanceId,
    pub(super) piece: u32,
    pub(super) pieces: u32,
    #[serde(with = "serde_bytes")]
    pub(super) data: Vec<u8>,
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// There is no such connection here.
    Unknown,
    /// It is here, and the request is not let through to it.
    Refused(Refusal),
    /// It had no transport yet, and belongs to whoever asked from now on, with the principal of a refresh if there was
    /// one.
    HandedOver { is_stateful: bool, refreshed: Option<RefreshedPrincipal> },
    /// It has a WebSocket whose place may be claimed.
    Resumable,
    /// What waited.
    Found(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Nothing came in time.
    TimedOut,
    /// The connection is over, or a newer poll has come.
    NoMore,
    /// A newer poll was faster.
    Conflict,
    /// This piece has entered; the next one may come.
    PieceTaken,
    /// The whole body has entered.
    Posted,
    /// It has not.
    NotPosted(PostError),
    /// The client has ended the connection.
    Deleted,
    /// The principal is in force.
    Refreshed,
    /// This message of a tunnel has been taken.
    TunnelDelivered,
    /// The connection goes on with the new WebSocket.
    Resumed,
    /// The connection ended before it could be resumed.
    EndedMeanwhile,
    /// More is asked of this instance than it bears.
    Busy,
}

impl Message {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Writing to memory fails for maps of unknown length alone, and there are none.
        rmp_serde::to_vec(self).unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(bytes).ok()
    }
}

impl Reply {
    pub(super) fn to_bytes(&self) -> Bytes {
        rmp_serde::to_vec(self).unwrap_or_default().into()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(bytes).ok()
    }
}

impl From<InstanceId> for EncodedInstanceId {
    fn from(id: InstanceId) -> Self {
        Self(id.to_bytes())
    }
}

impl From<EncodedInstanceId> for InstanceId {
    fn from(EncodedInstanceId(bytes): EncodedInstanceId) -> Self {
        Self::from_bytes(bytes)
    }
}

impl From<PipeEnd> for EncodedPipeEnd {
    fn from(end: PipeEnd) -> Self {
        match end {
            PipeEnd::Closed => Self::Closed,
            PipeEnd::InputEnded => Self::InputEnded,
            PipeEnd::Lost => Self::Lost,
            PipeEnd::Violation(code) => Self::Violation(code.number()),
        }
    }
}

impl From<EncodedPipeEnd> for PipeEnd {
    fn from(end: EncodedPipeEnd) -> Self {
        match end {
            EncodedPipeEnd::Closed => Self::Closed,
            EncodedPipeEnd::InputEnded => Self::InputEnded,
            EncodedPipeEnd::Lost => Self::Lost,
            EncodedPipeEnd::Violation(code) => Self::Violation(close_code(code)),
        }
    }
}

impl From<CloseOutcome> for EncodedCloseOutcome {
    fn from(outcome: CloseOutcome) -> Self {
        match outcome {
            CloseOutcome::Answered => Self::Answered,
            CloseOutcome::Lost => Self::Lost,
            CloseOutcome::Silent => Self::Silent,
        }
    }
}

impl From<EncodedCloseOutcome> for CloseOutcome {
    fn from(outcome: EncodedCloseOutcome) -> Self {
        match outcome {
            EncodedCloseOutcome::Answered => Self::Answered,
            EncodedCloseOutcome::Lost => Self::Lost,
            EncodedCloseOutcome::Silent => Self::Silent,
        }
    }
}

pub(super) fn close_code(number: u16) -> CloseCode {
    match number {
        1002 => CloseCode::ProtocolError,
        1007 => CloseCode::InvalidPayload,
        _ => CloseCode::Normal,
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
