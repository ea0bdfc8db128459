//! The task that tells Redis what there is here, and removes what dead instances left.

use std::ops::Bound;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hubline_protocol::{ConnectionId, GroupName};
use hubline_supervision::Vital;
use tokio::time::{Instant, MissedTickBehavior, sleep_until, timeout};

use super::pending::Due;
use super::scripts::{BEAT, REGISTER, SWEEP, WRITE};
use super::{HubEntry, Shared};
use crate::{CommandError, RedisScript};

/// Connections that one script call writes, and groups of theirs. The scripts keep to the same number of groups where
/// only they know them, for nobody else is served by Redis meanwhile.
const BATCH: usize = 128;
const BATCH_GROUPS: usize = 1000;
/// Between two batches: many changes at once share a call, a single one does not wait.
const BETWEEN_BATCHES: Duration = Duration::from_millis(10);
/// While Redis is away it is tried this often.
const BETWEEN_TRIES: Duration = Duration::from_millis(400);
/// A lease lasts this many heartbeats.
const LEASE_BEATS: u32 = 5;
/// In which what other programs read is renewed once.
const RENEWAL: Duration = Duration::from_secs(60 * 60);
/// How long the last words of a process may take.
const FAREWELL: Duration = Duration::from_secs(3);
/// Earlier names whose leases are kept until everything is written under the new one.
const LIMIT_EARLIER: usize = 8;

pub(super) struct Writer {
    shared: Arc<Shared>,
    /// The name, another one after each time that Redis lost it.
    name: String,
    lives: u64,
    /// Whether Redis has been told of the name.
    is_registered: bool,
    /// The number of the last write that Redis is known to have, and of the last one that it may have.
    known_number: u64,
    last_number: u64,
    /// Earlier names that this instance has to remove.
    earlier: Vec<String>,
    /// An instance whose lease has ended, and how far it is removed.
    sweeping: Option<(String, String)>,
    /// Where renewing goes on, for each hub.
    renewed: Vec<Option<ConnectionId>>,
}

/// Whether a batch was full or not written whole, so that the next one need not wait for more changes.
#[derive(PartialEq, Eq)]
enum Work {
    Done,
    Remains,
}

impl Vital for Writer {
    const NAME: &'static str = "session directory";

