//! Whether everything that the instance needs has been reached at least once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use hubline::Status;
use hubline_supervision::Vital;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What has to be reached, each with its name. Who is lost later is no reason to send clients elsewhere: all instances lose it.
#[derive(Debug, Clone)]
pub(super) struct Readiness {
    needed: Arc<[Needed]>,
    _watching: Arc<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct Needed {
    name: &'static str,
    status: watch::Receiver<Status>,
    was_reached: AtomicBool,
}

impl Readiness {
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn start<const N: usize>(needed: [(&'static str, watch::Receiver<Status>); N]) -> Self {
        let needed =
            needed.map(|(name, status)| Needed { name, status, was_reached: AtomicBool::new(false) });
        let needed: Arc<[Needed]> = Arc::new(needed);
        let watching = hubline_supervision::spawn(Watching(Arc::clone(&needed)));
        Self { needed, _watching: Arc::new(watching) }
    }

    /// The first that was never reached.
    pub(super) fn never_reached(&self) -> Option<&'static str> {
        self.needed.iter().find(|needed| !needed.was_reached()).map(|needed| needed.name)
    }
}

impl Needed {
    /// Looks itself too: whoever asks at once need not wait for the task.
    fn was_reached(&self) -> bool {
        self.was_reached.load(Ordering::Relaxed) || is_reached(&self.status.borrow())
    }

    async fn watch(&self) {
        if self.status.clone().wait_for(is_reached).await.is_ok() {
            self.was_reached.store(true, Ordering::Relaxed);
        }
    }
}

fn is_reached(status: &Status) -> bool {
    !matches!(status, Status::Disconnected(_))
}

struct Watching(Arc<[Needed]>);

impl Vital for Watching {
    const NAME: &'static str = "readiness";

    async fn run(&mut self) {
        join_all(self.0.iter().map(Needed::watch)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_reached_once_is_never_missed_again() {
        let (redis, redis_status) = watch::channel(Status::Disconnected("connecting".to_owned()));
        let (database, database_status) = watch::channel(Status::Connected);
        let readiness = Readiness::start([("Redis", redis_status), ("the database", database_status)]);
        assert_eq!(readiness.never_reached(), Some("Redis"));
        redis.send_replace(Status::Connected);
        assert_eq!(readiness.never_reached(), None);
        // The task has it too, however short it was.
        while !readiness.needed.iter().all(|needed| needed.was_reached.load(Ordering::Relaxed)) {
            tokio::task::yield_now().await;
        }
        redis.send_replace(Status::Disconnected("gone".to_owned()));
        database.send_replace(Status::Disconnected("gone".to_owned()));
        assert_eq!(readiness.never_reached(), None);
    }
}
