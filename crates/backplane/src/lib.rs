//! The seam between a hub and the other instances of a fleet.
//!
//! A hub [`publish`](HubBackplane::publish)es what is meant for connections that may be anywhere and gets
//! back, through its [`Inbox`], what is meant for its own. The traits speak of targets and of frames per hub
//! protocol, never of channels; a backplane passes [`conformance`].

pub mod conformance;

mod fleet;
mod in_process;
mod latencies;
mod memory;
mod publication;
mod statistics;

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hubline_protocol::{Encoded, HubProtocol};
use tokio::sync::watch;

pub use fleet::{
    Address, Fleet, FleetInbox, InstanceId, MemoryFleet, NotUnderstood, Unreachable, memory_fleet,
};
pub use in_process::InProcess;
pub use latencies::{Latencies, LatencyCounters};
pub use memory::{MemoryBackplane, memory_backplanes};
pub use publication::{
    ClientInvocation, Frames, GroupAction, GroupChange, Publication, Published, Reach, ReturnAddress,
    Subject, Target, TraceParent,
};
pub use statistics::Statistics;

/// Connects the hubs of one process with those of others.
pub trait Backplane: fmt::Debug + Send + Sync + 'static {
    /// Attaches a hub of this instance. Messages that any instance publishes for the hub of that name are delivered
    /// to `inbox`, in order.
    ///
    /// Returns at once. Until the link to the other instances is up, messages reach this instance alone.
    fn attach(&self, hub_name: &str, inbox: std::sync::Arc<dyn Inbox>) -> std::sync::Arc<dyn HubBackplane>;

    /// Watches whether the other instances can be reached.
    fn status(&self) -> watch::Receiver<Status>;

    /// What this backplane has counted. All zero for a backplane in process.
    fn statistics(&self) -> Statistics {
        Statistics::default()
    }

    /// Messages between the transports of the instances; `None` for a backplane in process.
    fn fleet(&self) -> Option<std::sync::Arc<dyn Fleet>> {
        None
    }
}

/// One hub's side of a backplane.
pub trait HubBackplane: fmt::Debug + Send + Sync + 'static {
    /// Sends a message to every connection of the targets, on all instances.
    ///
    /// Ready when the message is in the queues of this instance's connections, or when the backplane has taken it and
    /// will deliver it to this instance like the messages of others, so that all have one order.
    ///
    /// # Errors
    /// See [`PublishError`]. A link that is down is no error: [`Published::reach`] says how far the message got.
    ///
    /// # Cancel safety
    /// Dropped early, the message may or may not have been published, to all or some of the targets.
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Published, PublishError>>;

    /// Publishes a message without waiting for the outcome, so that one caller can have many on their way. Ready when
    /// the message is in line behind all that this caller has published and posted.
    ///
    /// # Errors
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    /// Dropped early, the message may or may not be published, to all or some of the targets.
    fn post(&self, publication: Publication) -> BoxFuture<'_, Result<(), PublishError>> {
        async { self.publish(publication).await.map(drop) }.boxed()
    }

    /// Waits until the outcome of every message that was [posted](HubBackplane::post) before is known.
    ///
    /// # Cancel safety
    /// Safe.
    fn flush(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    /// Adds one connection of this instance to those that receive messages to the subject. The calls are counted: each
    /// is ended by one [`HubBackplane::unsubscribe`].
    ///
    /// Ready when messages of other instances to the subject arrive here. While the link is down it is ready at once,
    /// and the subscription is made with the link.
    ///
    /// # Cancel safety
    /// The connection counts from the first poll on; only the waiting ends early.
    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, ()>;

    /// Ends one [`HubBackplane::subscribe`] of the subject.
    ///
    /// # Cancel safety
    /// It has ended with the first poll.
    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, ()>;

    /// Has the instance with the connection add it to a group or remove it, and waits until that is done.
    ///
    /// # Errors
    /// See [`GroupError`].
    ///
    /// # Cancel safety
    /// Dropped early, the change may or may not be made.
    fn change_group(&self, change: GroupChange) -> BoxFuture<'_, Result<(), GroupError>>;

    /// Sends an invocation that returns a result to the instance that has the connection. Ready when that instance
    /// is known to get it; its client's Completion comes to [`Inbox::completed`] of this instance later, or never if
    /// the other one dies.
    ///
    /// It is never kept for later: without a link it fails at once.
    ///
    /// # Errors
    /// See [`ClientInvocationError`].
    ///
    /// # Cancel safety
    /// Dropped early, the invocation may or may not have been sent.
    fn invoke(&self, invocation: ClientInvocation) -> BoxFuture<'_, Result<(), ClientInvocationError>>;

    /// Sends the Completion of a client of this instance, framed in `protocol`, to the instance that made the
    /// invocation. It is lost without an error if the link is down or that instance is gone.
    ///
    /// # Cancel safety
    /// Dropped early, it may or may not have been sent.
    fn complete(&self, to: ReturnAddress, protocol: HubProtocol, completion: Encoded) -> BoxFuture<'_, ()>;
}