    async fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut heartbeat = tokio::time::interval(shared.options.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_work = Instant::now();
        loop {
            let is_up = shared.away.borrow().is_none();
            let work = async {
                if self.sweeping.is_none() && shared.pending.is_empty() {
                    shared.pending.filled.notified().await;
                }
                sleep_until(next_work).await;
            };
            tokio::select! {
                biased;
                () = shared.closing.cancelled() => break,
                _ = heartbeat.tick() => self.beat().await,
                () = tokio::time::sleep(BETWEEN_TRIES), if !is_up => {
                    heartbeat.reset();
                    self.beat().await;
                }
                () = work, if is_up => {
                    next_work = Instant::now() + BETWEEN_BATCHES;
                    if self.work().await == Work::Remains {
                        next_work = Instant::now();
                    }
                }
            }
        }
        if timeout(FAREWELL, self.leave()).await.is_err() {
            tracing::warn!("the session directory could not be left in time; the others will notice");
        }
        shared.away.send_replace(Some("closed".into()));
        shared.closed.cancel();
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            name: format!("{}.1", shared.base_name),
            shared,
            lives: 1,
            is_registered: false,
            known_number: 0,
            last_number: 0,
            earlier: Vec::new(),
            sweeping: None,
            renewed: Vec::new(),
        }
    }

    /// Says that this instance lives, and learns who does not.
    async fn beat(&mut self) {
        if let Err(error) = self.try_beat().await {
            self.shared.lost(&error);
        }
    }

    async fn try_beat(&mut self) -> Result<(), CommandError> {
        let lease = self.lease_milliseconds();
        if self.is_registered {
            let mut arguments = vec![lease, self.known_number.to_string(), self.last_number.to_string()];
            arguments.extend(self.earlier.iter().cloned());
            let (is_known, dead): (bool, String) = self.invoke(&BEAT, &arguments).await?;
            if is_known {
                self.shared.found();
                self.renew();
                self.tell_calls().await?;
                if !dead.is_empty() && self.sweeping.is_none() {
                    tracing::warn!(instance = dead, "an instance has died; its connections are removed");
                    self.sweeping = Some((dead, "0".to_owned()));
                }
                return Ok(());
            }
            tracing::warn!(
                instance = self.name,
                "Redis has lost this instance's connections; they are written again"
            );
            self.begin_anew();
        }
        let lease = self.lease_milliseconds();
        let _epoch: String = self.invoke(&REGISTER, &[lease]).await?;
        self.is_registered = true;
        for hub in self.hubs() {
            let mut last = None;
            loop {
                let ids = hub.local.ids_after(last.as_ref(), 1000);
                let Some(id) = ids.last() else { break };
                last = Some(id.clone());
                ids.into_iter().for_each(|id| self.shared.pending.add((hub.index, id)));
            }
        }
        self.shared.found();
        self.tell_calls().await
    }

    fn begin_anew(&mut self) {
        self.lives += 1;
        let name = format!("{}.{}", self.shared.base_name, self.lives);
        self.earlier.push(std::mem::replace(&mut self.name, name));
        if self.earlier.len() > LIMIT_EARLIER {
            self.earlier.remove(0);
        }
        (self.is_registered, self.known_number, self.last_number) = (false, 0, 0);
        self.shared.calls.forgotten_by_others();
    }

    /// Writes what is pending, some of it, and removes some of a dead instance.
    async fn work(&mut self) -> Work {
        let outcome = async {
            let work = self.write().await?;
            if self.shared.pending.is_empty() && self.sweeping.is_none() {
                self.retire_earlier().await?;
            }
            self.sweep().await?;
            Ok(work)
        };
        outcome.await.unwrap_or_else(|error| {
            self.shared.lost(&error);
            Work::Done
        })
    }

    async fn write(&mut self) -> Result<Work, CommandError> {
        let (batch, described, is_full) = self.next_batch();
        if batch.is_empty() {
            return Ok(Work::Done);
        }
        self.last_number += 1;
        let mut arguments = vec![self.known_number.to_string(), self.last_number.to_string()];
        arguments.extend(described);
        let written: Result<i64, _> = self.invoke(&WRITE, &arguments).await;
        let pending = &self.shared.pending;
        match written.map(usize::try_from) {
            Ok(Ok(count)) => {
                self.known_number = self.last_number;
                let is_all = count >= batch.len() && !is_full;
                pending.written(batch, count);
                Ok(if is_all { Work::Done } else { Work::Remains })
            }
            Ok(Err(_)) => {
                pending.put_back(batch);
                self.try_beat().await?;
                Ok(Work::Done)
            }
            Err(error) => {
                if !error.is_ambiguous() {
                    self.unshare(&batch);
                }
                pending.put_back(batch);
                Err(error)
            }
        }
    }

    /// What one call of the script takes, and whether it takes no more.
    fn next_batch(&self) -> (Vec<Due>, Vec<String>, bool) {
        let hubs = self.hubs();
        let (mut batch, mut arguments) = (Vec::new(), Vec::new());
        let mut room = BATCH_GROUPS;
        while batch.len() < BATCH
            && room > 0
            && let Some(mut due) = self.shared.pending.take(room)
        {
            room = describe(&hubs, &mut due, room, &mut arguments);
            batch.push(due);
        }
        let is_full = batch.len() == BATCH || room == 0;
        (batch, arguments, is_full)
    }

    /// Redis was not told of them. Those that it knew before it still knows.
    fn unshare(&self, batch: &[Due]) {
        let hubs = self.hubs();
        for Due { key: (hub, id), .. } in batch.iter().filter(|due| due.is_first) {
            if let Some(hub) = hubs.get(*hub as usize) {
                hub.local.unshare(id);
            }
        }
    }

    /// When everything is written under the new name, what is left under an older one is of connections that ended
    /// meanwhile.
    async fn retire_earlier(&mut self) -> Result<(), CommandError> {
        let Some(name) = self.earlier.last() else { return Ok(()) };
        self.shared.client.query::<()>(self.end_lease(name)).await?;
        self.sweeping = self.earlier.pop().map(|name| (name, "0".to_owned()));
        Ok(())
    }

    async fn sweep(&mut self) -> Result<(), CommandError> {
        let Some((name, cursor)) = self.sweeping.take() else { return Ok(()) };
        let swept = self.invoke_as(&SWEEP, &name, std::slice::from_ref(&cursor)).await;
        match swept {
            Ok(next) => {
                let next: String = next;
                self.sweeping = Some((name, next)).filter(|(_, next)| !next.is_empty());
                Ok(())
            }
            Err(error) => {
                self.sweeping = Some((name, cursor));
                Err(error)
            }
        }
    }

    /// Some connections of each mapped hub, so that all are renewed in time.
    fn renew(&mut self) {
        let hubs = self.hubs();
        self.renewed.resize(hubs.len(), None);
        let beats = (RENEWAL.as_millis() / self.shared.options.heartbeat.as_millis().max(1)).max(1);
        let beats = usize::try_from(beats).unwrap_or(usize::MAX);
        for (hub, renewed) in hubs.iter().zip(&mut self.renewed).filter(|(hub, _)| hub.is_mapped) {
            let count = usize::try_from(hub.local.connection_count()).unwrap_or(usize::MAX).div_ceil(beats);
            let ids = hub.local.ids_after(renewed.as_ref(), count);
            *renewed = ids.last().cloned();
            ids.into_iter().for_each(|id| self.shared.pending.renew((hub.index, id)));
        }
    }

    async fn tell_calls(&self) -> Result<(), CommandError> {
        self.shared.tell_calls().await
    }

    /// The last writes, then everything under this instance's names.
    async fn leave(&mut self) {
        let mut left = pin!(async {
            while !self.shared.pending.is_empty() {
                self.write().await?;
            }
            self.earlier.push(self.name.clone());
            while self.sweeping.is_some() || !self.earlier.is_empty() {
                if self.sweeping.is_none() {
                    self.retire_earlier().await?;
                }
                self.sweep().await?;
            }
            Ok::<(), CommandError>(())
        });
        if let Err(error) = left.as_mut().await {
            tracing::warn!(%error, "the session directory could not be left; the others will notice");
        }
    }

    fn end_lease(&self, name: &str) -> redis::Cmd {
        let mut command = redis::cmd("ZADD");
        command.arg(self.shared.keys.instances()).arg("XX").arg(0).arg(name);
        command
    }

    fn lease_milliseconds(&self) -> String {
        (self.shared.options.heartbeat * LEASE_BEATS).as_millis().to_string()
    }

    async fn invoke<T: redis::FromRedisValue>(
        &self,
        script: &RedisScript,
        arguments: &[String],
    ) -> Result<T, CommandError> {
        self.invoke_as(script, &self.name, arguments).await
    }

    async fn invoke_as<T: redis::FromRedisValue>(
        &self,
        script: &RedisScript,
        name: &str,
        arguments: &[String],
    ) -> Result<T, CommandError> {
        let Shared { client, keys, .. } = &*self.shared;
        let options = client.options();
        let publish = if options.sharded_channels { "SPUBLISH" } else { "PUBLISH" };
        let publish = format!("{publish} {}", options.channel_prefix.as_deref().unwrap_or_default());
        let mut all = vec![&*keys.instance_name, &publish, name];
        all.extend(arguments.iter().map(String::as_str));
        client.invoke(script, keys.instances(), all).await
    }

    fn hubs(&self) -> Vec<Arc<HubEntry>> {
        self.shared.hubs().clone()
    }
}

