//! The fleet as it is now, asked for every 2 s while somebody watches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use hubline_redis::{RedisClient, redis};
use hubline_supervision::Vital;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::figures::{Figures, in_ms};
use super::fleet::{About, Answer, Fleet, PATIENCE, State};
use super::local::{OfInstance, Question, now};
use super::named::Named;

/// How often the fleet is asked.
pub(super) const UPDATE: Duration = Duration::from_secs(2);
/// How often Redis is asked for what it says of itself.
const ASK_REDIS: Duration = Duration::from_secs(10);
/// Users and addresses that are shown.
const SHOWN: usize = 20;

/// What is shown of the fleet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    at: u64,
    /// The instance that says so.
    by: String,
    instances: Vec<ShownInstance>,
    total: Figures,
    users: Vec<ShownName>,
    users_more: bool,
    addresses: Vec<ShownName>,
    addresses_more: bool,
    redis: Option<RedisInfo>,
    is_alone: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownInstance {
    #[serde(flatten)]
    about: About,
    heard_at: u64,
    round_trip_ms: Option<f64>,
    figures: Option<Figures>,
}

#[derive(Debug, Serialize)]
struct ShownName {
    name: String,
    connections: u64,
    instances: u64,
}

/// What Redis says of itself, as far as it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RedisInfo {
    role: Option<String>,
    version: Option<String>,
    memory_bytes: Option<u64>,
    memory_limit_bytes: Option<u64>,
    clients: Option<u64>,
    commands_per_second: Option<u64>,
    /// Why it says nothing.
    why: Option<String>,
}

/// Who watches. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Watching(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    begun: Notify,
    /// Whoever watches has a receiver.
    latest: watch::Sender<Option<Latest>>,
}

#[derive(Debug, Clone)]
struct Latest {
    made: Instant,
    json: Arc<Value>,
}

/// A snapshot, as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Sent(Arc<Value>);

impl Serialize for Sent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Watching {
    pub(super) fn new() -> Self {
        let latest = watch::Sender::new(None);
        Self(Arc::new(Shared { begun: Notify::new(), latest }))
    }

    /// Snapshots, the first as soon as there is one that is not older than the time between two. Who is behind gets the newest.
    pub(super) fn watch(&self) -> impl Stream<Item = Sent> + use<> {
        let receiver = self.0.latest.subscribe();
        self.0.begun.notify_one();
        stream::unfold((receiver, true), async |(mut receiver, is_first)| {
            if is_first {
                receiver.mark_changed();
            }
            loop {
                receiver.changed().await.ok()?;
                let latest = receiver.borrow_and_update().clone();
                if let Some(latest) = latest.filter(|latest| latest.made.elapsed() < UPDATE) {
                    return Some((Sent(latest.json), (receiver, false)));
                }
            }
        })
    }
}

/// Asks the fleet while somebody watches.
pub(super) struct Asking {
    pub(super) watching: Watching,
    pub(super) fleet: Fleet,
    pub(super) redis: Option<RedisClient>,
    pub(super) seen: Mutex<Remembered>,
}

/// What is kept from one snapshot to the next.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    users: Vec<String>,
    addresses: Vec<String>,
    /// The last figures of instances.
    figures: BTreeMap<String, Figures>,
    redis: Option<(Instant, RedisInfo)>,
}

impl Vital for Asking {
    const NAME: &'static str = "figures for consoles";

    async fn run(&mut self) {
        loop {
            while self.watching.0.latest.receiver_count() == 0 {
                self.watching.0.begun.notified().await;
            }
            let begun = Instant::now();
            let snapshot = self.ask().await;
            match serde_json::to_value(&snapshot) {
                Ok(json) => {
                    let latest = Latest { made: Instant::now(), json: json.into() };
                    self.watching.0.latest.send_replace(Some(latest));
                }
                Err(error) => tracing::error!(%error, "figures for consoles cannot be written"),
            }
            sleep_until(begun + UPDATE).await;
        }
    }
}

impl Asking {
    async fn ask(&self) -> Snapshot {
        let question = {
            let seen = self.seen.lock();
            Question::Figures { users: seen.users.clone(), addresses: seen.addresses.clone() }
        };
        let (asked, redis) = tokio::join!(self.fleet.ask::<OfInstance>(&question), self.ask_redis());
        let mut seen = self.seen.lock();
        let (users, users_more) = merged(asked.answers.iter().map(|answer| &answer.answer.users));
        let (addresses, addresses_more) = merged(asked.answers.iter().map(|answer| &answer.answer.addresses));
        let names = |shown: &[ShownName]| shown.iter().map(|shown| shown.name.clone()).collect();
        (seen.users, seen.addresses) = (names(&users), names(&addresses));
        let mut total = Figures::default();
        for Answer { from, answer, .. } in &asked.answers {
            total.add(&answer.figures);
            seen.figures.insert(from.id.clone(), answer.figures.clone());
        }
        let others = self.fleet.others();
        seen.figures.retain(|id, _| {
            *id == self.fleet.local().about().id || others.iter().any(|other| other.about.id == *id)
        });
        let own = self.fleet.local().about();
        let shown = std::iter::once((own.clone(), now()))
            .chain(others.into_iter().map(|other| (other.about, other.heard_at)));
        let instances = shown.map(|(about, heard_at)| {
            let took = asked.answers.iter().find(|answer| answer.from.id == about.id);
            let figures = seen.figures.get(&about.id).cloned().map(Figures::shown);
            let round_trip_ms = took.and_then(|answer| answer.took).map(in_ms);
            ShownInstance { about, heard_at, round_trip_ms, figures }
        });
        let mut instances: Vec<_> = instances.collect();
        instances.sort_by_key(|instance| {
            let is_gone = instance.about.state == State::Gone;
            (is_gone, instance.about.name.clone(), instance.about.id.clone())
        });
        Snapshot {
            at: now(),
            by: own.id,
            instances,
            total: total.shown(),
            users,
            users_more,
            addresses,
            addresses_more,
            redis,
            is_alone: self.fleet.is_alone(),
        }
    }

