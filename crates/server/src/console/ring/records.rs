//! What a ring holds, read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline::{HubProtocol, TransportKind};

use super::{
    CALL_FAILED, CLOSED, CONNECTED, HANDSHAKE_FAILED, HEAD_BYTES, Hash, NEGOTIATED, REFUSED, RESUMED, SLOW,
    TRANSPORT_LOST, UNKNOWN, id_of,
};
use crate::console::alike::Times;

/// A record that has not been read yet.
#[derive(Debug, Clone, Copy)]
pub(in crate::console) struct Record<'a> {
    at: u64,
    kind: u8,
    pub(in crate::console) connection: Hash,
    body: &'a [u8],
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::console) struct Entry {
    /// In milliseconds since 1970.
    pub(in crate::console) at: u64,
    pub(in crate::console) connection: Hash,
    pub(in crate::console) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::console) enum What {
    Negotiated { id: String, address: Option<IpAddr>, path: String },
    HandshakeFailed { id: String, address: Option<IpAddr>, hub: String, reason: String },
    Connected(Connected),
    TransportLost,
    Resumed { address: Option<IpAddr> },
    Slow,
    CallFailed { method: String },
    Closed { reason: String, calls: u32, failed: u32 },
    Refused(Refused),
}

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::console) struct Refused {
    /// Of its connection, or one of its own.
    pub(in crate::console) id: String,
    pub(in crate::console) address: Option<IpAddr>,
    pub(in crate::console) path: String,
    pub(in crate::console) reason: String,
    pub(in crate::console) user: Option<String>,
    pub(in crate::console) times: Times,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::console) struct Connected {
    pub(in crate::console) id: String,
    pub(in crate::console) address: Option<IpAddr>,
    pub(in crate::console) hub: String,
    pub(in crate::console) user: Option<String>,
    pub(in crate::console) transport: TransportKind,
    pub(in crate::console) protocol: HubProtocol,
}

/// What a ring holds at one time, to be read without keeping connections waiting.
#[derive(Debug)]
pub(in crate::console) struct Contents {
    pub(super) segments: Vec<Arc<[u8]>>,
    pub(super) names: Vec<Box<str>>,
}

impl Record<'_> {
    /// Whether it is of a connection's beginning or end, or of something that was refused.
    pub(in crate::console) fn is_of_a_life(&self) -> bool {
        matches!(self.kind, HANDSHAKE_FAILED | CONNECTED | CLOSED | REFUSED)
    }

    pub(in crate::console) fn is_end(&self) -> bool {
        self.kind == CLOSED
    }

    /// Whether a text is anywhere in it, as it is if it is the user's id.
    pub(in crate::console) fn has(&self, text: &str) -> bool {
        text.is_empty() || self.body.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    }
}

impl Contents {
    /// The segments, oldest first; each has some hundred records.
    pub(in crate::console) fn segments(&self) -> impl Iterator<Item = impl Iterator<Item = Record<'_>>> {
        self.segments.iter().map(|segment| {
            let mut reader = Reader(segment);
            let base = reader.u64().unwrap_or_default();
            std::iter::from_fn(move || {
                let (kind, offset, connection, body) = reader.record()?;
                Some(Record { at: base + u64::from(offset), kind, connection, body })
            })
        })
    }

    /// Reads a record of these; `None` if it is of no kind that is known.
    pub(in crate::console) fn read(&self, record: Record<'_>) -> Option<Entry> {
        let Record { at, kind, connection, body } = record;
        Some(Entry { at, connection, what: self.what(kind, connection, Reader(body))? })
    }

    fn what(&self, kind: u8, hash: Hash, mut body: Reader<'_>) -> Option<What> {
        let name = |place: u8| {
            self.names.get(usize::from(place)).map_or_else(String::new, |name| String::from(&**name))
        };
        Some(match kind {
            NEGOTIATED => {
                What::Negotiated { id: body.id()?, address: body.address()?, path: name(body.u8()?) }
            }
            HANDSHAKE_FAILED => What::HandshakeFailed {
                id: body.id()?,
                address: body.address()?,
                hub: name(body.u8()?),
                reason: name(body.u8()?),
            },
            CONNECTED => {
                let (id, address, hub) = (body.id()?, body.address()?, name(body.u8()?));
                let transport = match body.u8()? {
                    0 => TransportKind::WebSockets,
                    1 => TransportKind::ServerSentEvents,
                    _ => TransportKind::LongPolling,
                };
                let protocol = if body.u8()? == 0 { HubProtocol::Json } else { HubProtocol::MessagePack };
                What::Connected(Connected { id, address, hub, user: body.text()?, transport, protocol })
            }
            TRANSPORT_LOST => What::TransportLost,
            RESUMED => What::Resumed { address: body.address()? },
            SLOW => What::Slow,
            CALL_FAILED => What::CallFailed { method: body.text()?.unwrap_or_default() },
            CLOSED => What::Closed { reason: name(body.u8()?), calls: body.u32()?, failed: body.u32()? },
            REFUSED => What::Refused(Refused {
                id: Some(body.id()?).filter(|id| !id.is_empty()).unwrap_or_else(|| id_of(hash)),
                address: body.address()?,
                path: name(body.u8()?),
                reason: name(body.u8()?),
                user: body.text()?,
                times: Times { count: body.u32()?, seconds: body.u16()? },
            }),
            _ => return None,
        })
    }
}

/// Reads from the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        self.bytes(COUNT)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Kind, time, connection and what follows.
    fn record(&mut self) -> Option<(u8, u32, Hash, &'a [u8])> {
        let (length, kind, offset, hash) = (self.u8()?, self.u8()?, self.u32()?, self.array()?);
        Some((kind, offset, hash, self.bytes(usize::from(length).checked_sub(HEAD_BYTES)?)?))
    }

    fn id(&mut self) -> Option<String> {
        match self.u8()? {
            UNKNOWN => self.bytes(16).map(|bits| URL_SAFE_NO_PAD.encode(bits)),
            length => self.text_of(length),
        }
    }

    fn text(&mut self) -> Option<Option<String>> {
        match self.u8()? {
            UNKNOWN => Some(None),
            length => self.text_of(length).map(Some),
        }
    }

    fn text_of(&mut self, length: u8) -> Option<String> {
        self.bytes(length.into()).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn address(&mut self) -> Option<Option<IpAddr>> {
        Some(match self.u8()? {
            4 => Some(Ipv4Addr::from(self.array::<4>()?).into()),
            16 => Some(Ipv6Addr::from(self.array::<16>()?).into()),
            _ => None,
        })
    }
}
