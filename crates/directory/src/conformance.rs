//! What every directory must do, as a test that its own tests call.
//!
//! [`one_instance`] needs one directory, [`two_instances`] two of one fleet. Both want them empty, leave them so, and
//! can be called again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_protocol::{ConnectionId, GroupName, UserId};
use tokio::sync::mpsc;

use crate::{
    ConnectionChange, ConnectionEvent, ConnectionObserver, GroupEvent, GroupWatch, HubDirectory, HubSessions,
    Member, ObserverError, Page, Scope, SessionDirectory,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// Asks until the answer is the expected one.
///
/// # Panics
/// If it never is.
pub async fn until<T: PartialEq + std::fmt::Debug>(expected: T, mut ask: impl AsyncFnMut() -> T) {
    let mut last = None;
    let asked = async {
        loop {
            let answer = ask().await;
            if answer == expected {
                return;
            }
            last = Some(answer);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if tokio::time::timeout(DEADLINE, asked).await.is_err() {
        panic!("expected {expected:?}, last answer {last:?}");
    }
}

/// The members a watcher believes in after what it was told; no event may contradict them.
#[derive(Debug)]
pub struct Believed {
    watch: GroupWatch,
    /// Who is in the group, as far as the events tell.
    pub members: BTreeSet<Member>,
    /// How many snapshots came.
    pub snapshots: usize,
}

impl Believed {
    /// Watches a group.
    pub async fn watch(hub: &dyn HubDirectory, group: &str) -> Self {
        Self { watch: hub.watch_group(group.into()).await, members: BTreeSet::new(), snapshots: 0 }
    }

    /// Takes the next event.
    ///
    /// # Panics
    /// If somebody joins who is there, or leaves who is not, or nothing comes.
    pub async fn step(&mut self) -> GroupEvent {
        let event = tokio::time::timeout(DEADLINE, self.watch.next()).await.expect("an event comes");
        match &event {
            GroupEvent::Snapshot(members) => {
                self.snapshots += 1;
                self.members = members.iter().cloned().collect();
                assert_eq!(self.members.len(), members.len(), "nobody is in a snapshot twice");
            }
            GroupEvent::Joined(member) => {
                assert!(self.members.insert(member.clone()), "{member:?} joined twice")
            }
            GroupEvent::Left(member) => {
                assert!(self.members.remove(member), "{member:?} left and was not there")
            }
        }
        event
    }

    /// Takes events until these connections are the members.
    ///
    /// # Panics
    /// As [`step`](Self::step).
    pub async fn until(&mut self, connections: &[&str]) {
        while self.snapshots == 0
            || !self.members.iter().map(|m| m.connection.as_str()).eq(connections.iter().copied())
        {
            self.step().await;
        }
    }
}

fn id(text: &str) -> ConnectionId {
    text.into()
}

fn user(text: &str) -> UserId {
    text.into()
}

fn member(connection: &str, user: Option<&str>) -> Member {
    Member { connection: connection.into(), user: user.map(UserId::from) }
}

async fn counts(hub: &dyn HubDirectory) -> (u64, u64, u64) {
    let connections = hub.connection_count().await;
    assert_eq!(connections.scope, Scope::Fleet);
    (connections.value, hub.user_count().await.value, hub.member_count("g".into()).await.value)
}

/// The changes that an observer of a hub is told, as texts: `+` connected, `-` disconnected, `!` its instance died, then
/// the connection's id.
#[derive(Debug)]
pub struct Observed {
    told: mpsc::Receiver<Vec<String>>,
    waiting: VecDeque<String>,
}

/// Fails at its first call, so that changes have to be reported again.
#[derive(Debug)]
struct Recorder {
    tell: mpsc::Sender<Vec<String>>,
    calls: AtomicU32,
    resync_period: Option<Duration>,
}

impl ConnectionObserver for Recorder {
    fn changed<'a>(
        &'a self,
        _: &'a dyn HubDirectory,
        changes: &'a [ConnectionChange],
    ) -> BoxFuture<'a, Result<(), ObserverError>> {
        async move {
            assert!(changes.len() <= 128, "{}", changes.len());
            if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err("the first call fails".into());
            }
            // The test may be over.
            _ = self.tell.send(changes.iter().map(text_of).collect()).await;
            Ok(())
        }
        .boxed()
    }

    fn resync_period(&self) -> Option<Duration> {
        self.resync_period
    }
}

