//! The users of one run, and what everybody has to agree on.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hubline::directory::conformance::until;
use hubline::testing::TestClient;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::super::CallServer;
use super::Random;
use super::reference::{Act, Model};
use crate::fleet::{INSTANCE_NAME, Reader};

/// By device: user, server.
const DEVICES: [(usize, usize); 5] = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)];
const ACTS: [Act; 6] = [Act::Accept, Act::Reject, Act::End, Act::Candidate, Act::Toggle, Act::Rejoin];
const EVENTS: [&str; 9] = [
    "IncomingCall",
    "CallAccepted",
    "CallRejected",
    "CallEnded",
    "CallMissed",
    "CallAnsweredElsewhere",
    "ICECandidate",
    "VideoToggled",
    "AudioToggled",
];

pub(super) struct Fleet {
    pub(super) servers: [CallServer; 2],
    pub(super) reader: Reader,
}

pub(super) struct World<'a> {
    fleet: &'a Fleet,
    users: [String; 3],
    devices: Vec<Device>,
    /// Ids of all calls that have begun, with their callers' connections.
    calls: Vec<(String, String)>,
    trace: Arc<Mutex<Vec<String>>>,
}

struct Device {
    user: usize,
    server: usize,
    client: Option<TestClient>,
    /// What it was told: by call, the names of events, and reasons.
    told: HashMap<String, Vec<String>>,
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    Call {
        device: usize,
        to: usize,
    },
    Act {
        device: usize,
        act: Act,
        call: String,
    },
    Drop {
        device: usize,
    },
    Return {
        device: usize,
    },
    /// The time of the call is over.
    Expire {
        call: String,
    },
}

impl Device {
    /// Reads all events that have come.
    async fn hear(&mut self) {
        let Some(client) = &self.client else { return };
        for event in EVENTS {
            while let Ok(values) = timeout(Duration::ZERO, client.expect::<Vec<Value>>(event)).await {
                let place = if event == "IncomingCall" { 1 } else { 0 };
                let call = values[place].as_str().unwrap().to_owned();
                let said = match event {
                    "CallRejected" => format!("{event} {}", values[1].as_str().unwrap()),
                    _ => event.to_owned(),
                };
                self.told.entry(call).or_default().push(said);
            }
        }
    }

    fn connection(&self) -> Option<String> {
        self.client.as_ref().map(|client| client.connection_id().as_str().to_owned())
    }
}

impl<'a> World<'a> {
    pub(super) async fn new(fleet: &'a Fleet, seed: u64, trace: Arc<Mutex<Vec<String>>>) -> Self {
        let users = ["ada", "bob", "cy"].map(|name| format!("{name}-{seed}"));
        let connect = DEVICES.map(|(user, server)| fleet.servers[server].connect(&users[user]));
        let clients = join_all(connect).await;
        let devices = clients.into_iter().zip(DEVICES);
        let devices = devices.map(|(client, (user, server))| Device {
            user,
            server,
            client: Some(client),
            told: HashMap::new(),
        });
        let devices = devices.collect();
        Self { fleet, users, devices, calls: Vec::new(), trace }
    }

    /// Takes a step that is possible.
    fn choose(&self, random: &mut Random) -> Step {
        loop {
            let device = random.below(DEVICES.len());
            let is_there = self.devices[device].client.is_some();
            let to = random.below(3);
            let act = ACTS[random.below(ACTS.len())];
            // Usually the newest calls, seldom an old one.
            let back = if random.below(8) == 0 { random.below(8) } else { random.below(2) };
            let call = self.calls.iter().rev().nth(back).map(|(id, _)| id.clone());
            match (random.below(20), call) {
                (0..=3, _) if is_there => return Step::Call { device, to },
                (4..=14, Some(call)) if is_there => return Step::Act { device, act, call },
                (15 | 16, _) if is_there => return Step::Drop { device },
                (17 | 18, _) if !is_there => return Step::Return { device },
                (19, Some(call)) => return Step::Expire { call },
                _ => {}
            }
        }
    }

    fn note(&self, what: &dyn Debug) {
        self.trace.lock().push(format!("{what:?}"));
    }

