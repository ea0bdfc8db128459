use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::link::Link;
use crate::client::message;
use crate::client::{ConnectOptions, Network, NetworkOptions, TransportChoice};
use crate::oracle::{Origin, Origins, Receiver, Rules, Stamp};
use crate::self_test::clock::{Clock, Stalls};
use crate::self_test::faults::Plan;
use crate::self_test::found::{Compared, Watched};
use crate::self_test::hub::{Done, Hub};
use crate::self_test::server::{NUMBER, PATH, Server};
use crate::wire::connection::{COMPLETION, INVOCATION};
use crate::wire::hub_url::HubUrl;
use crate::wire::messages::{Protocol, is_error};

pub(super) const CONNECTIONS: u32 = 10;
const GROUPS: u32 = 2;
/// To all, to a group, and to itself.
const ORIGINS_OF_EACH: u32 = 3;
/// Rounds that a client has sent and not got back.
const WINDOW: u64 = 16;
/// How much later than late a delayed message is.
const BEYOND_LATE_MICROS: u64 = 100_000;
const PAYLOAD_BYTES: usize = 100;
/// With nothing new for so long, what has not come is lost.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// Messages that arrive for each time that every client sends to all, to its group and to itself.
const fn arrivals_of_a_round() -> u64 {
    (CONNECTIONS * (CONNECTIONS + CONNECTIONS / GROUPS + 1)) as u64
}

/// What all clients of a run share.
#[derive(Debug)]
struct Shared {
    rules: Rules,
    clock: Clock,
    rounds: u64,
    /// Messages with a stamp that have arrived.
    arrived: AtomicU64,
    /// Nobody sends before all are in their groups.
    all_joined: Barrier,
}

/// What a client leaves behind.
#[derive(Debug)]
struct Ended {
    watched: Watched,
    origins: Vec<Origin>,
}

/// Sends about that many messages, each counted for each receiver, through a server that does to them what the plan says.
pub(super) async fn over_sockets(
    seed: u64,
    messages: u64,
    one_in: u64,
    rules: Rules,
) -> anyhow::Result<Compared> {
    let rounds = messages.div_ceil(arrivals_of_a_round());
    let clock = Clock::start();
    let origins = CONNECTIONS * ORIGINS_OF_EACH;
    let plan = Plan { seed, one_in, connections: CONNECTIONS, origins, messages_of_each: rounds };
    let hub = Arc::new(Hub::new(plan, clock, rules.late_micros + BEYOND_LATE_MICROS));
    let server = Server::bind(Arc::clone(&hub)).await?;
    let url = format!("http://{}{PATH}", server.address()?);
    let stalls = Stalls::default();
    let all_joined = Barrier::new(CONNECTIONS as usize);
    let shared = Arc::new(Shared { rules, clock, rounds, arrived: AtomicU64::new(0), all_joined });
    let ended = tokio::select! {
        ended = run(&url, &shared, &hub) => ended?,
        served = server.run() => return served.and(Err(anyhow!("the self-test's server has ended"))),
        () = hub.deliver_delayed() => bail!("the self-test's server delivers no delayed messages"),
        () = stalls.watch(clock) => bail!("nobody watches the clock"),
    };
    let (watched, origins): (Vec<Watched>, Vec<Vec<Origin>>) =
        ended.into_iter().map(|ended| (ended.watched, ended.origins)).unzip();
    let origins: Origins = origins.into_iter().flatten().collect();
    let arrived = shared.arrived.load(Ordering::Relaxed);
    Ok(Compared::new(&rules, &watched, &origins, hub.planted(), arrived, &stalls))
}

async fn run(url: &str, shared: &Arc<Shared>, hub: &Hub) -> anyhow::Result<Vec<Ended>> {
    let network = Arc::new(Network::new(NetworkOptions::default())?);
    let (stop, stopped) = watch::channel(false);
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        let url: HubUrl = format!("{url}?{NUMBER}={number}").parse()?;
        let client = client(number, url, Arc::clone(&network), Arc::clone(shared), stopped.clone());
        clients.spawn(client);
    }
    let mut ended = Vec::new();
    let (mut last, mut changed) = (None, Instant::now());
    while ended.len() < CONNECTIONS as usize {
        tokio::select! {
            Some(client) = clients.join_next() => ended.push(client.context("a client of the self-test")??),
            () = sleep(LOOK) => {}
        }
        let (arrived, done) = (shared.arrived.load(Ordering::Relaxed), hub.done());
        if last.replace((arrived, done)) != Some((arrived, done)) {
            changed = Instant::now();
        }
        // Joining a group is a call, too.
        let calls = u64::from(CONNECTIONS) * (u64::from(ORIGINS_OF_EACH) * shared.rounds + 1);
        let is_complete = done == Done { calls, delivered: arrived, delayed: 0 };
        let is_over = changed.elapsed() > PATIENCE && done.delayed == 0;
        if is_complete || is_over {
            stop.send_replace(true);
        }
    }
    ended.sort_by_key(|ended| ended.watched.receiver.id());
    Ok(ended)
}

