//! What is remembered of connections, as bytes in one ring: the oldest is overwritten.
//!
//! The ring is made of segments, each with the time that its records count from. A record has its length, what it says, when that was, and
//! a hash of the connection's id, by which all records of a connection are found; ids of 128 bits are kept as such.
//!
//! Requests that are refused are in memory of their own, a sixteenth of the whole for those of known users and as much for those of
//! strangers, so that none of these push out others.

mod records;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubline::{HubProtocol, LifecycleEvent, LifecycleKind, LifecycleObserver, RefusedRequest, TransportKind};
use parking_lot::Mutex;

use super::alike::{Alike, network};
use records::Reader;
pub(super) use records::{Connected, Contents, Entry, Record, Refused, What};

/// Bytes of a segment at most.
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
/// What part of the memory refused requests have of known users, and of strangers.
const PART_OF_REFUSED: usize = 16;
/// What the ids of refused requests without a connection begin with; behind it is their hash.
const REFUSED_ID: &str = "refused-";

/// Kinds of records.
const NEGOTIATED: u8 = 0;
const HANDSHAKE_FAILED: u8 = 1;
const CONNECTED: u8 = 2;
const TRANSPORT_LOST: u8 = 3;
const RESUMED: u8 = 4;
const SLOW: u8 = 5;
const CALL_FAILED: u8 = 6;
const CLOSED: u8 = 7;
const REFUSED: u8 = 8;

/// Remembers what happens to connections. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Ring(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit_bytes: usize,
    hasher: RandomState,
    connections: Mutex<Segments>,
    of_users: Refusals,
    of_strangers: Refusals,
}

/// Requests that were refused.
#[derive(Debug)]
struct Refusals {
    alike: Alike,
    segments: Mutex<Segments>,
}

#[derive(Debug)]
struct Segments {
    limit_bytes: usize,
    segment_bytes: usize,
    full: VecDeque<Arc<[u8]>>,
    open: Vec<u8>,
    /// What the open one's times count from, in milliseconds since 1970.
    base: u64,
    names: Vec<Box<str>>,
}

/// A connection, within one ring.
pub(in crate::console) type Hash = [u8; HASH_BYTES];

/// How full a ring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    pub(super) bytes: usize,
    pub(super) limit_bytes: usize,
    /// Of its oldest record, in milliseconds since 1970; `None` if there is none.
    pub(super) oldest_at: Option<u64>,
}

impl Ring {
    /// A ring of so many bytes, 128 KiB at least. They are taken as they are needed.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        let limit_bytes = limit_bytes.max(LEAST_BYTES);
        let of_refused = limit_bytes / PART_OF_REFUSED;
        Self(Arc::new(Shared {
            limit_bytes,
            hasher: RandomState::new(),
            connections: Mutex::new(Segments::new(limit_bytes - 2 * of_refused)),
            of_users: Refusals::new(of_refused),
            of_strangers: Refusals::new(of_refused),
        }))
    }

    /// What records of a connection, or of a refused request, have.
    pub(super) fn hash(&self, id: &str) -> Hash {
        hash_in(id).unwrap_or_else(|| shortened(self.0.hasher.hash_one(id)))
    }

    /// What has happened to connections.
    pub(super) fn contents(&self) -> Contents {
        self.0.connections.lock().contents()
    }

    /// What was refused.
    pub(super) fn refusals(&self) -> [Contents; 2] {
        [&self.0.of_users, &self.0.of_strangers].map(|refusals| refusals.segments.lock().contents())
    }

    pub(super) fn fill(&self) -> Fill {
        let refused = [&self.0.of_users, &self.0.of_strangers];
        let of_refused: usize = refused.map(|refusals| refusals.segments.lock().bytes()).iter().sum();
        let segments = self.0.connections.lock();
        let oldest = segments.full.front().map_or(segments.open.as_slice(), |segment| &**segment);
        let oldest_at = Reader(oldest).u64().map(|base| base + u64::from(first_offset(oldest)));
        Fill { bytes: segments.bytes() + of_refused, limit_bytes: self.0.limit_bytes, oldest_at }
    }

    /// Adds a record at a time in milliseconds since 1970.
    fn add_at(&self, now: u64, event: &LifecycleEvent<'_>) {
        let hash = self.hash(event.connection.as_str());
        let mut segments = self.0.connections.lock();
        let mut record = begun(hash);
        let kind = segments.write(event, &mut record);
        segments.append(now, kind, &mut record);
    }

    /// Adds a request that was refused at a time in milliseconds since 1970, unless it is one of many.
    fn refuse_at(&self, now: u64, request: &RefusedRequest<'_>) {
        let RefusedRequest { path, reason, user, address, connection, .. } = *request;
        let path = hub_path(path);
        let hasher = &self.0.hasher;
        let key = match user {
            Some(user) => hasher.hash_one((user.as_str(), reason, &*path)),
            None => hasher.hash_one((address.map(network), reason, &*path)),
        };
        let refusals = if user.is_some() { &self.0.of_users } else { &self.0.of_strangers };
        let Some(times) = refusals.alike.count(key, now) else { return };
        let id = connection.map(|id| id.as_str());
        let mut record = begun(id.map_or_else(|| shortened(key), |id| self.hash(id)));
        let mut segments = refusals.segments.lock();
        put_id(&mut record, id.unwrap_or_default());
        put_address(&mut record, address);
        record.extend([segments.name(&path), segments.name(reason)]);
        put_text(&mut record, user.map(|user| user.as_str()), USER_BYTES);
        record.extend(times.count.to_le_bytes());
        record.extend(times.seconds.to_le_bytes());
        segments.append(now, REFUSED, &mut record);
    }
}

