use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::client::{ConnectError, Network};
use crate::measure::{Phases, Recorder, Window};
use crate::oracle::{Cause, Origin, Receiver, StateReceiver, States};
use crate::plan::{Audience, Plan, Proof};
use crate::report::Errors;

/// Connections that are opened at the same time.
const CONNECTING: usize = 256;

/// What a connection is told to do.
pub(crate) mod order {
    pub(crate) const DROP: u8 = 1;
    pub(crate) const STORM: u8 = 2;
    pub(crate) const PAUSE: u8 = 4;
    /// Look at [`super::Shared::sending`].
    pub(crate) const SEND: u8 = 8;
    /// Say goodbye and end.
    pub(crate) const CLOSE: u8 = 16;
}

/// Microseconds since the Unix epoch that never go back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    started_micros: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_micros: micros(since) }
    }

    pub(crate) fn micros(self, at: Instant) -> u64 {
        match at.checked_duration_since(self.started) {
            Some(since) => self.started_micros + micros(since),
            None => self.started_micros.saturating_sub(micros(self.started - at)),
        }
    }

    pub(crate) fn now(self) -> u64 {
        self.micros(Instant::now())
    }

    /// The moment that another process has named.
    pub(crate) fn instant(self, micros: u64) -> Instant {
        self.started + Duration::from_micros(micros.saturating_sub(self.started_micros))
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// When calls are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sending {
    pub(crate) start: Instant,
    pub(crate) until: Instant,
}

/// What one connection has seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) receiver: Receiver,
    pub(crate) states: Option<StateReceiver>,
    pub(crate) origin: Option<Origin>,
    pub(crate) counted: u64,
}

/// One connection, as those see it who do not run it.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Of all connections of all processes.
    pub(crate) number: u32,
    /// Its number among those of its role.
    pub(crate) rank: u32,
    pub(crate) seen: Mutex<Seen>,
    pub(crate) is_open: AtomicBool,
    orders: AtomicU8,
    pub(crate) ordered: Notify,
}

impl Slot {
    pub(crate) fn order(&self, orders: u8) {
        self.orders.fetch_or(orders, Ordering::AcqRel);
        self.ordered.notify_one();
    }

    pub(crate) fn take_orders(&self) -> u8 {
        self.orders.swap(0, Ordering::AcqRel)
    }
}

/// What connections measure in the step that goes on.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) calls: u64,
    pub(crate) calls_failed: u64,
    pub(crate) disconnects: u64,
    pub(crate) reconnects: u64,
    pub(crate) phases: Phases,
    pub(crate) delivery: Recorder,
    pub(crate) call: Recorder,
    pub(crate) behind: Recorder,
    pub(crate) recovery: Recorder,
    pub(crate) window: Window,
    pub(crate) errors: Errors,
    /// By [`FAULTS`].
    pub(crate) faults: [FaultMeasured; FAULTS.len()],
}

#[derive(Debug, Default)]
pub(crate) struct FaultMeasured {
    pub(crate) count: u64,
    pub(crate) recovery: Recorder,
}

/// The faults that a run may plant.
pub(crate) const FAULTS: [Cause; 5] =
    [Cause::Drop, Cause::Storm, Cause::Stateful, Cause::PausedReader, Cause::SlowReader];

impl Measured {
    pub(crate) fn fault(&mut self, cause: Cause) -> Option<&mut FaultMeasured> {
        let index = FAULTS.iter().position(|fault| *fault == cause)?;
        self.faults.get_mut(index)
    }

    pub(crate) fn connect_error(&mut self, error: &ConnectError) {
        self.window.errors += 1;
        self.errors.add(&error.cause(), || error.to_string(), || error.cure());
    }

    pub(crate) fn error(&mut self, cause: &str, example: &str) {
        self.window.errors += 1;
        self.errors.add(cause, || example.to_owned(), || None);
    }
}

/// One that sends, and who hears it.
#[derive(Debug, Clone, Copy)]
struct Source {
    number: u32,
    role: u8,
    group: u32,
    audience: Audience,
}

/// All that the connections of this process share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) network: Arc<Network>,
    pub(crate) clock: Clock,
    pub(crate) states: States,
    pub(crate) slots: Vec<Slot>,
    pub(crate) shards: Vec<Mutex<Measured>>,
    pub(crate) sending: Mutex<Option<Sending>>,
    pub(crate) connecting: Semaphore,
    pub(crate) open: AtomicU64,
    /// Connections that were tried, whether they came about or not.
    pub(crate) tried: AtomicU64,
    /// Calls whose answer has not come.
    pub(crate) outstanding: AtomicI64,
    sources: Vec<Source>,
    /// Connections of each role that send, in each step.
    senders: Vec<Vec<u32>>,
    pub(crate) step: AtomicU64,
}

