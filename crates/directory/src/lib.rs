//! The session directory: who is connected where, and who is in which group.
//!
//! Hubs report their connections to it, without waiting. Hub methods and applications ask it for counts, for pages of
//! connections, users and members over the whole fleet, and for a group's members as they join and leave. An application
//! that keeps something for each connection or user registers a [`ConnectionObserver`]. Two implementations pass
//! [`conformance`]: [`InProcess`] for a single instance, and `RedisDirectory` of the crate `hubline-redis`.
//!
//! ```
//! # use futures_util::FutureExt;
//! use hubline_directory::{GroupEvent, HubDirectory, HubSessions, InProcess, SessionDirectory};
//!
//! # async {
//! let directory = InProcess::default();
//! let chat = directory.attach("Chat");
//! chat.connected("c1".into(), Some("ada".into()));
//! chat.joined(&"c1".into(), &"room".into());
//! assert_eq!(chat.member_count("room".into()).await.value, 1);
//!
//! let mut room = chat.watch_group("room".into()).await;
//! chat.disconnected(&"c1".into());
//! assert!(matches!(room.next().await, GroupEvent::Snapshot(members) if members.is_empty()));
//! # }.now_or_never().unwrap();
//! ```
//!
//! It contains Hubline's connections only. In a fleet that also has ASP.NET Core servers, the connections of those are in no
//! directory.

pub mod conformance;
pub mod local;

mod answer;
mod in_process;
mod observer;
mod presence;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hubline_backplane::Status;
use hubline_protocol::{ConnectionId, GroupName, UserId};
use tokio::sync::watch;

pub use answer::{Answer, Connected, Cursor, Listing, Member, Page, Scope};
pub use in_process::InProcess;
pub use observer::{ConnectionChange, ConnectionEvent, ConnectionObserver, ObserverError};
pub use presence::{GroupEvent, GroupWatch};

/// The directory of a process, for all its hubs.
pub trait SessionDirectory: fmt::Debug + Send + Sync + 'static {
    /// The part for the hub of that name. Entries of different hubs do not mix.
    fn attach(&self, hub_name: &str) -> Arc<dyn HubSessions>;

    /// Reports changes of a hub's connections to an observer from now on: first the connections that this instance has
    /// already, then each change. There may be several observers of a hub; all stay for the directory's lifetime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    fn observe(&self, hub_name: &str, observer: Arc<dyn ConnectionObserver>);

    /// Whether the rest of the fleet can be asked, and every change of that. [`Status::Alone`] for a directory of one
    /// instance.
    fn status(&self) -> watch::Receiver<Status>;

    /// Writes and reports what is pending and removes this instance from the directory, in about 3 s at most. Call it
    /// when the process ends: otherwise the other instances remove this one when its lease has ended.
    ///
    /// # Cancel safety
    /// Dropped early, the directory closes all the same; it may be called again.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What a hub reports about its connections on this instance. No method waits.
///
/// Answers on the same instance include what has been reported so far. Other instances see it shortly afterwards, or
/// when the link to them is back.
pub trait HubSessions: HubDirectory {
    /// A connection has started.
    fn connected(&self, connection: ConnectionId, user: Option<UserId>);

    /// A connection has ended, which also ends its group memberships.
    fn disconnected(&self, connection: &ConnectionId);

    /// A connection has joined a group.
    fn joined(&self, connection: &ConnectionId, group: &GroupName);

    /// A connection has left a group.
    fn left(&self, connection: &ConnectionId, group: &GroupName);
}

/// Questions about a hub's connections on all instances.
///
/// While the other instances cannot be asked, answers cover this instance, and [`Answer::scope`] says so; they are never
/// errors. All futures may be dropped at any time.
pub trait HubDirectory: fmt::Debug + Send + Sync + 'static {
    /// The number of connections.
    fn connection_count(&self) -> BoxFuture<'_, Answer<u64>>;

    /// The number of users with at least one connection.
    fn user_count(&self) -> BoxFuture<'_, Answer<u64>>;

    /// The number of connections in a group.
    fn member_count(&self, group: GroupName) -> BoxFuture<'_, Answer<u64>>;

    /// A connection by its id; `None` if there is none.
    fn find(&self, connection: ConnectionId) -> BoxFuture<'_, Answer<Option<Connected>>>;

    /// A page of connections in the order of their ids.
    ///
    /// A connection that exists from the first page to the last is on exactly one page, whatever else comes and goes. The
    /// same holds for the other listings.
    fn connections(&self, page: Page) -> BoxFuture<'_, Answer<Listing<Connected>>>;

    /// A page of users with at least one connection, in the order of their ids.
    fn users(&self, page: Page) -> BoxFuture<'_, Answer<Listing<UserId>>>;

    /// A page of a group's members, in the order of their connections' ids.
    fn members(&self, group: GroupName, page: Page) -> BoxFuture<'_, Answer<Listing<Member>>>;

    /// A user's newest connections, newest first, 1,000 at most.
    fn connections_of(&self, user: UserId) -> BoxFuture<'_, Answer<Vec<ConnectionId>>>;

    /// Watches who is in a group and who joins and leaves it. Ready when the members on other instances are known, or
    /// after `asyncTimeout` if they cannot be read for now.
    fn watch_group(&self, group: GroupName) -> BoxFuture<'_, GroupWatch>;
}
