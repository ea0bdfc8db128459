//! `cargo xtask bench`: memory and CPU of Hubline beside those of the ASP.NET Core server it replaces.
//!
//! Figures of different runs or machines do not compare, so both servers are measured in one run, each
//! measure of one right after the same measure of the other.

mod candidate;
mod figures;
mod load;
mod measure;
mod owned_child;
mod server;
mod table;

use anyhow::{Result, bail};

use candidate::{Candidate, Origin, ServerArgument};
use measure::Bench;

use crate::build::Programs;

/// Compares memory and CPU with ASP.NET Core, which is found by `HUBLINE_PEER`
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Idle connections [default: 10000, quick: 2000]
    #[arg(long)]
    connections: Option<u32>,
    /// Connections that receive each broadcast, besides the sender
    #[arg(long, default_value_t = 1000)]
    receivers: u32,
    /// Broadcasts a second
    #[arg(long, default_value_t = 10)]
    rate: u32,
    /// Seconds each broadcast lasts; each echo lasts half of it [default: 10, quick: 4]
    #[arg(long)]
    seconds: Option<u32>,
    /// How often broadcast and echo are measured; the median counts [default: 3, quick: 1]
    #[arg(long)]
    rounds: Option<u32>,
    /// Smaller, and without the 40 s that show what pings add to an idle connection
    #[arg(long)]
    quick: bool,
    /// Another server, or with NAME "Hubline" or "ASP.NET Core" instead of that one. COMMAND is split at
    /// spaces, gets its address for {url}, and has to be the server itself or to exec it
    #[arg(long = "server", value_name = "NAME=COMMAND")]
    servers: Vec<ServerArgument>,
}

/// The options with their defaults.
#[derive(Debug)]
struct Plan {
    connections: u32,
    hold_seconds: u32,
    receivers: u32,
    rate: u32,
    seconds: u32,
    rounds: u32,
}

impl Plan {
    fn new(options: &Options) -> Self {
        let (connections, hold_seconds, seconds, rounds) = match options.quick {
            true => (2000, 0, 4, 1),
            false => (10_000, 40, 10, 3),
        };
        Self {
            connections: options.connections.unwrap_or(connections),
            hold_seconds,
            receivers: options.receivers,
            rate: options.rate,
            seconds: options.seconds.unwrap_or(seconds),
            rounds: options.rounds.unwrap_or(rounds).max(1),
        }
    }
}

/// Measures and prints the table.
///
/// # Errors
/// The load client does not build, or a server that started could not be measured. A limit that does not
/// hold is no error: the table says so.
pub(crate) fn run(options: Options) -> Result<()> {
    let plan = Plan::new(&options);
    let load_client = Programs::build(&["-p", "hubline-load-tester", "--bin", "hubline-load"])?;
    let load_client = load_client.path("hubline-load")?;
    let mut candidates = candidate::all(options.servers)?;
    let bench = Bench { plan: &plan, load_client };

    each(&mut candidates, "idle connections", |candidate| bench.idle(candidate));
    for round in 1..=plan.rounds {
        let what = format!("broadcast and echo, round {round} of {}", plan.rounds);
        each(&mut candidates, &what, |candidate| bench.traffic(candidate));
    }

    print!("{}", table::render(&plan, &candidates));
    let failed = candidates.iter().filter(|candidate| candidate.failed);
    let names: Vec<&str> = failed.map(|candidate| candidate.name.as_str()).collect();
    if !names.is_empty() {
        bail!("not everything could be measured of: {}", names.join(", "));
    }
    Ok(())
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
