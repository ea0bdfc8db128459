use std::convert::Infallible;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::measure::{Limits, Recorder};

/// What the tester itself used, so that a reader can tell its limits from those of the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnUse {
    /// Processes that the figures are of.
    pub processes: u32,
    /// Threads that carry the connections, of all processes.
    pub threads: u32,
    /// Processors of the machine.
    pub cores: u32,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Processor time of all processes, in seconds.
    pub cpu_seconds: f64,
    /// Highest share of the threads' time in any second, 0 to 1: at 1 the tester can do no more.
    pub busiest: f64,
    /// Seconds in which that share was 0.9 or more.
    pub busy_seconds: u32,
    /// Highest share of the time of all processors that anything on the machine used in any second, 0 to 1.
    pub machine_busiest: f64,
    /// Seconds in which that share was 0.95 or more.
    pub machine_busy_seconds: u32,
    /// How late timers of the tester were, measured 50 times a second; the clock behind them has 1 ms.
    pub lag: Recorder,
    /// The most memory that it had, of all processes.
    pub memory_bytes: u64,
    /// The most files that it had open, in any one process.
    pub open_files: u64,
    /// What the system let it have.
    pub limits: Limits,
    /// One for each second.
    pub samples: Vec<OwnSample>,
}

/// One second of a tester's own use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnSample {
    /// Share of the threads' time, 0 to 1.
    pub busy: f64,
    /// Share of the time of all processors that anything on the machine used, 0 to 1.
    pub machine_busy: f64,
    /// The latest that a timer was.
    pub lag_micros: u64,
}

impl OwnUse {
    const BUSY: f64 = 0.9;
    const MACHINE_BUSY: f64 = 0.95;
    const LAG_MICROS: u64 = 10_000;

    /// Says where the tester, or the machine that it shares with the server, may be what limits; empty if nothing points there.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let Self { busy_seconds, threads, machine_busy_seconds, cores, open_files, limits, .. } = self;
        let seconds = self.samples.len();
        if *busy_seconds > 0 {
            warnings.push(format!(
                "the tester is the bottleneck: it used 90% or more of its {threads} threads in {busy_seconds} of {seconds} s. Latencies include its own queues: give it more threads or processes, or a machine of its own"
            ));
        } else if *machine_busy_seconds > 0 {
            warnings.push(format!(
                "the machine was full: all {cores} processors were 95% busy or more in {machine_busy_seconds} of {seconds} s. If the server runs here too, each takes from the other: use two machines, or compare runs of this machine alone"
            ));
        }
        let lag = self.lag.percentiles();
        if lag.p99_micros > Self::LAG_MICROS {
            warnings.push(format!(
                "the tester's timers were late: p99 {} ms, at most {} ms. What was sent late counts as latency, as it should, but is not the server's",
                lag.p99_micros / 1000,
                lag.max_micros / 1000
            ));
        }
        if limits.open_files > 0 && open_files.saturating_mul(10) > limits.open_files.saturating_mul(9) {
            warnings.push(format!(
                "{open_files} of {} files were open: raise `ulimit -n` before a larger run",
                limits.open_files
            ));
        }
        warnings
    }

    /// Adds what another process used in the same time.
    pub fn merge(&mut self, other: &Self) {
        self.processes += other.processes;
        self.threads += other.threads;
        self.cores = self.cores.max(other.cores);
        self.seconds = self.seconds.max(other.seconds);
        self.cpu_seconds += other.cpu_seconds;
        self.busiest = self.busiest.max(other.busiest);
        self.busy_seconds = self.busy_seconds.max(other.busy_seconds);
        self.machine_busiest = self.machine_busiest.max(other.machine_busiest);
        self.machine_busy_seconds = self.machine_busy_seconds.max(other.machine_busy_seconds);
        self.lag.add(&other.lag);
        self.memory_bytes += other.memory_bytes;
        self.open_files = self.open_files.max(other.open_files);
        self.samples.resize(self.samples.len().max(other.samples.len()), OwnSample::default());
        for (own, other) in self.samples.iter_mut().zip(&other.samples) {
            own.busy = own.busy.max(other.busy);
            own.machine_busy = own.machine_busy.max(other.machine_busy);
            own.lag_micros = own.lag_micros.max(other.lag_micros);
        }
    }

    fn add(&mut self, sample: OwnSample) {
        self.busiest = self.busiest.max(sample.busy);
        self.busy_seconds += u32::from(sample.busy >= Self::BUSY);
        self.machine_busiest = self.machine_busiest.max(sample.machine_busy);
        self.machine_busy_seconds += u32::from(sample.machine_busy >= Self::MACHINE_BUSY);
        self.samples.push(sample);
    }
}

