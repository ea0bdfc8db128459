//! What is remembered of connections, as bytes in one ring: the oldest is overwritten.
//!
//! The ring is made of segments, each with the time that its records count from. A record has its length, what it says, when that was, and
//! a hash of the connection's id, by which all records of a connection are found; ids of 128 bits are kept as such.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline::{HubProtocol, LifecycleEvent, LifecycleKind, LifecycleObserver, TransportKind};
use parking_lot::Mutex;

/// Bytes of a segment at most; the ring is never smaller than two.
const SEGMENT_BYTES: usize = 64 * 1024;
/// The least that a ring may be.
pub(super) const LEAST_BYTES: usize = 2 * SEGMENT_BYTES;
/// Bytes that are kept of a user's id, of a connection's where it is none of ours, and of a method's name.
const USER_BYTES: usize = 64;
const ID_BYTES: usize = 64;
const METHOD_BYTES: usize = 20;
/// Length, kind, time and hash.
const HEAD_BYTES: usize = 1 + 1 + 4 + HASH_BYTES;
const HASH_BYTES: usize = 6;
/// Different names of hubs, paths and reasons that are known; further ones are left out.
const MOST_NAMES: usize = 250;
const UNKNOWN: u8 = u8::MAX;

/// Remembers what happens to connections. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Ring(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit_bytes: usize,
    hasher: RandomState,
    segments: Mutex<Segments>,
}

#[derive(Debug, Default)]
struct Segments {
    full: VecDeque<Arc<[u8]>>,
    open: Vec<u8>,
    /// What the open one's times count from, in milliseconds since 1970.
    base: u64,
    names: Vec<Box<str>>,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// In milliseconds since 1970.
    pub(super) at: u64,
    pub(super) connection: Hash,
    pub(super) what: What,
}

/// A connection, within one ring.
pub(super) type Hash = [u8; HASH_BYTES];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Negotiated { id: String, address: Option<IpAddr>, path: String },
    HandshakeFailed { id: String, address: Option<IpAddr>, hub: String, reason: String },
    Connected(Connected),
    TransportLost,
    Resumed { address: Option<IpAddr> },
    Slow,
    CallFailed { method: String },
    Closed { reason: String, calls: u32, failed: u32 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connected {
    pub(super) id: String,
    pub(super) address: Option<IpAddr>,
    pub(super) hub: String,
    pub(super) user: Option<String>,
    pub(super) transport: TransportKind,
    pub(super) protocol: HubProtocol,
}

/// What a ring holds at one time, to be read without keeping connections waiting.
#[derive(Debug)]
pub(super) struct Contents {
    segments: Vec<Arc<[u8]>>,
    names: Vec<Box<str>>,
}

/// How full a ring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    pub(super) bytes: usize,
    pub(super) limit_bytes: usize,
    /// Of its oldest record, in milliseconds since 1970; `None` if there is none.
    pub(super) oldest_at: Option<u64>,
}

impl Ring {
    /// A ring of so many bytes, two segments at least. They are taken as they are needed.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self(Arc::new(Shared {
            limit_bytes: limit_bytes.max(LEAST_BYTES),
            hasher: RandomState::new(),
            segments: Mutex::default(),
        }))
    }

    pub(super) fn hash(&self, id: &str) -> Hash {
        let hash = self.0.hasher.hash_one(id).to_le_bytes();
        std::array::from_fn(|place| hash[place])
    }

    pub(super) fn contents(&self) -> Contents {
        let segments = self.0.segments.lock();
        let mut all: Vec<_> = segments.full.iter().cloned().collect();
        all.push(segments.open.as_slice().into());
        Contents { segments: all, names: segments.names.clone() }
    }

    pub(super) fn fill(&self) -> Fill {
        let segments = self.0.segments.lock();
        let full: usize = segments.full.iter().map(|segment| segment.len()).sum();
        let oldest = segments.full.front().map_or(segments.open.as_slice(), |segment| &**segment);
        let oldest_at = Reader(oldest).u64().map(|base| base + u64::from(first_offset(oldest)));
        Fill { bytes: full + segments.open.len(), limit_bytes: self.0.limit_bytes, oldest_at }
    }

    /// Adds a record at a time in milliseconds since 1970.
    fn add_at(&self, now: u64, event: &LifecycleEvent<'_>) {
        let hash = self.hash(event.connection.as_str());
        let mut segments = self.0.segments.lock();
        let mut record = vec![0, 0];
        record.extend([0; 4]);
        record.extend(hash);
        let kind = segments.write(event, &mut record);
        record[1] = kind;
        let Ok(length) = u8::try_from(record.len()) else { return };
        record[0] = length;
        segments.append(now, &mut record, self.0.limit_bytes);
    }
}

