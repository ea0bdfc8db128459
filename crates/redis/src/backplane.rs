//! The pub/sub backplane: ASP.NET Core's channels and payloads over two links to each Redis node.
//!
//! A channel belongs to one node. One task drives both links of a node. They live and die together: whoever
//! publishes relies on its own echo, so nothing is published through Redis before every wanted channel is
//! confirmed, and when one link is lost the other is given up with it.

mod attached;
mod channels;
mod commands;
mod counters;
mod dialect;
mod driver;
mod echoes;
mod fleet;
mod garbage;
mod hub;
mod latency;
mod listeners;
mod moved;
mod node;
mod nodes;
mod numbering;
mod outage;
mod outbox;
mod outgoing;
mod posted;
mod publishing;
mod raw;
mod refusals;
mod seldom;
mod shared;
mod status;
mod subscribing;
mod subscriptions;
mod unwritten;

pub mod wire;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use futures_util::future::try_join_all;
use hubline_backplane::{Backplane, Fleet, HubBackplane, Inbox, LatencyCounters, Statistics, Status};
use hubline_supervision::spawn;
use tokio::sync::{mpsc, oneshot, watch};

use self::attached::Attached;
use self::counters::Counters;
use self::driver::Driver;
use self::fleet::RedisFleet;
use self::moved::Redirector;
use self::node::Node;
use self::nodes::{Follower, NodeTask, Nodes};
use self::outgoing::QueueEnd;
use self::shared::{Shared, Tasks};
use self::status::Statuses;
use crate::RedisOptions;
use crate::client::link::ConnectError;
use crate::client::topology::Topology;
use crate::client::{RedisClient, client_name, tls};

pub use self::raw::{RawChannels, RawInbox, RawMessage, RawMessages, RawPublishError, RawSubscription};

/// A backplane on Redis' pub/sub, compatible with Microsoft.AspNetCore.SignalR.StackExchangeRedis.
///
/// One publishing and one subscribing link to each node, shared by all hubs. While they are down publications
/// reach this instance's own connections, and [`Reach`](hubline_backplane::Reach) says so.
///
/// - **Order.** What one publisher sends, published or posted, arrives in that order. A hub has one inbox per
///   instance. Many that are posted are written at once, and share a round trip.
/// - **Numbers.** A publication carries its origin and its number on the channel ([`wire::PublicationId`]), one item
///   more than ASP.NET Core writes and reads. Echoes are told from other messages by it, however late they come.
/// - **Echo.** While the links are up, this instance's own connections too get a publication when Redis brings
///   it back. If the links are lost before it is answered, it is delivered here unless its echo, or a later
///   one's, has come; an echo that comes afterwards is dropped. So never twice.
/// - **Outbox.** What is published while the link is down is delivered here at once and kept for the others
///   ([`OutboxOptions`](crate::OutboxOptions), [`Reach::Queued`](hubline_backplane::Reach::Queued)). Once the link is back, and as many instances
///   listen as did before (or 2 s have gone; at another server than before 5 s), it is sent in order, with its
///   number and as a replay, which its origin does not deliver again. How many listened is known if something
///   was published in the last 2 s before the loss: an instance that publishes nothing does not ask. What was written and never answered is not
///   sent again: the others may have it ([`Reach::Unknown`](hubline_backplane::Reach::Unknown)).
/// - **Frozen, or slow.** Links on which an answer takes longer than `asyncTimeout`, 2 s at most, count as down: what
///   is on its way is delivered here, what comes waits in the outbox. They are kept until they have answered
///   everything, or answer no more and others can be had: a Redis that goes on delivers what it had been sent,
///   and nobody misses it.
/// - **Refused.** What Redis cannot take for the moment (`CLUSTERDOWN`, `TRYAGAIN`, `MOVED`, `LOADING`, `READONLY`,
///   `MASTERDOWN`, `BUSY`: nothing of it has been carried out) goes the way of the outbox, with all that follows. Any
///   other error means that a message is delivered here alone, and the status tells it until Redis takes a
///   message again, or for 30 s after the last one.
/// - **Bounds.** A message may have 30 MiB, both protocols together; the first larger one is logged. Publishers wait while 2,048 publications
///   or 16 MiB are on their way, or while this instance is 6 MiB behind in reading its own. The subscribing
///   link is not read while 1,024 messages or 8 MiB wait for a hub; what waits in Redis then is bounded by its
///   `client-output-buffer-limit pubsub`, past which it cuts the link off.
/// - **Group commands and client results** go to the instance with the connection, and its answer comes back.
///   A command that nobody answers fails after 30 s, one without a link to Redis at once.
///
/// Cheap to share behind an `Arc`; the links end when it and every attached hub are dropped.
pub struct RedisBackplane {
    shared: Arc<Shared>,
    tasks: Arc<Tasks>,
    client: RedisClient,
    fleet: OnceLock<Arc<RedisFleet>>,
}

