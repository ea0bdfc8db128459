//! The nodes there are, and which one a channel belongs to. In a cluster both change.
//!
//! A channel moves with all interest in it, under one lock: nobody counts at a node that the channel has left.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Fuse;
use hubline_backplane::PublishError;
use hubline_supervision::{Vital, spawn};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::counters::Counters;
use super::dialect::Dialect;
use super::driver::Driver;
use super::listeners::PATIENCE;
use super::moved::{LIMIT_REDIRECTIONS, Moved};
use super::node::Node;
use super::outgoing::{Fate, Number, Outgoing, QueueEnd};
use super::refusals::says_moved;
use super::status::Statuses;
use super::subscriptions::Subscriptions;
use crate::RedisOptions;
use crate::client::topology::{Cluster, Location, Routes, SlotMap, Topology};

/// How long a node that has lost its slots gets, to end what is on its way to it.
const FAREWELL: Duration = Duration::from_secs(10);

pub(super) struct Nodes {
    routing: RwLock<Routing>,
    cluster: Option<Arc<Cluster>>,
    options: Arc<RedisOptions>,
    client_name: Arc<str>,
    statuses: Arc<Statuses>,
    counters: Arc<Counters>,
    moved: Option<mpsc::UnboundedSender<Moved>>,
}

struct Routing {
    routes: Routes,
    /// By place; those that have left the cluster leave theirs empty.
    nodes: Vec<Option<Arc<Node>>>,
}

/// The task of the node in a place.
pub(super) type NodeTask = (usize, AbortOnDropHandle<()>);

impl Nodes {
    /// Those that are known at first, and what is on its way to each.
    pub(super) fn of(
        topology: &Topology,
        options: &Arc<RedisOptions>,
        client_name: &Arc<str>,
        statuses: &Arc<Statuses>,
        counters: &Arc<Counters>,
        moved: Option<mpsc::UnboundedSender<Moved>>,
    ) -> (Arc<Self>, Vec<(Arc<Node>, QueueEnd)>) {
        let nodes = Self {
            routing: RwLock::new(Routing { routes: topology.routes.clone(), nodes: Vec::new() }),
            cluster: topology.cluster.clone(),
            options: Arc::clone(options),
            client_name: Arc::clone(client_name),
            statuses: Arc::clone(statuses),
            counters: Arc::clone(counters),
            moved,
        };
        let new = topology.locations.iter().map(|location| nodes.new_node(location.clone()));
        let new: Vec<_> = new.collect();
        nodes.write().nodes = new.iter().map(|(node, _)| Some(Arc::clone(node))).collect();
        (Arc::new(nodes), new)
    }

    fn new_node(&self, location: Location) -> (Arc<Node>, QueueEnd) {
        let status = self.statuses.add();
        Node::new(location, &self.options, &self.client_name, status, &self.counters, self.moved.clone())
    }

    /// The node that a channel belongs to at the moment.
    pub(super) fn node_of(&self, channel: &str) -> Arc<Node> {
        Arc::clone(self.read().node_of(channel))
    }

    /// Puts a payload into the queue of its channel's node.
    pub(super) async fn put(&self, outgoing: Box<Outgoing>) -> Result<(), PublishError> {
        self.node_of(&outgoing.channel).put(outgoing).await
    }

    /// Publishes what is no message to its channel's node; in a cluster whose slots have moved, to where it belongs now.
    pub(super) async fn send_internal(
        &self,
        channel: &Arc<str>,
        payload: Bytes,
        number: Number,
    ) -> Result<Fate, PublishError> {
        let mut redirections = 0;
        loop {
            let node = self.node_of(channel);
            let fate = node.send_internal(Arc::clone(channel), payload.clone(), number).await?;
            if redirections == LIMIT_REDIRECTIONS || !self.has_moved(&fate).await {
                return Ok(fate);
            }
            redirections += 1;
        }
    }

    /// Whether Redis has said that the channel is another node's. Then the nodes are where the slots are, when this is
    /// ready.
    async fn has_moved(&self, fate: &Fate) -> bool {
        match (fate, &self.cluster) {
            (Fate::Refused(answer), Some(cluster)) if says_moved(answer) => {
                cluster.doubt().await;
                true
            }
            _ => false,
        }
    }

    /// Counts where the channel belongs to, which it does until this is over.
    pub(super) fn at_node_of<T>(&self, channel: &str, count: impl FnOnce(&Subscriptions) -> T) -> T {
        count(&self.read().node_of(channel).subscriptions)
    }

