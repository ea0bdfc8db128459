//! Publishing what is stored and was not published, and forgetting what was.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hubline::{HubContext, Reach, Server, Statistics, Status};
use hubline_store::chat::outbox::{self, Unpublished};
use hubline_store::chat::{Message, MessageKey};
use hubline_store::{Store, StoreError, Timestamp};
use hubline_supervision::Vital;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::counters::Counters;
use super::publishing::publish;

/// How often the outbox is looked at while a message that stays there is not yet published again.
const LOOKS: u32 = 5;
/// How many times less messages that were published are collected until their rows are removed together.
const COLLECTED: u32 = 20;
/// Rows that are looked at.
const LOOKED_AT: u32 = 500;
/// Messages that are claimed at once.
const CLAIMED: usize = 100;
/// Messages that wait for the backplane and are remembered as that. Others are published once more.
const MOST_WAITING: usize = 10_000;

type Row = (Timestamp, MessageKey);

/// Messages that this instance has published, whose rows are to be removed.
#[derive(Debug, Default)]
pub(super) struct Published {
    rows: Mutex<Rows>,
    is_published: Notify,
}

#[derive(Debug, Default)]
struct Rows {
    published: Vec<Row>,
    /// In the backplane's queue for the other instances.
    waiting: Vec<Row>,
}

impl Published {
    /// A message was sent, so far.
    pub(super) fn sent(&self, message: &Message, reach: Reach) {
        let row = (message.sent_at, message.key);
        let mut rows = self.rows.lock();
        match reach {
            Reach::Fleet => {
                rows.published.push(row);
                drop(rows);
                self.is_published.notify_one();
            }
            Reach::Queued if rows.waiting.len() < MOST_WAITING => rows.waiting.push(row),
            // It stays in the outbox, and is published once more.
            Reach::Queued | Reach::Unknown | Reach::ThisInstance => {}
        }
    }

    /// Removes the rows of everything that was published.
    pub(super) async fn remove(&self, store: &Store) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.rows.lock().published);
        if rows.is_empty() {
            return Ok(());
        }
        let removing = rows.clone();
        let removed =
            store.write(move |db| Box::pin(async move { outbox::remove(db, &removing).await })).await;
        if removed.is_err() {
            self.rows.lock().published.extend(rows);
        }
        removed
    }

    fn is_waiting(&self, row: &Unpublished) -> bool {
        self.rows.lock().waiting.contains(&(row.sent_at, row.key))
    }
}

/// Keeps the outbox empty.
pub(super) struct OutboxKeeper {
    pub(super) store: Store,
    pub(super) context: HubContext,
    pub(super) server: Server,
    pub(super) published: Arc<Published>,
    pub(super) counters: Arc<Counters>,
    /// How long a message stays in the outbox until any instance publishes it.
    pub(super) patience: Duration,
    pub(super) seen: Seen,
}

/// Rows of the outbox by when they were seen first, while the other instances could be reached.
#[derive(Debug, Default)]
pub(super) struct Seen {
    rows: HashMap<Unpublished, Instant>,
    /// Nothing counts as seen before.
    not_before: Option<Instant>,
    /// What the backplane had lost when messages began to wait.
    lost: Option<u64>,
}

impl Vital for OutboxKeeper {
    const NAME: &'static str = "outbox of the chat";

    async fn run(&mut self) {
        let status = self.server.backplane_status();
        // Goes on whatever is published meanwhile.
        let mut looks = interval(self.patience / LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = looks.tick() => {
                    let looked = self.look(&status).await;
                    _ = self.counters.told(looked, "the outbox of the chat is not looked at");
                }
                () = self.published.is_published.notified() => {
                    sleep(self.patience / COLLECTED).await;
                    let removed = self.published.remove(&self.store).await;
                    if self.counters.told(removed, "the outbox of the chat is not emptied").is_err() {
                        sleep(self.patience / LOOKS).await;
                        self.published.is_published.notify_one();
                    }
                }
            }
        }
    }
}

impl OutboxKeeper {
    /// Publishes what has stayed for too long.
    async fn look(&mut self, status: &watch::Receiver<Status>) -> Result<(), StoreError> {
        if matches!(*status.borrow(), Status::Disconnected(_)) {
            self.seen.interrupted(lost(&self.server.backplane_statistics()), self.patience);
            return Ok(());
        }
        self.settle_waiting();
        let rows = self.store.read(|db| Box::pin(outbox::oldest(db, LOOKED_AT))).await?;
        let old: Vec<Unpublished> = self
            .seen
            .old(&rows, self.patience)
            .into_iter()
            .filter(|row| !self.published.is_waiting(row))
            .collect();
        for rows in old.chunks(CLAIMED) {
            for message in claim(&self.store, rows.to_vec()).await? {
                let reach = publish(&self.context.clients(), &message).await;
                self.published.sent(&message, reach);
                Counters::count(&self.counters.published_from_outbox);
            }
        }
        Ok(())
    }

    /// Messages that waited for the backplane have got out, unless it has lost some meanwhile.
    fn settle_waiting(&mut self) {
        let statistics = self.server.backplane_statistics();
        let mut rows = self.published.rows.lock();
        if statistics.waiting > 0 {
            return;
        }
        let lost_before = self.seen.lost.take();
        let waiting = std::mem::take(&mut rows.waiting);
        if lost_before.is_none_or(|before| before == lost(&statistics)) && !waiting.is_empty() {
            rows.published.extend(waiting);
            self.published.is_published.notify_one();
        }
    }
}

/// How many messages may not have reached the other instances.
fn lost(statistics: &Statistics) -> u64 {
    statistics.expired + statistics.overflowed + statistics.unknown + statistics.refused
}

impl Seen {
    /// The other instances cannot be reached: the time does not count, nor does a while afterwards, in which they send what has waited.
    fn interrupted(&mut self, lost: u64, patience: Duration) {
        self.rows.clear();
        self.not_before = Some(Instant::now() + patience);
        self.lost.get_or_insert(lost);
    }

    /// Those of the rows that have been there for so long.
    fn old(&mut self, rows: &[Unpublished], patience: Duration) -> Vec<Unpublished> {
        let now = Instant::now();
        let first = self.not_before.map_or(now, |not_before| not_before.max(now));
        let before = std::mem::take(&mut self.rows);
        self.rows = rows.iter().map(|row| (*row, before.get(row).copied().unwrap_or(first))).collect();
        let is_old = |row: &&Unpublished| self.rows.get(*row).is_some_and(|since| now >= *since + patience);
        rows.iter().filter(is_old).copied().collect()
    }
}

/// Claims rows, and returns the messages of those that were not claimed or published meanwhile.
async fn claim(store: &Store, rows: Vec<Unpublished>) -> Result<Vec<Message>, StoreError> {
    store
        .write(move |db| {
            Box::pin(async move {
                let mut messages = Vec::new();
                for row in &rows {
                    messages.extend(outbox::claim(db, row).await?);
                }
                Ok::<_, StoreError>(messages)
            })
        })
        .await
}