impl RedisBackplane {
    /// Starts connecting, and keeps at it in the background: returns at once, whether Redis is there or not.
    ///
    /// With an explicit `abortConnect=true` it waits for the first connection, in `connectRetry` attempts of
    /// `connectTimeout` each. Needs a tokio runtime.
    ///
    /// # Errors
    /// The files that TLS needs cannot be used; or, with `abortConnect=true`, Redis cannot be reached.
    pub async fn connect(options: RedisOptions) -> Result<Self, ConnectError> {
        tls::check(&options)?;
        let client_name: Arc<str> = client_name(&options).into();
        tracing::info!(redis = %options, %client_name, "connecting to Redis");
        let topology = Topology::of(&options);
        let options = Arc::new(options);
        let statuses = Statuses::new();
        let counters = Arc::<Counters>::default();
        #[expect(clippy::disallowed_methods, reason = "what is in it keeps its room, or was in an outbox")]
        let (tell_moved, moved) = mpsc::unbounded_channel();
        let tell_moved = topology.cluster.is_some().then_some(tell_moved);
        let (nodes, new) = Nodes::of(&topology, &options, &client_name, &statuses, &counters, tell_moved);
        let tasks = match topology.cluster {
            None => start(new, &options).await?.into_iter().map(|(_, task)| task).collect(),
            Some(cluster) => {
                // The first link waits until what it learns of a cluster is followed.
                let (started, tasks) = oneshot::channel();
                let follow = spawn(Follower::new(&nodes, &cluster, tasks));
                let redirect = spawn(Redirector { moved, nodes: Arc::clone(&nodes), cluster });
                let tasks = [follow, redirect];
                _ = started.send(start(new, &options).await?);
                tasks.into()
            }
        };
        let tasks = Arc::new(tasks);
        let client = RedisClient::new((*options).clone())?;
        let shared = Shared {
            options,
            nodes,
            statuses,
            counters,
            garbage: Arc::default(),
            has_met_limit: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared), tasks, client, fleet: OnceLock::new() })
    }

    /// Commands to the same Redis, on a connection of their own that the first command opens.
    pub fn client(&self) -> &RedisClient {
        &self.client
    }

    /// Channels of your own on the same links.
    pub fn raw_channels(&self) -> RawChannels {
        RawChannels::new(&self.shared, &self.tasks)
    }
}

/// The tasks of nodes, by place; with `abortConnect=true` once all are connected.
async fn start(
    nodes: Vec<(Arc<Node>, QueueEnd)>,
    options: &RedisOptions,
) -> Result<Vec<NodeTask>, ConnectError> {
    let first: Vec<_> = match options.aborts_on_connect_fail() {
        true => {
            try_join_all(nodes.iter().map(|(node, _)| node.open())).await?.into_iter().map(Some).collect()
        }
        false => nodes.iter().map(|_| None).collect(),
    };
    let tasks = nodes
        .into_iter()
        .zip(first)
        .enumerate()
        .map(|(place, ((node, waiting), links))| (place, spawn(Driver::new(node, links, waiting))));
    Ok(tasks.collect())
}

impl Backplane for RedisBackplane {
    /// # Panics
    /// If a hub of that name is attached already: both would have the same channels.
    fn attach(&self, hub_name: &str, inbox: Arc<dyn Inbox>) -> Arc<dyn HubBackplane> {
        Arc::new(Attached::new(hub_name, inbox, &self.shared, &self.tasks))
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.shared.statuses.subscribe()
    }

    fn statistics(&self) -> Statistics {
        let Shared { counters, nodes, garbage, .. } = &*self.shared;
        let mut statistics = Statistics::default();
        // Looks for what has expired, before that is read.
        nodes.for_each(|node| {
            let (messages, bytes) = node.outbox.size();
            statistics.waiting += messages as u64;
            statistics.waiting_bytes += bytes as u64;
        });
        statistics.published = counters.published.get();
        statistics.queued = counters.queued.get();
        statistics.replayed = counters.replayed.get();
        statistics.expired = counters.expired.get();
        statistics.overflowed = counters.overflowed.get();
        statistics.unknown = counters.unknown.get();
        statistics.refused = counters.refused.get();
        statistics.reconnects = counters.reconnects.get();
        statistics.garbage = garbage.count();
        statistics.latencies = LatencyCounters::sum([&counters.latencies]);
        statistics
    }

    fn fleet(&self) -> Option<Arc<dyn Fleet>> {
        let fleet = self.fleet.get_or_init(|| {
            Arc::new(RedisFleet::new(
                self.shared.counters.numbering.origin(),
                self.raw_channels(),
                self.client.clone(),
                self.status(),
                Arc::clone(&self.shared.garbage),
            ))
        });
        Some(Arc::clone(fleet) as _)
    }
}

impl fmt::Debug for RedisBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackplane").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
