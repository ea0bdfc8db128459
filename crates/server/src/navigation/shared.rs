//! What the hub's methods, the HTTP handlers and the tasks share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hubline_store::navigation::NavigationStore;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::NavigationConfig;
use super::scope::{Scope, Scopes};
use super::view::{NavigationState, UnixSeconds, View};

/// How long a client waits for the database, if there is a state to fall back on.
const PATIENCE_WITH_STATE: Duration = Duration::from_secs(1);
/// How long a client waits for the database at most.
const PATIENCE: Duration = Duration::from_millis(4_500);

/// One for each instance.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: NavigationConfig,
    pub(super) store: NavigationStore,
    pub(super) scopes: Scopes,
    pub(super) counters: Arc<NavigationCounters>,
    /// Written while something is sent to all clients, read while something is sent to one: a client never gets a version behind
    /// a later one.
    pub(super) order: tokio::sync::RwLock<()>,
    /// As it was read last.
    latest: RwLock<Option<Arc<View>>>,
    /// How many have asked for the state.
    asked: AtomicU64,
    /// How many of them asked before the database was last looked at.
    answered: watch::Sender<u64>,
    signals: Mutex<Signals>,
    wake: Notify,
    /// When this instance has taken a change last, for the other instances.
    taken: watch::Sender<UnixSeconds>,
}

/// What the navigation state has counted since the start.
#[derive(Debug, Default)]
pub struct NavigationCounters {
    /// The version that clients of this instance have been told, or would have been.
    pub version: AtomicU64,
    /// How often the state was sent to all clients of this instance.
    pub states_sent: AtomicU64,
    /// How many single changes clients of this instance were told of.
    pub changes_sent: AtomicU64,
    /// How often the database could not be read.
    pub reads_failed: AtomicU64,
    /// How often the other instances could not be told of a change, which they find by themselves.
    pub announcements_failed: AtomicU64,
}

/// The state cannot be read, and never could be since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The navigation state cannot be read: the database does not answer. Ask again later.")]
pub(super) struct NoState;

/// What the follower was woken for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Signals {
    /// When somebody said last that there may be a new version.
    pub(super) changed: Option<UnixSeconds>,
    /// When somebody wanted the state sent last, whether it has changed or not.
    pub(super) triggered: Option<UnixSeconds>,
}

impl Shared {
    pub(super) fn new(config: NavigationConfig, store: NavigationStore) -> Self {
        Self {
            config,
            store,
            scopes: Scopes::default(),
            counters: Arc::default(),
            order: tokio::sync::RwLock::default(),
            latest: RwLock::default(),
            asked: AtomicU64::new(0),
            answered: watch::Sender::new(0),
            signals: Mutex::default(),
            wake: Notify::new(),
            taken: watch::Sender::new(UnixSeconds(0.0)),
        }
    }

    /// The state that the database has, and if it does not answer the one that was read last.
    ///
    /// However many ask at once, the database is asked once.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn refresh(&self) -> Result<(), NoState> {
        let mut answered = self.answered.subscribe();
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake.notify_one();
        let patience = if self.latest().is_some() { PATIENCE_WITH_STATE } else { PATIENCE };
        _ = timeout(patience, answered.wait_for(|answered| *answered >= ticket)).await;
        self.latest().map(drop).ok_or(NoState)
    }

    /// The state that was read last, as a client of this scope sees it.
    pub(super) fn state(&self, scope: &Scope) -> Result<NavigationState, NoState> {
        let view = self.latest().ok_or(NoState)?;
        Ok(NavigationState::new(view.within(scope), UnixSeconds::now()))
    }

    pub(super) fn latest(&self) -> Option<Arc<View>> {
        self.latest.read().clone()
    }

    pub(super) fn set_latest(&self, view: Arc<View>) {
        self.counters.version.store(view.version.unsigned_abs(), Ordering::Relaxed);
        *self.latest.write() = Some(view);
    }

    /// Has the database looked at, since another instance has changed something then.
    pub(super) fn change(&self, at: UnixSeconds) {
        self.signals.lock().changed = Some(at);
        self.wake.notify_one();
    }

    /// Has the state sent to all clients of this instance, since somebody has asked for that then.
    pub(super) fn trigger(&self, at: UnixSeconds) {
        self.signals.lock().triggered = Some(at);
        self.wake.notify_one();
    }

    /// Has the other instances told that this one has taken a change then.
    pub(super) fn announce(&self, at: UnixSeconds) {
        self.taken.send_replace(at);
    }

    /// Changes with [`Shared::announce`].
    pub(super) fn taken(&self) -> watch::Receiver<UnixSeconds> {
        self.taken.subscribe()
    }

    /// Waits until somebody asks, or one of the signals is set.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Takes the signals.
    pub(super) fn take_signals(&self) -> Signals {
        std::mem::take(&mut *self.signals.lock())
    }

    /// How many have asked so far.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Whether somebody waits for an answer.
    pub(super) fn is_asked(&self) -> bool {
        self.asked() > *self.answered.borrow()
    }

    /// Says that the database was looked at after so many had asked.
    pub(super) fn answer(&self, asked: u64) {
        self.answered.send_replace(asked);
    }
}
