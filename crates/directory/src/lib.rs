//! The session directory: who is connected where, who is in which group, which calls go on.
//!
//! Hubs report what happens to their connections, which never waits, and anybody may ask: for counts and
//! pages over the whole fleet, for a group's members as they come and go, for a call. Two implementations pass
//! [`conformance`]: [`InProcess`] for a fleet of one, and the one in Redis of the crate `hubline-redis`.
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
//! It knows the connections of Hubline only: in a fleet that is mixed with ASP.NET Core those of the other
//! servers are in nobody's directory.

pub mod conformance;
pub mod local;

mod answer;
mod call;
mod in_process;
mod presence;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hubline_protocol::{ConnectionId, GroupName, UserId};

pub use answer::{Answer, Connected, Cursor, Listing, Member, Page, Scope};
pub use call::{Call, CallError, CallId, CallStatus};
pub use in_process::InProcess;
pub use presence::{GroupEvent, GroupWatch};

/// The directory of a process, for all its hubs.
pub trait SessionDirectory: fmt::Debug + Send + Sync + 'static {
    /// The part of the hub of that name. Entries of different hubs do not mix.
    fn attach(&self, hub_name: &str) -> Arc<dyn HubSessions>;

    /// The calls, which belong to no hub.
    fn calls(&self) -> Arc<dyn CallDirectory>;

    /// Makes what was reported known to the others and takes this instance out of the directory, in a few seconds
    /// at most. For a process that ends; without it the others need their time to notice.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What a hub reports of its connections on this instance. Never waits.
///
/// Reports are taken at once, and answers on the same instance include them. Other instances learn of them a
/// moment later, or when the link to them is back.
pub trait HubSessions: HubDirectory {
    /// A connection has begun.
    fn connected(&self, connection: ConnectionId, user: Option<UserId>);

    /// It has ended, and has left all its groups with that.
    fn disconnected(&self, connection: &ConnectionId);

    /// A connection has become a member of a group.
    fn joined(&self, connection: &ConnectionId, group: &GroupName);

    /// It is none any more.
    fn left(&self, connection: &ConnectionId, group: &GroupName);
}

/// What anybody may ask of a hub's connections, those of all instances.
pub trait HubDirectory: fmt::Debug + Send + Sync + 'static {
    /// How many connections there are.
    fn connection_count(&self) -> BoxFuture<'_, Answer<u64>>;

    /// How many users have a connection.
    fn user_count(&self) -> BoxFuture<'_, Answer<u64>>;

    /// How many connections are members of a group.
    fn member_count(&self, group: GroupName) -> BoxFuture<'_, Answer<u64>>;

    /// Where a connection is, if it is.
    fn find(&self, connection: ConnectionId) -> BoxFuture<'_, Answer<Option<Connected>>>;

    /// Connections in the order of their ids.
    ///
    /// What is there from the first page to the last is on exactly one of them, whatever else comes and goes;
    /// that holds for all listings.
    fn connections(&self, page: Page) -> BoxFuture<'_, Answer<Listing<Connected>>>;

    /// Users who have a connection, in the order of their ids.
    fn users(&self, page: Page) -> BoxFuture<'_, Answer<Listing<UserId>>>;

    /// A group's members, in the order of their connections' ids.
    fn members(&self, group: GroupName, page: Page) -> BoxFuture<'_, Answer<Listing<Member>>>;

    /// A user's newest connections, newest first, 1,000 at most.
    fn connections_of(&self, user: UserId) -> BoxFuture<'_, Answer<Vec<ConnectionId>>>;

    /// Who is in a group, and from then on who joins and who leaves. Ready when the members on other instances are
    /// known, or cannot be for now.
    fn watch_group(&self, group: GroupName) -> BoxFuture<'_, GroupWatch>;
}

/// Calls, each kept for 4 hours.
pub trait CallDirectory: fmt::Debug + Send + Sync + 'static {
    /// Begins a call, as [`Call::ringing`] makes it.
    ///
    /// # Errors
    /// [`CallError::Exists`]; [`CallError::Full`].
    fn create(&self, call: Call) -> BoxFuture<'_, Result<(), CallError>>;

    /// The call as it is now, for any instance.
    ///
    /// # Errors
    /// [`CallError::Unavailable`].
    fn get(&self, id: CallId) -> BoxFuture<'_, Result<Option<Call>, CallError>>;

    /// Takes a call to another status, now, on behalf of one of its participants. Of several who try at once one
    /// gets through, and the others are judged by what it has become.
    ///
    /// # Errors
    /// [`CallError::Unknown`], and what [`Call::advanced`] says.
    fn advance(&self, id: CallId, by: UserId, to: CallStatus) -> BoxFuture<'_, Result<Call, CallError>>;
}
