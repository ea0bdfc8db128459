//! What is measured, on a server that was just started.

use std::path::Path;

use anyhow::{Result, bail};

use super::candidate::{Candidate, FLOOR, Origin, StartCommand};
use super::figures::{Figures, Measure};
use super::load::{self, Report};
use super::server::Server;
use super::{Plan, SATURATED_RATE, SATURATED_RECEIVERS};

const ECHOES_IN_FLIGHT: [(u32, Measure, Measure); 2] = [
    (1, Measure::EchoCpuAlone, Measure::EchoRateAlone),
    (16, Measure::EchoCpuCrowded, Measure::EchoRateCrowded),
];

/// What the load client's `idle --transport` takes, and whether over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdleTransport {
    WebSockets,
    WebSocketsOverTls,
    ServerSentEvents,
    LongPolling,
}

impl IdleTransport {
    pub(super) const ALL: [Self; 4] =
        [Self::WebSockets, Self::WebSocketsOverTls, Self::ServerSentEvents, Self::LongPolling];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::WebSockets => "WebSockets",
            Self::WebSocketsOverTls => "WebSockets over TLS",
            Self::ServerSentEvents => "server-sent events",
            Self::LongPolling => "long polling",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::WebSockets | Self::WebSocketsOverTls => "ws",
            Self::ServerSentEvents => "sse",
            Self::LongPolling => "lp",
        }
    }

    /// Just connected, and after they were held.
    fn memory(self) -> [Measure; 2] {
        match self {
            Self::WebSockets => [Measure::IdleMemoryAtFirst, Measure::IdleMemoryHeld],
            Self::WebSocketsOverTls => [Measure::TlsMemoryAtFirst, Measure::TlsMemoryHeld],
            Self::ServerSentEvents => [Measure::EventStreamMemoryAtFirst, Measure::EventStreamMemoryHeld],
            Self::LongPolling => [Measure::LongPollingMemoryAtFirst, Measure::LongPollingMemoryHeld],
        }
    }
}

