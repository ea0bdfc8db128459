//! What every backplane must do, as a test that its own tests call.
//!
//! [`one_instance`] needs one backplane, [`two_instances`] two that share a fleet.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_protocol::encode::CompletionOutcome;
use hubline_protocol::{ConnectionId, HubProtocol, encode};
use tokio::sync::mpsc;

use crate::{
    Backplane, ClientInvocation, ClientInvocationError, Frames, GroupAction, GroupChange, HubBackplane,
    Inbox, NoCompletion, Publication, Reach, ReturnAddress, Subject, Target,
};

/// What a hub was given: target, excluded connections, text of the JSON message.
type Delivered = (Target, Vec<ConnectionId>, String);

/// What else a hub was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Invoked(ConnectionId, Box<str>, ReturnAddress),
    Changed(GroupChange),
    Completed(HubProtocol, Vec<u8>),
}

struct Recorder {
    delivered: mpsc::Sender<Delivered>,
    told: mpsc::Sender<Told>,
    /// The one connection that is here, for group changes.
    connection: ConnectionId,
}

impl Inbox for Recorder {
    fn deliver(&self, target: Target, excluded: Arc<[ConnectionId]>, frames: Frames) -> BoxFuture<'_, ()> {
        async move {
            let json =
                frames.get(HubProtocol::Json).map(|frame| frame.payload().to_vec()).unwrap_or_default();
            assert!(frames.get(HubProtocol::MessagePack).is_some(), "both protocols are always published");
            let delivered = (target, excluded.to_vec(), String::from_utf8_lossy(&json).into_owned());
            assert!(self.delivered.send(delivered).await.is_ok(), "the test still listens");
        }
        .boxed()
    }

    fn invoke(&self, invocation: ClientInvocation, return_to: ReturnAddress) -> BoxFuture<'_, ()> {
        async move {
            let ClientInvocation { connection, invocation_id, frames } = invocation;
            assert!(HubProtocol::ALL.into_iter().all(|protocol| frames.get(protocol).is_some()));
            let told = Told::Invoked(connection, invocation_id, return_to);
            assert!(self.told.send(told).await.is_ok(), "the test still listens");
        }
        .boxed()
    }

    fn change_group(&self, change: GroupChange) -> BoxFuture<'static, bool> {
        let (told, is_here) = (self.told.clone(), change.connection == self.connection);
        async move {
            if is_here {
                assert!(told.send(Told::Changed(change)).await.is_ok(), "the test still listens");
            }
            is_here
        }
        .boxed()
    }

    fn completed(&self, protocol: HubProtocol, completion: &[u8]) -> Result<(), NoCompletion> {
        let told = self.told.try_send(Told::Completed(protocol, completion.to_vec()));
        assert!(told.is_ok(), "the test still listens");
        Ok(())
    }
}

struct Instance {
    hub: Arc<dyn HubBackplane>,
    delivered: mpsc::Receiver<Delivered>,
    told: mpsc::Receiver<Told>,
}

impl Instance {
    fn attach(backplane: &dyn Backplane, hub_name: &str) -> Self {
        Self::with_connection(backplane, hub_name, "nobody's")
    }

    fn with_connection(backplane: &dyn Backplane, hub_name: &str, connection: &str) -> Self {
        let (deliver, delivered) = mpsc::channel(4096);
        let (tell, told) = mpsc::channel(64);
        let recorder = Recorder { delivered: deliver, told: tell, connection: connection.into() };
        Self { hub: backplane.attach(hub_name, Arc::new(recorder)), delivered, told }
    }

    async fn told(&mut self) -> Told {
        let waited = tokio::time::timeout(Duration::from_secs(10), self.told.recv()).await;
        waited.expect("something is told").expect("the backplane is attached")
    }

    async fn publish(&self, targets: Vec<Target>, excluded: &[&str], text: &str) -> Reach {
        let publication = publication(targets, excluded, text);
        self.hub.publish(publication).await.expect("the backplane takes it").reach
    }

    /// One in ten waits, which changes nothing about their order.
    async fn publish_or_post(&self, n: usize) {
        let publication = publication(vec![Target::All], &[], &n.to_string());
        if n % 10 == 9 {
            let published = self.hub.publish(publication).await.expect("the backplane takes it");
            assert_eq!(published.reach, Reach::Fleet);
        } else {
            self.hub.post(publication).await.expect("the backplane takes it");
        }
    }

    async fn expect(&mut self, target: &Target, excluded: &[&str], text: &str) {
        assert_eq!(self.next().await, delivered(target, excluded, text));
    }

    async fn next(&mut self) -> Delivered {
        let waited = tokio::time::timeout(Duration::from_secs(10), self.delivered.recv()).await;
        waited.expect("something is delivered").expect("the backplane is attached")
    }
}

/// Where a backplane has the targets of one publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Targets {
    /// All in one place: they are served in their order.
    OnOneNode,
    /// Each where it belongs: they have no order among themselves.
    OnSeveralNodes,
}

fn publication(targets: Vec<Target>, excluded: &[&str], text: &str) -> Publication {
    let frames = Frames::encode(|protocol| encode::invocation(protocol.into(), None, "Receive", &(text,)));
    Publication {
        targets,
        excluded: excluded.iter().map(|id| ConnectionId::from(*id)).collect(),
        frames: frames.expect("a text can be encoded"),
    }
}

fn delivered(target: &Target, excluded: &[&str], text: &str) -> Delivered {
    let json = format!("{{\"type\":1,\"target\":\"Receive\",\"arguments\":[\"{text}\"]}}\u{1e}");
    (target.clone(), excluded.iter().map(|id| ConnectionId::from(*id)).collect(), json)
}

