//! The seam between a hub and the other instances of a fleet.
//!
//! A hub [`publish`](HubBackplane::publish)es what is meant for connections that may be anywhere and gets
//! back, through its [`Inbox`], what is meant for its own. The traits speak of targets and of frames per hub
//! protocol, never of channels; a backplane passes [`conformance`].

pub mod conformance;

mod in_process;
mod publication;

use std::fmt;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

pub use in_process::InProcess;
pub use publication::{Frames, Publication, Published, Reach, Subject, Target};

/// Connects the hubs of one process with those of others.
pub trait Backplane: fmt::Debug + Send + Sync + 'static {
    /// Joins the fleet's hub of that name. What is published for it arrives at `inbox`, in order.
    ///
    /// Returns at once; until the link is up, publishing reaches this instance alone.
    fn attach(&self, hub_name: &str, inbox: std::sync::Arc<dyn Inbox>) -> std::sync::Arc<dyn HubBackplane>;

    /// Whether the other instances can be reached, and every change of that.
    fn status(&self) -> watch::Receiver<Status>;
}

/// One hub's side of a backplane.
pub trait HubBackplane: fmt::Debug + Send + Sync + 'static {
    /// Sends to every connection of the targets, here and elsewhere.
    ///
    /// Ready when this instance's own connections have it in their queues, or when the backplane has it
    /// and will bring it back: local delivery has one order with everybody else's messages.
    ///
    /// # Errors
    /// See [`PublishError`]. A link that is down is not an error but [`Reach::ThisInstance`].
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Published, PublishError>>;

    /// Says that this instance has one more connection with this interest. Each call is matched by one
    /// [`HubBackplane::unsubscribe`]. Ready when messages of other instances arrive, or at once while the
    /// link is down: interests are restored with it.
    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, ()>;

    /// Takes back one [`HubBackplane::subscribe`].
    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, ()>;
}

/// Where a hub receives what was published, its own included.
pub trait Inbox: Send + Sync + 'static {
    /// Puts the frames into the queues of the target's local connections.
    ///
    /// Called for one publication after the other, never at once: this is the hub's one order on this
    /// instance.
    fn deliver(
        &self,
        target: Target,
        excluded: std::sync::Arc<[hubline_protocol::ConnectionId]>,
        frames: Frames,
    ) -> BoxFuture<'_, ()>;
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
