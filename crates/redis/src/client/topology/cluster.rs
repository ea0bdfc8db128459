//! Redis Cluster: which master has which hash slots, and where it is.
//!
//! Whether the endpoints are a cluster shows when one of them is reached. A shard is a master and its replicas;
//! it keeps its place here when one of them takes over.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::{sleep, timeout};

use super::slots::{SLOTS, slot};
use crate::client::link::{self, ConnectError, Link, LinkLost, Mode, Role};
use crate::{RedisEndpoint, RedisOptions};

/// How long a link waits until channels are where a new map has them.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of it, and who is asked.
#[derive(Debug)]
pub(crate) struct Cluster {
    seeds: Vec<RedisEndpoint>,
    map: watch::Sender<Arc<SlotMap>>,
    /// The version of the map by which channels are routed; the highest where there are none.
    routed: watch::Sender<u64>,
    /// Told when somebody has met a server that has other slots than it should.
    pub(super) in_doubt: Arc<Notify>,
    /// The link that was asked last; one asks at a time.
    asked: Mutex<Option<Link>>,
}

/// Which shard has which slots. The first one has no shards.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    version: u64,
    /// By slot.
    shards_of: Vec<usize>,
    /// Those that have left keep their place and have no slots.
    shards: Vec<Option<Shard>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Shard {
    master: RedisEndpoint,
    /// Ids of the master and its replicas.
    members: Vec<String>,
}

/// An entry of `CLUSTER SLOTS`.
struct Range {
    first: u16,
    last: u16,
    master: RedisEndpoint,
    members: Vec<String>,
}

impl SlotMap {
    /// The shard of a channel, or of a key.
    pub(crate) fn shard_of(&self, name: &[u8]) -> usize {
        self.shards_of.get(usize::from(slot(name))).copied().unwrap_or(0)
    }

    /// How many places there are, those that have been left included; at least one.
    pub(crate) fn places(&self) -> usize {
        self.shards.len().max(1)
    }

    /// Whether somebody is in that place; before a cluster has been seen, in the first.
    pub(crate) fn is_taken(&self, place: usize) -> bool {
        match self.shards.get(place) {
            Some(shard) => shard.is_some(),
            None => place == 0,
        }
    }

    pub(crate) fn first_taken(&self) -> usize {
        self.shards.iter().position(Option::is_some).unwrap_or(0)
    }

    fn is_cluster(&self) -> bool {
        !self.shards.is_empty()
    }

    fn master_of(&self, place: usize) -> Option<&RedisEndpoint> {
        self.shards.get(place)?.as_ref().map(|shard| &shard.master)
    }

    /// This map with what `CLUSTER SLOTS` says now. A slot that nobody has stays where it was.
    fn updated(&self, ranges: Vec<Range>) -> Self {
        let mut shards_of = self.shards_of.clone();
        shards_of.resize(SLOTS.into(), 0);
        let mut known = self.shards.clone();
        let mut shards: Vec<Option<Shard>> = vec![None; known.len()];
        for Range { first, last, master, members } in ranges {
            let was_here = |shard: &Shard| members.first().is_some_and(|id| shard.members.contains(id));
            let is_here = shards.iter().position(|shard| shard.as_ref().is_some_and(was_here));
            let place =
                is_here.or_else(|| known.iter().position(|shard| shard.as_ref().is_some_and(was_here)));
            let place = place.unwrap_or_else(|| {
                shards.push(None);
                known.push(None);
                shards.len() - 1
            });
            shards[place] = Some(Shard { master, members });
            shards_of[usize::from(first)..=usize::from(last)].fill(place);
        }
        let mut map = Self { version: self.version, shards_of, shards };
        map.version += u64::from(map != *self);
        map
    }
}

impl Cluster {
    pub(super) fn of(seeds: &[RedisEndpoint]) -> Self {
        Self {
            seeds: seeds.to_vec(),
            map: watch::Sender::default(),
            routed: watch::Sender::new(u64::MAX),
            in_doubt: Arc::default(),
            asked: Mutex::default(),
        }
    }

    /// Has links wait for [`routed`](Self::routed) from now on.
    pub(super) fn wait_for_routes(&self) {
        self.routed.send_replace(0);
    }

