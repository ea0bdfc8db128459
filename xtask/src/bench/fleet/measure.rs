//! What is measured, each on a fleet that was just started.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::instances::{Instances, RedisState};
use super::{HIGH_LIMIT_MILLIS, OUTAGE_RATE, Plan};
use crate::bench::candidate::{Candidate, Origin, StartCommand};
use crate::bench::figures::{Figures, Measure};
use crate::bench::load::{self, Report};
use crate::bench::measure::difference;

/// The first rate that is tried; it is doubled as long as it is kept up with, and then approached.
const FIRST_RATE: u32 = 1000;
/// The most that the load client takes.
const LAST_RATE: u32 = 100_000;
/// Of a rate, to have kept it: the load client may be what is too slow.
const REACHED: f64 = 0.98;
const APPROACHES: u32 = 3;
/// Of each rate that is tried.
const TRY_SECONDS: u32 = 4;
const BEFORE_OUTAGE: Duration = Duration::from_secs(3);
/// Seconds of sending around the outage: what waited has time to arrive.
const AROUND_OUTAGE_SECONDS: u32 = 15;
/// Until channels and memory are as they were.
const LOOK: Duration = Duration::from_millis(200);
const LOOKS: u32 = 100;
/// Of each request.
const ELSEWHERE_COUNT: u32 = 2000;
/// What is asked of the load client, whether where the connection is, and where the figures go.
const ELSEWHERE: [(&str, bool, Measure, Measure); 6] = [
    ("connect", true, Measure::ConnectHere, Measure::ConnectHereCpu),
    ("connect", false, Measure::ConnectElsewhere, Measure::ConnectElsewhereCpu),
    ("poll", true, Measure::PollHere, Measure::PollHereCpu),
    ("poll", false, Measure::PollElsewhere, Measure::PollElsewhereCpu),
    ("send", true, Measure::SendHere, Measure::SendHereCpu),
    ("send", false, Measure::SendElsewhere, Measure::SendElsewhereCpu),
];
const MEGABYTE: f64 = 1024.0 * 1024.0;

#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) plan: &'a Plan,
    pub(super) load_client: &'a Path,
}

