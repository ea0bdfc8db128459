//! Carries a plan out: step after step connects, has connections send, plants faults, lets everything settle, and judges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::measure::{Histograms, OwnUse, OwnUseMeter, Recorder, Window};
use crate::oracle::{Origins, Verdict, judge, judge_counts, judge_states};
use crate::plan::Proof;
use crate::report::model::{FORMAT, command_line};
use crate::report::model::{Fault, LatencyOf, Machine, Outcome, Snapshot, Stage, Step, rfc_3339};
use crate::report::{Errors, Report};
use crate::run::company::{Company, Found};
use crate::run::faults;
use crate::run::member;
use crate::run::shared::{FAULTS, Measured, Seen, Sending, Shared, order};

const TICK: Duration = Duration::from_millis(500);
/// Above so many pairs of sender and receiver the verdict is not asked for again and again while a step settles.
const PAIRS_JUDGED_OFTEN: u64 = 300_000;
const CLOSING: Duration = Duration::from_secs(10);
const SECONDS_SHOWN: usize = 120;
/// Between the last connection and the first call.
const BREATH: Duration = Duration::from_millis(100);

/// Somebody asked for the end.
#[derive(Debug)]
struct Interrupted;

/// Runs a plan to its end, or until `interrupt` becomes true.
pub(crate) async fn conduct(
    shared: Arc<Shared>,
    threads: u32,
    interrupt: watch::Receiver<bool>,
    snapshots: &watch::Sender<Snapshot>,
    company: Company,
) -> Report {
    let meter = Mutex::new(OwnUseMeter::start(threads));
    let mut conductor = Conductor {
        members: JoinSet::new(),
        interrupt,
        snapshots,
        meter: &meter,
        started: Instant::now(),
        began: SystemTime::now(),
        spawned: 0,
        step: Step::default(),
        window: Window::default(),
        steps: Vec::new(),
        judged: Verdict::default(),
        errors: Errors::default(),
        faults: std::array::from_fn(|_| (0, Recorder::new())),
        step_begins: None,
        shared,
        company,
    };
    tokio::select! {
        report = conductor.run() => report,
        never = OwnUseMeter::run(&meter) => match never {},
    }
    .with_own(meter.into_inner().finish())
}

struct Conductor<'a> {
    shared: Arc<Shared>,
    members: JoinSet<()>,
    interrupt: watch::Receiver<bool>,
    snapshots: &'a watch::Sender<Snapshot>,
    meter: &'a Mutex<OwnUseMeter>,
    company: Company,
    started: Instant,
    began: SystemTime,
    /// Connections of this process that were begun.
    spawned: usize,
    /// The step that goes on.
    step: Step,
    window: Window,
    steps: Vec<Step>,
    /// At the end of the last step.
    judged: Verdict,
    errors: Errors,
    faults: [(u64, Recorder); FAULTS.len()],
    step_begins: Option<Instant>,
}

