//! The pub/sub backplane: ASP.NET Core's channels and payloads over two links to each Redis node.
//!
//! A channel belongs to one node. One task drives both links of a node. They live and die together: whoever
//! publishes relies on its own echo, so nothing is published through Redis before every wanted channel is
//! confirmed, and when one link is lost the other is given up with it.

mod channels;
mod commands;
mod counters;
mod dialect;
mod driver;
mod echoes;
mod fleet;
mod garbage;
mod hub;
mod message;
mod moved;
mod node;
mod nodes;
mod outage;
mod outbox;
mod outgoing;
mod posted;
mod publisher;
mod raw;
mod refusals;
mod seldom;
mod status;
mod subscriber;
mod subscriptions;
mod unwritten;

pub mod wire;

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join_all};
use hubline_backplane::{
    Backplane, Fleet, GroupChange, GroupError, HubBackplane, Inbox, Publication, PublishError, Published,
    Reach, ReturnAddress, Statistics, Status, Subject, Target,
};
use hubline_protocol::{Encoded, HubProtocol};
use hubline_supervision::spawn;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use self::channels::Channels;
pub(crate) use self::channels::{machine_name, new_server_name};
use self::commands::Commands;
use self::counters::Counters;
use self::driver::Driver;
pub(crate) use self::garbage::Garbage;
use self::hub::{Hub, InOrder};
use self::message::{Message, Publisher};
use self::moved::Redirector;
use self::node::Node;
use self::nodes::{Follower, NodeTask, Nodes};
use self::outgoing::{Content, Fate, Outgoing, Waiting, shut_down};
use self::status::Statuses;
use self::subscriptions::{Addressee, Route};
use crate::RedisOptions;
use crate::client::{RedisClient, client_name};
use crate::fleet::RedisFleet;
use crate::link::ConnectError;
use crate::tls;
use crate::topology::Topology;

pub use self::raw::{RawChannels, RawInbox, RawMessage, RawMessages, RawPublishError, RawSubscription};

/// As it is shipped (`client-output-buffer-limit pubsub 32mb`), Redis cuts off every subscriber of a message
/// that is larger than this, ASP.NET Core's too.
const LIMIT_PAYLOAD_BYTES: usize = 30 * 1024 * 1024;

/// A backplane on Redis' pub/sub, compatible with Microsoft.AspNetCore.SignalR.StackExchangeRedis.
///
/// One publishing and one subscribing link to each node, shared by all hubs. While they are down publications
/// reach this instance's own connections, and [`Reach`] says so.
///
/// - **Order.** What one publisher sends, published or posted, arrives in that order. A hub has one inbox per
///   instance. Many that are posted are written at once, and share a round trip.
/// - **Echo.** While the links are up, this instance's own connections too get a publication when Redis brings
///   it back. If the links are lost before it is answered, it is delivered here unless its echo, or a later
///   one's, has come; an echo that comes afterwards is dropped. So never twice.
/// - **Outbox.** What is published while the link is down is delivered here at once and kept for the others
///   ([`OutboxOptions`](crate::OutboxOptions), [`Reach::Queued`]). Once the link is back, and as many instances
///   listen as did before (or 2 s have gone; at another server than before 5 s), it is sent in order, marked with
///   this instance's name so that it is not delivered here again. What was written and never answered is not
///   sent again: the others may have it ([`Reach::Unknown`]).
/// - **Frozen, or slow.** Links on which an answer takes longer than `asyncTimeout`, 2 s at most, count as down: what
///   is on its way is delivered here, what comes waits in the outbox. They are kept until they have answered
///   everything, or answer no more and others can be had: a Redis that goes on delivers what it had been sent,
///   and nobody misses it.
/// - **Refused.** What Redis cannot take for the moment (`CLUSTERDOWN`, `TRYAGAIN`, `MOVED`, `LOADING`, `READONLY`,
///   `MASTERDOWN`, `BUSY`: nothing of it has been carried out) goes the way of the outbox, with all that follows. Any
///   other error means that a message is delivered here alone, and the status tells it until Redis takes a
///   message again, or for 30 s after the last one.
/// - **Bounds.** A message may have 30 MiB, both protocols together. Publishers wait while 2,048 publications
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