fn text_of(change: &ConnectionChange) -> String {
    let sign = match change.event {
        ConnectionEvent::Connected => '+',
        ConnectionEvent::Disconnected => '-',
        ConnectionEvent::InstanceDied => '!',
    };
    format!("{sign}{}", change.connection)
}

impl Observed {
    /// Observes a hub.
    pub fn of(directory: &dyn SessionDirectory, hub: &str) -> Self {
        Self::of_with(directory, hub, None)
    }

    /// Observes a hub with this [`ConnectionObserver::resync_period`].
    pub fn of_with(directory: &dyn SessionDirectory, hub: &str, resync_period: Option<Duration>) -> Self {
        let (tell, told) = mpsc::channel(64);
        let recorder = Recorder { tell, calls: AtomicU32::new(0), resync_period };
        directory.observe(hub, Arc::new(recorder));
        Self { told, waiting: VecDeque::new() }
    }

    /// The next change.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next(&mut self) -> String {
        while self.waiting.is_empty() {
            // Longer than any period here, for tests whose clock is paused.
            let told = tokio::time::timeout(DEADLINE * 1000, self.told.recv()).await;
            self.waiting.extend(told.ok().flatten().expect("a change is reported"));
        }
        self.waiting.pop_front().unwrap_or_default()
    }

    /// Takes changes until all of these have come, in any order; others are skipped.
    ///
    /// # Panics
    /// If they do not come.
    pub async fn until(&mut self, changes: &[&str]) {
        let mut missing: BTreeSet<&str> = changes.iter().copied().collect();
        let coming = async {
            while !missing.is_empty() {
                let change = self.next().await;
                missing.remove(&*change);
            }
        };
        if tokio::time::timeout(DEADLINE, coming).await.is_err() {
            panic!("{missing:?} were not reported");
        }
    }
}

/// Reports, counts, listings, presence and observers.
///
/// # Panics
/// If the directory does not conform.
pub async fn one_instance(directory: &dyn SessionDirectory) {
    let hub = directory.attach("Conformance");
    let other = directory.attach("Conformance:é");
    // A directory may have to find its fleet first.
    until(Scope::Fleet, async || hub.connection_count().await.scope).await;
    assert_eq!(counts(&*hub).await, (0, 0, 0));

    hub.connected(id("c1"), Some(user("ada")));
    hub.connected(id("c2"), Some(user("ada")));
    hub.connected(id("c3"), None);
    other.connected(id("o1"), Some(user("ada")));
    hub.joined(&id("c1"), &"g".into());
    hub.joined(&id("c1"), &"g".into());
    hub.joined(&id("c3"), &"g".into());
    hub.joined(&id("nobody"), &"g".into());
    assert_eq!(counts(&*hub).await, (3, 1, 2));
    assert_eq!(counts(&*other).await, (1, 1, 0));

    let found = hub.find(id("c1")).await.value.expect("c1 is there");
    assert_eq!((found.connection, found.user), (id("c1"), Some(user("ada"))));
    assert!(found.since.elapsed().is_ok_and(|since| since < Duration::from_secs(3600)));
    assert_eq!(hub.find(id("c")).await.value, None, "the beginning of an id is no id");
    assert_eq!(hub.find(id("o1")).await.value, None, "hubs do not mix");
    assert_eq!(hub.connections_of(user("ada")).await.value.len(), 2);
    assert_eq!(hub.connections_of(user("ad")).await.value, []);
    let members = hub.members("g".into(), Page::first(10)).await.value;
    assert_eq!(members.items, [member("c1", Some("ada")), member("c3", None)]);
    assert_eq!(members.next, None);

    hub.left(&id("c3"), &"g".into());
    hub.left(&id("c3"), &"never in".into());
    hub.disconnected(&id("c1"));
    hub.disconnected(&id("c1"));
    assert_eq!(counts(&*hub).await, (2, 1, 0));
    for connection in ["c2", "c3"] {
        hub.disconnected(&id(connection));
    }
    other.disconnected(&id("o1"));
    assert_eq!(counts(&*hub).await, (0, 0, 0));

    newest_first(&*hub).await;
    an_id_again(&*hub).await;
    pages(&*hub).await;
    presence(&*hub).await;
    observers(directory).await;
}