impl LifecycleObserver for Ring {
    fn observe(&self, event: &LifecycleEvent<'_>) {
        self.add_at(milliseconds(SystemTime::now()), event);
    }

    fn refused(&self, request: &RefusedRequest<'_>) {
        self.refuse_at(milliseconds(SystemTime::now()), request);
    }
}

impl Refusals {
    fn new(limit_bytes: usize) -> Self {
        Self { alike: Alike::default(), segments: Mutex::new(Segments::new(limit_bytes)) }
    }
}

fn shortened(hash: u64) -> Hash {
    let bytes = hash.to_le_bytes();
    std::array::from_fn(|place| bytes[place])
}

/// The id of a refused request without a connection.
fn id_of(hash: Hash) -> String {
    hash.iter().fold(REFUSED_ID.to_owned(), |id, byte| id + &format!("{byte:02x}"))
}

/// The hash in such an id.
fn hash_in(id: &str) -> Option<Hash> {
    let digits = id.strip_prefix(REFUSED_ID).filter(|digits| digits.len() == 2 * HASH_BYTES)?;
    let mut hash = Hash::default();
    for (place, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// The path of a hub.
fn hub_path(path: &str) -> String {
    let path = path.trim_end_matches('/').to_ascii_lowercase();
    let hub = path.strip_suffix("/negotiate").or_else(|| path.strip_suffix("/refresh"));
    hub.unwrap_or(&path).to_owned()
}

/// A record with room for its length, its kind and its time.
fn begun(hash: Hash) -> Vec<u8> {
    let mut record = vec![0; HEAD_BYTES - HASH_BYTES];
    record.extend(hash);
    record
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
    fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            segment_bytes: SEGMENT_BYTES.min(limit_bytes / 2),
            full: VecDeque::new(),
            open: Vec::new(),
            base: 0,
            names: Vec::new(),
        }
    }

    fn bytes(&self) -> usize {
        self.full.iter().map(|segment| segment.len()).sum::<usize>() + self.open.len()
    }

    fn contents(&self) -> Contents {
        let mut segments: Vec<_> = self.full.iter().cloned().collect();
        segments.push(self.open.as_slice().into());
        Contents { segments, names: self.names.clone() }
    }

    fn append(&mut self, now: u64, kind: u8, record: &mut [u8]) {
        let Ok(length) = u8::try_from(record.len()) else { return };
        (record[0], record[1]) = (length, kind);
        let offset = now.checked_sub(self.base).and_then(|offset| u32::try_from(offset).ok());
        let has_room = !self.open.is_empty() && self.open.len() + record.len() <= self.segment_bytes;
        let offset = match offset.filter(|_| has_room) {
            Some(offset) => offset,
            None => {
                self.begin(now);
                0
            }
        };
        record[2..6].copy_from_slice(&offset.to_le_bytes());
        self.open.extend_from_slice(record);
    }

    /// Begins a segment, for which the oldest ones go that have no room beside it.
    fn begin(&mut self, now: u64) {
        if !self.open.is_empty() {
            self.full.push_back(self.open.as_slice().into());
            self.open.clear();
        }
        while !self.full.is_empty() && (self.full.len() + 1) * self.segment_bytes > self.limit_bytes {
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
                put_id(record, id);
                put_address(record, address);
                record.push(self.name(&hub_path(path)));
                NEGOTIATED
            }
            LifecycleKind::HandshakeFailed { hub, reason, address, .. } => {
                put_id(record, id);
                put_address(record, address);
                record.extend([self.name(hub), self.name(reason)]);
                HANDSHAKE_FAILED
            }
            LifecycleKind::Connected { hub, user, transport, protocol, address, .. } => {
                put_id(record, id);
                put_address(record, address);
                record.extend([
                    self.name(hub),
                    transport_number(transport),
                    u8::from(protocol != HubProtocol::Json),
                ]);
                // The applications know by the id of the connection who has not signed in.
                let user = user.map(|user| user.as_str()).filter(|user| *user != id);
                put_text(record, user, USER_BYTES);
                CONNECTED
            }
            LifecycleKind::TransportLost => TRANSPORT_LOST,
            LifecycleKind::Resumed { address, .. } => {
                put_address(record, address);
                RESUMED
            }
            LifecycleKind::Slow => SLOW,
            LifecycleKind::CallFailed { method, .. } => {
                put_text(record, Some(method), METHOD_BYTES);
                CALL_FAILED
            }
            LifecycleKind::Closed { reason, calls, failed_calls, .. } => {
                record.push(self.name(reason));
                record.extend(calls.to_le_bytes());
                record.extend(failed_calls.to_le_bytes());
                CLOSED
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

#[cfg(test)]
mod tests;