/// Measures [`OwnUse`] while it runs.
#[derive(Debug)]
pub struct OwnUseMeter {
    own: OwnUse,
    started: Instant,
    last: Reading,
    lag_micros: u64,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    cpu_seconds: f64,
    machine: Option<MachineTicks>,
}

impl OwnUseMeter {
    const TICK: Duration = Duration::from_millis(20);
    const SAMPLE: Duration = Duration::from_secs(1);

    /// Begins now; `threads` are those of the runtime that carries the connections.
    #[must_use]
    pub fn start(threads: u32) -> Self {
        let last = Reading::now();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let own = OwnUse {
            processes: 1,
            threads,
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            limits: Limits::read(),
            ..OwnUse::default()
        };
        Self { own, started: last.at, last, lag_micros: 0 }
    }

    /// Measures until it is dropped: the lag of timers 50 times, everything else once a second.
    ///
    /// # Cancel safety
    /// Safe: what was measured stays in the meter.
    pub async fn run(meter: &Mutex<Self>) -> Infallible {
        let mut due = Instant::now() + Self::TICK;
        let mut sample_due = Instant::now() + Self::SAMPLE;
        loop {
            tokio::time::sleep_until(due).await;
            let now = Instant::now();
            let mut meter = meter.lock();
            meter.record_lag(now.saturating_duration_since(due));
            if now >= sample_due {
                meter.sample();
                sample_due = now + Self::SAMPLE;
            }
            due = now + Self::TICK;
        }
    }

    /// What was used since the start.
    #[must_use]
    pub fn so_far(&self) -> &OwnUse {
        &self.own
    }

    /// Looks a last time, and ends.
    #[must_use]
    pub fn finish(mut self) -> OwnUse {
        self.read(Reading::now());
        self.own
    }

    fn record_lag(&mut self, lag: Duration) {
        let micros = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        self.own.lag.record(micros);
        self.lag_micros = self.lag_micros.max(micros);
    }

    fn sample(&mut self) {
        let now = Reading::now();
        let seconds = (now.at - self.last.at).as_secs_f64().max(f64::EPSILON);
        let busy = (now.cpu_seconds - self.last.cpu_seconds) / seconds / f64::from(self.own.threads.max(1));
        let machine_busy = match (now.machine, self.last.machine) {
            (Some(now), Some(last)) => now.busy_since(last),
            _ => 0.0,
        };
        let lag_micros = std::mem::take(&mut self.lag_micros);
        self.own.add(OwnSample { busy: busy.min(1.0), machine_busy, lag_micros });
        self.own.open_files = self.own.open_files.max(open_files().unwrap_or(0));
        self.read(now);
        self.last = now;
    }

    fn read(&mut self, now: Reading) {
        self.own.seconds = (now.at - self.started).as_secs_f64();
        self.own.cpu_seconds += now.cpu_seconds - self.last.cpu_seconds;
        self.own.memory_bytes = self.own.memory_bytes.max(memory_bytes().unwrap_or(0));
    }
}

impl Reading {
    fn now() -> Self {
        Self { at: Instant::now(), cpu_seconds: cpu_seconds(), machine: MachineTicks::read() }
    }
}

/// Time of all processors since the machine started, in ticks.
#[derive(Debug, Clone, Copy)]
struct MachineTicks {
    idle: u64,
    all: u64,
}

