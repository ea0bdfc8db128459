//! Which Redis nodes there are, where each is found, and which channel belongs to which.

mod cluster;
mod sentinel;
mod slots;
mod spread;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::time::sleep;

pub(crate) use self::cluster::{Cluster, SlotMap};
use self::sentinel::Sentinels;
use self::spread::Spread;
use crate::client::link::{ConnectError, Link, LinkLost, Mode, Role, Server};
use crate::{RedisEndpoint, RedisOptions};

/// The nodes that a backplane's channels are spread over, as far as they are known before one is reached.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) routes: Routes,
    /// Where the nodes are found; never empty.
    pub(crate) locations: Vec<Location>,
    /// What may turn out to be a cluster, and then tells how many nodes there are.
    pub(crate) cluster: Option<Arc<Cluster>>,
}

impl Topology {
    pub(crate) fn of(options: &RedisOptions) -> Self {
        let endpoints = &options.endpoints;
        if options.spread_channels {
            let alone = |server: &RedisEndpoint| Location::FirstOf(vec![server.clone()]);
            return Self {
                routes: Routes::Spread(Arc::new(Spread::over(endpoints))),
                locations: endpoints.iter().map(alone).collect(),
                cluster: None,
            };
        }
        let location = Location::of(options);
        let cluster = match &location {
            Location::Shard(cluster, _) => {
                cluster.wait_for_routes();
                Some(Arc::clone(cluster))
            }
            Location::FirstOf(_) | Location::MasterOf(_) => None,
        };
        Self { routes: Routes::One, locations: vec![location], cluster }
    }
}

/// Which channel belongs to which node, by the node's place.
#[derive(Debug, Clone)]
pub(crate) enum Routes {
    One,
    Spread(Arc<Spread>),
    /// By the hash slot of the name without as many bytes in front, as StackExchange.Redis does it: the prefix.
    Slots(Arc<SlotMap>, usize),
}

impl Routes {
    /// The place of a channel's node, prefix included.
    pub(crate) fn place_of(&self, channel: &str) -> usize {
        match self {
            Self::One => 0,
            Self::Spread(spread) => spread.server_of(channel),
            Self::Slots(map, prefix) => map.shard_of(channel.get(*prefix..).unwrap_or(channel).as_bytes()),
        }
    }
}

/// Where one node is, or whom to ask.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    /// The first of these that is a master, or the first that can be reached.
    FirstOf(Vec<RedisEndpoint>),
    /// The master that these name.
    MasterOf(Arc<Sentinels>),
    /// The master in this place of a cluster, if it is one; else in the first place the first of its endpoints.
    Shard(Arc<Cluster>, usize),
}

/// The two connections to a node, both to the same server.
pub(crate) struct Links {
    pub(crate) publishing: Link,
    pub(crate) subscribing: Link,
}

/// When a node may be somewhere else than it was.
pub(crate) enum Moves {
    Never,
    /// The Sentinels have told of a failover.
    Failovers(watch::Receiver<u64>),
    /// The cluster has another map.
    Maps(watch::Receiver<Arc<SlotMap>>),
}

impl Location {
    /// Of what is kept in keys: of several independent servers the first by name.
    pub(crate) fn of_keys(options: &RedisOptions) -> Self {
        let by_name = options.endpoints.iter().min_by_key(|endpoint| endpoint.to_string());
        match (options.spread_channels, by_name) {
            (true, Some(first)) => Self::FirstOf(vec![first.clone()]),
            _ => Self::of(options),
        }
    }

    fn of(options: &RedisOptions) -> Self {
        match &options.service_name {
            Some(service) => Self::MasterOf(Arc::new(Sentinels::new(service, &options.endpoints))),
            None => Self::Shard(Arc::new(Cluster::of(&options.endpoints)), 0),
        }
    }

    /// Finds the node and connects, once.
    ///
    /// # Errors
    /// It cannot be reached, for the reason that was met first.
    pub(crate) async fn open(
        &self,
        options: &RedisOptions,
        client_name: &str,
    ) -> Result<Links, ConnectError> {
        let publishing = self.open_one(options, client_name).await?;
        let subscribing = Link::open(&publishing.endpoint, options, client_name).await?;
        Ok(Links { publishing, subscribing })
    }

