//! Whether new clients may be sent to this instance, and if not, why. What is asked about that is answered from here alone.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use hubline::Status;
use hubline_store::StoreStatus;
use hubline_supervision::Vital;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Why no new clients may be sent here, in words for everybody: neither hosts nor errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotReady {
    /// Clients are handed over to other instances.
    Draining,
    /// That is over, and the process may be stopped.
    Drained,
    /// The tables of the database are made, by this instance or by another one that it waits for.
    Migrating,
    /// Not everything is there that is to be served.
    Starting,
    /// This has not been reached once since the start. Who is lost later is no reason: all instances lose it.
    NeverReached(&'static str),
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draining => f.write_str("it is draining"),
            Self::Drained => f.write_str("it is drained"),
            Self::Migrating => f.write_str("migrations run in the database"),
            Self::Starting => f.write_str("it is starting"),
            Self::NeverReached(what) => write!(f, "{what} has not been reached yet"),
        }
    }
}

/// What has become of the start, and whether the end has begun. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Readiness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    draining: AtomicBool,
    drained: AtomicBool,
    is_serving: AtomicBool,
    database: OnceLock<watch::Receiver<StoreStatus>>,
    needed: Mutex<Vec<Needed>>,
}

#[derive(Debug)]
struct Needed {
    name: &'static str,
    status: watch::Receiver<Status>,
    was_reached: Arc<AtomicBool>,
    _watching: AbortOnDropHandle<()>,
}

impl Readiness {
    /// Of an instance that is starting.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            draining: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            is_serving: AtomicBool::new(false),
            database: OnceLock::new(),
            needed: Mutex::default(),
        }))
    }

    /// Tells when the tables of this database are made.
    pub(crate) fn follow_migrations(&self, database: watch::Receiver<StoreStatus>) {
        _ = self.0.database.set(database);
    }

    /// Waits until this was reached once. If it cannot be, that is logged with the setting that names it, where one is told.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn need(&self, name: &'static str, named_by: Option<String>, status: watch::Receiver<Status>) {
        let was_reached = Arc::new(AtomicBool::new(false));
        let was = Arc::clone(&was_reached);
        let watching = Watching { name, named_by, status: status.clone(), was_reached: was };
        let _watching = hubline_supervision::spawn(watching);
        self.0.needed.lock().push(Needed { name, status, was_reached, _watching });
    }

    /// Everything that is to be served is there.
    pub(crate) fn serve(&self) {
        self.0.is_serving.store(true, Ordering::Relaxed);
    }

    /// Clients are handed over.
    pub(crate) fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// That is over.
    pub(crate) fn drained(&self) {
        self.0.drained.store(true, Ordering::Relaxed);
    }

    /// Why not; `None` if new clients may come.
    pub(crate) fn reason(&self) -> Option<NotReady> {
        let Inner { draining, drained, is_serving, database, needed } = &*self.0;
        if drained.load(Ordering::Relaxed) {
            return Some(NotReady::Drained);
        }
        if draining.load(Ordering::Relaxed) {
            return Some(NotReady::Draining);
        }
        if database.get().is_some_and(|status| *status.borrow() == StoreStatus::Migrating) {
            return Some(NotReady::Migrating);
        }
        if !is_serving.load(Ordering::Relaxed) {
            return Some(NotReady::Starting);
        }
        let needed = needed.lock();
        let missing = needed.iter().find(|needed| !needed.was_reached());
        missing.map(|needed| NotReady::NeverReached(needed.name))
    }

    /// Why the instance cannot even serve the clients it has; `None` if it can.
    pub(crate) fn unhealthy(&self) -> Option<NotReady> {
        let is_serving = self.0.is_serving.load(Ordering::Relaxed);
        let leaves = |reason: &NotReady| matches!(reason, NotReady::Draining | NotReady::Drained);
        self.reason().filter(|reason| leaves(reason) || !is_serving)
    }
}

impl Needed {
    /// Looks itself too: whoever asks at once need not wait for the task.
    fn was_reached(&self) -> bool {
        self.was_reached.load(Ordering::Relaxed) || is_reached(&self.status.borrow())
    }
}

fn is_reached(status: &Status) -> bool {
    !matches!(status, Status::Disconnected(_))
}

struct Watching {
    name: &'static str,
    /// The setting that names it, if it is told here that it cannot be reached.
    named_by: Option<String>,
    status: watch::Receiver<Status>,
    was_reached: Arc<AtomicBool>,
}

/// What is said until the first attempt is over.
const CONNECTING: &str = "connecting";

impl Vital for Watching {
    const NAME: &'static str = "readiness";

    async fn run(&mut self) {
        let is_known = |status: &Status| !matches!(status, Status::Disconnected(why) if why == CONNECTING);
        if let Some(named_by) = &self.named_by
            && let Ok(status) = self.status.wait_for(is_known).await
            && let Status::Disconnected(reason) = &*status
        {
            tracing::warn!(
                %reason,
                "{} has not been reached since the start, and {named_by} names it. Until it is, balancers send new clients elsewhere \
                 (/health/ready is 503)",
                self.name
            );
        }
        if self.status.wait_for(is_reached).await.is_ok() {
            self.was_reached.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_reached_once_is_never_missed_again() {
        let (redis, redis_status) = watch::channel(Status::Disconnected("connecting".to_owned()));
        let readiness = Readiness::new();
        readiness.need("Redis", None, redis_status);
        readiness.serve();
        assert_eq!(readiness.reason(), Some(NotReady::NeverReached("Redis")));
        assert_eq!(readiness.unhealthy(), None, "it serves its own clients");
        redis.send_replace(Status::Connected);
        assert_eq!(readiness.reason(), None);
        // The task has it too, however short it was.
        while !readiness.0.needed.lock()[0].was_reached.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        redis.send_replace(Status::Disconnected("gone".to_owned()));
        assert_eq!(readiness.reason(), None);
    }

    #[tokio::test]
    async fn a_start_and_an_end_are_told_whatever_was_reached() {
        let (database, status) = watch::channel(StoreStatus::Starting("connecting".to_owned()));
        let readiness = Readiness::new();
        assert_eq!(readiness.unhealthy(), Some(NotReady::Starting));
        readiness.follow_migrations(status);
        assert_eq!(readiness.reason(), Some(NotReady::Starting));
        database.send_replace(StoreStatus::Migrating);
        assert_eq!(readiness.unhealthy(), Some(NotReady::Migrating));
        readiness.serve();
        assert_eq!((readiness.reason(), readiness.unhealthy()), (Some(NotReady::Migrating), None));
        database.send_replace(StoreStatus::Connected);
        assert_eq!(readiness.reason(), None);
        readiness.drain();
        assert_eq!(
            (readiness.reason(), readiness.unhealthy()),
            (Some(NotReady::Draining), Some(NotReady::Draining))
        );
        readiness.drained();
        assert_eq!(readiness.unhealthy(), Some(NotReady::Drained));
    }
}