impl Conductor<'_> {
    async fn run(&mut self) -> Report {
        let steps = self.shared.plan.steps.clone();
        let mut was_interrupted = false;
        for (index, connections) in steps.into_iter().enumerate() {
            if self.step(index, connections).await.is_err() {
                was_interrupted = true;
                break;
            }
        }
        self.close().await;
        self.report(was_interrupted)
    }

    async fn step(&mut self, index: usize, connections: u32) -> Result<(), Interrupted> {
        self.shared.step.store(index as u64, Ordering::Relaxed);
        self.step = Step::default();
        let wanted = self.shared.slots.partition_point(|slot| slot.number < connections);
        self.step.connections = wanted as u64;
        self.show(Stage::Connecting, None);
        let done = self.measure_step(index, wanted).await;
        let until = done.is_err().then(|| self.shared.clock.now());
        let found = self.found();
        let found = self.company.exchange(found).await;
        self.collect();
        let verdict = self.verdict(until, &found);
        self.step.verdict = verdict.since(&self.judged);
        self.judged = verdict;
        let begins = self.step_begins.take();
        if done.is_err() {
            self.step.seconds = begins.map_or(0.0, seconds_since);
        }
        self.steps.push(std::mem::take(&mut self.step));
        done
    }

    async fn measure_step(&mut self, index: usize, wanted: usize) -> Result<(), Interrupted> {
        self.connect(wanted).await?;
        let shared = Arc::clone(&self.shared);
        let start = self.start(index).await?;
        let until = start + shared.plan.duration;
        *shared.sending.lock() = Some(Sending { start, until });
        self.step_begins = Some(start);
        self.step.connected = shared.open.load(Ordering::Relaxed);
        shared.slots[..wanted].iter().for_each(|slot| slot.order(order::SEND));
        self.show(Stage::Running, Some(until));
        let planted = async {
            tokio::select! {
                () = sleep_until(until) => {}
                () = faults::plant(&shared, wanted, start, until) => sleep_until(until).await,
            }
        };
        self.watching(Stage::Running, Some(until), planted).await?;
        self.step.seconds = seconds_since(start);
        let settled = shared.plan.rules.settle_micros;
        let settling = until + Duration::from_micros(settled);
        self.show(Stage::Settling, Some(settling));
        let shared = Arc::clone(&self.shared);
        self.watching(Stage::Settling, Some(settling), settle(&shared, settling)).await?;
        self.close_second();
        Ok(())
    }

    /// Opens the connections that this step adds, at the rate that was asked for.
    async fn connect(&mut self, wanted: usize) -> Result<(), Interrupted> {
        let began = Instant::now();
        let shared = Arc::clone(&self.shared);
        let first = self.spawned;
        let rate = shared.plan.connect_rate / f64::from(shared.plan.part.of);
        while self.spawned < wanted {
            let due = |number: usize| {
                #[expect(clippy::cast_precision_loss, reason = "connections are far fewer than 2^52")]
                Duration::from_secs_f64((number - first) as f64 / rate)
            };
            while self.spawned < wanted && began + due(self.spawned) <= Instant::now() {
                self.members.spawn(member::run(Arc::clone(&shared), self.spawned));
                self.spawned += 1;
            }
            let next = began + due(self.spawned);
            self.watching(Stage::Connecting, None, sleep_until(next)).await?;
        }
        let all_tried = async {
            while shared.tried.load(Ordering::Acquire) < wanted as u64 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        self.watching(Stage::Connecting, None, all_tried).await?;
        self.step.connect_seconds = seconds_since(began);
        Ok(())
    }

    /// When calls begin: a moment from now, the same for all processes.
    async fn start(&mut self, index: usize) -> Result<Instant, Interrupted> {
        let clock = self.shared.clock;
        let mut interrupt = self.interrupt.clone();
        tokio::select! {
            start = self.company.start(index, clock) => Ok(start.unwrap_or_else(|| Instant::now() + BREATH)),
            _ = interrupt.wait_for(|is_over| *is_over) => Err(Interrupted),
        }
    }

    /// Waits for `work`; shows meanwhile how far the run is, and closes seconds.
    async fn watching(
        &mut self,
        stage: Stage,
        until: Option<Instant>,
        work: impl Future<Output = ()>,
    ) -> Result<(), Interrupted> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut interrupt = self.interrupt.clone();
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = &mut work => return Ok(()),
                _ = interrupt.wait_for(|is_over| *is_over) => return Err(Interrupted),
                _ = ticks.tick() => {
                    self.close_second();
                    self.show(stage, until);
                }
            }
        }
    }

    /// Closes the second that goes on if it is over.
    fn close_second(&mut self) {
        let Some(begins) = self.step_begins else { return };
        let Some(since) = Instant::now().checked_duration_since(begins) else { return };
        let second = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        for shard in &self.shared.shards {
            self.window.take(&mut shard.lock().window);
        }
        let last = self.step.series.0.last().map_or(0, |second| second.second);
        if second > last {
            let open = self.shared.open.load(Ordering::Relaxed);
            let histograms = if self.company.is_alone() { Histograms::Dropped } else { Histograms::Kept };
            self.step.series.0.push(self.window.close(second, open, histograms));
        }
    }

    /// Adds what all threads have measured to the step.
    fn collect(&mut self) {
        for shard in &self.shared.shards {
            let mut measured = std::mem::take(&mut *shard.lock());
            self.window.take(&mut measured.window);
            let Measured { sent, received, calls, calls_failed, disconnects, reconnects, .. } = measured;
            let step = &mut self.step;
            step.sent += sent;
            step.received += received;
            step.calls += calls;
            step.calls_failed += calls_failed;
            step.disconnects += disconnects;
            step.reconnects += reconnects;
            step.phases.merge(&measured.phases);
            step.delivery.add(&measured.delivery);
            step.call.add(&measured.call);
            step.behind.add(&measured.behind);
            step.recovery.add(&measured.recovery);
            self.errors.merge(measured.errors.groups());
            for ((count, recovery), fault) in self.faults.iter_mut().zip(&measured.faults) {
                *count += fault.count;
                recovery.add(&fault.recovery);
            }
        }
        self.window = Window::default();
    }

    fn found(&self) -> Found {
        let origins = self.seen().iter().filter_map(|seen| seen.origin.clone()).collect::<Origins>();
        Found { origins, states: self.shared.states.known() }
    }

    fn seen(&self) -> Vec<MutexGuard<'_, Seen>> {
        self.shared.slots[..self.spawned].iter().map(|slot| slot.seen.lock()).collect()
    }

    /// What was found so far; `all` is what all processes have sent.
    fn verdict(&self, until: Option<u64>, all: &Found) -> Verdict {
        let rules = &self.shared.plan.rules;
        let own = self.found().origins;
        let seen = self.seen();
        let has = |wanted: fn(&Proof) -> bool| self.shared.plan.roles.iter().any(|role| wanted(&role.proof));
        let mut verdict = Verdict::default();
        // Says that nothing is proved, unless something is.
        verdict.merge(&Verdict::default());
        if has(|proof| matches!(proof, Proof::Stamps(_))) {
            let receivers = seen.iter().map(|seen| &seen.receiver);
            verdict.merge(&judge(rules, receivers, &all.origins, &own, until));
        }
        if has(|proof| *proof == Proof::Navigation) {
            let receivers = seen.iter().filter_map(|seen| seen.states.as_ref());
            verdict.merge(&judge_states(rules, receivers, &all.states));
        }
        let mut counts = BTreeMap::<_, Vec<u64>>::new();
        for (slot, seen) in self.shared.slots.iter().zip(&seen) {
            if let Proof::Counts(event) = &self.shared.plan.role(slot.number).proof {
                counts.entry(event).or_default().push(seen.counted);
            }
        }
        for counts in counts.into_values() {
            verdict.merge(&judge_counts(counts));
        }
        verdict
    }

    async fn close(&mut self) {
        // What closing finds, such as calls without an answer, belongs to the last step.
        self.step = self.steps.pop().unwrap_or_default();
        self.show(Stage::Closing, None);
        self.shared.slots[..self.spawned].iter().for_each(|slot| slot.order(order::CLOSE));
        let all = async { while self.members.join_next().await.is_some() {} };
        let _ = timeout(CLOSING, all).await;
        self.members.shutdown().await;
        self.collect();
        self.steps.push(std::mem::take(&mut self.step));
    }

    fn show(&self, stage: Stage, until: Option<Instant>) {
        let shared = &self.shared;
        let plan = &shared.plan;
        let index = self.steps.len();
        let now = Instant::now();
        let ahead = plan.steps.len().saturating_sub(index + 1);
        let each = plan.duration + Duration::from_micros(plan.rules.settle_micros);
        let left = until.map(|until| {
            until.saturating_duration_since(now) + each * u32::try_from(ahead).unwrap_or(u32::MAX)
        });
        let recent: Vec<_> = self.step.series.0.iter().rev().take(SECONDS_SHOWN).rev().cloned().collect();
        let (delivery, call, errors) = self.latencies();
        #[expect(clippy::cast_precision_loss, reason = "rates are shown to three digits")]
        let rate = |count: u64| count as f64;
        let last = recent.last().cloned().unwrap_or_default();
        let own = self.meter.lock().so_far().clone();
        let (latency_of, latency) = match delivery.is_empty() {
            true => (LatencyOf::Call, call.percentiles()),
            false => (LatencyOf::Delivery, delivery.percentiles()),
        };
        let snapshot = Snapshot {
            stage,
            step: index + 1,
            steps: plan.steps.len(),
            connected: shared.open.load(Ordering::Relaxed),
            wanted: self.step.connections,
            elapsed: now - self.started,
            left,
            sent_rate: rate(last.sent),
            received_rate: rate(last.received),
            call_rate: rate(last.calls),
            latency_of,
            latency,
            recent,
            verdict: self.so_far(),
            error_count: errors.count(),
            errors: errors.groups(),
            own: own.samples.last().copied().unwrap_or_default(),
            memory_bytes: own.memory_bytes,
            warnings: own.warnings(),
        };
        self.snapshots.send_replace(snapshot);
    }

    fn latencies(&self) -> (Recorder, Recorder, Errors) {
        let (mut delivery, mut call, mut errors) = (Recorder::new(), Recorder::new(), self.errors.clone());
        for shard in &self.shared.shards {
            let measured = shard.lock();
            delivery.add(&measured.delivery);
            call.add(&measured.call);
            errors.merge(measured.errors.groups());
        }
        (delivery, call, errors)
    }

    /// What is certain while messages are on their way.
    fn so_far(&self) -> Verdict {
        let mut verdict = self.judged.clone();
        let mut sum = crate::oracle::SoFar::default();
        for slot in &self.shared.slots[..self.spawned] {
            sum += slot.seen.lock().receiver.so_far();
        }
        (verdict.received, verdict.late, verdict.doubled) = (sum.received, sum.late, sum.doubled);
        (verdict.out_of_order, verdict.foreign) = (sum.out_of_order, sum.foreign);
        verdict
    }

    fn report(&mut self, was_interrupted: bool) -> Report {
        let plan = &self.shared.plan;
        let lost = &self.judged.lost_in_faults.0;
        let faults = FAULTS.iter().zip(&mut self.faults).filter(|(_, (count, _))| *count > 0);
        let faults = faults.map(|(cause, (count, recovery))| Fault {
            name: cause.to_string(),
            count: *count,
            lost: lost.get(cause).copied().unwrap_or_default(),
            recovery: std::mem::take(recovery),
        });
        Report {
            format: FORMAT,
            hubline: env!("CARGO_PKG_VERSION").to_owned(),
            command: command_line(std::env::args()),
            started: rfc_3339(self.began),
            seconds: seconds_since(self.started),
            outcome: if was_interrupted { Outcome::Interrupted } else { Outcome::Passed },
            verdict: self.judged.clone(),
            targets: plan.targets(),
            settings: plan.settings(),
            machine: Machine::read(),
            faults: faults.collect(),
            errors: self.errors.groups(),
            warnings: plan.notes.clone(),
            steps: std::mem::take(&mut self.steps),
            ..Report::default()
        }
    }
}