async fn newest_first(hub: &dyn HubSessions) {
    for connection in ["b", "c", "a"] {
        hub.connected(id(connection), Some(user("ada")));
        next_millisecond().await;
    }
    assert_eq!(hub.connections_of(user("ada")).await.value, [id("a"), id("c"), id("b")]);
    hub.disconnected(&id("a"));
    assert_eq!(hub.connections_of(user("ada")).await.value, [id("c"), id("b")]);
    hub.disconnected(&id("b"));
    hub.disconnected(&id("c"));
}

/// An id that comes again with another user, before anybody may have noticed.
async fn an_id_again(hub: &dyn HubSessions) {
    for name in ["ada", "bob"] {
        hub.connected(id("again"), Some(user(name)));
        hub.joined(&id("again"), &"g".into());
        if name == "ada" {
            assert_eq!(counts(hub).await, (1, 1, 1));
            hub.disconnected(&id("again"));
        }
    }
    assert_eq!(counts(hub).await, (1, 1, 1));
    assert_eq!(hub.users(Page::first(9)).await.value.items, [user("bob")]);
    let members = hub.members("g".into(), Page::first(9)).await.value.items;
    assert_eq!(members, [member("again", Some("bob"))]);
    hub.disconnected(&id("again"));
    assert_eq!(counts(hub).await, (0, 0, 0));
}

/// The order of connecting is that of a clock of milliseconds.
async fn next_millisecond() {
    let milliseconds =
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let before = milliseconds();
    while milliseconds() <= before {
        tokio::task::yield_now().await;
    }
}

/// Names of any kind, and pages while others come and go.
async fn pages(hub: &dyn HubSessions) {
    const COUNT: usize = 60;
    let group = GroupName::from("g é{x}:\"\\\u{1f600}");
    let connection = |n: usize| id(&format!("id-{n:03}"));
    let owner = |n: usize| user(&format!("user {:02}: é{{x}}\"", n / 2));
    for n in 0..COUNT {
        hub.connected(connection(n), Some(owner(n)));
        hub.joined(&connection(n), &group);
    }
    let (mut connections, mut users, mut members) = (Vec::new(), Vec::new(), Vec::new());
    let mut pages = 0;
    let mut page = Page::first(7);
    loop {
        let listing = hub.connections(page).await.value;
        pages += 1;
        connections.extend(listing.items.into_iter().map(|item| (item.connection, item.user)));
        // What comes and goes moves nobody who stays, and a cursor may point at one who has gone.
        let passer_by = id(&format!("id-0{pages}x"));
        hub.connected(passer_by.clone(), None);
        if let Some((last, _)) = connections.last().filter(|_| pages == 2).cloned() {
            hub.disconnected(&last);
        }
        hub.disconnected(&passer_by);
        match listing.next {
            Some(cursor) => page = Page::after(cursor, 7),
            None => break,
        }
    }
    let expected: Vec<_> = (0..COUNT).map(|n| (connection(n), Some(owner(n)))).collect();
    assert_eq!(connections, expected);
    hub.connected(connection(13), Some(owner(13)));
    hub.joined(&connection(13), &group);

    let mut page = Some(Page::first(4));
    while let Some(asked) = page.take() {
        let listing = hub.users(asked).await.value;
        users.extend(listing.items);
        page = listing.next.map(|cursor| Page::after(cursor, 4));
    }
    assert_eq!(users, (0..COUNT / 2).map(|n| owner(2 * n)).collect::<Vec<_>>());

    let mut page = Some(Page::first(9));
    while let Some(asked) = page.take() {
        let listing = hub.members(group.clone(), asked).await.value;
        members.extend(listing.items);
        page = listing.next.map(|cursor| Page::after(cursor, 9));
    }
    assert!(members.iter().map(|member| member.connection.clone()).eq((0..COUNT).map(connection)));
    for n in 0..COUNT {
        hub.disconnected(&connection(n));
    }
    assert_eq!(counts(hub).await, (0, 0, 0));
}

