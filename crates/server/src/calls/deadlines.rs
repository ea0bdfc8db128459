//! Looks at calls whose time has come: those of this instance at once, those of an instance that has died a little later.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hubline::Status;
use hubline_supervision::Vital;
use tokio::sync::watch;
use tokio::time::{interval, sleep};

use super::Shared;
use super::error::CallError;
use super::fleet::LEASE;
use super::timers::Reason;

/// How old knowledge of a call may be that another instance may have changed: what an instance goes on with when Redis vanishes.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// The same of a call that rings: once Redis has vanished, an instance that does not know that it was accepted would end it.
const RINGING_KNOWN_FOR: Duration = Duration::from_secs(1);
/// Calls that are looked at together.
const TOGETHER: usize = 16;
/// Between attempts to write what Redis has not taken.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Looks at calls of this instance.
pub(super) struct OwnDeadlines(pub(super) Arc<Shared>);

impl Vital for OwnDeadlines {
    const NAME: &'static str = "deadlines of calls";

    async fn run(&mut self) {
        let shared = &self.0;
        let Shared { timers, sessions, .. } = &**shared;
        loop {
            timers.wait(&sessions.clock).await;
            let due = timers.take(sessions.clock.now(), TOGETHER);
            let looking = due.into_iter().map(|(id, reason)| async move {
                let next = shared.look(&id, reason == Reason::Announcement).await;
                let goes_on = || sessions.held.session(&id).is_some_and(|session| !session.is_over());
                if let Some(next) = next.filter(|_| goes_on()) {
                    timers.set(&id, next, Reason::Deadline);
                }
            });
            stream::iter(looking).buffer_unordered(TOGETHER).collect::<()>().await;
        }
    }
}

/// Looks at calls of the fleet.
pub(super) struct FleetDeadlines(pub(super) Arc<Shared>);

impl Vital for FleetDeadlines {
    const NAME: &'static str = "deadlines of the fleet's calls";

    async fn run(&mut self) {
        let sweep_interval = self.0.options.sweep_interval;
        let mut sweeps = interval(sweep_interval);
        let mut refreshes = interval(RINGING_KNOWN_FOR.min(sweep_interval));
        loop {
            tokio::select! {
                _ = sweeps.tick() => self.sweep().await,
                now = refreshes.tick() => {
                    let before = |age| now.checked_sub(age).unwrap_or(now);
                    let ringing_before = before(RINGING_KNOWN_FOR.min(sweep_interval));
                    self.0.sessions.refresh(before(KNOWN_FOR), ringing_before).await;
                }
            }
        }
    }
}

impl FleetDeadlines {
    async fn sweep(&self) {
        let sessions = &self.0.sessions;
        while let Some(claimed) = sessions.claim().await {
            if claimed.ids.is_empty() {
                return;
            }
            let until = claimed.until;
            let looking = claimed.ids.into_iter().map(|id| async move {
                let next = self.0.look(&id, false).await;
                sessions.settle(&id, until, next).await;
            });
            stream::iter(looking).buffer_unordered(TOGETHER).collect::<()>().await;
        }
    }
}

/// Writes to Redis what it could not take at once, or has lost; asks it what it could not be asked.
pub(super) struct Writing {
    pub(super) shared: Arc<Shared>,
    pub(super) status: watch::Receiver<Status>,
}

impl Vital for Writing {
    const NAME: &'static str = "calls";

    async fn run(&mut self) {
        let sessions = &self.shared.sessions;
        loop {
            tokio::select! {
                changed = self.status.changed() => match changed {
                    // Redis may have lost what it had.
                    Ok(()) if *self.status.borrow() == Status::Connected => sessions.held.all_unwritten(),
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = sessions.is_unwritten.notified() => {}
            }
            while self.catch_up().await.is_err() {
                sleep(BETWEEN_ATTEMPTS).await;
            }
        }
    }
}

impl Writing {
    async fn catch_up(&self) -> Result<(), CallError> {
        self.shared.sessions.write_unwritten().await.map_err(|_| CallError::Unavailable)?;
        self.shared.ring_all_late().await
    }
}

/// When a call is looked at again that somebody else is busy with, or that waits to be written into the history.
pub(super) fn later() -> i64 {
    i64::try_from(LEASE.as_millis()).unwrap_or_default()
}