    /// One step alone: what it answers and what it leaves is as the reference model has it.
    pub(super) async fn step(&mut self, random: &mut Random) {
        let step = self.choose(random);
        self.note(&step);
        match &step {
            Step::Call { device, to } => {
                let expected = self.call_outcome(*device, *to).await;
                let outcome = self.call(*device, *to).await;
                self.note(&outcome);
                match (&outcome, expected) {
                    (Ok(id), Ok(status)) => {
                        self.begun(*device, id);
                        assert_eq!(self.model(id).await.status, status, "{step:?}");
                    }
                    (Err(error), Err(expected)) => assert!(error.ends_with(expected), "{error}"),
                    (outcome, expected) => panic!("{step:?}: {outcome:?}, and expected {expected:?}"),
                }
            }
            Step::Act { device, act, call } => {
                let mut model = self.model(call).await;
                let user = &self.users[self.devices[*device].user];
                let connection = self.devices[*device].connection().unwrap();
                let expected = model.act(*act, user, &connection);
                let outcome = self.act(*device, *act, call).await;
                let fits = match (&outcome, expected) {
                    (Ok(()), Ok(())) => true,
                    (Err(error), Err(expected)) => error.ends_with(expected),
                    _ => false,
                };
                assert!(fits, "{step:?}: {outcome:?}, and expected {expected:?}");
                assert_eq!(self.model(call).await, model, "{step:?}");
            }
            Step::Drop { device } => {
                let connection = self.devices[*device].connection().unwrap();
                let before = self.models().await;
                self.drop_device(*device).await;
                for (id, mut model) in before {
                    model.lose(&connection);
                    assert_eq!(self.model(&id).await, model, "{step:?}");
                }
            }
            Step::Return { device } => self.come_back(*device).await,
            Step::Expire { call } => {
                let mut model = self.model(call).await;
                model.expire();
                self.expire(call).await;
                until(model.status, async || self.model(call).await.status).await;
            }
        }
    }

    /// Several steps at the same time.
    pub(super) async fn steps_at_once(&mut self, random: &mut Random, count: usize) {
        let mut steps: Vec<Step> = Vec::new();
        // Of a few devices there may be no more than one left.
        for _ in 0..20 {
            let step = self.choose(random);
            // A device does one thing after the other, and a connection is there or not.
            let device = |step: &Step| match step {
                Step::Call { device, .. } | Step::Act { device, .. } => Some(*device),
                Step::Drop { .. } | Step::Return { .. } => None,
                Step::Expire { .. } => Some(DEVICES.len()),
            };
            let taken = steps.iter().any(|other| device(other) == device(&step));
            if device(&step).is_some() && !taken && steps.len() < count {
                steps.push(step);
            }
        }
        self.note(&steps);
        let begun = join_all(steps.iter().map(async |step| match step {
            Step::Call { device, to } => self.call(*device, *to).await.ok().map(|id| (*device, id)),
            Step::Act { device, act, call } => {
                let error = self.act(*device, *act, call).await.err();
                self.note(&(step, error));
                None
            }
            Step::Expire { call } => {
                self.expire(call).await;
                None
            }
            Step::Drop { .. } | Step::Return { .. } => None,
        }));
        let begun = begun.await;
        for (device, id) in begun.into_iter().flatten() {
            self.begun(device, &id);
        }
        for step in steps {
            if let Step::Expire { call } = step {
                until(false, async || self.is_due(&call).await).await;
            }
        }
    }

    /// Whether a deadline has passed that nobody has met yet.
    async fn is_due(&self, call: &str) -> bool {
        let state = self.fleet.reader.field(&format!("{INSTANCE_NAME}call:{call}"), "state").await;
        let is_past = |time: &Value| *time == json!(0);
        let is_lost = ["caller", "recipient"].iter().any(|side| is_past(&state[*side]["lost_until"]));
        match self.model(call).await.status {
            0 => is_past(&state["ring_until"]) || is_lost,
            1 => is_lost,
            _ => false,
        }
    }

    fn begun(&mut self, device: usize, id: &str) {
        let connection = self.devices[device].connection().unwrap();
        self.calls.push((id.to_owned(), connection));
    }