impl Bench<'_> {
    /// Latency from one instance to another, and CPU.
    pub(super) fn paced(&self, candidate: &mut Candidate) -> Result<()> {
        let Some(command) = command(candidate) else { return Ok(()) };
        let fleet = Instances::start(command)?;
        let Plan { rate, seconds, warm_up_seconds, .. } = self.plan;
        let mut samples = Vec::new();
        let report = self.load(&fleet, *rate, *seconds, *warm_up_seconds, |_| {
            samples.push((fleet.cpu_micros()?, fleet.redis_cpu_micros()?));
            Ok(())
        })?;
        ensure_complete(&report)?;
        let [_, (cpu, redis_cpu), (cpu_after, redis_cpu_after)] = samples[..] else {
            anyhow::bail!("expected three phases, not {samples:?}");
        };
        let broadcasts = report.number("broadcasts")?;
        let figures = &mut candidate.figures;
        add_latency(figures, &report)?;
        figures.add(Measure::FleetCpu, difference(cpu_after, cpu) / broadcasts);
        figures.add(Measure::FleetRedisCpu, (redis_cpu_after - redis_cpu) / broadcasts);
        Ok(())
    }

    /// The highest rate with a p99 within the limit.
    pub(super) fn rate(&self, candidate: &mut Candidate) -> Result<()> {
        let Some(command) = command(candidate) else { return Ok(()) };
        let fleet = Instances::start(command)?;
        let (mut kept, mut missed) = (0, None);
        let mut rate = FIRST_RATE;
        let mut approaches = 0;
        while approaches < APPROACHES && kept < LAST_RATE {
            // On a machine that does other things too, one bad run says little.
            let keeps_up = self.keeps_up(&fleet, rate)? || self.keeps_up(&fleet, rate)?;
            eprintln!("  {rate} a second: {}", if keeps_up { "kept" } else { "not kept" });
            if keeps_up {
                kept = rate;
            } else {
                missed = Some(rate);
            }
            approaches += u32::from(missed.is_some());
            rate = missed.map_or((rate * 2).min(LAST_RATE), |missed| kept.midpoint(missed));
        }
        candidate.figures.add(Measure::FleetRate, f64::from(kept));
        Ok(())
    }

    fn keeps_up(&self, fleet: &Instances, rate: u32) -> Result<bool> {
        let report = self.load(fleet, rate, TRY_SECONDS, 1, |_| Ok(()))?;
        let high = report.number("latency.p99_micros")? / 1000.0;
        let reached = report.number("broadcasts_per_second")?;
        Ok(high <= HIGH_LIMIT_MILLIS
            && reached >= f64::from(rate) * REACHED
            && report.number("elsewhere.missing")? == 0.0)
    }

    /// What many groups leave behind in Redis.
    pub(super) fn groups(&self, candidate: &mut Candidate) -> Result<()> {
        let Some(command) = command(candidate) else { return Ok(()) };
        let fleet = Instances::start(command)?;
        let url = fleet.servers.first().context("no server")?.conformance_url();
        let groups = self.plan.groups;
        let options = format!("groups --groups {groups} --protocol {}", self.plan.protocol);
        let mut states = Vec::new();
        let mut cpu = Vec::new();
        let report = load::run(self.load_client, &arguments(url, &options), |phase| {
            cpu.push(fleet.cpu_micros()?);
            states.push(match (phase, states.first()) {
                ("finished", Some(before)) => forgotten(&fleet, before)?,
                _ => fleet.redis_state()?,
            });
            Ok(())
        })?;
        let [before, peak, after] = states[..] else {
            anyhow::bail!("expected three phases, not {states:?}");
        };
        let figures = &mut candidate.figures;
        let groups = f64::from(groups);
        figures.add(Measure::GroupsRate, groups / report.number("join_seconds")?);
        figures.add(Measure::GroupsCpu, difference(cpu[2], cpu[0]) / groups);
        figures.add(Measure::GroupsChannelsPeak, peak.channels - before.channels);
        figures.add(Measure::GroupsMemoryPeak, (peak.memory_bytes - before.memory_bytes) / MEGABYTE);
        figures.add(Measure::GroupsChannelsLeft, after.channels - before.channels);
        figures.add(Measure::GroupsMemoryLeft, (after.memory_bytes - before.memory_bytes) / MEGABYTE);
        Ok(())
    }

    /// What is lost while Redis is away, and how long it is silent.
    pub(super) fn outage(&self, candidate: &mut Candidate) -> Result<()> {
        let Some(command) = command(candidate) else { return Ok(()) };
        // Otherwise one call that waits for Redis holds up all that follow it.
        let mut fleet = Instances::start(&command.with(&["--parallel", "1000"]))?;
        let options = format!(
            "{} --rate {OUTAGE_RATE} --seconds {} --warm-up 1",
            self.fleet_options(&fleet),
            self.plan.outage_seconds + AROUND_OUTAGE_SECONDS
        );
        let url = fleet.servers[0].hub_url();
        let outage = Duration::from_secs(self.plan.outage_seconds.into());
        let report = load::run(self.load_client, &arguments(url, &options), |phase| {
            if phase == "running" {
                std::thread::sleep(BEFORE_OUTAGE);
                fleet.without_redis(outage)?;
            }
            Ok(())
        })?;
        let figures = &mut candidate.figures;
        for (measure, path, unit) in [
            (Measure::OutageGapHere, "here.gap_max_micros", 1000.0),
            (Measure::OutageMissingHere, "here.missing", 1.0),
            (Measure::OutageMissingElsewhere, "elsewhere.missing", 1.0),
            (Measure::OutageLost, "lost", 1.0),
        ] {
            figures.add(measure, report.number(path)? / unit);
        }
        let doubled = report.number("here.doubled")? + report.number("elsewhere.doubled")?;
        figures.add(Measure::OutageDoubled, doubled);
        Ok(())
    }

    /// What requests cost that land on another instance than their connection. ASP.NET Core answers them 404.
    pub(super) fn elsewhere(&self, candidate: &mut Candidate) -> Result<()> {
        let Some(command) = command(candidate).filter(|_| !candidate.is_asp_net_core()) else {
            return Ok(());
        };
        let fleet = Instances::start(command)?;
        for (request, here, median, cpu_measure) in ELSEWHERE {
            let place = if here { " --here" } else { "" };
            let other = fleet.servers[1].hub_url();
            let options =
                format!("elsewhere --other {other} --request {request} --count {ELSEWHERE_COUNT}{place}");
            let mut cpu = Vec::new();
            let report =
                load::run(self.load_client, &arguments(fleet.servers[0].hub_url(), &options), |_| {
                    cpu.push(fleet.cpu_micros()?);
                    Ok(())
                })?;
            candidate.figures.add(median, report.number("latency.p50_micros")? / 1000.0);
            candidate.figures.add(cpu_measure, difference(cpu[2], cpu[1]) / f64::from(ELSEWHERE_COUNT));
        }
        Ok(())
    }

    fn load(
        &self,
        fleet: &Instances,
        rate: u32,
        seconds: u32,
        warm_up: u32,
        at: impl FnMut(&str) -> Result<()>,
    ) -> Result<Report> {
        let options =
            format!("{} --rate {rate} --seconds {seconds} --warm-up {warm_up}", self.fleet_options(fleet));
        load::run(self.load_client, &arguments(fleet.servers[0].hub_url(), &options), at)
    }

    fn fleet_options(&self, fleet: &Instances) -> String {
        let others: String =
            fleet.servers[1..].iter().map(|server| format!(" --other {}", server.hub_url())).collect();
        format!("fleet --protocol {}{others}", self.plan.protocol)
    }
}

fn command(candidate: &Candidate) -> Option<&StartCommand> {
    match &candidate.origin {
        Origin::Command(command) => Some(command),
        Origin::Absent(_) => None,
    }
}

fn arguments(url: String, options: &str) -> Vec<String> {
    ["--url".to_owned(), url].into_iter().chain(options.split(' ').map(str::to_owned)).collect()
}

fn ensure_complete(report: &Report) -> Result<()> {
    let parts = ["here", "elsewhere"];
    let counts = parts.iter().flat_map(|part| {
        ["missing", "doubled", "out_of_order"].iter().map(move |count| format!("{part}.{count}"))
    });
    let counts: Vec<String> = counts.chain(["lost".to_owned()]).collect();
    report.ensure_none(&counts.iter().map(String::as_str).collect::<Vec<_>>())
}

fn add_latency(figures: &mut Figures, report: &Report) -> Result<()> {
    let millis = |path| report.number(path).map(|micros| micros / 1000.0);
    figures.add(Measure::FleetLatencyMedian, millis("latency.p50_micros")?);
    figures.add(Measure::FleetLatencyHigh, millis("latency.p99_micros")?);
    Ok(())
}

/// Redis as it was, or as it is when the time is up.
fn forgotten(fleet: &Instances, before: &RedisState) -> Result<RedisState> {
    let mut now = fleet.redis_state()?;
    for _ in 0..LOOKS {
        if now.channels <= before.channels && now.memory_bytes <= before.memory_bytes + MEGABYTE {
            break;
        }
        std::thread::sleep(LOOK);
        now = fleet.redis_state()?;
    }
    Ok(now)
}
