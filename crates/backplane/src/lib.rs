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
    Frames, GroupAction, GroupChange, Publication, Published, Reach, ReturnAddress, Subject, Target,
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

    /// Sends a client's answer to the instance that asked. `completion` is framed in `protocol`. A link that is
    /// down, or an instance that has gone, is nobody's error: who asked learns of it by itself.
    fn answer(&self, to: ReturnAddress, protocol: HubProtocol, completion: Encoded) -> BoxFuture<'_, ()>;
}

/// Where a hub receives what was published, its own included.
pub trait Inbox: Send + Sync + 'static {
    /// Puts the frames into the queues of the target's local connections.
    ///
    /// Called for one publication after the other, never at once: this is the hub's one order on this
    /// instance. With an address it is a question for one connection, whose answer goes there.
    fn deliver(
        &self,
        target: Target,
        excluded: std::sync::Arc<[hubline_protocol::ConnectionId]>,
        frames: Frames,
        answer_to: Option<ReturnAddress>,
    ) -> BoxFuture<'_, ()>;

    /// Makes a change if the connection is here; whether it is. Ready when messages for the group arrive; what
    /// keeps changes in order happens when it is first polled.
    fn change_group(&self, change: GroupChange) -> BoxFuture<'static, bool>;

    /// Brings the answer to a question that was asked here: a Completion, framed in `protocol`.
    ///
    /// # Errors
    /// It is no Completion. An answer that nobody waits for is no error.
    fn answered(&self, protocol: HubProtocol, completion: &[u8]) -> Result<(), NoCompletion>;
}

/// Something else than a framed Completion came as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an answer that is no completion")]
pub struct NoCompletion;

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
