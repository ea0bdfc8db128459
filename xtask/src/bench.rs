//! `cargo xtask bench`: memory and CPU of Hubline beside those of the ASP.NET Core servers it replaces.
//!
//! Figures of different runs or machines do not compare, so all servers are measured in one run, each
//! measure of one right after the same measure of the others.

mod candidate;
mod console;
mod figures;
mod fleet;
mod load;
mod measure;
mod owned_child;
mod program;
mod server;
mod storm;
mod table;

use std::path::PathBuf;

use anyhow::{Result, bail};

use candidate::{Candidate, Origin, Release, ServerArgument};
use measure::{Bench, IdleTransport};

use crate::build::Programs;
use crate::transcript::Transcript;

/// Compares memory and CPU with ASP.NET Core 10, which is found by `HUBLINE_PEER`, and 11, `peer11` beside it
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Idle connections [default: 10000, quick: 2000]
    #[arg(long)]
    connections: Option<u32>,
    /// The same over server-sent events and over long polling [default: 4000, quick: 1000]
    #[arg(long)]
    http_connections: Option<u32>,
    /// Connections that receive each broadcast, besides the sender
    #[arg(long, default_value_t = 1000)]
    receivers: u32,
    /// Broadcasts a second
    #[arg(long, default_value_t = 10)]
    rate: u32,
    /// Seconds the paced broadcast lasts; the saturated one lasts half of it, and so does an echo's round [default: 10, quick: 4]
    #[arg(long)]
    seconds: Option<u32>,
    /// How often broadcast and echo are measured; the median counts [default: 3, quick: 1]
    #[arg(long)]
    rounds: Option<u32>,
    /// The hub protocol of broadcast and echo
    #[arg(long, default_value = "json", value_parser = ["json", "messagepack"])]
    protocol: String,
    /// Smaller, and without the 40 s that show what pings add to an idle connection
    #[arg(long)]
    quick: bool,
    /// Another server, or with NAME "Hubline", "ASP.NET Core" (10) or "ASP.NET Core 11" instead of that one. COMMAND is
    /// split at spaces, gets its address for {url}, and has to be the server itself or to exec it
    #[arg(long = "server", value_name = "NAME=COMMAND")]
    servers: Vec<ServerArgument>,
    #[command(subcommand)]
    other: Option<Other>,
}

#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Three instances over one redis-server: latency, rate, CPU, groups, and what an outage costs
    Fleet(fleet::Options),
    /// The program as it ships: memory of an idle connection on each hub of the applications, CPU of a stored message
    Program(program::Options),
    /// Many clients come at once, as after an instance has gone, while others chat: how long that takes, and how late messages are meanwhile
    Storm(storm::Options),
    /// The console with many connections on three instances: first paint, age of what it shows, CPU of being watched, memory of the timeline
    Console(console::Options),
}

/// The options with their defaults.
#[derive(Debug)]
struct Plan {
    connections: u32,
    http_connections: u32,
    hold_seconds: u32,
    warm_up_seconds: u32,
    receivers: u32,
    rate: u32,
    seconds: u32,
    rounds: u32,
    protocol: String,
}

/// The broadcast that keeps a server busy: 200 connections with the sender.
const SATURATED_RECEIVERS: u32 = 199;
const SATURATED_RATE: u32 = 4000;

impl Plan {
    fn new(options: &Options) -> Self {
        let (connections, http_connections, hold_seconds) =
            if options.quick { (2000, 1000, 0) } else { (10_000, 4000, 40) };
        let (warm_up_seconds, seconds, rounds) = if options.quick { (1, 4, 1) } else { (2, 10, 3) };
        Self {
            connections: options.connections.unwrap_or(connections),
            http_connections: options.http_connections.unwrap_or(http_connections),
            hold_seconds,
            warm_up_seconds,
            receivers: options.receivers,
            rate: options.rate,
            seconds: options.seconds.unwrap_or(seconds),
            rounds: options.rounds.unwrap_or(rounds).max(1),
            protocol: options.protocol.clone(),
        }
    }

    /// Of the saturated broadcast and of an echo's round.
    fn half_seconds(&self) -> u32 {
        self.seconds.div_ceil(2)
    }
}

/// Measures and prints the table.
///
/// # Errors
/// The load client does not build, or a server that started could not be measured. A limit that does not
/// hold is no error: the table says so.
pub(crate) fn run(options: Options) -> Result<()> {
    match options.other {
        Some(Other::Fleet(options)) => return fleet::run(options),
        Some(Other::Program(options)) => return program::run(options),
        Some(Other::Storm(options)) => return storm::run(&options),
        Some(Other::Console(options)) => return console::run(&options),
        None => {}
    }
    let plan = Plan::new(&options);
    let load_client = load_client()?;
    let mut candidates = candidate::all(options.servers, &[Release::Ten, Release::Eleven])?;
    if plan.protocol == "json" {
        candidates.push(Candidate::floor(&load_client)?);
    }
    let bench = Bench { plan: &plan, load_client: &load_client };

    for transport in IdleTransport::ALL {
        let what = format!("idle connections, {}", transport.label());
        each(&mut candidates, &what, |candidate| bench.idle(candidate, transport));
    }
    for round in 1..=plan.rounds {
        let what = format!("broadcast and echo, round {round} of {}", plan.rounds);
        each(&mut candidates, &what, |candidate| bench.traffic(candidate));
    }

    print!("{}", table::render(&plan, &candidates));
    ensure_measured(&candidates)
}

fn ensure_measured(candidates: &[Candidate]) -> Result<()> {
    let failed = candidates.iter().filter(|candidate| candidate.failed);
    let names: Vec<&str> = failed.map(|candidate| candidate.name.as_str()).collect();
    if !names.is_empty() {
        bail!("not everything could be measured of: {}", names.join(", "));
    }
    Ok(())
}

fn load_client() -> Result<PathBuf> {
    let programs = Programs::build(
        &["-p", "hubline-load-tester", "--bin", "hubline-load"],
        &mut Transcript::on_standard_error(),
    )?;
    programs.path("hubline-load").cloned()
}

/// One after the other; what fails for one does not keep the others from being measured.
fn each(candidates: &mut [Candidate], what: &str, mut measure: impl FnMut(&mut Candidate) -> Result<()>) {
    for candidate in candidates {
        if !matches!(candidate.origin, Origin::Command(_)) {
            continue;
        }
        eprintln!("{}: {what}", candidate.name);
        if let Err(error) = measure(candidate) {
            eprintln!("{}: failed: {error:#}", candidate.name);
            candidate.failed = true;
        }
    }
}