impl LifecycleObserver for Ring {
    fn observe(&self, event: &LifecycleEvent<'_>) {
        self.add_at(milliseconds(SystemTime::now()), event);
    }
}

/// Since 1970.
pub(super) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Of the first record of a segment.
fn first_offset(segment: &[u8]) -> u32 {
    let mut reader = Reader(segment);
    _ = (reader.u64(), reader.u8(), reader.u8());
    reader.u32().unwrap_or_default()
}

impl Segments {
    fn append(&mut self, now: u64, record: &mut [u8], limit_bytes: usize) {
        let offset = now.checked_sub(self.base).and_then(|offset| u32::try_from(offset).ok());
        let has_room = !self.open.is_empty() && self.open.len() + record.len() <= SEGMENT_BYTES;
        let offset = match offset.filter(|_| has_room) {
            Some(offset) => offset,
            None => {
                self.begin(now, limit_bytes);
                0
            }
        };
        record[2..6].copy_from_slice(&offset.to_le_bytes());
        self.open.extend_from_slice(record);
    }

    /// Begins a segment, for which the oldest ones go that have no room beside it.
    fn begin(&mut self, now: u64, limit_bytes: usize) {
        if !self.open.is_empty() {
            self.full.push_back(self.open.as_slice().into());
            self.open.clear();
        }
        while !self.full.is_empty() && (self.full.len() + 1) * SEGMENT_BYTES > limit_bytes {
            self.full.pop_front();
        }
        self.base = now;
        self.open.extend_from_slice(&now.to_le_bytes());
    }

    /// Writes what an event says, and returns its kind.
    fn write(&mut self, event: &LifecycleEvent<'_>, record: &mut Vec<u8>) -> u8 {
        let id = event.connection.as_str();
        match event.kind {
            LifecycleKind::Negotiated { path, address, .. } => {
                let path = path.trim_end_matches("/negotiate").to_ascii_lowercase();
                put_id(record, id);
                put_address(record, address);
                record.push(self.name(&path));
                0
            }
            LifecycleKind::HandshakeFailed { hub, reason, address, .. } => {
                put_id(record, id);
                put_address(record, address);
                record.extend([self.name(hub), self.name(reason)]);
                1
            }
            LifecycleKind::Connected { hub, user, transport, protocol, address, .. } => {
                put_id(record, id);
                put_address(record, address);
                record.extend([
                    self.name(hub),
                    transport_number(transport),
                    u8::from(protocol != HubProtocol::Json),
                ]);
                put_text(record, user.map(|user| user.as_str()), USER_BYTES);
                2
            }
            LifecycleKind::TransportLost => 3,
            LifecycleKind::Resumed { address, .. } => {
                put_address(record, address);
                4
            }
            LifecycleKind::Slow => 5,
            LifecycleKind::CallFailed { method, .. } => {
                put_text(record, Some(method), METHOD_BYTES);
                6
            }
            LifecycleKind::Closed { reason, calls, failed_calls, .. } => {
                record.push(self.name(reason));
                record.extend(calls.to_le_bytes());
                record.extend(failed_calls.to_le_bytes());
                7
            }
            _ => UNKNOWN,
        }
    }

