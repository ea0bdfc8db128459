use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep_until;

use crate::client::message::{self, HubMessage};
use crate::oracle::Stamp;
use crate::self_test::clock::Clock;
use crate::self_test::faults::{Delivery, Faults, Plan, Wrong};
use crate::self_test::frames::push_frame;
use crate::wire::connection::{COMPLETION, INVOCATION};
use crate::wire::framing::RECORD_SEPARATOR;
use crate::wire::messages::Protocol;

/// More than this that a connection does not take, and it is closed: its client does not read.
const OUTBOX_LIMIT_BYTES: usize = 64 << 20;

/// A hub with `Broadcast(text)`, `SendToGroup(group, text)` and `Echo(text)`, which delivers as its plan says.
#[derive(Debug)]
pub(super) struct Hub {
    clock: Clock,
    /// So long after it was sent, a delayed message is delivered.
    delay_micros: u64,
    state: Mutex<State>,
    has_delayed: Notify,
}

#[derive(Debug)]
struct State {
    faults: Faults<Item>,
    connections: BTreeMap<u32, Outbox>,
    groups: BTreeMap<String, BTreeSet<u32>>,
    delayed: VecDeque<Delayed>,
    delivered: u64,
    calls: u64,
}

#[derive(Debug)]
struct Delayed {
    due_micros: u64,
    receiver: u32,
    stamp: Stamp,
    item: Item,
}

/// What a connection has to send.
#[derive(Debug)]
struct Outbox {
    protocol: Protocol,
    bytes: Vec<u8>,
    is_over: bool,
    has_some: Arc<Notify>,
}

/// A message in both protocols, with the framing of the hub protocol.
#[derive(Debug, Clone)]
struct Item {
    json: Arc<[u8]>,
    message_pack: Arc<[u8]>,
}

/// What a hub has done until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    /// Calls that came.
    pub(super) calls: u64,
    /// Messages with a stamp that connections were given to send.
    pub(super) delivered: u64,
    /// Messages that wait until they are late.
    pub(super) delayed: usize,
}

impl Hub {
    pub(super) fn new(plan: Plan, clock: Clock, delay_micros: u64) -> Self {
        let state = State {
            faults: Faults::new(plan),
            connections: BTreeMap::new(),
            groups: BTreeMap::new(),
            delayed: VecDeque::new(),
            delivered: 0,
            calls: 0,
        };
        Self { clock, delay_micros, state: Mutex::new(state), has_delayed: Notify::new() }
    }

    pub(super) fn done(&self) -> Done {
        let state = self.state.lock();
        Done { calls: state.calls, delivered: state.delivered, delayed: state.delayed.len() }
    }

    pub(super) fn planted(&self) -> Wrong {
        self.state.lock().faults.planted.clone()
    }

    /// A connection has shaken hands; returns what wakes its writer.
    pub(super) fn enter(&self, id: u32, protocol: Protocol) -> anyhow::Result<Arc<Notify>> {
        let has_some = Arc::new(Notify::new());
        let outbox = Outbox { protocol, bytes: Vec::new(), is_over: false, has_some: Arc::clone(&has_some) };
        let mut state = self.state.lock();
        anyhow::ensure!(!state.connections.contains_key(&id), "connection {id} is there already");
        state.connections.insert(id, outbox);
        Ok(has_some)
    }

    pub(super) fn leave(&self, id: u32) {
        let mut state = self.state.lock();
        state.groups.values_mut().for_each(|members| _ = members.remove(&id));
        if let Some(outbox) = state.connections.remove(&id) {
            outbox.has_some.notify_one();
        }
    }

