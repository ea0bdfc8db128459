//! The task that tells Redis what there is here, and removes what dead instances left.

use std::ops::Bound;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hubline_backplane::Status;
use hubline_directory::{ConnectionChange, ConnectionEvent};
use hubline_protocol::{ConnectionId, GroupName};
use hubline_supervision::Vital;
use tokio::time::{Instant, MissedTickBehavior, sleep_until, timeout};

use super::pending::Due;
use super::scripts::{BEAT, REGISTER, WRITE};
use super::sweep::Sweep;
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
/// How long the last writes of a process may take.
const CLOSING: Duration = Duration::from_secs(3);
/// Earlier names whose leases are kept until everything is written under the new one.
const LIMIT_EARLIER: usize = 8;

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    /// The name, another one after each time that Redis lost it.
    pub(super) name: String,
    lives: u64,
    /// Whether Redis has been told of the name.
    is_registered: bool,
    /// The number of the last write that Redis is known to have, and of the last one that it may have.
    known_number: u64,
    last_number: u64,
    /// Earlier names that this instance has to remove.
    earlier: Vec<String>,
    pub(super) sweep: Option<Sweep>,
    /// Where reporting all connections goes on, for each hub.
    resynced: Vec<Option<ConnectionId>>,
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
            let is_up = !shared.is_away();
            let work = async {
                while !self.has_work() {
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
        if timeout(CLOSING, self.leave()).await.is_err() {
            tracing::warn!("the session directory could not be left in time; the others will notice");
        }
        shared.status.send_replace(Status::Disconnected("closed".to_owned()));
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
            sweep: None,
            resynced: Vec::new(),
        }
    }

    fn has_work(&self) -> bool {
        let Shared { pending, departures, .. } = &*self.shared;
        !pending.is_empty() || self.can_sweep() || departures.are_to_be_read(&self.name)
    }

    /// Renews the lease, and learns whose has ended.
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
                self.resync();
                if !dead.is_empty() && self.sweep.is_none() {
                    tracing::warn!(instance = dead, "an instance has died; its connections are removed");
                    self.sweep = Some(Sweep::of(dead, ConnectionEvent::InstanceDied));
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
        Ok(())
    }

    fn begin_anew(&mut self) {
        self.lives += 1;
        let name = format!("{}.{}", self.shared.base_name, self.lives);
        self.earlier.push(std::mem::replace(&mut self.name, name));
        if self.earlier.len() > LIMIT_EARLIER {
            self.earlier.remove(0);
        }
        (self.is_registered, self.known_number, self.last_number) = (false, 0, 0);
        let lost = "Redis has lost this instance's connections; they are written again";
        self.shared.status.send_replace(Status::Disconnected(lost.to_owned()));
    }

    /// Writes what is pending, some of it, and removes some of a dead instance.
    async fn work(&mut self) -> Work {
        let outcome = async {
            let work = self.write().await?;
            if self.shared.departures.are_to_be_read(&self.name) {
                self.read_departures().await?;
            }
            if self.shared.pending.is_empty() && self.sweep.is_none() {
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
        let written: Result<(i64, Vec<String>), _> = self.invoke(&WRITE, &arguments).await;
        let pending = &self.shared.pending;
        match written.map(|(count, departures)| (usize::try_from(count), departures)) {
            Ok((Ok(count), departures)) => {
                self.known_number = self.last_number;
                let is_all = count >= batch.len() && !is_full;
                self.report_connected(&batch[..count.min(batch.len())]);
                pending.written(batch, count);
                self.learn_departures(&self.name, departures, ConnectionEvent::Disconnected).await?;
                Ok(if is_all { Work::Done } else { Work::Remains })
            }
            Ok((Err(_), _)) => {
                pending.put_back(batch);
                self.try_beat().await?;
                Ok(Work::Done)
            }
            Err(error) => {
                match error.is_ambiguous() {
                    true => self.shared.departures.doubt(),
                    false => self.unshare(&batch),
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
        self.sweep = self.earlier.pop().map(|name| Sweep::of(name, ConnectionEvent::Disconnected));
        Ok(())
    }

    /// Connections of which Redis has been told are reported to the observers.
    fn report_connected(&self, batch: &[Due]) {
        let hubs = self.hubs();
        for Due { key: (hub, id), .. } in batch.iter().filter(|due| due.is_reported) {
            if let Some(hub) = hubs.get(*hub as usize)
                && let Some(found) = hub.local.find(id)
            {
                let event = ConnectionEvent::Connected;
                let change = ConnectionChange { connection: id.clone(), user: found.user, event };
                self.shared.notifier.add(&hub.part, change);
            }
        }
    }

    /// Reports some connections of each hub whose observers want all of them again from time to time.
    fn resync(&mut self) {
        let hubs = self.hubs();
        self.resynced.resize(hubs.len(), None);
        let Shared { notifier, options, .. } = &*self.shared;
        for (hub, resynced) in hubs.iter().zip(&mut self.resynced) {
            let Some(period) = notifier.resync_period(&hub.part) else { continue };
            let beats = (period.as_millis() / options.heartbeat.as_millis().max(1)).max(1);
            let beats = usize::try_from(beats).unwrap_or(usize::MAX);
            let count = usize::try_from(hub.local.connection_count()).unwrap_or(usize::MAX).div_ceil(beats);
            *resynced = notifier.add_connected(&hub.part, &hub.local, resynced.as_ref(), count);
        }
    }

    /// The last writes, then everything under this instance's names.
    async fn leave(&mut self) {
        let mut left = pin!(async {
            while !self.shared.pending.is_empty() {
                self.write().await?;
            }
            self.earlier.push(self.name.clone());
            while self.sweep.is_some() || !self.earlier.is_empty() {
                if self.sweep.is_none() {
                    self.retire_earlier().await?;
                }
                if !self.can_sweep() {
                    self.shared.notifier.settled().await;
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

    pub(super) async fn invoke_as<T: redis::FromRedisValue>(
        &self,
        script: &RedisScript,
        name: &str,
        arguments: &[String],
    ) -> Result<T, CommandError> {
        let Shared { client, keys, .. } = &*self.shared;
        let options = client.options();
        let publish = if options.sharded_channels { "SPUBLISH" } else { "PUBLISH" };
        let publish = format!("{publish} {}", options.channel_prefix.as_deref().unwrap_or_default());
        let observed = self.shared.notifier.observed();
        let observed = observed.iter().fold(":".to_owned(), |all, hub| all + hub + ":");
        let mut all = vec![&*keys.prefix, &publish, name, &observed];
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
            let written = match &record.user {
                Some(user) => serde_json::to_string(&(record.since, user)),
                None => serde_json::to_string(&(record.since,)),
            };
            (written.unwrap_or_default(), describe_groups(hub, due, &mut room))
        }
        None => Default::default(),
    };
    arguments.extend([hub.part.to_string(), due.key.1.to_string(), record, groups]);
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