    pub(crate) fn map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.map.borrow())
    }

    /// The map, and every newer one.
    pub(super) fn maps(&self) -> watch::Receiver<Arc<SlotMap>> {
        self.map.subscribe()
    }

    /// Asks each `configCheckSeconds`, and is ready with a map that is newer than this; or, when there was doubt,
    /// with the one that holds.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn newer_than(
        &self,
        map: &SlotMap,
        options: &RedisOptions,
        client_name: &str,
    ) -> Arc<SlotMap> {
        let mut changes = self.map.subscribe();
        loop {
            let newer = changes.wait_for(|latest| latest.version > map.version);
            let newer = async { newer.await.map(|newer| Arc::clone(&newer)) };
            let in_doubt = tokio::select! {
                Ok(newer) = newer => return newer,
                () = self.in_doubt.notified() => true,
                () = sleep(options.config_check) => false,
            };
            if !self.map().is_cluster() {
                continue;
            }
            match self.refresh(options, client_name).await {
                Ok(map) if in_doubt => return map,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the cluster does not tell its slots"),
            }
        }
    }

    /// Has it asked where its slots are; ready when channels are there.
    pub(crate) async fn doubt(&self) {
        let mut routed = self.routed.subscribe();
        routed.mark_unchanged();
        self.in_doubt.notify_one();
        _ = timeout(PATIENCE, routed.changed()).await;
    }

    /// Channels are where this map has them.
    pub(crate) fn routed(&self, map: &SlotMap) {
        self.routed.send_replace(map.version);
    }

    /// A connection to the master of a shard; or, if it is no cluster, to the first of the endpoints.
    pub(super) async fn open(
        &self,
        place: usize,
        options: &RedisOptions,
        client_name: &str,
    ) -> Result<Link, ConnectError> {
        if !self.map().is_cluster() {
            let link = super::first_of(&self.seeds, options, client_name).await?;
            if link.server.mode != Some(Mode::Cluster) {
                return Ok(link);
            }
        }
        let map = self.refresh(options, client_name).await?;
        let mut routed = self.routed.subscribe();
        _ = timeout(PATIENCE, routed.wait_for(|version| *version >= map.version)).await;
        let master = map.master_of(place).ok_or(ConnectError::NoShard)?;
        let link = Link::open(master, options, client_name).await?;
        match link.server.role {
            Some(Role::Replica) => Err(ConnectError::NotMaster { endpoint: master.clone() }),
            Some(Role::Master) | None => Ok(link),
        }
    }

    /// Ready when the shard has another master, or none.
    pub(super) async fn superseded(
        &self,
        place: usize,
        current: &RedisEndpoint,
        options: &RedisOptions,
        client_name: &str,
    ) -> LinkLost {
        if !self.map().is_cluster() {
            return super::another_master(&self.seeds, current, options, client_name).await;
        }
        let mut changes = self.map.subscribe();
        let moved = changes.wait_for(|map| map.master_of(place) != Some(current)).await;
        let master = moved.ok().and_then(|map| map.master_of(place).map(ToString::to_string));
        LinkLost::Superseded(master.unwrap_or_else(|| "its slots belong to others".to_owned()))
    }

    /// Asks who has which slots.
    pub(super) async fn refresh(
        &self,
        options: &RedisOptions,
        client_name: &str,
    ) -> Result<Arc<SlotMap>, ConnectError> {
        let mut asked = self.asked.lock().await;
        if let Some(mut link) = asked.take()
            && let Ok(ranges) = slots(&mut link, options).await
        {
            *asked = Some(link);
            return Ok(self.update(ranges));
        }
        let map = self.map();
        let masters = map.shards.iter().flatten().map(|shard| &shard.master);
        let mut failure = None;
        for endpoint in masters.chain(&self.seeds) {
            match ask(endpoint, options, client_name).await {
                Ok((link, ranges)) => {
                    *asked = Some(link);
                    return Ok(self.update(ranges));
                }
                Err(error) => _ = failure.get_or_insert(error),
            }
        }
        Err(failure.unwrap_or_else(|| unreachable!("options have an endpoint")))
    }

    fn update(&self, ranges: Vec<Range>) -> Arc<SlotMap> {
        self.map.send_if_modified(|map| {
            let updated = map.updated(ranges);
            let changed = updated != **map;
            if changed {
                tracing::debug!(
                    masters = updated.shards.iter().flatten().count(),
                    "slots of the cluster have changed"
                );
                *map = Arc::new(updated);
            }
            changed
        });
        self.map()
    }
}

async fn ask(
    endpoint: &RedisEndpoint,
    options: &RedisOptions,
    client_name: &str,
) -> Result<(Link, Vec<Range>), ConnectError> {
    let mut link = Link::open(endpoint, options, client_name).await?;
    let ranges = slots(&mut link, options).await.map_err(|lost| link.not_ready(lost.to_string()))?;
    Ok((link, ranges))
}

async fn slots(link: &mut Link, options: &RedisOptions) -> Result<Vec<Range>, LinkLost> {
    let mut question = redis::cmd("CLUSTER");
    question.arg("SLOTS");
    match link.ask(&question, options).await? {
        Value::Array(entries) if !entries.is_empty() => {
            let ranges = entries.iter().map(|entry| range(entry, &link.endpoint)).collect::<Option<_>>();
            ranges.ok_or_else(|| LinkLost::Malformed("CLUSTER SLOTS is of another form".to_owned()))
        }
        Value::Array(_) => Err(LinkLost::Refused("nobody in this cluster has slots".to_owned())),
        Value::ServerError(error) => Err(LinkLost::Refused(link::text(&error))),
        other => Err(LinkLost::Malformed(format!("{other:?} to CLUSTER SLOTS"))),
    }
}

