//! The audit of sign-ins, which nobody waits for.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hubline::UserId;
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry, SIGN_IN};
use hubline_store::{Store, StoreError};
use hubline_supervision::Vital;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// Sign-ins that may wait for the database, about 5 MB. More are lost, and counted.
const LIMIT_WAITING: usize = 20_000;
/// Sign-ins in one transaction.
const BATCH: usize = 500;
/// How long a batch is collected: so long a sign-in may be lost with its instance.
const COLLECTING: Duration = Duration::from_secs(1);
/// How long is waited after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Sign-ins on their way into the audit.
#[derive(Debug)]
pub(super) struct SignIns {
    waiting: Mutex<Vec<AuditEntry>>,
    filled: Notify,
    /// Told when there is a batch, or somebody waits for the end.
    hurry: Notify,
    is_idle: watch::Sender<bool>,
    written: AtomicU64,
    lost: AtomicU64,
}

impl Default for SignIns {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            filled: Notify::new(),
            hurry: Notify::new(),
            is_idle: watch::Sender::new(true),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }
}

impl SignIns {
    /// Notes that a user has connected to a hub, from this address.
    pub(super) fn add(&self, user: &UserId, hub: &'static str, from: Option<IpAddr>) {
        let mut entry = AuditEntry::now(Party::user(user.as_str()), SIGN_IN, Party::new("hub", hub));
        entry.details = from.map(|address| address.to_canonical().to_string());
        let mut waiting = self.waiting.lock();
        if waiting.len() < LIMIT_WAITING {
            waiting.push(entry);
            self.is_idle.send_replace(false);
            if waiting.len() >= BATCH {
                self.hurry.notify_one();
            }
            drop(waiting);
            self.filled.notify_one();
            return;
        }
        drop(waiting);
        if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(
                waiting = LIMIT_WAITING,
                "Sign-ins are missing in the audit: the database has been away for too long. Those lost are counted in hubline_audit_sign_ins_lost_total"
            );
        }
    }

    /// Those that were written, and those that were lost because so many waited.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.written.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }

    /// Waits until all are written, at most for this time. Returns whether they are.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn settled(&self, at_most: Duration) -> bool {
        self.filled.notify_one();
        self.hurry.notify_one();
        let mut is_idle = self.is_idle.subscribe();
        let settled = timeout(at_most, is_idle.wait_for(|is_idle| *is_idle)).await;
        settled.is_ok()
    }
}

/// Writes sign-ins.
pub(super) struct Writing {
    sign_ins: Arc<SignIns>,
    store: Store,
    /// Whether the last time failed.
    has_failed: bool,
    /// Taken, and not written yet.
    batch: Vec<AuditEntry>,
}

impl Vital for Writing {
    const NAME: &'static str = "audit of sign-ins";

    async fn run(&mut self) {
        loop {
            if self.batch.is_empty() && !self.take() {
                self.sign_ins.filled.notified().await;
                // What comes meanwhile goes along.
                _ = timeout(COLLECTING, self.sign_ins.hurry.notified()).await;
                continue;
            }
            match self.write().await {
                Ok(()) => self.written(),
                Err(error) => self.failed(&error).await,
            }
        }
    }
}

impl Writing {
    pub(super) fn new(sign_ins: Arc<SignIns>, store: Store) -> Self {
        Self { sign_ins, store, has_failed: false, batch: Vec::new() }
    }

    /// Takes the oldest; `false` if there are none.
    fn take(&mut self) -> bool {
        let mut waiting = self.sign_ins.waiting.lock();
        let count = waiting.len().min(BATCH);
        self.batch.extend(waiting.drain(..count));
        if self.batch.is_empty() {
            self.sign_ins.is_idle.send_replace(true);
        }
        !self.batch.is_empty()
    }

    async fn write(&self) -> Result<(), StoreError> {
        let batch = self.batch.clone();
        self.store.write(move |db| Box::pin(async move { audit::record_all(db, &batch).await })).await
    }

    fn written(&mut self) {
        self.sign_ins.written.fetch_add(self.batch.len() as u64, Ordering::Relaxed);
        self.batch.clear();
        if std::mem::take(&mut self.has_failed) {
            let lost = self.sign_ins.counts().1;
            tracing::info!(lost, "Sign-ins are written into the audit again");
        }
    }

    async fn failed(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::warn!(
                %error,
                "Sign-ins cannot be written into the audit. Up to {LIMIT_WAITING} wait in memory until the database is back"
            );
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_wait_and_more_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let place = format!("Data Source={}", directory.path().join("test.db").display());
        let store = Store::open(place.parse().unwrap()).await.unwrap();
        let sign_ins = Arc::<SignIns>::default();
        let from = "::ffff:192.0.2.1".parse().unwrap();
        for n in 0..LIMIT_WAITING + 3 {
            sign_ins.add(&UserId::from(n.to_string().as_str()), "/chathub", Some(from));
        }
        assert_eq!(sign_ins.counts(), (0, 3));
        assert!(!sign_ins.settled(Duration::from_millis(1)).await, "nobody writes them");
        let _writing = hubline_supervision::spawn(Writing::new(Arc::clone(&sign_ins), store.clone()));
        assert!(sign_ins.settled(Duration::from_secs(60)).await);
        assert_eq!(sign_ins.counts(), (LIMIT_WAITING as u64, 3));
        let filter = audit::AuditFilter { actor: Some("user:7".to_owned()), ..audit::AuditFilter::default() };
        let found =
            store.read(|db| Box::pin(async move { audit::list(db, &filter, 9).await })).await.unwrap();
        let [entry] = &found[..] else { panic!("{found:?}") };
        assert_eq!((entry.subject.as_str(), entry.details.as_deref()), ("hub:/chathub", Some("192.0.2.1")));
    }
}