/// A hub's receiving end on this instance: messages that any instance has published, this one included, and requests of
/// other instances.
pub trait Inbox: Send + Sync + 'static {
    /// Puts the frames into the queues of the target's local connections.
    ///
    /// The backplane calls this and [`Inbox::invoke`] for one message after the other, never two at once: this is
    /// the hub's one order on this instance.
    fn deliver(
        &self,
        target: Target,
        excluded: std::sync::Arc<[hubline_protocol::ConnectionId]>,
        frames: Frames,
    ) -> BoxFuture<'_, ()>;

    /// Invokes a client for another instance, and sends its Completion to `return_to` with
    /// [`HubBackplane::complete`]. Without such a connection here nothing happens.
    fn invoke(&self, invocation: ClientInvocation, return_to: ReturnAddress) -> BoxFuture<'_, ()>;

    /// Adds the connection to a group or removes it, if it is on this instance; returns whether it is.
    ///
    /// Ready when messages to the group arrive. Changes are made in the order in which the futures are first polled.
    fn change_group(&self, change: GroupChange) -> BoxFuture<'static, bool>;

    /// Receives the Completion, framed in `protocol`, of an invocation that this instance has made with
    /// [`HubBackplane::invoke`].
    ///
    /// # Errors
    /// The bytes are no Completion. One that is not awaited any more is ignored.
    fn completed(&self, protocol: HubProtocol, completion: &[u8]) -> Result<(), NoCompletion>;
}

/// Something else than a framed Completion came back from an invocation of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a client's result that is no completion")]
pub struct NoCompletion;

/// Why a client of another instance was not invoked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientInvocationError {
    /// No instance has such a connection.
    #[error("no instance has the connection")]
    NoSuchConnection,
    /// The link to the others is down, or was lost before one of them was known to have the invocation.
    #[error("the other instances cannot be reached")]
    Unreachable,
    /// See [`PublishError`].
    #[error(transparent)]
    Refused(#[from] PublishError),
}

/// Why a group was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// No instance has such a connection, or the one that has did not say so in time.
    #[error("no instance has answered within {} seconds", .0.as_secs())]
    NoAnswer(std::time::Duration),
    /// The link to the others is down, for this reason.
    #[error("the other instances cannot be reached: {0}")]
    Unreachable(String),
    /// A client wants to be in more groups than a hub lets it be. No backplane says so.
    #[error("A client may be in {0} groups by its own calls (Limits:GroupsPerConnection).")]
    TooManyGroups(usize),
    /// A client wants to be in a group with a longer name than a hub allows, in bytes. No backplane says so.
    #[error("The name of a group may have {0} bytes in a client's call (Limits:GroupNameBytes).")]
    NameTooLong(usize),
}

/// Whether the other instances can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// There are none: this backplane is one process.
    Alone,
    /// They can.
    Connected,
    /// They cannot, for this reason; the backplane keeps trying.
    Disconnected(String),
}

/// Why a publication went nowhere.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The backplane refused it.
    #[error("the backplane refused the message: {0}")]
    Refused(String),
}