    async fn ask_redis(&self) -> Option<RedisInfo> {
        let client = self.redis.as_ref()?;
        let known = self.seen.lock().redis.clone();
        if let Some((_, info)) = known.filter(|(asked, _)| asked.elapsed() < ASK_REDIS) {
            return Some(info);
        }
        let info = match timeout(PATIENCE, client.query::<String>(redis::cmd("INFO"))).await {
            Ok(Ok(text)) => RedisInfo::parse(&text),
            Ok(Err(error)) => RedisInfo { why: Some(error.to_string()), ..RedisInfo::default() },
            Err(_) => RedisInfo { why: Some("it does not answer".to_owned()), ..RedisInfo::default() },
        };
        self.seen.lock().redis = Some((Instant::now(), info.clone()));
        Some(info)
    }
}

/// The first of all instances together, and whether there are others.
fn merged<'a>(named: impl Iterator<Item = &'a Named>) -> (Vec<ShownName>, bool) {
    let (mut sums, mut is_more) = (BTreeMap::<&str, (u64, u64)>::new(), false);
    for of_instance in named {
        is_more |= of_instance.is_more;
        for (name, count) in &of_instance.counts {
            let (connections, instances) = sums.entry(name).or_default();
            *connections += count;
            *instances += 1;
        }
    }
    is_more |= sums.len() > SHOWN;
    let mut all: Vec<_> = sums
        .into_iter()
        .map(|(name, (connections, instances))| ShownName { name: name.to_owned(), connections, instances })
        .collect();
    // The sort is stable, and names are in order.
    all.sort_by_key(|shown| std::cmp::Reverse(shown.connections));
    all.truncate(SHOWN);
    (all, is_more)
}

impl RedisInfo {
    fn parse(text: &str) -> Self {
        let fields: BTreeMap<_, _> = text.lines().filter_map(|line| line.trim().split_once(':')).collect();
        let number = |name: &str| fields.get(name).and_then(|value| value.parse().ok());
        Self {
            role: fields.get("role").map(|role| (*role).to_owned()),
            version: fields.get("redis_version").map(|version| (*version).to_owned()),
            memory_bytes: number("used_memory"),
            memory_limit_bytes: number("maxmemory"),
            clients: number("connected_clients"),
            commands_per_second: number("instantaneous_ops_per_sec"),
            why: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_gets_nothing_that_is_older_than_an_update() {
        let watching = Watching::new();
        let latest = |number: u32| Some(Latest { made: Instant::now(), json: Arc::new(number.into()) });
        watching.0.latest.send_replace(latest(1));
        let mut first = std::pin::pin!(watching.watch());
        assert_eq!(*first.next().await.unwrap().0, 1);
        tokio::time::advance(UPDATE).await;
        let mut second = std::pin::pin!(watching.watch());
        assert!(second.next().now_or_never().is_none());
        watching.0.latest.send_replace(latest(2));
        assert_eq!(*second.next().await.unwrap().0, 2);
    }

    #[test]
    fn users_of_several_instances_are_added_up() {
        let named = |counts: &[(&str, u64)], is_more| Named {
            counts: counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            is_more,
        };
        let (first, second) =
            (named(&[("ada", 2), ("bob", 3)], false), named(&[("ada", 2), ("cy", 3)], false));
        let (shown, is_more) = merged([&first, &second].into_iter());
        let shown: Vec<_> =
            shown.iter().map(|shown| (&*shown.name, shown.connections, shown.instances)).collect();
        assert_eq!((shown, is_more), (vec![("ada", 4, 2), ("bob", 3, 1), ("cy", 3, 1)], false));
        assert!(merged([&first, &named(&[], true)].into_iter()).1);
    }

    #[test]
    fn redis_says_what_it_is() {
        let text = "# Server\r\nredis_version:7.2.4\r\n# Memory\r\nused_memory:1024\r\nmaxmemory:0\r\n# Stats\r\ninstantaneous_ops_per_sec:12\r\n# Replication\r\nrole:master\r\n";
        let info = RedisInfo::parse(text);
        assert_eq!((info.role.as_deref(), info.version.as_deref()), (Some("master"), Some("7.2.4")));
        assert_eq!((info.memory_bytes, info.memory_limit_bytes, info.clients), (Some(1024), Some(0), None));
        assert_eq!(info.commands_per_second, Some(12));
    }
}