/// `[first, last, master, replica, ...]`, each server `[host, port, id, ...]`.
fn range(entry: &Value, asked: &RedisEndpoint) -> Option<Range> {
    let Value::Array(items) = entry else { return None };
    let [Value::Int(first), Value::Int(last), servers @ ..] = &items[..] else { return None };
    let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
    let servers: Vec<_> = servers.iter().map(|server| member(server, asked)).collect::<Option<_>>()?;
    let master = servers.first()?.0.clone();
    let is_range = first <= last && last < SLOTS;
    is_range.then(|| Range { first, last, master, members: servers.into_iter().map(|(_, id)| id).collect() })
}

/// A server without a host is on that of whoever was asked.
fn member(server: &Value, asked: &RedisEndpoint) -> Option<(RedisEndpoint, String)> {
    let Value::Array(items) = server else { return None };
    let [host, Value::Int(port), Value::BulkString(id), ..] = &items[..] else { return None };
    let host = match host {
        Value::BulkString(host) if !host.is_empty() && host != b"?" => {
            String::from_utf8(host.clone()).ok()?
        }
        _ => asked.host.clone(),
    };
    let port = u16::try_from(*port).ok()?;
    Some((RedisEndpoint { host, port }, String::from_utf8(id.clone()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16, members: &[&str]) -> Range {
        let master = RedisEndpoint { host: members[0].to_owned(), port: 6379 };
        Range { first, last, master, members: members.iter().map(ToString::to_string).collect() }
    }

    fn masters(map: &SlotMap) -> Vec<Option<&str>> {
        (0..map.places()).map(|place| map.master_of(place).map(|master| &*master.host)).collect()
    }

    #[test]
    fn a_shard_keeps_its_place_when_its_replica_takes_over() {
        let start = SlotMap::default();
        let map = start.updated(vec![range(0, 8191, &["a", "a2"]), range(8192, 16383, &["b", "b2"])]);
        assert_eq!((masters(&map), map.version), (vec![Some("a"), Some("b")], 1));
        let failed_over = map.updated(vec![range(8192, 16383, &["b", "b2"]), range(0, 8191, &["a2"])]);
        assert_eq!((masters(&failed_over), failed_over.version), (vec![Some("a2"), Some("b")], 2));
        let back = failed_over.updated(vec![range(8192, 16383, &["b", "b2"]), range(0, 8191, &["a2", "a"])]);
        assert_eq!(masters(&back), [Some("a2"), Some("b")]);
        assert_eq!(back.shards_of, map.shards_of);
    }

    #[test]
    fn slots_move_and_masters_come_and_go() {
        let map = SlotMap::default().updated(vec![range(0, 16383, &["a"])]);
        let grown =
            map.updated(vec![range(0, 4095, &["b"]), range(4096, 8191, &["a"]), range(8192, 16383, &["b"])]);
        assert_eq!(masters(&grown), [Some("a"), Some("b")]);
        assert_eq!([0, 4096, 16383].map(|slot| grown.shards_of[slot]), [1, 0, 1]);
        let shrunk = grown.updated(vec![range(0, 16383, &["b"])]);
        assert_eq!(masters(&shrunk), [None, Some("b")]);
        assert!(!shrunk.is_taken(0) && shrunk.is_taken(1));
        assert_eq!(shrunk.updated(vec![range(0, 16383, &["b"])]).version, shrunk.version);
    }

    #[test]
    fn a_slot_that_nobody_has_stays() {
        let map = SlotMap::default().updated(vec![range(0, 9, &["a"]), range(10, 16383, &["b"])]);
        let gap = map.updated(vec![range(0, 9, &["a"]), range(20, 16383, &["b"])]);
        assert_eq!(gap.shards_of, map.shards_of);
    }

    #[test]
    fn answers_of_another_form_are_refused() {
        let asked = RedisEndpoint { host: "asked".to_owned(), port: 6379 };
        let server = Value::Array(vec![Value::Nil, Value::Int(7000), Value::BulkString(b"id".to_vec())]);
        let entry = |first, last| {
            Value::Array(vec![Value::Int(first), Value::Int(last), server.clone(), server.clone()])
        };
        let range = super::range(&entry(0, 16383), &asked).unwrap();
        assert_eq!((range.master.to_string(), range.members.len()), ("asked:7000".to_owned(), 2));
        for (first, last) in [(1, 0), (0, 16384), (-1, 5), (0, 1 << 20)] {
            assert!(super::range(&entry(first, last), &asked).is_none(), "{first} to {last}");
        }
        assert!(super::range(&Value::Array(vec![Value::Int(0), Value::Int(1)]), &asked).is_none());
    }
}
