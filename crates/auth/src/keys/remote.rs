//! Keys that are fetched and kept fresh.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hubline_supervision::{Vital, spawn_on};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::fetch::Fetched;
use super::{Fetcher, RemoteKeys, RemoteKeysError, VerificationKey};

/// Waits between attempts while keys cannot be fetched, doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// The newest keys of one URL. A task fetches them until this is dropped.
pub(crate) struct RemoteKeySet {
    published: watch::Receiver<Snapshot>,
    unknown_key: Arc<Notify>,
    options: RemoteKeys,
    _task: AbortOnDropHandle<()>,
}

/// The state after a fetch.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    keys: Arc<[VerificationKey]>,
    issuer: Option<Arc<str>>,
    /// How often keys or issuer have changed.
    generation: u64,
    /// How often a fetch has ended, well or not, and when the last did.
    attempts: u64,
    attempted_at: Option<Instant>,
}

impl RemoteKeySet {
    /// Starts to fetch.
    pub(crate) fn start(options: &RemoteKeys) -> Result<Self, RemoteKeysError> {
        options.check()?;
        let runtime = Handle::try_current().map_err(|_| RemoteKeysError::NoRuntime)?;
        let (publish, published) = watch::channel(Snapshot::default());
        let unknown_key = Arc::new(Notify::new());
        let task = Refresher {
            fetcher: Fetcher::new(options.clone()),
            publish,
            unknown_key: Arc::clone(&unknown_key),
            refetch_interval: options.refetch_interval,
            failures: 0,
        };
        let task = spawn_on(&runtime, task);
        Ok(Self { published, unknown_key, options: options.clone(), _task: task })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.published.borrow().clone()
    }

    /// Whether there may be newer keys than these: waits for the next fetch, unless the last was a moment ago.
    pub(crate) async fn newer_than(&self, known: &Snapshot) -> bool {
        let mut published = self.published.clone();
        let newest = self.snapshot();
        if newest.attempts != known.attempts {
            return true;
        }
        if newest.is_recent(self.options.refetch_interval) {
            return false;
        }
        self.unknown_key.notify_one();
        let newer = published.wait_for(|newest| newest.attempts != known.attempts);
        timeout(self.options.timeout, newer).await.is_ok_and(|newest| newest.is_ok())
    }
}

impl Snapshot {
    pub(crate) fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// A number that changes with the keys.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    fn is_recent(&self, interval: Duration) -> bool {
        self.attempted_at.is_some_and(|attempted_at| attempted_at.elapsed() < interval)
    }
}

/// Does all the fetching, so that it happens once for all who wait for it.
struct Refresher {
    fetcher: Fetcher,
    publish: watch::Sender<Snapshot>,
    unknown_key: Arc<Notify>,
    refetch_interval: Duration,
    failures: u32,
}

impl Vital for Refresher {
    const NAME: &'static str = "keys of tokens";

    async fn run(&mut self) {
        loop {
            let due = Instant::now() + self.refresh().await;
            self.wait(due).await;
        }
    }
}

impl Refresher {
    /// Fetches once; says when to do so again.
    async fn refresh(&mut self) -> Duration {
        match self.fetcher.fetch().await {
            Ok(Fetched { keys, issuer, fresh_for }) => {
                self.failures = 0;
                if let Some(keys) = &keys {
                    tracing::debug!(count = keys.len(), "Fetched the keys of tokens");
                }
                self.attempted(|snapshot| {
                    let issuer = issuer.map(Into::into);
                    let is_newer = keys.is_some() || snapshot.issuer != issuer;
                    snapshot.generation += u64::from(is_newer);
                    snapshot.issuer = issuer;
                    if let Some(keys) = keys {
                        snapshot.keys = keys.into();
                    }
                });
                fresh_for
            }
            Err(error) => {
                let retry = FIRST_RETRY.saturating_mul(1 << self.failures.min(16)).min(LAST_RETRY);
                self.failures = self.failures.saturating_add(1);
                tracing::warn!(%error, ?retry, "The URL with the keys of tokens fails; those known stay in use");
                self.attempted(|_| {});
                retry
            }
        }
    }

    fn attempted(&self, change: impl FnOnce(&mut Snapshot)) {
        self.publish.send_modify(|snapshot| {
            change(snapshot);
            snapshot.attempts += 1;
            snapshot.attempted_at = Some(Instant::now());
        });
    }

    /// Waits until it is time, or until a token names an unknown key and the last fetch is long enough ago.
    async fn wait(&self, due: Instant) {
        loop {
            tokio::select! {
                () = sleep_until(due) => return,
                () = self.unknown_key.notified() => {
                    if !self.publish.borrow().is_recent(self.refetch_interval) {
                        return;
                    }
                }
            }
        }
    }
}

impl fmt::Debug for RemoteKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Snapshot { keys, issuer, .. } = self.snapshot();
        let mut debug = f.debug_struct("RemoteKeySet");
        debug.field("location", &self.options.location).field("keys", &keys).field("issuer", &issuer);
        debug.finish_non_exhaustive()
    }
}