/// What the hubs share.
struct Shared {
    options: Arc<RedisOptions>,
    nodes: Arc<Nodes>,
    statuses: Arc<Statuses>,
    counters: Arc<Counters>,
    garbage: Arc<Garbage>,
}

/// Of the nodes, or of who follows a cluster and has those of its nodes.
type Tasks = Vec<AbortOnDropHandle<()>>;

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
        let shared = Shared { options, nodes, statuses, counters, garbage: Arc::default() };
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
    nodes: Vec<(Arc<Node>, Waiting)>,
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
        let shared = &self.shared;
        let server_name = new_server_name();
        tracing::debug!(hub_name, server_name, "hub attached to Redis");
        let (hub, waiting) = Hub::new(Channels::new(shared.prefix(), hub_name, server_name));
        let all = hub.channels.of(&Target::All);
        assert!(
            !shared.nodes.at_node_of(&all, |at| at.wants(&all)),
            "a hub named {hub_name} is attached already"
        );
        for (channel, to) in [
            (all, Addressee::Connections(Target::All)),
            (hub.channels.group_commands(), Addressee::GroupCommands),
            (hub.channels.acks(), Addressee::Acks),
            (hub.channels.answers(), Addressee::Answers),
        ] {
            let route = Route::Hub { hub: Arc::clone(&hub), to };
            let _ = shared.nodes.at_node_of(&channel, |at| at.count_up(&channel, route));
        }
        let (commands, garbage) = (Commands::new(&hub, shared), Arc::clone(&shared.garbage));
        let worker = spawn(InOrder { waiting, inbox, commands, garbage });
        Arc::new(Attached {
            hub,
            shared: Arc::clone(shared),
            _worker: worker,
            _tasks: Arc::clone(&self.tasks),
        })
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
        statistics
    }

    fn fleet(&self) -> Option<Arc<dyn Fleet>> {
        let fleet = self.fleet.get_or_init(|| {
            Arc::new(RedisFleet::new(
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

/// A hub's side.
struct Attached {
    hub: Arc<Hub>,
    shared: Arc<Shared>,
    _worker: AbortOnDropHandle<()>,
    _tasks: Arc<Tasks>,
}

impl HubBackplane for Attached {
    /// # Cancel safety
    /// Dropped early, it may or may not have been published.
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Published, PublishError>> {
        async move {
            let (publication, payload) = self.encode(publication)?;
            match publication.asks {
                Some(_) => self.ask(&publication, payload).await,
                None => self.publish_and_wait(publication, payload).await,
            }
        }
        .boxed()
    }

    fn post(&self, publication: Publication) -> BoxFuture<'_, Result<(), PublishError>> {
        async move {
            let (mut publication, payload) = self.encode(publication)?;
            for target in std::mem::take(&mut publication.targets) {
                let publisher = Publisher::HasGoneOn { _ticket: self.hub.posted.begin() };
                self.put(target, &publication, publisher, &payload).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.hub.posted.flushed().boxed()
    }

    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, ()> {
        async move {
            let target = Target::Subject(subject);
            let channel = self.hub.channels.of(&target);
            let route = Route::Hub { hub: Arc::clone(&self.hub), to: Addressee::Connections(target) };
            self.shared.subscribe(&channel, route).await;
        }
        .boxed()
    }

    fn change_group(&self, change: GroupChange) -> BoxFuture<'_, Result<(), GroupError>> {
        commands::ask(&self.hub, &self.shared, change).boxed()
    }

    fn answer(&self, to: ReturnAddress, protocol: HubProtocol, completion: Encoded) -> BoxFuture<'_, ()> {
        async move {
            let answer = wire::Completion { protocol: protocol.name(), message: completion.payload() };
            let channel = self.hub.channels.named(&to.channel);
            _ = self.shared.send_internal(&channel, answer.encode()).await;
        }
        .boxed()
    }

    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, ()> {
        async move {
            let channel = self.hub.channels.of(&Target::Subject(subject));
            self.shared.nodes.at_node_of(&channel, |at| at.remove(&channel));
        }
        .boxed()
    }
}

impl Attached {
    /// The publication with the targets that count, and its payload.
    fn encode(&self, mut publication: Publication) -> Result<(Publication, Bytes), PublishError> {
        if publication.targets.len() > 1 {
            publication.targets.retain(|target| !is_nameless_group(target));
        }
        let asks = publication.asks.as_deref().map(|id| (id, self.hub.channels.return_address()));
        let answer_to =
            asks.as_ref().map(|(invocation_id, channel)| wire::AnswerTo { invocation_id, channel });
        let payload = wire::publication(&publication.excluded, &publication.frames, answer_to);
        if payload.len() > LIMIT_PAYLOAD_BYTES {
            let refused = format!(
                "{} bytes in both protocols are over the limit of {LIMIT_PAYLOAD_BYTES}",
                payload.len()
            );
            return Err(PublishError::Refused(refused));
        }
        Ok((publication, payload.into()))
    }

    /// Puts it into the queue of the target's node.
    async fn put(
        &self,
        target: Target,
        publication: &Publication,
        publisher: Publisher,
        payload: &Bytes,
    ) -> Result<(), PublishError> {
        let channel: Arc<str> = self.hub.channels.of(&target).into();
        let node = self.shared.node_of(&channel);
        let room = node.queue.room(&channel, payload).await?;
        let message = Message {
            hub: Arc::clone(&self.hub),
            target,
            excluded: Arc::clone(&publication.excluded),
            frames: publication.frames.clone(),
            publisher,
            redirections: 0,
        };
        let content = Content::Message(Box::new(message));
        self.shared.nodes.put(Outgoing { channel, payload: payload.clone(), content, room }).await
    }

    /// Each target's channel gets it, from its own node.
    async fn publish_and_wait(
        &self,
        mut publication: Publication,
        payload: Bytes,
    ) -> Result<Published, PublishError> {
        let mut each = Vec::new();
        for target in std::mem::take(&mut publication.targets) {
            let (publisher, published) = oneshot::channel();
            self.put(target, &publication, Publisher::Waits(publisher), &payload).await?;
            each.push(published);
        }
        let mut all = Published { receivers: 0, reach: Reach::Fleet };
        for published in each {
            let published = published.await.map_err(|_| shut_down())?;
            all.receivers += published.receivers;
            all.reach = all.reach.max(published.reach);
        }
        Ok(all)
    }

    /// A question means nothing later and nothing here.
    async fn ask(&self, publication: &Publication, payload: Bytes) -> Result<Published, PublishError> {
        let mut all = Published { receivers: 0, reach: Reach::Fleet };
        for target in &publication.targets {
            let channel = self.hub.channels.of(target);
            let (receivers, reach) = match self.shared.send_internal(&channel, payload.clone()).await? {
                Fate::Taken { receivers } => (receivers, Reach::Fleet),
                Fate::Unanswered => (0, Reach::Unknown),
                Fate::NotSent | Fate::Refused(_) => (0, Reach::ThisInstance),
            };
            all.receivers += receivers;
            all.reach = all.reach.max(reach);
        }
        Ok(all)
    }
}

impl Shared {
    fn prefix(&self) -> &str {
        self.options.channel_prefix.as_deref().unwrap_or_default()
    }

    fn node_of(&self, channel: &str) -> Arc<Node> {
        self.nodes.node_of(channel)
    }

    /// Ready when Redis has confirmed the channel, or at once while the link is down.
    ///
    /// # Cancel safety
    /// It counts from the first poll on.
    async fn subscribe(&self, channel: &str, route: Route) {
        let confirmed = self.nodes.at_node_of(channel, |at| at.count_up(channel, route));
        if let Some(confirmed) = confirmed {
            // An error means that the link is gone: it will be restored with it.
            let _ = confirmed.await;
        }
    }

    /// Publishes what is no message.
    async fn send_internal(&self, channel: &str, payload: impl Into<Bytes>) -> Result<Fate, PublishError> {
        self.nodes.send_internal(&channel.into(), payload.into()).await
    }
}

/// ASP.NET Core skips it among several and publishes to it alone.
fn is_nameless_group(target: &Target) -> bool {
    matches!(target, Target::Subject(Subject::Group(group)) if group.as_str().is_empty())
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.shared.nodes.for_each(|node| node.subscriptions.remove_hub(&self.hub));
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackplane").field("channels", &self.hub.channels).finish_non_exhaustive()
    }
}