impl Shared {
    pub(crate) fn new(plan: Plan, network: Arc<Network>, shards: usize) -> Self {
        let ranks = plan.ranks();
        let mut sources = Vec::new();
        for (number, (rank, role)) in (0..).zip(ranks.iter().zip(&plan.members)) {
            let Proof::Stamps(audience) = plan.roles[usize::from(*role)].proof else { continue };
            let of = &plan.roles[usize::from(*role)];
            if of.sends(*rank) {
                sources.push(Source { number, role: *role, group: of.group(*rank), audience });
            }
        }
        let senders = plan.steps.iter().map(|connections| senders(&plan, &ranks, *connections)).collect();
        let slots = (0..plan.connections())
            .filter(|number| plan.part.has(*number))
            .map(|number| Slot {
                number,
                rank: ranks[number as usize],
                seen: Mutex::new(Seen {
                    receiver: Receiver::new(number, 0),
                    states: None,
                    origin: plan.role(number).is_origin().then(|| Origin::new(number)),
                    counted: 0,
                }),
                is_open: AtomicBool::new(false),
                orders: AtomicU8::new(0),
                ordered: Notify::new(),
            })
            .collect();
        Self {
            network,
            clock: Clock::start(),
            states: States::new(),
            slots,
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            sending: Mutex::new(None),
            connecting: Semaphore::new(CONNECTING),
            open: AtomicU64::new(0),
            tried: AtomicU64::new(0),
            outstanding: AtomicI64::new(0),
            sources,
            senders,
            step: AtomicU64::new(0),
            plan,
        }
    }

    pub(crate) fn shard(&self, index: usize) -> &Mutex<Measured> {
        &self.shards[index % self.shards.len()]
    }

    /// Connections of a role that send in this step.
    pub(crate) fn senders(&self, role: usize) -> u32 {
        let step = usize::try_from(self.step.load(Ordering::Relaxed)).unwrap_or_default();
        self.senders[step][role].max(1)
    }

    /// Has the oracle expect what a connection hears from now on, or only its states again after it was away.
    pub(crate) fn listens(&self, slot: &Slot) {
        let since = self.clock.now();
        let role = self.plan.role(slot.number);
        let own = (role.url(slot.number).path(), role.group(slot.rank), role.join.is_some());
        let hears = |source: &&Source| {
            let is_here = || {
                let theirs = &self.plan.roles[usize::from(source.role)];
                theirs.url(source.number).path() == own.0
            };
            match source.audience {
                Audience::All => is_here(),
                Audience::Others => source.number != slot.number && is_here(),
                Audience::Group => own.2 && source.group == own.1 && is_here(),
                Audience::Caller => source.number == slot.number,
                Audience::Unknown => false,
            }
        };
        let heard: Vec<u32> = self.sources.iter().filter(hears).map(|source| source.number).collect();
        let mut seen = slot.seen.lock();
        seen.receiver = Receiver::new(slot.number, heard.len());
        for origin in heard {
            seen.receiver.expects(origin, since);
        }
        if role.proof == Proof::Navigation {
            seen.states = Some(StateReceiver::new(since));
        }
    }
}

fn senders(plan: &Plan, ranks: &[u32], connections: u32) -> Vec<u32> {
    let mut counts = vec![0; plan.roles.len()];
    for (role, rank) in plan.members.iter().zip(ranks).take(connections as usize) {
        if plan.roles[usize::from(*role)].sends(*rank) {
            counts[usize::from(*role)] += 1;
        }
    }
    counts
}

impl Seen {
    pub(crate) fn goes_away(&mut self, cause: Cause, at: u64) {
        self.receiver.goes_away(cause, at);
        if let Some(states) = &mut self.states {
            states.goes_away(cause, at);
        }
        if let Some(origin) = &mut self.origin {
            origin.goes_away(cause, at);
        }
    }

    pub(crate) fn is_back(&mut self, at: u64) {
        self.receiver.is_back(at);
        if let Some(states) = &mut self.states {
            states.is_back(at);
        }
        if let Some(origin) = &mut self.origin {
            origin.is_back(at);
        }
    }

    /// Of a reader that pauses, or is slow: what it sends is not affected.
    pub(crate) fn reads_not(&mut self, cause: Cause, at: u64) {
        self.receiver.goes_away(cause, at);
        if let Some(states) = &mut self.states {
            states.goes_away(cause, at);
        }
    }

    pub(crate) fn reads_again(&mut self, at: u64) {
        self.receiver.is_back(at);
        if let Some(states) = &mut self.states {
            states.is_back(at);
        }
    }
}