fn group(name: &str) -> Target {
    Target::Subject(Subject::Group(name.into()))
}

fn user(name: &str) -> Target {
    Target::Subject(Subject::User(name.into()))
}

fn connection(id: &str) -> Target {
    Target::Subject(Subject::Connection(id.into()))
}

fn subject(target: &Target) -> Subject {
    match target {
        Target::Subject(subject) => subject.clone(),
        Target::All => unreachable!("all is no subject"),
    }
}

/// Every target arrives once, in order, with its exclusions.
///
/// # Panics
/// If the backplane does not conform.
pub async fn one_instance(backplane: &dyn Backplane, targets_are: Targets) {
    let mut here = Instance::attach(backplane, "Conformance");
    let targets = [group("g"), user("u"), connection("c"), group("é😀 *?[x]:a/b")];
    for target in &targets {
        here.hub.subscribe(subject(target)).await;
    }

    assert_eq!(here.publish(vec![Target::All], &["x", "y"], "all").await, Reach::Fleet);
    here.expect(&Target::All, &["x", "y"], "all").await;
    for target in &targets {
        here.publish(vec![target.clone()], &[], "one").await;
        here.expect(target, &[], "one").await;
    }
    here.publish(vec![group("g"), user("u")], &[], "several").await;
    let mut several = [here.next().await, here.next().await];
    if targets_are == Targets::OnSeveralNodes {
        several.sort_by_key(|(target, ..)| *target == user("u"));
    }
    assert_eq!(several, [group("g"), user("u")].map(|target| delivered(&target, &[], "several")));

    for n in 0..500 {
        here.publish_or_post(n).await;
    }
    here.hub.flush().await;
    for n in 0..500 {
        here.expect(&Target::All, &[], &n.to_string()).await;
    }
}

/// What is published on one instance arrives on both, and only where there is interest.
///
/// # Panics
/// If the backplanes do not conform.
pub async fn two_instances(one: &dyn Backplane, other: &dyn Backplane) {
    let mut here = Instance::attach(one, "Conformance");
    let mut there = Instance::with_connection(other, "Conformance", "there");
    let mut stranger = Instance::attach(other, "AnotherHub");
    // A publication that is seen on the far side proves that its link is up.
    while here.publish(vec![Target::All], &[], "up?").await != Reach::Fleet {
        tokio::task::yield_now().await;
    }
    there.hub.subscribe(subject(&connection("probe"))).await;
    here.publish(vec![connection("probe")], &[], "up").await;
    while there.next().await.0 != connection("probe") {}
    here.publish(vec![Target::All], &["x"], "all").await;
    there.expect(&Target::All, &["x"], "all").await;
    while here.next().await.2 != "{\"type\":1,\"target\":\"Receive\",\"arguments\":[\"all\"]}\u{1e}" {}

    // Interest counts: two members, one leaves, one is left.
    there.hub.subscribe(subject(&group("g"))).await;
    there.hub.subscribe(subject(&group("g"))).await;
    there.hub.unsubscribe(subject(&group("g"))).await;
    here.publish(vec![group("g"), user("nobody")], &[], "to g").await;
    there.expect(&group("g"), &[], "to g").await;

    // The last one leaves; what is published then never comes, but what comes after does.
    there.hub.unsubscribe(subject(&group("g"))).await;
    there.hub.subscribe(subject(&user("u"))).await;
    here.publish(vec![group("g")], &[], "nobody listens").await;
    here.publish(vec![user("u")], &[], "to u").await;
    there.expect(&user("u"), &[], "to u").await;

    for n in 0..500 {
        here.publish_or_post(n).await;
    }
    for n in 0..500 {
        here.expect(&Target::All, &[], &n.to_string()).await;
        there.expect(&Target::All, &[], &n.to_string()).await;
    }

    changes_and_client_results(&mut here, &mut there).await;

    stranger.publish(vec![Target::All], &[], "other hub").await;
    stranger.expect(&Target::All, &[], "other hub").await;
    assert!(here.delivered.is_empty(), "hubs do not mix");
}

/// Group changes and client results reach the instance with the connection, and come back.
async fn changes_and_client_results(here: &mut Instance, there: &mut Instance) {
    for action in [GroupAction::Add, GroupAction::Add, GroupAction::Remove] {
        let change = GroupChange { action, group: "g é".into(), connection: "there".into() };
        assert_eq!(here.hub.change_group(change.clone()).await, Ok(()));
        assert_eq!(there.told().await, Told::Changed(change));
    }

    there.hub.subscribe(subject(&connection("there"))).await;
    let frames = Frames::encode(|protocol| encode::invocation(protocol.into(), Some("q1"), "Ask", &(1,)));
    let frames = frames.expect("a number can be encoded");
    let invocation = |connection: &str| ClientInvocation {
        connection: connection.into(),
        invocation_id: "q1".into(),
        frames: frames.clone(),
    };
    here.hub.invoke(invocation("there")).await.expect("the connection is there");
    let Told::Invoked(connection, id, return_to) = there.told().await else { panic!("a client is invoked") };
    assert_eq!((connection.as_str(), &*id), ("there", "q1"));
    let completion = encode::completion(HubProtocol::MessagePack, "q1", CompletionOutcome::Value(&[0x2a]));
    let bytes = completion.payload().to_vec();
    there.hub.complete(return_to, HubProtocol::MessagePack, completion).await;
    assert_eq!(here.told().await, Told::Completed(HubProtocol::MessagePack, bytes));

    let invoked = here.hub.invoke(invocation("nobody")).await;
    assert!(matches!(invoked, Err(ClientInvocationError::NoSuchConnection)), "{invoked:?}");
    assert!(there.delivered.is_empty(), "an invocation is no message");
}
