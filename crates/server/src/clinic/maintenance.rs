//! What one instance of a fleet does at a time: erasing users, and deleting by age.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubline_store::clinic::audit::{self, AuditEntry};
use hubline_store::clinic::erasures::{self, Erasure, Stage};
use hubline_store::clinic::retention::{self, Kind};
use hubline_store::clinic::{Party, bans, leases};
use hubline_store::{Connection, Store, StoreError, Timestamp};
use hubline_supervision::Vital;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::RetentionConfig;

/// The lease that the instance holds that does it.
const LEASE: &str = "maintenance";
/// How long it lasts without being prolonged, which each transaction does.
const LEASE_LASTS: Duration = Duration::from_secs(60);
/// How often an instance looks for work.
const INTERVAL: Duration = Duration::from_secs(30);
/// How often what is too old is looked for.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How long a ban is kept when it has ended.
const BANS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Rows that one transaction changes at most.
const BATCH: u32 = 500;
/// Users who are erased in one round.
const MOST_ERASURES: u32 = 100;
/// Between two transactions, so that others write too.
const PAUSE: Duration = Duration::from_millis(10);

/// What there is to do besides the rest, and what was done.
#[derive(Debug, Default)]
pub(super) struct Work {
    wake: Notify,
    deleted: AtomicU64,
}

impl Work {
    /// There is something to erase.
    pub(super) fn begin(&self) {
        self.wake.notify_one();
    }

    /// Rows that were deleted by age.
    pub(super) fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::Relaxed)
    }
}

/// Does it.
pub(super) struct Maintenance {
    work: Arc<Work>,
    retention: RetentionConfig,
    store: Store,
    holder: String,
    retained: Option<Instant>,
    has_failed: bool,
}

/// Why a round ended early.
enum Interrupted {
    /// Another instance has the lease.
    Elsewhere,
    Store(StoreError),
}

impl Vital for Maintenance {
    const NAME: &'static str = "retention and erasures";

    async fn run(&mut self) {
        loop {
            match self.round().await {
                Ok(()) | Err(Interrupted::Elsewhere) => self.has_failed = false,
                Err(Interrupted::Store(error)) => {
                    if !std::mem::replace(&mut self.has_failed, true) {
                        tracing::warn!(%error, "Erasing users and deleting by age waits for the database");
                    }
                }
            }
            _ = timeout(INTERVAL, self.work.wake.notified()).await;
        }
    }
}

impl Maintenance {
    pub(super) fn new(work: Arc<Work>, retention: RetentionConfig, store: Store) -> Self {
        let holder = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        Self { work, retention, store, holder, retained: None, has_failed: false }
    }

    async fn round(&mut self) -> Result<(), Interrupted> {
        let pending = self.store.read(|db| Box::pin(erasures::pending(db, MOST_ERASURES)));
        let pending = pending.await.map_err(Interrupted::Store)?;
        let is_due = self.retained.is_none_or(|last| last.elapsed() >= RETENTION_INTERVAL);
        if pending.is_empty() && !is_due {
            return Ok(());
        }
        for erasure in pending {
            self.erase(erasure).await?;
        }
        if is_due {
            // Another instance that does it now does it for this one too.
            self.retained = Some(Instant::now());
            self.delete_by_age().await?;
        }
        self.give_back().await
    }

    /// Erases a user.
    async fn erase(&self, erasure: Erasure) -> Result<(), Interrupted> {
        let mut stage = Stage::FIRST;
        let mut rows = 0;
        while stage != Stage::Done {
            let of = erasure.clone();
            let step = self.step(move |db| Box::pin(async move { erasures::step(db, &of, stage).await }));
            let (next, changed) = step.await?;
            (stage, rows) = (next, rows + changed);
            sleep(PAUSE).await;
        }
        let pseudonym = erasure.pseudonym.clone();
        let subject = Party::user(&pseudonym);
        let entry = AuditEntry::now(Party::server(), "user.erased", subject).details(format!("rows={rows}"));
        self.step(move |db| {
            Box::pin(async move {
                erasures::complete(db, &erasure).await?;
                audit::record(db, &entry).await
            })
        })
        .await?;
        tracing::info!(pseudonym, rows, "A user was erased");
        Ok(())
    }

    /// Deletes what is older than is to be kept.
    async fn delete_by_age(&self) -> Result<(), Interrupted> {
        let now = Timestamp::now();
        let RetentionConfig { messages, calls, consultations, audit } = self.retention;
        let ended = now.before(BANS_KEPT);
        self.step(move |db| Box::pin(bans::delete_ended(db, ended, BATCH))).await?;
        if let Some(age) = messages {
            let rows = self.delete_messages(now.before(age)).await?;
            report("Retention:Messages", rows);
        }
        for (kind, setting, age) in [
            (Kind::Calls, "Retention:Calls", calls),
            (Kind::Consultations, "Retention:Consultations", consultations),
            (Kind::Audit, "Retention:Audit", audit),
        ] {
            if let Some(age) = age {
                report(setting, self.delete(kind, now.before(age)).await?);
            }
        }
        Ok(())
    }

    async fn delete_messages(&self, time: Timestamp) -> Result<u64, Interrupted> {
        let (mut rows, mut after) = (0, Some(i64::MIN));
        while let Some(behind) = after {
            let look = self
                .store
                .read(move |db| Box::pin(retention::conversations_with_messages_before(db, time, behind)));
            let (conversations, next) = look.await.map_err(Interrupted::Store)?;
            for conversation in conversations {
                rows += self.delete(Kind::Messages(conversation), time).await?;
            }
            after = next;
        }
        Ok(rows)
    }

    async fn delete(&self, kind: Kind, time: Timestamp) -> Result<u64, Interrupted> {
        let mut rows = 0;
        loop {
            let deleted =
                self.step(move |db| Box::pin(retention::delete_before(db, kind, time, BATCH))).await?;
            rows += deleted;
            self.work.deleted.fetch_add(deleted, Ordering::Relaxed);
            sleep(PAUSE).await;
            if deleted < u64::from(BATCH) {
                return Ok(rows);
            }
        }
    }

    /// Runs work in a transaction, if this instance has the lease or can have it.
    async fn step<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, Interrupted> {
        let holder = self.holder.clone();
        let done = self.store.write(move |db| {
            Box::pin(async move {
                match leases::take(db, LEASE, &holder, Timestamp::now(), LEASE_LASTS).await? {
                    true => work(db).await.map(Some),
                    false => Ok(None),
                }
            })
        });
        done.await.map_err(Interrupted::Store)?.ok_or(Interrupted::Elsewhere)
    }

    async fn give_back(&self) -> Result<(), Interrupted> {
        let holder = self.holder.clone();
        let given_back =
            self.store.write(move |db| Box::pin(async move { leases::give_back(db, LEASE, &holder).await }));
        given_back.await.map_err(Interrupted::Store)
    }
}

fn report(setting: &'static str, rows: u64) {
    if rows > 0 {
        tracing::info!(rows, setting, "What was older than it is to be kept was deleted");
    }
}
