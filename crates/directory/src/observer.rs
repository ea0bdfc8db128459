//! Changes of a hub's connections, for applications that keep something for each of them.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubline_protocol::{ConnectionId, UserId};

use crate::HubDirectory;

/// A change of one connection of an observed hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionChange {
    /// The connection's id.
    pub connection: ConnectionId,
    /// The connection's user; `None` for an anonymous connection.
    pub user: Option<UserId>,
    /// What happened.
    pub event: ConnectionEvent,
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// The connection is in the directory. Reported when it starts, and again whenever an observer may have missed
    /// it: after Redis has lost its data, and every [`resync_period`](ConnectionObserver::resync_period).
    Connected,
    /// The connection has ended and is no longer in the directory.
    Disconnected,
    /// The connection's instance died, and this instance has removed it from the directory.
    InstanceDied,
}

/// Receives the changes of a hub's connections; see
/// [`SessionDirectory::observe`](crate::SessionDirectory::observe).
///
/// Each change is reported on one instance of the fleet: the one with the connection or, after that one has died, the
/// one that removes its record. Every instance has to observe the hub therefore, or what a dead instance held may be
/// removed by one that reports it to nobody.
///
/// Delivery is at least once: a change is reported until [`changed`](Self::changed) has returned `Ok`, by another
/// instance if this one dies meanwhile. Several changes of one connection may be reported as one, the last. So an
/// observer does best to ask `hub`, the hub's part of the directory, what is true now, and to write that.
///
/// ```
/// use futures_util::FutureExt;
/// use futures_util::future::BoxFuture;
/// use hubline_directory::{ConnectionChange, ConnectionObserver, HubDirectory, ObserverError};
///
/// #[derive(Debug)]
/// struct Audit;
///
/// impl ConnectionObserver for Audit {
///     fn changed<'a>(
///         &'a self,
///         hub: &'a dyn HubDirectory,
///         changes: &'a [ConnectionChange],
///     ) -> BoxFuture<'a, Result<(), ObserverError>> {
///         async move {
///             for ConnectionChange { user, event, .. } in changes {
///                 let Some(user) = user else { continue };
///                 let connections = hub.connections_of(user.clone()).await.value;
///                 println!("{user}: {event:?}, {} connections now", connections.len());
///             }
///             Ok(())
///         }
///         .boxed()
///     }
/// }
/// ```
pub trait ConnectionObserver: fmt::Debug + Send + Sync + 'static {
    /// Handles changes, the oldest first, 128 at most. The next call begins when this one has returned.
    ///
    /// # Errors
    /// Whatever keeps the observer from handling them. It is logged, and the same changes are reported again after 0.1
    /// to 5 s.
    ///
    /// # Cancel safety
    /// The future is dropped unfinished when the directory is closed or dropped; the changes are then reported on
    /// another instance.
    fn changed<'a>(
        &'a self,
        hub: &'a dyn HubDirectory,
        changes: &'a [ConnectionChange],
    ) -> BoxFuture<'a, Result<(), ObserverError>>;

    /// How often every connection of this instance is reported as [`ConnectionEvent::Connected`] again. Default:
    /// `None`, never.
    fn resync_period(&self) -> Option<Duration> {
        None
    }
}

/// Why an observer could not handle changes.
pub type ObserverError = Box<dyn Error + Send + Sync>;