    /// Whether a call that begins now rings (0) or is busy (2), or the error.
    async fn call_outcome(&self, device: usize, to: usize) -> Result<u64, &'static str> {
        let user = self.devices[device].user;
        if user == to {
            return Err("the recipient is the caller: nobody can call oneself");
        }
        let going_on = |models: &[(String, Model)], user: usize| {
            let name = &self.users[user];
            models.iter().find(|(_, model)| !model.is_over() && model.users.contains(name)).cloned()
        };
        let models = self.models().await;
        if let Some((_, model)) = going_on(&models, user) {
            let side = usize::from(model.users[1] == self.users[user]);
            // Who calls who rings: the earlier call goes on.
            if model.status == 0 && model.users == [self.users[to].clone(), self.users[user].clone()] {
                return Ok(2);
            }
            if !model.sides[side].1 {
                return Err("you take part in a call already: EndCall ends it, GetActiveCalls names it");
            }
            // The call before is ended by this one.
            let other = &model.users[1 - side];
            if *other == self.users[to] {
                return Ok(0);
            }
        }
        Ok(if going_on(&models, to).is_some() { 2 } else { 0 })
    }

    async fn call(&self, device: usize, to: usize) -> Result<String, String> {
        let client = self.devices[device].client.as_ref().unwrap();
        client.try_invoke("InitiateCall", (&self.users[to], "offer")).await
    }

    async fn act(&self, device: usize, act: Act, call: &str) -> Result<(), String> {
        let device = &self.devices[device];
        let client = device.client.as_ref().unwrap();
        match act {
            Act::Accept => client.try_invoke("AcceptCall", (call, "answer")).await,
            Act::Reject => client.try_invoke("RejectCall", (call, "no")).await,
            Act::End => client.try_invoke("EndCall", (call,)).await,
            Act::Toggle => client.try_invoke("ToggleAudio", (call, true)).await,
            Act::Rejoin => client.try_invoke::<Value>("RejoinCall", (call,)).await.map(drop),
            Act::Candidate => {
                let [caller, recipient] = self.model(call).await.users;
                let other = if caller == self.users[device.user] { recipient } else { caller };
                client.try_invoke("SendICECandidate", (call, other, "candidate")).await
            }
        }
    }

    async fn drop_device(&mut self, device: usize) {
        let device = &mut self.devices[device];
        device.hear().await;
        device.told.clear();
        device.client.take().unwrap().close().await;
    }

    async fn come_back(&mut self, device: usize) {
        let Device { user, server, .. } = self.devices[device];
        let client = self.fleet.servers[server].connect(&self.users[user]).await;
        self.devices[device].client = Some(client);
    }

    /// Puts the deadlines of a call into the past, and has it looked at.
    async fn expire(&self, call: &str) {
        let reader = &self.fleet.reader;
        let key = format!("{INSTANCE_NAME}call:{call}");
        loop {
            let before: String = reader.run(&["HGET", &key, "state"]).await;
            let mut state: Value = serde_json::from_str(&before).unwrap();
            state["ring_until"] = json!(0);
            for side in ["caller", "recipient"] {
                if !state[side]["lost_until"].is_null() {
                    state[side]["lost_until"] = json!(0);
                }
            }
            let script = "if redis.call('HGET', KEYS[1], 'state') ~= ARGV[1] then return 0 end
                redis.call('HSET', KEYS[1], 'state', ARGV[2])
                redis.call('ZADD', KEYS[2], 0, ARGV[3]) redis.call('PEXPIRE', KEYS[2], 14400000) return 1";
            let deadlines = format!("{INSTANCE_NAME}calls:deadlines");
            let after = state.to_string();
            if reader.run::<i64>(&["EVAL", script, "2", &key, &deadlines, &before, &after, call]).await == 1 {
                return;
            }
        }
    }

    async fn model(&self, call: &str) -> Model {
        let key = format!("{INSTANCE_NAME}call:{call}");
        let values: Vec<String> = self.fleet.reader.run(&["HMGET", &key, "data", "state"]).await;
        let [data, state] = [0, 1].map(|place| serde_json::from_str(&values[place]).unwrap());
        Model::read(&data, &state)
    }

    async fn models(&self) -> Vec<(String, Model)> {
        join_all(self.calls.iter().map(async |(id, _)| (id.clone(), self.model(id).await))).await
    }

    /// Ends what goes on, and looks at what is left.
    pub(super) async fn end(mut self) {
        for device in 0..DEVICES.len() {
            if self.devices[device].client.is_none() {
                self.come_back(device).await;
            }
        }
        for (id, model) in self.models().await {
            let caller = self.users.iter().position(|user| *user == model.users[0]).unwrap();
            let device = DEVICES.iter().position(|(user, _)| *user == caller).unwrap();
            let active: Vec<Value> =
                self.devices[device].client.as_ref().unwrap().invoke("GetActiveCalls", ()).await;
            let is_named = active.iter().any(|call| call["callId"] == json!(id));
            assert_eq!(is_named, !model.is_over(), "{id}: {model:?}, and {active:?}");
            self.act(device, Act::End, &id).await.unwrap();
        }
        let wrong = Mutex::new(String::new());
        let agreed = async {
            until(true, async || {
                for device in &mut self.devices {
                    device.hear().await;
                }
                let disagreement = self.disagreement().await;
                disagreement.map(|text| *wrong.lock() = text).is_none()
            })
            .await;
        };
        if timeout(Duration::from_secs(20), agreed).await.is_err() {
            panic!("{}", wrong.lock());
        }
    }

    /// What is not as it should be yet.
    async fn disagreement(&self) -> Option<String> {
        for user in &self.users {
            let slot = format!("{INSTANCE_NAME}call-of:{user}");
            let busy: Option<String> = self.fleet.reader.run(&["GET", &slot]).await;
            if let Some(call) = busy {
                return Some(format!("{user} is still busy with {call}"));
            }
        }
        for (id, caller) in &self.calls {
            let key = format!("{INSTANCE_NAME}call:{id}");
            let left: i64 = self.fleet.reader.run(&["PTTL", &key]).await;
            assert!((1..=14_400_000).contains(&left), "{key} lives for {left} ms");
            let model = self.model(id).await;
            if !model.is_over() {
                return Some(format!("{id} is not over: {model:?}"));
            }
            let outcome = match self.outcome(id, &model).await {
                Ok(outcome) => outcome,
                Err(wrong) => return Some(wrong),
            };
            let wrong =
                self.devices.iter().find_map(|device| disagrees(device, id, caller, &model, &outcome));
            if let Some(wrong) = wrong {
                return Some(format!("{wrong} of {id}, which is {outcome}: {model:?}"));
            }
        }
        None
    }

    /// What the history of both says, once.
    async fn outcome(&self, id: &str, model: &Model) -> Result<String, String> {
        let mut outcomes = Vec::new();
        for user in &model.users {
            let user = self.users.iter().position(|name| name == user).unwrap();
            let device = DEVICES.iter().position(|(of, _)| *of == user).unwrap();
            let client = self.devices[device].client.as_ref().unwrap();
            let past: Vec<Value> = client.invoke("GetCallHistory", (json!({ "limit": 100 }),)).await;
            let entries: Vec<_> = past.iter().filter(|call| call["callId"] == json!(id)).collect();
            match entries[..] {
                [entry] if entry["outcome"] != "begun" => outcomes.push(entry["outcome"].clone()),
                _ => return Err(format!("{id} is in the history as {entries:?}")),
            }
        }
        assert_eq!(outcomes[0], outcomes[1]);
        Ok(outcomes[0].as_str().unwrap().to_owned())
    }
}

