//! `cargo xtask bench program`: what the program as it ships needs for its applications.

mod measure;
mod table;

use anyhow::Result;

use super::candidate::{self, ServerArgument};
use super::{each, ensure_measured, load_client};
use measure::{Bench, Database};

pub(super) use measure::{Hub, idle};

/// The program as it ships: memory of an idle connection on each hub of the applications, CPU of a stored message
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Idle connections on each hub [default: 5000, quick: 2000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..=20_000))]
    connections: Option<u32>,
    /// Messages a second where many users write at once
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(100..=5000))]
    rate: u32,
    /// Seconds that messages are sent for [default: 6, quick: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: Option<u32>,
    /// How often messages are measured; the median counts [default: 3, quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: Option<u32>,
    /// Smaller
    #[arg(long)]
    quick: bool,
    /// Only these measures
    #[arg(long, value_delimiter = ',', value_parser = ["idle", "sqlite", "postgres"])]
    only: Vec<String>,
    /// Another build of the program, or with NAME "Hubline" instead of that of this checkout. COMMAND is split at spaces, gets
    /// its address for {url}, and has to be the program itself or to exec it
    #[arg(long = "server", value_name = "NAME=COMMAND")]
    servers: Vec<ServerArgument>,
}

/// The options with their defaults.
#[derive(Debug)]
struct Plan {
    connections: u32,
    rate: u32,
    seconds: u32,
    rounds: u32,
}

/// Users where many write at once.
const CROWD: u32 = 200;
/// Users and messages a second where each message has a transaction of its own.
const FEW: u32 = 4;
const FEW_RATE: u32 = 300;

impl Plan {
    fn new(options: &Options) -> Self {
        let (connections, seconds, rounds) = if options.quick { (2000, 3, 1) } else { (5000, 6, 3) };
        Self {
            connections: options.connections.unwrap_or(connections),
            rate: options.rate,
            seconds: options.seconds.unwrap_or(seconds),
            rounds: options.rounds.unwrap_or(rounds),
        }
    }
}

/// Measures and prints the table.
///
/// # Errors
/// Something does not build, or a program that started could not be measured. A limit that does not hold is no error: the table
/// says so.
pub(super) fn run(options: Options) -> Result<()> {
    let plan = Plan::new(&options);
    let wanted = |what: &str| options.only.is_empty() || options.only.iter().any(|only| only == what);
    let load_client = load_client()?;
    let mut candidates = candidate::programs(options.servers.clone())?;
    let bench = Bench { plan: &plan, load_client: &load_client };
    if wanted("idle") {
        for hub in Hub::ALL {
            let what = format!("idle connections of {}", hub.path());
            each(&mut candidates, &what, |candidate| idle(&load_client, plan.connections, candidate, hub));
        }
    }
    for round in 1..=plan.rounds {
        for database in Database::ALL.into_iter().filter(|database| wanted(database.option())) {
            let what = format!("messages, {}, round {round} of {}", database.option(), plan.rounds);
            each(&mut candidates, &what, |candidate| bench.messages(candidate, database));
        }
    }
    print!("{}", table::render(&plan, &candidates));
    ensure_measured(&candidates)
}
