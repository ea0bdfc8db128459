//! The seam between a hub and the other instances of a fleet.
//!
//! A hub [`publish`](HubBackplane::publish)es what is meant for connections that may be anywhere and gets
//! back, through its [`Inbox`], what is meant for its own. The traits speak of targets and of frames per hub
//! protocol, never of channels; a backplane passes [`conformance`].

pub mod conformance;

mod fleet;
mod in_process;
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
pub use memory::{MemoryBackplane, memory_backplanes};
pub use publication::{
    ClientInvocation, Frames, GroupAction, GroupChange, Publication, Published, Reach, ReturnAddress,
    Subject, Target,
};
pub use statistics::Statistics;

/// Connects the hubs of one process with those of others.
pub trait Backplane: fmt::Debug + Send + Sync + 'static {
    /// Joins the fleet's hub of that name. What is published for it arrives at `inbox`, in order.
    ///
    /// Returns at once; until the link is up, publishing reaches this instance alone.
    fn attach(&self, hub_name: &str, inbox: std::sync::Arc<dyn Inbox>) -> std::sync::Arc<dyn HubBackplane>;

    /// Whether the other instances can be reached, and every change of that.
    fn status(&self) -> watch::Receiver<Status>;

    /// What it has done so far. All zero for a backplane that has no others to reach.
    fn statistics(&self) -> Statistics {
        Statistics::default()
    }

    /// The way to the transports of other instances; `None` if there are none.
    fn fleet(&self) -> Option<std::sync::Arc<dyn Fleet>> {
        None
    }
}

/// One hub's side of a backplane.
pub trait HubBackplane: fmt::Debug + Send + Sync + 'static {
    /// Sends to every connection of the targets, here and elsewhere.
    ///
    /// Ready when this instance's own connections have it in their queues, or when the backplane has it
    /// and will bring it back: local delivery has one order with everybody else's messages.
    ///
    /// # Errors
    /// See [`PublishError`]. A link that is down is not an error: [`Published::reach`] tells of it.
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Published, PublishError>>;

    /// The same for a publisher who does not ask what becomes of it, and so may have many on their way. Ready when the
    /// message has its place behind all that this publisher has sent.
    ///
    /// # Errors
    /// See [`PublishError`].
    fn post(&self, publication: Publication) -> BoxFuture<'_, Result<(), PublishError>> {
        async { self.publish(publication).await.map(drop) }.boxed()
    }

    /// Ready when of what was posted before nothing is on its way any more.
    ///
    /// # Cancel safety
    /// Safe.
    fn flush(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    /// Says that this instance has one more connection with this interest. Each call is matched by one
    /// [`HubBackplane::unsubscribe`]. Ready when messages of other instances arrive, or at once while the
    /// link is down: interests are restored with it.
    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, ()>;

    /// Takes back one [`HubBackplane::subscribe`].
    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, ()>;

    /// Asks the instance that has the connection to change a group, and waits until it has.
    ///
    /// # Errors
    /// See [`GroupError`].
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

/// Where a hub receives what was published, its own included.
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

    /// Makes a change if the connection is here; whether it is. Ready when messages for the group arrive; what
    /// keeps changes in order happens when it is first polled.
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
