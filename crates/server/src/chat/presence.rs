//! Who is in a room: `UserJoined` and `UserLeft`.
//!
//! Each instance watches the rooms that connections of it are in, and tells these of users whose first device came or whose last one left,
//! on whatever instance, and also if that dies. So no instance has to be chosen to tell, and none can forget to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt};
use hubline::directory::{GroupEvent, Member};
use hubline::{ConnectionId, Directory, HubContext, UserId};
use hubline_supervision::Vital;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::wire::now;

/// The rooms that connections of this instance are in.
#[derive(Debug, Default)]
pub(super) struct Presence {
    rooms: Mutex<HashMap<Arc<str>, Room>>,
    /// Rooms that are not watched yet.
    wanted: Mutex<Vec<(Arc<str>, CancellationToken)>>,
    is_wanted: Notify,
}

#[derive(Debug)]
struct Room {
    /// Connections of this instance.
    here: HashSet<ConnectionId>,
    /// Devices of each user in the fleet.
    devices: HashMap<UserId, usize>,
    is_known: bool,
    /// Cancelled when nobody is here any more.
    watched: CancellationToken,
}

/// What happened to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Joined,
    Left,
}

impl Change {
    fn event(self) -> &'static str {
        match self {
            Self::Joined => "UserJoined",
            Self::Left => "UserLeft",
        }
    }
}

impl Presence {
    /// A connection of this instance is about to enter a room.
    pub(super) fn enter(&self, room: &str, connection: &ConnectionId) {
        let mut rooms = self.rooms.lock();
        if let Some(room) = rooms.get_mut(room) {
            room.here.insert(connection.clone());
            return;
        }
        let (name, watched) = (Arc::<str>::from(room), CancellationToken::new());
        let here = HashSet::from([connection.clone()]);
        let room = Room { here, devices: HashMap::new(), is_known: false, watched: watched.clone() };
        rooms.insert(Arc::clone(&name), room);
        self.wanted.lock().push((name, watched));
        self.is_wanted.notify_one();
    }

    /// A connection of this instance has left a room.
    pub(super) fn exit(&self, name: &str, connection: &ConnectionId) {
        let mut rooms = self.rooms.lock();
        let Some(room) = rooms.get_mut(name) else { return };
        room.here.remove(connection);
        if room.here.is_empty() {
            room.watched.cancel();
            rooms.remove(name);
        }
    }

    /// Takes an event of a room in. Returns what became of users, and the connections that are to be told.
    fn take(&self, watched: &Watched) -> (Vec<(UserId, Change)>, Vec<ConnectionId>) {
        let mut rooms = self.rooms.lock();
        match rooms.get_mut(&watched.room).filter(|_| !watched.until.is_cancelled()) {
            Some(room) => {
                let changes = room.take(&watched.event);
                let told = if changes.is_empty() { Vec::new() } else { room.here.iter().cloned().collect() };
                (changes, told)
            }
            None => Default::default(),
        }
    }
}

impl Room {
    fn take(&mut self, event: &GroupEvent) -> Vec<(UserId, Change)> {
        match event {
            GroupEvent::Snapshot(members) => self.replace(members),
            GroupEvent::Joined(Member { user: Some(user), .. }) => {
                let devices = self.devices.entry(user.clone()).or_default();
                *devices += 1;
                if *devices == 1 { vec![(user.clone(), Change::Joined)] } else { Vec::new() }
            }
            GroupEvent::Left(Member { user: Some(user), .. }) => {
                let Some(devices) = self.devices.get_mut(user) else { return Vec::new() };
                *devices -= 1;
                if *devices > 0 {
                    return Vec::new();
                }
                self.devices.remove(user);
                vec![(user.clone(), Change::Left)]
            }
            GroupEvent::Joined(_) | GroupEvent::Left(_) => Vec::new(),
        }
    }

    fn replace(&mut self, members: &[Member]) -> Vec<(UserId, Change)> {
        let mut devices: HashMap<UserId, usize> = HashMap::new();
        let mut elsewhere = HashSet::new();
        for Member { connection, user } in members {
            let Some(user) = user else { continue };
            *devices.entry(user.clone()).or_default() += 1;
            if !self.here.contains(connection) {
                elsewhere.insert(user);
            }
        }
        // At first nobody was here, so who is in the room by connections of this instance alone has just come.
        let was_in = |user: &UserId| match self.is_known {
            true => self.devices.contains_key(user),
            false => elsewhere.contains(user),
        };
        let joined = devices.keys().filter(|user| !was_in(user)).map(|user| (user.clone(), Change::Joined));
        let left = self.devices.keys().filter(|user| !devices.contains_key(*user));
        let changes = joined.chain(left.map(|user| (user.clone(), Change::Left))).collect();
        (self.devices, self.is_known) = (devices, true);
        changes
    }
}

/// Watches rooms and tells their members.
pub(super) struct RoomWatcher {
    pub(super) presence: Arc<Presence>,
    pub(super) context: HubContext,
    pub(super) watches: SelectAll<BoxStream<'static, Watched>>,
}

/// An event of a room, as long as it is watched.
pub(super) struct Watched {
    room: Arc<str>,
    until: CancellationToken,
    event: GroupEvent,
}

impl Vital for RoomWatcher {
    const NAME: &'static str = "members of rooms";

    async fn run(&mut self) {
        let Some(directory) = self.context.directory().cloned() else { return };
        loop {
            let presence = &*self.presence;
            tokio::select! {
                () = presence.is_wanted.notified() => {
                    for (room, until) in std::mem::take(&mut *presence.wanted.lock()) {
                        self.watches.push(watch(directory.clone(), room, until));
                    }
                }
                Some(watched) = self.watches.next(), if !self.watches.is_empty() => {
                    let (changes, told) = presence.take(&watched);
                    tell(&self.context, changes, told).await;
                }
            }
        }
    }
}

async fn tell(context: &HubContext, changes: Vec<(UserId, Change)>, told: Vec<ConnectionId>) {
    let clients = context.clients();
    for (user, change) in changes {
        let at = now();
        for connection in &told {
            if let Err(error) = clients.client(connection).send(change.event(), (&user, at)).await {
                tracing::debug!(%error, "a member of a room was not told who is in it");
            }
        }
    }
}

fn watch(directory: Directory, room: Arc<str>, until: CancellationToken) -> BoxStream<'static, Watched> {
    let group = (&*room).into();
    let events = stream::once(async move { directory.watch_group(group).await }).flatten();
    let ended = until.clone().cancelled_owned();
    let events = events.take_until(ended);
    events.map(move |event| Watched { room: Arc::clone(&room), until: until.clone(), event }).boxed()
}
