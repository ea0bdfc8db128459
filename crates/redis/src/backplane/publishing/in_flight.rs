//! Commands on a publishing link that Redis has not answered.

use std::sync::Arc;

use bytes::Bytes;
use hubline_backplane::TraceParent;
use tokio::time::Instant;

use crate::backplane::outbox::Entry;
use crate::backplane::outgoing::{Content, Kind, Outgoing};

/// A command that is being written, or whose reply is awaited.
pub(super) struct InFlight {
    pub(super) what: What,
    /// Where it begins and ends in all that was ever packed for the link.
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) since: Instant,
    /// Whether its echo is still waited for, on this instance.
    pub(super) expects_echo: bool,
}

/// What a command does, and what is known of the message that it publishes.
pub(super) enum What {
    Ping,
    Count,
    Publication(Box<Outgoing>),
    /// From the outbox.
    Replay(Entry),
    /// A publication whose publisher has been told that there was no answer.
    HandedBack(Kind, usize),
}

impl What {
    pub(super) fn is_message(&self) -> bool {
        match self {
            Self::Replay(_) | Self::HandedBack(Kind::Message, _) => true,
            Self::Publication(outgoing) => outgoing.kind() == Kind::Message,
            Self::Ping | Self::Count | Self::HandedBack(Kind::Internal, _) => false,
        }
    }

    /// Channel and payload.
    pub(super) fn published(&self) -> Option<(&Arc<str>, &Bytes)> {
        match self {
            Self::Publication(outgoing) => Some((&outgoing.channel, &outgoing.payload)),
            Self::Replay(entry) => Some((&entry.channel, &entry.payload)),
            Self::Ping | Self::Count | Self::HandedBack(..) => None,
        }
    }

    /// The span that a message was sent in. What has waited for Redis is sent in none.
    pub(super) fn trace_parent(&self) -> Option<&str> {
        let Self::Publication(outgoing) = self else { return None };
        match &outgoing.content {
            Content::Message(message) => message.frames.trace_parent().map(TraceParent::as_str),
            Content::Internal(_) => None,
        }
    }

    /// When it was sent, if it is measured.
    pub(super) fn measured_from(&self) -> Option<Instant> {
        let Self::Publication(outgoing) = self else { return None };
        match &outgoing.content {
            Content::Message(message) => message.measured_from,
            Content::Internal(_) => None,
        }
    }

    pub(super) fn payload_bytes(&self) -> Option<usize> {
        match self {
            Self::HandedBack(_, bytes) => Some(*bytes),
            _ => self.published().map(|(_, payload)| payload.len()),
        }
    }
}
