//! Whatever happens on the way, in the end everybody knows what is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_directory::conformance::{Believed, until};
use hubline_directory::{
    Answer, ConnectionChange, ConnectionObserver, HubDirectory, ObserverError, Scope, SessionDirectory,
};
use hubline_protocol::{ConnectionId, UserId};
use hubline_testkit::RedisServer;

use crate::instance::{Instance, Reader};

const GROUPS: [&str; 3] = ["g0", "g1", "g2"];
const USERS: u64 = 7;

/// What there should be: connections with their user and groups.
type Model = BTreeMap<String, (usize, String, BTreeSet<&'static str>)>;

/// What an application keeps, in a place that all instances share.
#[derive(Debug, Clone, Default)]
struct NewestOfUsers(Arc<Mutex<BTreeMap<UserId, ConnectionId>>>);

impl NewestOfUsers {
    async fn update(&self, hub: &dyn HubDirectory, user: &UserId) -> Result<(), ObserverError> {
        let newest = async || match hub.connections_of(user.clone()).await {
            Answer { value, scope: Scope::Fleet } => Ok(value.first().cloned()),
            Answer { .. } => Err("Redis is away"),
        };
        loop {
            let before = newest().await?;
            match &before {
                Some(newest) => self.0.lock().unwrap().insert(user.clone(), newest.clone()),
                None => self.0.lock().unwrap().remove(user),
            };
            // Another instance may have written what was true before.
            if newest().await? == before {
                return Ok(());
            }
        }
    }
}

impl ConnectionObserver for NewestOfUsers {
    fn changed<'a>(
        &'a self,
        hub: &'a dyn HubDirectory,
        changes: &'a [ConnectionChange],
    ) -> BoxFuture<'a, Result<(), ObserverError>> {
        async move {
            for change in changes {
                self.update(hub, change.user.as_ref().unwrap()).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// Xorshift; the seed is told when a test fails.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }
}

/// One thing that a hub reports.
fn act(random: &mut Random, instances: &[Instance], model: &mut Model, number: usize) {
    let ids: Vec<String> = model.keys().cloned().collect();
    if ids.is_empty() || random.below(4) == 0 {
        let (at, user) = (random.index(instances.len()), format!("u{}", random.below(USERS)));
        let id = format!("c{number:04}");
        instances[at].connect(&id, Some(&user));
        model.insert(id, (at, user, BTreeSet::new()));
        return;
    }
    let id = &ids[random.index(ids.len())];
    let group = GROUPS[random.index(GROUPS.len())];
    let (at, _, groups) = model.get_mut(id).unwrap();
    let instance = &instances[*at];
    match random.below(4) {
        0 => {
            instance.disconnect(id);
            model.remove(id);
        }
        1 => {
            instance.hub.left(&id.as_str().into(), &group.into());
            groups.remove(group);
        }
        _ => {
            instance.join(id, group);
            groups.insert(group);
        }
    }
}

/// Something goes wrong.
async fn disturb(random: &mut Random, redis: &mut RedisServer, reader: &Reader, instance: &Instance) {
    match random.below(7) {
        6 => {
            redis.pause().unwrap();
            instance.hub.connection_count().await;
            redis.resume().unwrap();
        }
        0 => {
            redis.stop().await.unwrap();
            redis.start_again().await.unwrap();
        }
        1 => {
            _ = reader.try_run::<()>(&["FLUSHALL"]).await;
        }
        2 => {
            _ = reader.try_run::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        }
        3 => {
            _ = reader.try_run::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        }
        4 => {
            let key = "TeleDoctor:{hubline}:instances";
            let names: Vec<String> = reader.try_run(&["ZRANGE", key, "0", "-1"]).await.unwrap_or_default();
            for name in names {
                _ = reader.try_run::<i64>(&["ZADD", key, "XX", "1", &name]).await;
            }
        }
        _ => {
            _ = reader.try_run::<()>(&["SCRIPT", "FLUSH"]).await;
        }
    }
}

async fn turmoil(seed: u64) {
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut redis = RedisServer::start().await.unwrap();
    let at = format!("{},asyncTimeout=300,connectTimeout=300", redis.connection_string());
    let reader = Reader::new(&at);
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(Instance::start(&at).await);
    }
    let mut watched = Vec::new();
    for instance in &instances {
        for group in GROUPS {
            watched.push((group, Believed::watch(&*instance.hub, group).await));
        }
    }
    let newest_of_users = NewestOfUsers::default();
    for instance in &instances {
        instance.directory.observe("Chat", Arc::new(newest_of_users.clone()));
    }
    let mut model = Model::new();
    for number in 0..600 {
        act(&mut random, &instances, &mut model, number);
        // Time for some of it to be written, or for all.
        match random.below(30) {
            0 => _ = instances[random.index(instances.len())].hub.connection_count().await,
            1..5 => _ = reader.try_run::<String>(&["PING"]).await,
            _ => {}
        }
        if random.below(60) == 0 {
            let instance = &instances[random.index(instances.len())];
            disturb(&mut random, &mut redis, &reader, instance).await;
        }
        if random.below(200) == 0 {
            // One dies and another one starts.
            let dying = random.index(instances.len());
            instances[dying] = Instance::start(&at).await;
            instances[dying].directory.observe("Chat", Arc::new(newest_of_users.clone()));
            model.retain(|_, (at, ..)| *at != dying);
            for (n, group) in GROUPS.iter().enumerate() {
                let watch = Believed::watch(&*instances[dying].hub, group).await;
                watched[dying * GROUPS.len() + n] = (group, watch);
            }
        }
    }

    for instance in &instances {
        agree(&*instance.hub, &model).await;
    }
    for (group, believed) in &mut watched {
        let members = model.iter().filter(|(_, (.., groups))| groups.contains(group));
        let members: Vec<&str> = members.map(|(id, _)| id.as_str()).collect();
        believed.until(&members).await;
    }
    for n in 0..USERS {
        let user = UserId::from(format!("u{n}"));
        let newest = instances[0].newest(user.as_str()).await.first().cloned();
        until(newest, async || newest_of_users.0.lock().unwrap().get(&user).cloned()).await;
    }
}

async fn agree(hub: &dyn HubDirectory, model: &Model) {
    let users: BTreeSet<_> = model.values().map(|(_, user, _)| user).collect();
    until((model.len() as u64, users.len() as u64), async || {
        (hub.connection_count().await.value, hub.user_count().await.value)
    })
    .await;
    for group in GROUPS {
        let members = model.values().filter(|(.., groups)| groups.contains(group)).count() as u64;
        until(members, async || hub.member_count(group.into()).await.value).await;
    }
}

#[tokio::test]
async fn in_the_end_everybody_knows_what_is() {
    for seed in 1..=4 {
        turmoil(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed)).await;
    }
}