/// One of the two broadcasts, and where its figures go.
struct Broadcast {
    receivers: u32,
    rate: u32,
    seconds: u32,
    cpu: Measure,
    latency_median: Option<Measure>,
    latency_high: Measure,
}

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
    /// Memory of many connections that only keep alive, and over WebSockets their CPU. The floor keeps none of what makes it one.
    pub(super) fn idle(&self, candidate: &mut Candidate, transport: IdleTransport) -> Result<()> {
        if candidate.name == FLOOR {
            return Ok(());
        }
        let start_server = match transport {
            IdleTransport::WebSocketsOverTls => Server::start_with_tls,
            _ => Server::start,
        };
        let Some(server) = start(candidate, start_server)? else {
            return Ok(());
        };
        let Plan { connections, http_connections, hold_seconds, .. } = self.plan;
        let connections = match transport {
            IdleTransport::WebSockets => *connections,
            IdleTransport::WebSocketsOverTls
            | IdleTransport::ServerSentEvents
            | IdleTransport::LongPolling => *http_connections,
        };
        let before = sample(&server)?;
        let option = transport.option();
        let options =
            format!("idle --transport {option} --connections {connections} --seconds {hold_seconds}");
        let (samples, report) = self.load(&server, &options)?;
        report.ensure_none(&["lost"])?;
        let [connected, finished] = samples[..] else {
            bail!("expected two phases, not {samples:?}");
        };
        let connections = f64::from(connections);
        let memory =
            |sample: Sample| difference(sample.resident_kilobytes, before.resident_kilobytes) / connections;
        let [at_first, held] = transport.memory();
        let figures = &mut candidate.figures;
        figures.add(at_first, memory(connected));
        if *hold_seconds > 0 {
            figures.add(held, memory(finished));
        }
        if transport == IdleTransport::WebSocketsOverTls {
            figures.add(Measure::TlsConnectCpu, cpu(before, connected)? / connections);
        }
        if transport == IdleTransport::WebSockets {
            figures.add(Measure::ConnectCpu, cpu(before, connected)? / connections);
            if *hold_seconds > 0 {
                let minutes = f64::from(*hold_seconds) / 60.0;
                figures.add(Measure::IdleCpu, cpu(connected, finished)? / connections / minutes);
            }
        }
        Ok(())
    }

    /// CPU of a paced broadcast, of one that keeps the server busy, and of echoes.
    pub(super) fn traffic(&self, candidate: &mut Candidate) -> Result<()> {
        let Some(server) = start(candidate, Server::start)? else {
            return Ok(());
        };
        let figures = &mut candidate.figures;
        let paced = Broadcast {
            receivers: self.plan.receivers,
            rate: self.plan.rate,
            seconds: self.plan.seconds,
            cpu: Measure::DeliveryCpu,
            latency_median: Some(Measure::DeliveryLatencyMedian),
            latency_high: Measure::DeliveryLatencyHigh,
        };
        self.broadcast(&server, figures, &paced)?;
        let seconds = self.plan.half_seconds();
        for (receivers, rate, cpu, latency_high) in [
            (99, 500, Measure::FastDeliveryCpu, Measure::FastDeliveryLatencyHigh),
            (9, 1000, Measure::FewDeliveryCpu, Measure::FewDeliveryLatencyHigh),
        ] {
            let broadcast = Broadcast { receivers, rate, seconds, cpu, latency_median: None, latency_high };
            self.broadcast(&server, figures, &broadcast)?;
        }
        let saturated = Broadcast {
            receivers: SATURATED_RECEIVERS,
            rate: SATURATED_RATE,
            seconds: self.plan.half_seconds(),
            cpu: Measure::SaturatedCpu,
            latency_median: Some(Measure::SaturatedLatencyMedian),
            latency_high: Measure::SaturatedLatencyHigh,
        };
        let report = self.broadcast(&server, figures, &saturated)?;
        figures.add(Measure::SaturatedRate, report.number("broadcasts_per_second")?);
        figures.add(Measure::SaturatedSenderLate, report.number("sender_late_max_micros")? / 1000.0);
        for echo in ECHOES_IN_FLIGHT {
            self.echo(&server, figures, echo)?;
        }
        Ok(())
    }

    /// A call costs several times as much when the kernel has put server and client on two processors, where
    /// each has to wake the other's. So there are many short runs, each with a new client.
    fn echo(
        &self,
        server: &Server,
        figures: &mut Figures,
        (in_flight, cpu_measure, rate_measure): (u32, Measure, Measure),
    ) -> Result<()> {
        let Plan { warm_up_seconds, protocol, .. } = self.plan;
        for run in 0..self.plan.half_seconds() {
            let warm_up = if run == 0 { *warm_up_seconds } else { 0 };
            let options =
                format!("echo --protocol {protocol} --in-flight {in_flight} --seconds 1 --warm-up {warm_up}");
            let (samples, report) = self.load(server, &options)?;
            report.ensure_none(&["errors"])?;
            let cpu = counted_cpu(&samples)?;
            figures.add(cpu_measure, cpu / report.number("calls")?);
            figures.add(rate_measure, report.number("calls_per_second")?);
        }
        Ok(())
    }

    fn broadcast(&self, server: &Server, figures: &mut Figures, broadcast: &Broadcast) -> Result<Report> {
        let Broadcast { receivers, rate, seconds, .. } = broadcast;
        let Plan { warm_up_seconds, protocol, .. } = self.plan;
        let options = format!(
            "broadcast --protocol {protocol} --receivers {receivers} --rate {rate} --seconds {seconds} --warm-up {warm_up_seconds}"
        );
        let (samples, report) = self.load(server, &options)?;
        report.ensure_none(&["missing", "doubled", "out_of_order", "lost"])?;
        let cpu = counted_cpu(&samples)?;
        figures.add(broadcast.cpu, cpu / report.number("deliveries")?);
        let millis = |path| report.number(path).map(|micros| micros / 1000.0);
        if let Some(median) = broadcast.latency_median {
            figures.add(median, millis("latency.p50_micros")?);
        }
        figures.add(broadcast.latency_high, millis("latency.p99_micros")?);
        Ok(report)
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

fn start(candidate: &Candidate, start: fn(&StartCommand) -> Result<Server>) -> Result<Option<Server>> {
    match &candidate.origin {
        Origin::Command(command) => start(command).map(Some),
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

pub(super) fn difference(to: u64, from: u64) -> f64 {
    // Exact below 2^53, which is far above any microseconds or kilobytes here.
    to as f64 - from as f64
}