/// What a device believes of a call that is over, if that is wrong.
fn disagrees(device: &Device, id: &str, caller: &str, model: &Model, outcome: &str) -> Option<String> {
    let connection = device.connection()?;
    let told = device.told.get(id).map(Vec::as_slice).unwrap_or_default();
    let count = |event: &str| told.iter().filter(|told| told.starts_with(event)).count();
    let over = count("CallEnded") + count("CallRejected") + count("CallMissed");
    let complaint =
        |what: &str| Some(format!("{what}: device {} on {} was told {told:?}", device.user, device.server));
    let has_carried = caller == connection || count("CallAccepted") > 0;
    let is_side = model.sides.iter().any(|side| side.0.as_deref() == Some(&*connection));
    let is_left = over == 0 && count("CallAnsweredElsewhere") == 0;
    if over > 1 {
        return complaint("the end came twice");
    }
    if is_left && (has_carried || (is_side && outcome != "declined")) {
        return complaint("one side does not know that it is over");
    }
    if is_left && count("IncomingCall") > 0 && !is_side {
        return complaint("a device still rings");
    }
    let rejected = match outcome {
        "declined" => "CallRejected no",
        "missed" => "CallRejected no-answer",
        "busy" => "CallRejected busy",
        _ => "CallRejected",
    };
    let is_rejection = matches!(outcome, "declined" | "missed" | "busy");
    let fits = |told: &String| match is_rejection {
        true => !told.starts_with("CallEnded") && (!told.starts_with("CallRejected") || told == rejected),
        false => !told.starts_with("CallRejected") && told != "CallMissed",
    };
    if !told.iter().all(fits) {
        return complaint("what it was told does not fit");
    }
    None
}