impl MachineTicks {
    fn read() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        let ticks = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are within user and nice.
        let ticks: Vec<u64> = ticks.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { idle: ticks.get(3)? + ticks.get(4)?, all: ticks.iter().sum() })
    }

    #[expect(clippy::cast_precision_loss, reason = "differences over a second are small")]
    fn busy_since(self, last: Self) -> f64 {
        let all = self.all.saturating_sub(last.all);
        let idle = self.idle.saturating_sub(last.idle);
        if all == 0 { 0.0 } else { 1.0 - (idle as f64 / all as f64).min(1.0) }
    }
}

#[cfg(unix)]
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
        .as_secs_f64()
}

#[cfg(not(unix))]
fn cpu_seconds() -> f64 {
    0.0
}

fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Linux says it as the size of the directory since 6.2; before that the size is 0 and the entries are counted.
fn open_files() -> Option<u64> {
    let directory = "/proc/self/fd";
    match std::fs::metadata(directory).ok()?.len() {
        0 => u64::try_from(std::fs::read_dir(directory).ok()?.count()).ok(),
        files => Some(files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(samples: &[OwnSample]) -> OwnUse {
        let mut own = OwnUse { processes: 1, threads: 2, cores: 4, ..OwnUse::default() };
        samples.iter().for_each(|sample| own.add(*sample));
        own
    }

    const IDLE: OwnSample = OwnSample { busy: 0.1, machine_busy: 0.2, lag_micros: 900 };
    const FULL: OwnSample = OwnSample { busy: 0.97, machine_busy: 1.0, lag_micros: 50_000 };

    #[test]
    fn it_warns_when_the_tester_or_its_machine_is_full_and_only_then() {
        assert_eq!(used(&[IDLE, IDLE]).warnings(), [""; 0]);
        let full = used(&[IDLE, FULL]).warnings();
        assert!(full.len() == 1 && full[0].contains("2 threads in 1 of 2 s"), "{full:?}");
        let machine = used(&[OwnSample { busy: 0.1, ..FULL }]).warnings();
        assert!(machine.len() == 1 && machine[0].contains("all 4 processors"), "{machine:?}");
        let mut late = used(&[IDLE]);
        (0..10).for_each(|_| late.lag.record(40_000));
        assert!(late.warnings()[0].contains("p99 40 ms"), "{:?}", late.warnings());
        let limits = Limits { open_files: 1000, ..Limits::default() };
        let files = OwnUse { open_files: 950, limits, ..used(&[IDLE]) }.warnings();
        assert!(files[0].contains("950 of 1000 files"), "{files:?}");
    }

    #[test]
    fn two_processes_use_what_both_use_and_are_as_busy_as_the_busier() {
        let mut own = OwnUse { cpu_seconds: 1.0, memory_bytes: 10, open_files: 7, ..used(&[IDLE]) };
        own.merge(&OwnUse { cpu_seconds: 2.0, memory_bytes: 20, open_files: 5, ..used(&[FULL, IDLE]) });
        assert_eq!((own.processes, own.threads, own.cores), (2, 4, 4));
        assert_eq!((own.memory_bytes, own.open_files, own.busy_seconds), (30, 7, 1));
        assert_eq!(own.samples, [FULL, IDLE]);
        assert!((own.cpu_seconds - 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_time_of_all_processors_is_read() {
        let parse = |text| MachineTicks::parse(text).unwrap();
        let before = parse("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1");
        let after = parse("cpu  150 0 150 780 120 0 0 0 50 0\ncpu0 1 1");
        assert!((after.busy_since(before) - 0.5).abs() < 1e-9);
        assert!(after.busy_since(after).abs() < 1e-9);
        assert!(MachineTicks::parse("intr 1").is_none());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn a_second_is_sampled_and_the_lag_is_measured() {
        let meter = Mutex::new(OwnUseMeter::start(1));
        let run = tokio::time::timeout(Duration::from_millis(2500), OwnUseMeter::run(&meter));
        assert!(run.await.is_err(), "it ends only when it is dropped");
        let own = meter.into_inner().finish();
        assert_eq!(own.samples.len(), 2);
        assert!((100..=125).contains(&own.lag.count()), "{}", own.lag.count());
        assert!(own.cpu_seconds > 0.0 && own.memory_bytes > 1_000_000 && own.open_files > 2, "{own:?}");
        assert!((own.seconds - 2.5).abs() < 0.01, "{}", own.seconds);
    }
}