    /// The same, a single connection.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) async fn open_one(
        &self,
        options: &RedisOptions,
        client_name: &str,
    ) -> Result<Link, ConnectError> {
        match self {
            Self::FirstOf(endpoints) => first_of(endpoints, options, client_name).await,
            Self::MasterOf(sentinels) => sentinels.open(options, client_name).await,
            Self::Shard(cluster, place) => cluster.open(*place, options, client_name).await,
        }
    }

    /// The place of a key's master in a cluster.
    pub(crate) fn place_of(&self, key: Option<&[u8]>) -> usize {
        match (self, key) {
            (Self::Shard(cluster, _), Some(key)) => cluster.map().shard_of(key),
            // Without a key any master will do.
            (Self::Shard(cluster, _), None) => cluster.map().first_taken(),
            (Self::FirstOf(_) | Self::MasterOf(_), _) => 0,
        }
    }

    /// Another place of the same cluster.
    pub(crate) fn at(&self, place: usize) -> Self {
        match self {
            Self::Shard(cluster, _) => Self::Shard(Arc::clone(cluster), place),
            Self::FirstOf(_) | Self::MasterOf(_) => self.clone(),
        }
    }

    /// Asks a cluster where its slots are.
    pub(crate) async fn learn(&self, options: &RedisOptions, client_name: &str) {
        if let Self::Shard(cluster, _) = self
            && let Err(error) = cluster.refresh(options, client_name).await
        {
            tracing::debug!(%error, "the cluster does not tell its slots");
        }
    }

    /// Has a cluster asked where its slots are, when it is told.
    pub(crate) fn in_doubt(&self) -> Arc<Notify> {
        match self {
            Self::Shard(cluster, _) => Arc::clone(&cluster.in_doubt),
            Self::FirstOf(_) | Self::MasterOf(_) => Arc::default(),
        }
    }

    /// Hears of [moves](Self::moves) as they happen, for as long as it is not dropped.
    pub(crate) async fn listen(&self, options: &RedisOptions, client_name: &str) -> Infallible {
        match self {
            Self::MasterOf(sentinels) => sentinels.listen(options, client_name).await,
            // Whoever follows a cluster asks for all of its nodes.
            Self::FirstOf(_) | Self::Shard(..) => pending().await,
        }
    }

    /// From now on.
    pub(crate) fn moves(&self) -> Moves {
        match self {
            Self::FirstOf(_) => Moves::Never,
            Self::MasterOf(sentinels) => Moves::Failovers(sentinels.failovers()),
            Self::Shard(cluster, _) => Moves::Maps(cluster.maps()),
        }
    }

    /// Ready when another server than this one is to be used, which its links would not tell: it goes on as a
    /// replica, or alone behind a network that has been cut. Looked at each `configCheckSeconds`.
    pub(crate) async fn superseded(
        &self,
        current: &RedisEndpoint,
        options: &RedisOptions,
        client_name: &str,
    ) -> LinkLost {
        match self {
            Self::FirstOf(endpoints) => another_master(endpoints, current, options, client_name).await,
            Self::Shard(cluster, place) => cluster.superseded(*place, current, options, client_name).await,
            Self::MasterOf(sentinels) => sentinels.superseded(current, options, client_name).await,
        }
    }
}

impl Moves {
    /// Ready when there has been one since the last time.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn next(&mut self) {
        let moved = match self {
            Self::Never => return pending().await,
            Self::Failovers(failovers) => failovers.changed().await,
            Self::Maps(maps) => maps.changed().await,
        };
        // Who tells has gone.
        if moved.is_err() {
            pending().await
        }
    }
}

async fn first_of(
    endpoints: &[RedisEndpoint],
    options: &RedisOptions,
    client_name: &str,
) -> Result<Link, ConnectError> {
    let (mut replica, mut failure) = (None, None);
    for endpoint in endpoints {
        match Link::open(endpoint, options, client_name).await {
            Ok(link) if link.server.mode == Some(Mode::Sentinel) => {
                let answer = "it is a Sentinel, expected serviceName with the name of its master".to_owned();
                failure.get_or_insert(link.not_ready(answer));
            }
            Ok(link) if link.server.role == Some(Role::Replica) => _ = replica.get_or_insert(link),
            Ok(link) => return Ok(link),
            Err(error) => {
                tracing::debug!(%error, "no connection to Redis");
                failure.get_or_insert(error);
            }
        }
    }
    match (replica, failure) {
        (Some(replica), _) => {
            tracing::warn!(endpoint = %replica.endpoint, "no master is there, and a replica reaches only who else uses it");
            Ok(replica)
        }
        (None, Some(failure)) => Err(failure),
        (None, None) => unreachable!("options have an endpoint"),
    }
}

/// Ready when the server says that it is a replica and another one of these is a master.
async fn another_master(
    endpoints: &[RedisEndpoint],
    current: &RedisEndpoint,
    options: &RedisOptions,
    client_name: &str,
) -> LinkLost {
    if endpoints.len() == 1 {
        return pending().await;
    }
    loop {
        demoted(current, options, client_name).await;
        if let Ok(link) = first_of(endpoints, options, client_name).await
            && link.endpoint != *current
            && link.server.role == Some(Role::Master)
        {
            return LinkLost::Superseded(link.endpoint.to_string());
        }
    }
}

/// Ready when the server says that it is a replica.
async fn demoted(current: &RedisEndpoint, options: &RedisOptions, client_name: &str) {
    let mut asked = None;
    loop {
        sleep(options.config_check).await;
        let link = match asked.take() {
            Some(link) => Ok(link),
            None => Link::open(current, options, client_name).await,
        };
        // If it cannot be asked, neither can its links be used, and they are given up.
        let Ok(mut link) = link else { continue };
        match link.ask_what_it_is(options).await {
            Ok(Server { role: Some(Role::Replica), .. }) => return,
            Ok(_) => asked = Some(link),
            Err(_) => {}
        }
    }
}
