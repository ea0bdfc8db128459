//! One instance of a fleet as a test sees it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hubline_backplane::conformance::{Targets, one_instance, two_instances};
use hubline_backplane::{
    Backplane, ClientInvocation, Frames, GroupChange, HubBackplane, Inbox, NoCompletion, Publication,
    Published, ReturnAddress, Status, Subject, Target,
};
use hubline_protocol::{ConnectionId, HubProtocol, encode};
use hubline_redis::{RedisBackplane, RedisOptions};
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(20);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Target, excluded connections, text of the JSON message (empty without one).
pub(crate) type Delivered = (Target, Vec<ConnectionId>, String);

pub(crate) struct Instance {
    pub(crate) backplane: RedisBackplane,
    pub(crate) hub: Arc<dyn HubBackplane>,
    pub(crate) delivered: mpsc::Receiver<Delivered>,
}

/// The conformance suite over two instances' backplanes.
pub(crate) async fn conform(one: &RedisBackplane, other: &RedisBackplane, targets_are: Targets) {
    one_instance(one, targets_are).await;
    two_instances(one, other).await;
}

impl Instance {
    pub(crate) async fn start(connection_string: &str) -> Self {
        Self::with(connection_string.parse().unwrap()).await
    }

    pub(crate) async fn with(options: RedisOptions) -> Self {
        let backplane = RedisBackplane::connect(options).await.unwrap();
        let (hub, delivered) = attach(&backplane, "Chat");
        Self { backplane, hub, delivered }
    }

    /// One whose links are up.
    pub(crate) async fn connected(connection_string: &str) -> Self {
        let instance = Self::start(connection_string).await;
        instance.status(|status| *status == Status::Connected).await;
        instance
    }

    pub(crate) async fn status(&self, wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.backplane.status();
        let status = tokio::time::timeout(DEADLINE, status.wait_for(wanted)).await;
        status.expect("the status comes").expect("the backplane lives").clone()
    }

    pub(crate) async fn lost(&self) -> Status {
        self.status(|status| matches!(status, Status::Disconnected(_))).await
    }

    pub(crate) async fn publish(&self, targets: Vec<Target>, text: &str) -> Published {
        self.hub.publish(publication(targets, text)).await.expect("published")
    }

    /// Publishes until so many have received it.
    pub(crate) async fn publish_until(&self, receivers: u64, targets: &[Target], text: &str) {
        let publishing = async {
            while self.publish(targets.to_vec(), text).await.receivers < receivers {
                // Whoever has received already does not read meanwhile.
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
        };
        tokio::time::timeout(DEADLINE, publishing).await.expect("it is received");
    }

    pub(crate) async fn next(&mut self) -> (Target, String) {
        let (target, _, text) = next(&mut self.delivered).await;
        (target, text)
    }

    /// Reads `{sender} {n}` of so many senders until each has sent `end`: every number once and in order.
    pub(crate) async fn hears_each_once_in_order(&mut self, senders: usize, each: usize) {
        let (mut next_of, mut ends) = (vec![0; senders], 0);
        while ends < senders {
            let text = self.next().await.1;
            match text.split_once(' ').map(|(sender, n)| (sender.parse::<usize>(), n.parse::<usize>())) {
                Some((Ok(sender), Ok(n))) => {
                    assert_eq!(n, next_of[sender], "of {sender}");
                    next_of[sender] += 1;
                }
                _ => ends += usize::from(text == "end"),
            }
        }
        assert_eq!(next_of, vec![each; senders]);
        assert!(self.is_quiet());
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.delivered.is_empty()
    }
}

pub(crate) async fn next(delivered: &mut mpsc::Receiver<Delivered>) -> Delivered {
    let waited = tokio::time::timeout(DEADLINE, delivered.recv()).await;
    waited.expect("something is delivered").expect("the backplane is attached")
}

pub(crate) fn attach(
    backplane: &RedisBackplane,
    hub_name: &str,
) -> (Arc<dyn HubBackplane>, mpsc::Receiver<Delivered>) {
    let (sender, delivered) = mpsc::channel(4096);
    (backplane.attach(hub_name, Arc::new(Recorder(sender))), delivered)
}

pub(crate) fn publication(targets: Vec<Target>, text: &str) -> Publication {
    let frames = Frames::encode(|protocol| encode::invocation(protocol.into(), None, "Receive", &(text,)));
    Publication { targets, excluded: Arc::default(), frames: frames.unwrap() }
}

pub(crate) fn group(name: &str) -> Subject {
    Subject::Group(name.into())
}

struct Recorder(mpsc::Sender<Delivered>);

impl Recorder {
    async fn record(&self, target: Target, excluded: Vec<ConnectionId>, frames: Frames) {
        let json = frames.get(HubProtocol::Json).map(|frame| frame.payload()).unwrap_or_default();
        let text = String::from_utf8_lossy(&json);
        let argument = text.split_once("[\"").and_then(|(_, rest)| rest.split_once("\"]"));
        let text = argument.map_or_else(|| text.to_string(), |(argument, _)| argument.to_owned());
        let _ = self.0.send((target, excluded, text)).await;
    }
}

impl Inbox for Recorder {
    fn deliver(&self, target: Target, excluded: Arc<[ConnectionId]>, frames: Frames) -> BoxFuture<'_, ()> {
        self.record(target, excluded.to_vec(), frames).boxed()
    }

    /// Told as a message to the connection.
    fn invoke(&self, invocation: ClientInvocation, _: ReturnAddress) -> BoxFuture<'_, ()> {
        let target = Target::Subject(Subject::Connection(invocation.connection));
        self.record(target, Vec::new(), invocation.frames).boxed()
    }

    /// None of these tests has connections.
    fn change_group(&self, _: GroupChange) -> BoxFuture<'static, bool> {
        ready(false).boxed()
    }

    fn completed(&self, _: HubProtocol, _: &[u8]) -> Result<(), NoCompletion> {
        Err(NoCompletion)
    }
}
