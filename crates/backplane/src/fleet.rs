//! The seam between the transports of one instance and those of the others.
//!
//! A request may reach an instance that does not have its connection. The instances then exchange small messages, each
//! to an address. Messages may be lost or arrive twice: the sender repeats them, the receiver tolerates duplicates.

mod memory;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubline_protocol::{ConnectionId, random_bytes};
use tokio::sync::watch;

pub(crate) use memory::memory_fleet_of;
pub use memory::{MemoryFleet, memory_fleet};

use crate::Status;

/// Messages between the instances of a fleet, and a few named values (notes) that all of them can read.
pub trait Fleet: fmt::Debug + Send + Sync + 'static {
    /// The id of this instance.
    fn instance(&self) -> InstanceId;

    /// Sets the receiver of messages to this instance and to the connections that it [listens](Fleet::listen) for.
    /// Only the first call has an effect.
    fn join(&self, inbox: Arc<dyn FleetInbox>);

    /// Sends a message to the instances that listen at the address. Returns how many those are; each may still miss it.
    ///
    /// # Errors
    /// The link is down, or was lost before the message was confirmed.
    ///
    /// # Cancel safety
    /// Dropped early, the message may or may not have been sent.
    fn send<'a>(&'a self, to: &'a Address, message: Vec<u8>) -> BoxFuture<'a, Result<u64, Unreachable>>;

    /// Listens at the address of a connection. Ready when messages to it arrive here; while the link is down it is ready at
    /// once, and listening begins with the link.
    ///
    /// # Cancel safety
    /// Dropped early, this instance may or may not listen; [`Fleet::stop_listening`] ends it in either case.
    fn listen<'a>(&'a self, connection: &'a ConnectionId) -> BoxFuture<'a, ()>;

    /// Ends [`Fleet::listen`] for a connection.
    fn stop_listening(&self, connection: &ConnectionId);

    /// Writes a note that every instance can read, unless there is one of that name, which is returned then. Without a
    /// `lifetime` a note stays for ever.
    ///
    /// # Errors
    /// The store of the notes cannot be reached; the note may have been written all the same.
    ///
    /// # Cancel safety
    /// Dropped early, the note may or may not be written.
    fn put_if_absent<'a>(
        &'a self,
        name: &'a str,
        value: Vec<u8>,
        lifetime: Option<Duration>,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, Unreachable>>;

    /// Reads a note; `None` if there is none of that name.
    ///
    /// # Errors
    /// The store of the notes cannot be reached.
    ///
    /// # Cancel safety
    /// Safe.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Unreachable>>;

    /// Watches whether the other instances can be reached.
    fn status(&self) -> watch::Receiver<Status>;
}

/// Receives the messages of other instances.
pub trait FleetInbox: Send + Sync + 'static {
    /// Receives one message. It is called on a task of the fleet and must not block or run for long.
    ///
    /// # Errors
    /// The message cannot be decoded; it is counted and dropped.
    fn received(&self, message: &[u8]) -> Result<(), NotUnderstood>;
}

/// Identifies an instance, which is one run of a process: 64 random bits, new at each start.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceId(u64);

/// The receiver of a message between instances.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// One instance.
    Instance(InstanceId),
    /// The instance that listens for this connection.
    Connection(ConnectionId),
}

/// The message has a form that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not understood")]
pub struct NotUnderstood;

/// The other instances cannot be reached; holds the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the other instances cannot be reached: {0}")]
pub struct Unreachable(pub String);

impl InstanceId {
    /// Creates a new id.
    pub fn random() -> Self {
        Self::from_bytes(random_bytes())
    }

    /// The id as it stands in a connection token, big-endian.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Reads an id that [`InstanceId::to_bytes`] has written.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for InstanceId {
    /// 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstanceId({self})")
    }
}

impl FromStr for InstanceId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}
