//! What instances say to each other: MessagePack, in the layout of these types.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hubline_backplane::InstanceId;
use hubline_identity::Principal;
use hubline_pipe::{CloseCode, Farewell, PipeEnd};
use serde::{Deserialize, Serialize};

use crate::encoded_principal;
use crate::inbox::PostError;
use crate::refusal::Refusal;
use crate::requester::Requester;

/// Everything that goes over the fleet.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    Question(Question),
    /// A piece of an answer.
    Answer(AnswerPiece),
    /// A question is being carried out, which takes a while.
    Heard {
        exchange: ExchangeId,
    },
    /// Answers to these questions have arrived; what was kept to repeat them can go.
    Finished {
        exchanges: Vec<ExchangeId>,
    },
    /// Nobody waits for the answer any more, and nobody has it.
    Cancelled {
        exchange: ExchangeId,
    },
}

/// Names a question: who asks, and a number that he uses once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ExchangeId {
    pub(super) from: Instance,
    pub(super) number: u64,
}

/// An [`InstanceId`] as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Instance([u8; 8]);

/// A request that has come to an instance without its connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) exchange: ExchangeId,
    /// The token that the client has shown.
    pub(super) token: String,
    /// Who the client is; nobody asks for what is in a tunnel.
    pub(super) requester: Option<Requester>,
    pub(super) wish: Wish,
    /// Which earlier answers have arrived.
    pub(super) finished: Vec<ExchangeId>,
}

/// What the request wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wish {
    /// The connection itself, for a transport, if it has none.
    Connect,
    /// What waits for the client; the connection itself, if it has no transport.
    Poll {
        timeout_ms: u64,
        /// Until the authentication of this poll ends.
        expires_ms: Option<u64>,
    },
    /// To send this.
    Post {
        /// Numbered from 0.
        piece: u32,
        is_last: bool,
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// To end the connection.
    Delete,
    /// To put a new WebSocket in the place of a lost one. Its bytes go through the tunnel that whoever asks
    /// names by this question.
    Resume { path: String, query: String, expires_ms: Option<u64> },
    /// To replace the connection's principal.
    Refresh,
    /// To pass this on.
    Tunnel { id: ExchangeId, load: Load },
}

/// The principal of a connection's authentication, `None` for nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InForce(#[serde(with = "encoded_principal")] pub(crate) Option<Arc<Principal>>);

/// What goes through a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Load {
    /// From the client.
    Bytes(serde_bytes::ByteBuf),
    /// The client sends nothing more.
    Ended(End),
    /// To the client.
    Frames(Vec<FrameOnItsWay>),
    /// A good-bye to the client, with the code of the close frame.
    Close(u16),
    /// How the client took it.
    Farewell(Taken),
}

/// A [`Farewell`] as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Taken {
    Answered,
    Lost,
    Silent,
}

/// A hub message in its encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FrameOnItsWay {
    pub(super) is_binary: bool,
    pub(super) payload: serde_bytes::ByteBuf,
}

/// A [`PipeEnd`] as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Closed,
    InputEnded,
    Lost,
    Violation(u16),
}

/// Part of an [`Answer`] in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AnswerPiece {
    pub(super) exchange: ExchangeId,
    /// Who answers.
    pub(super) by: Instance,
    pub(super) piece: u32,
    pub(super) pieces: u32,
    #[serde(with = "serde_bytes")]
    pub(super) data: Vec<u8>,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// There is no such connection here.
    Unknown,
    /// It is here, and the request is not let through to it.
    Refused(Refusal),
    /// It had no transport yet, and belongs to whoever asked from now on, with the principal of a refresh if there was
    /// one.
    HandedOver { is_stateful: bool, refreshed: Option<InForce> },
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
    /// This load of a tunnel has been taken.
    Taken,
    /// The place is the new WebSocket's.
    Resumed,
    /// It was lost before it could be had: the connection has ended.
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

impl Answer {
    pub(super) fn to_bytes(&self) -> Bytes {
        rmp_serde::to_vec(self).unwrap_or_default().into()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(bytes).ok()
    }
}

impl From<InstanceId> for Instance {
    fn from(id: InstanceId) -> Self {
        Self(id.to_bytes())
    }
}

impl From<Instance> for InstanceId {
    fn from(Instance(bytes): Instance) -> Self {
        Self::from_bytes(bytes)
    }
}

impl From<PipeEnd> for End {
    fn from(end: PipeEnd) -> Self {
        match end {
            PipeEnd::Closed => Self::Closed,
            PipeEnd::InputEnded => Self::InputEnded,
            PipeEnd::Lost => Self::Lost,
            PipeEnd::Violation(code) => Self::Violation(code.number()),
        }
    }
}

impl From<End> for PipeEnd {
    fn from(end: End) -> Self {
        match end {
            End::Closed => Self::Closed,
            End::InputEnded => Self::InputEnded,
            End::Lost => Self::Lost,
            End::Violation(code) => Self::Violation(close_code(code)),
        }
    }
}

impl From<Farewell> for Taken {
    fn from(farewell: Farewell) -> Self {
        match farewell {
            Farewell::Answered => Self::Answered,
            Farewell::Lost => Self::Lost,
            Farewell::Silent => Self::Silent,
        }
    }
}

impl From<Taken> for Farewell {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Answered => Self::Answered,
            Taken::Lost => Self::Lost,
            Taken::Silent => Self::Silent,
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
