//! The seam between the transports of one instance and those of the others.
//!
//! A request may reach an instance that does not have its connection. What instances tell each other then are
//! small messages to an address; whoever uses this repeats what may have been lost, and bears what comes twice.

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

/// One instance's way to the other instances, and the few notes that all of them share.
pub trait Fleet: fmt::Debug + Send + Sync + 'static {
    /// This instance.
    fn instance(&self) -> InstanceId;

    /// Where messages to this instance, and to what it [listens](Fleet::listen) for, come from now on. Once.
    fn join(&self, inbox: Arc<dyn FleetInbox>);

    /// Sends to whoever listens at the address; how many do. They may still miss it.
    ///
    /// # Errors
    /// The link is down, or was lost before anybody is known to have it.
    fn send<'a>(&'a self, to: &'a Address, message: Vec<u8>) -> BoxFuture<'a, Result<u64, Unreachable>>;

    /// Listens at the address of a connection. Ready when messages arrive, or at once while the link is down:
    /// it is restored with it.
    fn listen<'a>(&'a self, connection: &'a ConnectionId) -> BoxFuture<'a, ()>;

    /// Takes back one [`Fleet::listen`].
    fn stop_listening(&self, connection: &ConnectionId);

    /// Leaves a note that every instance can read, unless there is one of that name; the one that there was.
    /// Without a `lifetime` it stays.
    ///
    /// # Errors
    /// The notes cannot be reached; it may have been left all the same.
    fn put_if_absent<'a>(
        &'a self,
        name: &'a str,
        value: Vec<u8>,
        lifetime: Option<Duration>,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, Unreachable>>;

    /// Reads a note.
    ///
    /// # Errors
    /// The notes cannot be reached.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Unreachable>>;

    /// Whether the other instances can be reached, and every change of that.
    fn status(&self) -> watch::Receiver<Status>;
}

/// Where messages of other instances come.
pub trait FleetInbox: Send + Sync + 'static {
    /// A message has come. Called on a task of the fleet, which it must not hold up.
    ///
    /// # Errors
    /// It is none of ours.
    fn received(&self, message: &[u8]) -> Result<(), NotUnderstood>;
}

/// The name of an instance: of one process, never used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceId(u64);

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// One instance.
    Instance(InstanceId),
    /// The instance that listens for this connection.
    Connection(ConnectionId),
}

/// A message that no instance of this version sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not understood")]
pub struct NotUnderstood;

/// Other instances cannot be reached, for this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the other instances cannot be reached: {0}")]
pub struct Unreachable(pub String);

impl InstanceId {
    /// A new one.
    pub fn random() -> Self {
        Self::from_bytes(random_bytes())
    }

    /// As it stands in a connection token.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The other way.
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