    pub(super) fn for_each(&self, act: impl FnMut(&Arc<Node>)) {
        self.read().nodes.iter().flatten().for_each(act);
    }

    /// Returns the places of those that are not needed any more.
    fn apply(
        &self,
        routes: &Routes,
        map: &SlotMap,
        cluster: &Arc<Cluster>,
        tasks: &mut Vec<NodeTask>,
    ) -> Vec<usize> {
        let mut routing = self.write();
        for place in routing.nodes.len()..map.places() {
            let (node, waiting) = self.new_node(Location::Shard(Arc::clone(cluster), place));
            tasks.push((place, spawn(Driver::new(Arc::clone(&node), None, waiting))));
            routing.nodes.push(Some(node));
        }
        routing.routes = routes.clone();
        for (place, node) in routing.nodes.iter().enumerate() {
            let Some(node) = node else { continue };
            if !map.is_taken(place) {
                node.status.retire();
            }
            let has_moved = |channel: &str| routes.place_of(channel) != place;
            for channel in node.subscriptions.take_moved(has_moved) {
                routing.node_of(&channel.name).subscriptions.put_moved(channel);
            }
            for entry in node.outbox.take_moved(has_moved) {
                let now_at = routing.node_of(&entry.channel);
                // The others have to learn of the move too.
                now_at.postpone("slots have moved here", PATIENCE);
                now_at.outbox.put_back(entry);
            }
        }
        let mut left = Vec::new();
        for place in 0..routing.nodes.len() {
            if !map.is_taken(place) && routing.nodes[place].take().is_some() {
                left.push(place);
            }
        }
        left
    }

    fn read(&self) -> RwLockReadGuard<'_, Routing> {
        self.routing.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Routing> {
        self.routing.write()
    }
}

/// Keeps nodes and channels where the cluster has its slots, for as long as it is not dropped.
///
/// It gets the tasks of the first nodes once they have started, and has them until it ends.
pub(super) struct Follower {
    nodes: Arc<Nodes>,
    cluster: Arc<Cluster>,
    first: Fuse<oneshot::Receiver<Vec<NodeTask>>>,
    tasks: Vec<NodeTask>,
    /// What has been applied.
    map: Arc<SlotMap>,
}

impl Follower {
    pub(super) fn new(
        nodes: &Arc<Nodes>,
        cluster: &Arc<Cluster>,
        first: oneshot::Receiver<Vec<NodeTask>>,
    ) -> Self {
        let (nodes, cluster) = (Arc::clone(nodes), Arc::clone(cluster));
        Self { nodes, cluster, first: first.fuse(), tasks: Vec::new(), map: Arc::default() }
    }

    fn apply(&mut self, map: Arc<SlotMap>) {
        let Self { nodes, cluster, tasks, .. } = self;
        let prefix = match Dialect::of(&nodes.options) {
            Dialect::Classic => nodes.options.channel_prefix.as_ref().map_or(0, String::len),
            // There the cluster refuses a channel whose slot is another one's.
            Dialect::Sharded => 0,
        };
        let routes = Routes::Slots(Arc::clone(&map), prefix);
        for place in nodes.apply(&routes, &map, cluster, tasks) {
            if let Some(left) = tasks.iter().position(|(of, _)| *of == place) {
                let (_, task) = tasks.swap_remove(left);
                tokio::spawn(async move {
                    sleep(FAREWELL).await;
                    drop(task);
                });
            }
        }
        nodes.for_each(|node| node.subscriptions.ask_again());
        cluster.routed(&map);
        self.map = map;
    }
}

impl Vital for Follower {
    const NAME: &'static str = "slots of the cluster";

    async fn run(&mut self) {
        loop {
            let Self { nodes, cluster, first, map, .. } = &mut *self;
            let newer = tokio::select! {
                Ok(started) = first => {
                    self.tasks.extend(started);
                    continue;
                }
                newer = cluster.newer_than(map, &nodes.options, &nodes.client_name) => newer,
            };
            self.apply(newer);
        }
    }
}

impl Routing {
    fn node_of(&self, channel: &str) -> &Arc<Node> {
        let node = self.nodes.get(self.routes.place_of(channel)).and_then(Option::as_ref);
        let node = node.or_else(|| self.nodes.iter().flatten().next());
        node.unwrap_or_else(|| unreachable!("a map has a master in each place that it routes to"))
    }
}