async fn client(
    number: u32,
    url: HubUrl,
    network: Arc<Network>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Ended> {
    let protocol = if number.is_multiple_of(2) { Protocol::Json } else { Protocol::MessagePack };
    let options =
        ConnectOptions { protocol, transport: TransportChoice::WebSockets, ..ConnectOptions::default() };
    let (mut link, _) = Link::open(&network, &url, &Arc::new(options)).await?;
    let group = format!("group-{}", number % GROUPS);
    join(&mut link, &group).await?;
    let mut sender = Sender::new(number, group);
    let mut watched = Watched::new(receiver(number, shared.clock.now_micros()));
    shared.all_joined.wait().await;
    let Shared { rules, clock, rounds, .. } = *shared;
    let mut returned = 0;
    loop {
        while sender.round < rounds.min(returned + WINDOW) && !link.is_held_up() {
            sender.send(&mut link, rules.run, clock)?;
        }
        let mut arrived = 0;
        let mut on_message = |_: u8, message: &[u8]| {
            let Some(stamp) = Stamp::find(message) else { return };
            watched.arrived(&rules, &stamp, clock.now_micros());
            arrived += 1;
            if stamp.origin == number {
                returned = returned.max(stamp.number + 1);
            }
        };
        tokio::select! {
            received = link.receive(usize::MAX, &mut on_message) => received.context("the connection of a self-test's client")?,
            _ = stopped.wait_for(|stop| *stop) => break,
        }
        shared.arrived.fetch_add(arrived, Ordering::Relaxed);
    }
    link.close().await;
    Ok(Ended { watched, origins: sender.origins.into() })
}

async fn join(link: &mut Link, group: &str) -> anyhow::Result<()> {
    let mut call = Vec::new();
    message::push_invocation(
        &mut call,
        link.protocol(),
        INVOCATION,
        Some("join"),
        "JoinGroup",
        &[group.into()],
    );
    link.push(INVOCATION, &call);
    let mut is_answered = false;
    while !is_answered {
        let mut on_message =
            |kind: u8, message: &[u8]| is_answered |= kind == COMPLETION && !is_error(message);
        link.receive(usize::MAX, &mut on_message).await.context("joining a group")?;
    }
    Ok(())
}

/// Of what is sent to all, to its group, and to itself.
fn receiver(number: u32, since_micros: u64) -> Receiver {
    let in_group = (0..CONNECTIONS).filter(|sender| sender % GROUPS == number % GROUPS);
    let origins =
        (0..CONNECTIONS).chain(in_group.map(|sender| CONNECTIONS + sender)).chain([2 * CONNECTIONS + number]);
    let mut receiver = Receiver::new(number, origins.clone().count());
    origins.for_each(|origin| receiver.expects(origin, since_micros));
    receiver
}

/// A client's three origins.
#[derive(Debug)]
struct Sender {
    origins: [Origin; ORIGINS_OF_EACH as usize],
    group: String,
    round: u64,
}

impl Sender {
    fn new(number: u32, group: String) -> Self {
        let origins = [number, CONNECTIONS + number, 2 * CONNECTIONS + number].map(Origin::new);
        Self { origins, group, round: 0 }
    }

    /// Gives one message to each audience.
    fn send(&mut self, link: &mut Link, run: u32, clock: Clock) -> anyhow::Result<()> {
        let [all, group, own] = &mut self.origins;
        let id = self.round.to_string();
        self.round += 1;
        let text =
            |origin: &mut Origin| Ok(Value::from(origin.stamp(run, clock.now_micros()).text(PAYLOAD_BYTES)?));
        let calls: [anyhow::Result<_>; 3] = [
            text(all).map(|text| (None, "Broadcast", vec![text])),
            text(group).map(|text| (None, "SendToGroup", vec![self.group.as_str().into(), text])),
            text(own).map(|text| (Some(&*id), "Echo", vec![text])),
        ];
        for call in calls {
            let (id, method, arguments) = call?;
            let mut bytes = Vec::with_capacity(2 * PAYLOAD_BYTES);
            message::push_invocation(&mut bytes, link.protocol(), INVOCATION, id, method, &arguments);
            link.push(INVOCATION, &bytes);
        }
        Ok(())
    }
}