    fn name(&mut self, name: &str) -> u8 {
        let known = self.names.iter().position(|known| **known == *name);
        let place = known.or_else(|| {
            (self.names.len() < MOST_NAMES && name.len() <= u8::MAX.into()).then(|| {
                self.names.push(name.into());
                self.names.len() - 1
            })
        });
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(UNKNOWN)
    }
}

fn put_id(record: &mut Vec<u8>, id: &str) {
    let bits = URL_SAFE_NO_PAD.decode(id).ok().filter(|bits| bits.len() == 16);
    match bits.filter(|bits| URL_SAFE_NO_PAD.encode(bits) == id) {
        Some(bits) => {
            record.push(UNKNOWN);
            record.extend(bits);
        }
        None => put_text(record, Some(id), ID_BYTES),
    }
}

fn put_address(record: &mut Vec<u8>, address: Option<IpAddr>) {
    match address {
        None => record.push(0),
        Some(IpAddr::V4(address)) => {
            record.push(4);
            record.extend(address.octets());
        }
        Some(IpAddr::V6(address)) => {
            record.push(16);
            record.extend(address.octets());
        }
    }
}

/// Its beginning, where it is longer.
fn put_text(record: &mut Vec<u8>, text: Option<&str>, most: usize) {
    let Some(text) = text else { return record.push(UNKNOWN) };
    let kept = beginning(text, most);
    record.push(u8::try_from(kept.len()).unwrap_or_default());
    record.extend(kept.as_bytes());
}

fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// What is kept of a user's id.
pub(super) fn kept_user(user: &str) -> &str {
    beginning(user, USER_BYTES)
}

fn transport_number(transport: TransportKind) -> u8 {
    match transport {
        TransportKind::WebSockets => 0,
        TransportKind::ServerSentEvents => 1,
        TransportKind::LongPolling => 2,
    }
}

impl Contents {
    /// The segments, oldest first; each has some hundred records.
    pub(super) fn segments(&self) -> impl Iterator<Item = impl Iterator<Item = Entry>> {
        self.segments.iter().map(move |segment| {
            let mut reader = Reader(segment);
            let base = reader.u64().unwrap_or_default();
            std::iter::from_fn(move || reader.record()).filter_map(move |(kind, offset, connection, body)| {
                let what = self.read(kind, Reader(body))?;
                Some(Entry { at: base + u64::from(offset), connection, what })
            })
        })
    }

    fn read(&self, kind: u8, mut body: Reader<'_>) -> Option<What> {
        let name = |place: u8| {
            self.names.get(usize::from(place)).map_or_else(String::new, |name| String::from(&**name))
        };
        Some(match kind {
            0 => What::Negotiated { id: body.id()?, address: body.address()?, path: name(body.u8()?) },
            1 => What::HandshakeFailed {
                id: body.id()?,
                address: body.address()?,
                hub: name(body.u8()?),
                reason: name(body.u8()?),
            },
            2 => {
                let (id, address, hub) = (body.id()?, body.address()?, name(body.u8()?));
                let transport = match body.u8()? {
                    0 => TransportKind::WebSockets,
                    1 => TransportKind::ServerSentEvents,
                    _ => TransportKind::LongPolling,
                };
                let protocol = if body.u8()? == 0 { HubProtocol::Json } else { HubProtocol::MessagePack };
                What::Connected(Connected { id, address, hub, user: body.text()?, transport, protocol })
            }
            3 => What::TransportLost,
            4 => What::Resumed { address: body.address()? },
            5 => What::Slow,
            6 => What::CallFailed { method: body.text()?.unwrap_or_default() },
            7 => What::Closed { reason: name(body.u8()?), calls: body.u32()?, failed: body.u32()? },
            _ => return None,
        })
    }
}

/// Reads from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        self.bytes(COUNT)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
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

#[cfg(test)]
mod tests;
