//! What is measured, on a server that was just started.

use std::path::Path;

use anyhow::{Result, bail};

use super::Plan;
use super::candidate::{Candidate, Origin};
use super::figures::{Figures, Measure};
use super::load::{self, Report};
use super::server::Server;

const ECHOES_IN_FLIGHT: [(u32, Measure, Measure); 2] = [
    (1, Measure::EchoCpuAlone, Measure::EchoRateAlone),
    (16, Measure::EchoCpuCrowded, Measure::EchoRateCrowded),
];

#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) plan: &'a Plan,
    pub(super) load_client: &'a Path,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    resident_kilobytes: u64,
    cpu_micros: u64,
}

impl Bench<'_> {
    /// Memory and CPU of many connections that only keep alive.
    pub(super) fn idle(&self, candidate: &mut Candidate) -> Result<()> {
        let Some(server) = start(candidate)? else {
            return Ok(());
        };
        let Plan { connections, hold_seconds, .. } = self.plan;
        let before = sample(&server)?;
        let options = format!("idle --connections {connections} --seconds {hold_seconds}");
        let (samples, report) = self.load(&server, &options)?;
        report.ensure_none(&["lost"])?;
        let [connected, finished] = samples[..] else {
            bail!("expected two phases, not {samples:?}");
        };
        let connections = f64::from(*connections);
        let memory =
            |sample: Sample| difference(sample.resident_kilobytes, before.resident_kilobytes) / connections;
        let connect_cpu = cpu(before, connected)?;
        let figures = &mut candidate.figures;
        figures.add(Measure::ConnectCpu, connect_cpu / connections);
        figures.add(Measure::IdleMemoryAtFirst, memory(connected));
        if *hold_seconds > 0 {
            figures.add(Measure::IdleMemoryHeld, memory(finished));
            let minutes = f64::from(*hold_seconds) / 60.0;
            figures.add(Measure::IdleCpu, cpu(connected, finished)? / connections / minutes);
        }
        Ok(())
    }

    /// CPU of a paced broadcast and of echoes.
    pub(super) fn traffic(&self, candidate: &mut Candidate) -> Result<()> {
        let Some(server) = start(candidate)? else {
            return Ok(());
        };
        self.broadcast(&server, &mut candidate.figures)?;
        for (in_flight, cpu_measure, rate_measure) in ECHOES_IN_FLIGHT {
            let seconds = self.plan.seconds.div_ceil(2);
            let options = format!("echo --in-flight {in_flight} --seconds {seconds}");
            let (samples, report) = self.load(&server, &options)?;
            report.ensure_none(&["errors"])?;
            let cpu = counted_cpu(&samples)?;
            candidate.figures.add(cpu_measure, cpu / report.number("calls")?);
            candidate.figures.add(rate_measure, report.number("calls_per_second")?);
        }
        Ok(())
    }

    fn broadcast(&self, server: &Server, figures: &mut Figures) -> Result<()> {
        let Plan { receivers, rate, seconds, .. } = self.plan;
        let options = format!("broadcast --receivers {receivers} --rate {rate} --seconds {seconds}");
        let (samples, report) = self.load(server, &options)?;
        report.ensure_none(&["missing", "doubled", "out_of_order", "lost"])?;
        let cpu = counted_cpu(&samples)?;
        figures.add(Measure::DeliveryCpu, cpu / report.number("deliveries")?);
        let millis = |path| report.number(path).map(|micros| micros / 1000.0);
        figures.add(Measure::DeliveryLatencyMedian, millis("latency.p50_micros")?);
        figures.add(Measure::DeliveryLatencyHigh, millis("latency.p99_micros")?);
        Ok(())
    }

    /// Runs one scenario and looks at the server at each of its phases.
    fn load(&self, server: &Server, options: &str) -> Result<(Vec<Sample>, Report)> {
        let mut arguments = vec!["--url".to_owned(), server.hub_url()];
        arguments.extend(options.split(' ').map(str::to_owned));
        let mut samples = Vec::new();
        let report = load::run(self.load_client, &arguments, |_| {
            samples.push(sample(server)?);
            Ok(())
        })?;
        Ok((samples, report))
    }
}

fn start(candidate: &Candidate) -> Result<Option<Server>> {
    match &candidate.origin {
        Origin::Command(command) => Server::start(command).map(Some),
        Origin::Absent(_) => Ok(None),
    }
}

fn sample(server: &Server) -> Result<Sample> {
    Ok(Sample { resident_kilobytes: server.resident_kilobytes()?, cpu_micros: server.cpu_micros()? })
}

/// CPU between the phases `running` and `finished`, which follow `connected`.
fn counted_cpu(samples: &[Sample]) -> Result<f64> {
    let [_, running, finished] = samples else {
        bail!("expected three phases, not {samples:?}");
    };
    cpu(*running, *finished)
}

fn cpu(from: Sample, to: Sample) -> Result<f64> {
    let micros = difference(to.cpu_micros, from.cpu_micros);
    if micros <= 0.0 {
        bail!("the process used no CPU: its command has to be the server itself, or to exec it");
    }
    Ok(micros)
}

fn difference(to: u64, from: u64) -> f64 {
    // Exact below 2^53, which is far above any microseconds or kilobytes here.
    to as f64 - from as f64
}