    /// What a connection has to send; `None` if it is over.
    pub(super) fn unsent(&self, id: u32) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        let outbox = state.connections.get_mut(&id).filter(|outbox| !outbox.is_over)?;
        Some(std::mem::take(&mut outbox.bytes))
    }

    /// A message of a client.
    pub(super) fn receive(&self, caller: u32, protocol: Protocol, message: &[u8]) {
        let HubMessage::Invocation { id, target, arguments } = message::read(protocol, message) else {
            return;
        };
        let text = |index: usize| arguments.get(index).and_then(Value::as_str);
        let mut state = self.state.lock();
        state.calls += 1;
        let result = match (&*target, text(0), text(1)) {
            ("Broadcast", Some(payload), None) => {
                let everybody: Vec<u32> = state.connections.keys().copied().collect();
                self.deliver(&mut state, &everybody, None, payload, &event(payload));
                Ok(None)
            }
            ("SendToGroup", Some(group), Some(payload)) => {
                let members = state.groups.get(group).cloned().unwrap_or_default();
                let stranger = state.connections.keys().find(|id| !members.contains(id)).copied();
                let members: Vec<u32> = members.into_iter().collect();
                self.deliver(&mut state, &members, stranger, payload, &event(payload));
                Ok(None)
            }
            ("Echo", Some(payload), None) => Ok(Some(payload)),
            ("JoinGroup", Some(group), None) => {
                state.groups.entry(group.to_owned()).or_default().insert(caller);
                Ok(None)
            }
            _ => Err("the self-test's hub has Broadcast, SendToGroup, Echo and JoinGroup"),
        };
        let Some(id) = id else { return };
        let answer = completion(&id, result);
        match result {
            Ok(Some(payload)) => {
                let stranger = state.connections.keys().find(|id| **id > caller).copied();
                let stranger = stranger.or_else(|| state.connections.keys().next().copied());
                let stranger = stranger.filter(|id| *id != caller);
                self.deliver(&mut state, &[caller], stranger, payload, &answer);
            }
            _ => state.send(caller, &answer),
        }
    }

    /// Delivers what was delayed when it is too late; until it is dropped.
    pub(super) async fn deliver_delayed(&self) {
        loop {
            let due = self.state.lock().delayed.front().map(|delayed| delayed.due_micros);
            match due {
                Some(due) => sleep_until(self.clock.instant(due)).await,
                None => self.has_delayed.notified().await,
            }
            let mut state = self.state.lock();
            let now = self.clock.now_micros();
            while let Some(Delayed { receiver, stamp, item, .. }) =
                state.delayed.pop_front_if(|delayed| delayed.due_micros < now)
            {
                state.faults.comes_late(receiver, &stamp);
                state.delivered += 1;
                state.send(receiver, &item);
            }
        }
    }

    fn deliver(&self, state: &mut State, to: &[u32], stranger: Option<u32>, payload: &str, item: &Item) {
        let Some(stamp) = Stamp::find(payload.as_bytes()) else {
            return to.iter().for_each(|receiver| state.send(*receiver, item));
        };
        let mut now = Vec::with_capacity(to.len() + 2);
        for receiver in to {
            state.faults.pass(*receiver, stranger, &stamp, item.clone(), |delivery| match delivery {
                Delivery::Now(receiver, item) => now.push((receiver, item)),
                Delivery::Late(receiver, item) => {
                    let due_micros = stamp.sent_micros + self.delay_micros;
                    state.delayed.push_back(Delayed { due_micros, receiver, stamp, item });
                    self.has_delayed.notify_one();
                }
            });
        }
        for (receiver, item) in now {
            state.delivered += 1;
            state.send(receiver, &item);
        }
    }
}

impl State {
    fn send(&mut self, to: u32, item: &Item) {
        let Some(outbox) = self.connections.get_mut(&to) else { return };
        let payload = match outbox.protocol {
            Protocol::Json => &item.json,
            Protocol::MessagePack => &item.message_pack,
        };
        if outbox.bytes.is_empty() {
            outbox.has_some.notify_one();
        }
        push_frame(&mut outbox.bytes, outbox.protocol, payload);
        outbox.is_over |= outbox.bytes.len() > OUTBOX_LIMIT_BYTES;
    }
}

fn event(payload: &str) -> Item {
    let write = |protocol| {
        let mut bytes = Vec::with_capacity(128);
        let arguments = [Value::from(payload)];
        message::push_invocation(&mut bytes, protocol, INVOCATION, None, "OnBroadcast", &arguments);
        bytes.into()
    };
    Item { json: write(Protocol::Json), message_pack: write(Protocol::MessagePack) }
}

/// Of a call: its result, which it need not have, or its error.
fn completion(id: &str, result: Result<Option<&str>, &str>) -> Item {
    let mut json = serde_json::json!({"type": COMPLETION, "invocationId": id});
    let (kind, text) = match result {
        Err(error) => (1, Some(("error", error))),
        Ok(None) => (2, None),
        Ok(Some(text)) => (3, Some(("result", text))),
    };
    let mut packed = vec![COMPLETION.into(), rmpv::Value::Map(Vec::new()), id.into(), kind.into()];
    if let Some((member, text)) = text {
        json[member] = text.into();
        packed.push(text.into());
    }
    let mut json = json.to_string().into_bytes();
    json.push(RECORD_SEPARATOR);
    let mut message_pack = Vec::new();
    message::push_packed(&mut message_pack, packed);
    Item { json: json.into(), message_pack: message_pack.into() }
}