/// A snapshot, then changes; a watcher that lags gets another one.
async fn presence(hub: &dyn HubSessions) {
    for connection in ["a", "b"] {
        hub.connected(id(connection), Some(user("ada")));
    }
    hub.joined(&id("a"), &"g".into());
    let mut watched = Believed::watch(hub, "g").await;
    assert_eq!(watched.step().await, GroupEvent::Snapshot(vec![member("a", Some("ada"))]));
    hub.joined(&id("b"), &"g".into());
    hub.joined(&id("b"), &"another".into());
    assert_eq!(watched.step().await, GroupEvent::Joined(member("b", Some("ada"))));
    hub.left(&id("a"), &"g".into());
    assert_eq!(watched.step().await, GroupEvent::Left(member("a", Some("ada"))));
    hub.disconnected(&id("b"));
    assert_eq!(watched.step().await, GroupEvent::Left(member("b", Some("ada"))));

    for n in 0..1000 {
        hub.connected(id(&format!("m{n:03}")), None);
        hub.joined(&id(&format!("m{n:03}")), &"g".into());
    }
    while watched.members.len() < 1000 {
        watched.step().await;
    }
    assert_eq!(watched.snapshots, 2, "one for the whole of the lag");
    for n in 0..1000 {
        hub.disconnected(&id(&format!("m{n:03}")));
    }
    watched.until(&[]).await;
    hub.disconnected(&id("a"));
}

async fn observers(directory: &dyn SessionDirectory) {
    let hub = directory.attach("Conformance of observers");
    hub.connected(id("before"), None);
    let mut observed = Observed::of(directory, "Conformance of observers");
    directory.attach("Conformance").connected(id("elsewhere"), None);
    observed.until(&["+before"]).await;
    hub.connected(id("c"), Some(user("ada")));
    hub.joined(&id("c"), &"g".into());
    observed.until(&["+c"]).await;
    hub.disconnected(&id("c"));
    hub.disconnected(&id("before"));
    directory.attach("Conformance").disconnected(&id("elsewhere"));
    observed.until(&["-c", "-before"]).await;
    assert_eq!(counts(&*hub).await, (0, 0, 0), "what is reported as gone is not there any more");
}

/// What one instance reports the other answers, and its watchers learn of it.
///
/// # Panics
/// If the directories do not conform.
pub async fn two_instances(one: &dyn SessionDirectory, other: &dyn SessionDirectory) {
    let (here, there) = (one.attach("Conformance"), other.attach("Conformance"));
    for hub in [&here, &there] {
        until(Scope::Fleet, async || hub.connection_count().await.scope).await;
    }
    here.connected(id("here"), Some(user("ada")));
    here.joined(&id("here"), &"g".into());
    let mut watched = Believed::watch(&*there, "g").await;
    watched.until(&["here"]).await;
    there.connected(id("there"), Some(user("ada")));
    there.joined(&id("there"), &"g".into());
    watched.until(&["here", "there"]).await;
    for hub in [&here, &there] {
        until((2, 1, 2), async || counts(&**hub).await).await;
    }
    let (found_here, found_there) = (here.find(id("there")).await.value, there.find(id("there")).await.value);
    assert_eq!(found_here, found_there);
    assert_ne!(
        found_here.map(|found| found.instance),
        here.find(id("here")).await.value.map(|found| found.instance)
    );
    until(2, async || here.connections_of(user("ada")).await.value.len()).await;

    here.left(&id("here"), &"g".into());
    watched.until(&["there"]).await;
    there.disconnected(&id("there"));
    watched.until(&[]).await;
    until((1, 1, 0), async || counts(&*here).await).await;

    // Many changes, each watcher's belief comes true and never contradicts itself.
    let mut from_here = Believed::watch(&*here, "g").await;
    let names: Vec<String> = (0..200).map(|n| format!("m{n:03}")).collect();
    for (n, name) in names.iter().enumerate() {
        let hub = if n % 2 == 0 { &here } else { &there };
        hub.connected(id(name), None);
        hub.joined(&id(name), &"g".into());
        if n % 3 == 0 {
            hub.left(&id(name), &"g".into());
        }
    }
    let expected = names.iter().enumerate().filter(|(n, _)| n % 3 != 0);
    let expected: Vec<&str> = expected.map(|(_, name)| name.as_str()).collect();
    from_here.until(&expected).await;
    watched.until(&expected).await;
    for name in &names {
        here.disconnected(&id(name));
        there.disconnected(&id(name));
    }
    from_here.until(&[]).await;
    watched.until(&[]).await;
    here.disconnected(&id("here"));
    for hub in [&here, &there] {
        until((0, 0, 0), async || counts(&**hub).await).await;
    }
}