/// What the write script takes for one connection: as it is now. Returns for how many groups there is room left.
fn describe(hubs: &[Arc<HubEntry>], due: &mut Due, mut room: usize, arguments: &mut Vec<String>) -> usize {
    let (hub, id) = &due.key;
    let Some(hub) = hubs.get(*hub as usize) else { return room };
    let record = hub.local.share(id);
    due.is_first = record.as_ref().is_some_and(|record| !record.is_shared);
    let (record, groups) = match record {
        Some(record) => {
            let is_mapped = u8::from(hub.is_mapped);
            let no_groups: [(); 0] = [];
            let written = match &record.user {
                Some(user) => serde_json::to_string(&(record.since, is_mapped, no_groups, user)),
                None => serde_json::to_string(&(record.since, is_mapped, no_groups)),
            };
            (written.unwrap_or_default(), describe_groups(hub, due, &mut room))
        }
        None => Default::default(),
    };
    let renews = if due.renews { "1" } else { "" };
    arguments.extend([hub.part.to_string(), due.key.1.to_string(), record, renews.to_owned(), groups]);
    room
}

/// Which groups the connection has joined and which it has left, and, where Redis knows nothing, which there are from
/// one name to another.
fn describe_groups(hub: &HubEntry, due: &mut Due, room: &mut usize) -> String {
    let (id, groups) = (&due.key.1, &due.groups);
    let (joined, left): (Vec<&GroupName>, Vec<&GroupName>) =
        groups.changed.iter().partition(|group| hub.local.is_member(id, group));
    *room = room.saturating_sub(groups.changed.len());
    let Some(rest) = &groups.rest else {
        let is_empty = groups.changed.is_empty();
        return if is_empty { String::new() } else { json(&(joined, left)) };
    };
    // One at least, so that a connection gets on.
    let limit = (*room).max(1);
    let there = hub.local.groups_of(id, rest.as_ref(), limit);
    *room = room.saturating_sub(there.len());
    let from = match rest {
        Bound::Excluded(name) | Bound::Included(name) => format!("({name}"),
        Bound::Unbounded => "-".to_owned(),
    };
    let last = there.last().filter(|_| there.len() == limit);
    let to = last.map_or_else(|| "+".to_owned(), |last| format!("[{last}"));
    due.next = last.cloned().map(Bound::Excluded);
    json(&(joined, left, from, to, there))
}

fn json(value: &impl serde::Serialize) -> String {
    // Writing text and lists to memory does not fail.
    serde_json::to_string(value).unwrap_or_default()
}