trait WithOwn {
    fn with_own(self, own: OwnUse) -> Self;
}

impl WithOwn for Report {
    fn with_own(mut self, own: OwnUse) -> Self {
        self.warnings.extend(own.warnings());
        self.own = own;
        self
    }
}

fn seconds_since(start: Instant) -> f64 {
    Instant::now().saturating_duration_since(start).as_secs_f64()
}

/// Waits until nothing is on its way any more, or the time for that is over.
async fn settle(shared: &Shared, until: Instant) {
    let counts = shared.plan.roles.iter().any(|role| matches!(role.proof, Proof::Counts(_)));
    let pairs = crate::plan::Memory::of(&shared.plan).pairs;
    if counts || pairs > PAIRS_JUDGED_OFTEN || shared.plan.part.of > 1 {
        return sleep_until(until).await;
    }
    loop {
        sleep_until((Instant::now() + TICK).min(until)).await;
        if Instant::now() >= until || (shared.outstanding.load(Ordering::Relaxed) <= 0 && is_whole(shared)) {
            return;
        }
    }
}

fn is_whole(shared: &Shared) -> bool {
    let seen: Vec<_> = shared.slots.iter().map(|slot| slot.seen.lock()).collect();
    let origins: Origins = seen.iter().filter_map(|seen| seen.origin.clone()).collect();
    let receivers = seen.iter().map(|seen| &seen.receiver);
    judge(&shared.plan.rules, receivers, &origins, &origins, None).lost == 0
}

impl crate::plan::Plan {
    fn targets(&self) -> Vec<String> {
        let mut targets: Vec<_> =
            self.roles.iter().flat_map(|role| &role.urls).map(ToString::to_string).collect();
        targets.sort();
        targets.dedup();
        targets
    }
}
