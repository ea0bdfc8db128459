//! `cargo xtask bench fleet`: three instances over one real redis-server, beside three of ASP.NET Core 10.

mod instances;
mod measure;
mod table;

use anyhow::Result;

use super::candidate::{self, Release, ServerArgument};
use super::{each, ensure_measured, load_client};
use measure::Bench;

/// Three instances over one redis-server: latency, rate, CPU, groups, and what an outage costs
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Broadcasts a second where latency and CPU are measured
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Seconds of each paced run [default: 10, quick: 4]
    #[arg(long)]
    seconds: Option<u32>,
    /// How often latency, CPU and rate are measured; the median counts [default: 3, quick: 1]
    #[arg(long)]
    rounds: Option<u32>,
    /// Groups that are joined and left [default: 100000, quick: 10000]
    #[arg(long)]
    groups: Option<u32>,
    /// Seconds without Redis [default: 20, quick: 8]
    #[arg(long)]
    outage: Option<u32>,
    /// The hub protocol of the load client
    #[arg(long, default_value = "json", value_parser = ["json", "messagepack"])]
    protocol: String,
    /// Smaller
    #[arg(long)]
    quick: bool,
    /// Only these measures
    #[arg(long, value_delimiter = ',', value_parser = ["latency", "rate", "groups", "outage", "elsewhere"])]
    only: Vec<String>,
    /// Also measures ASP.NET Core 11, which takes half as long again
    #[arg(long)]
    with_11: bool,
    /// Another server, or with NAME "Hubline", "ASP.NET Core" (10) or "ASP.NET Core 11" instead of that one. COMMAND is
    /// split at spaces, gets its address for {url} and `--redis CONNECTION` behind it, and has to be the server itself or to
    /// exec it
    #[arg(long = "server", value_name = "NAME=COMMAND")]
    servers: Vec<ServerArgument>,
}

/// The options with their defaults.
#[derive(Debug)]
struct Plan {
    rate: u32,
    seconds: u32,
    warm_up_seconds: u32,
    rounds: u32,
    groups: u32,
    outage_seconds: u32,
    protocol: String,
}

/// Of the outage.
const OUTAGE_RATE: u32 = 200;
/// The p99 that the rate is sought for.
const HIGH_LIMIT_MILLIS: f64 = 20.0;

impl Plan {
    fn new(options: &Options) -> Self {
        // What is compiled at run time needs a while until it is as fast as it gets.
        let (warm_up_seconds, seconds, rounds) = if options.quick { (2, 4, 1) } else { (12, 10, 3) };
        let (groups, outage_seconds) = if options.quick { (10_000, 8) } else { (100_000, 20) };
        Self {
            rate: options.rate,
            seconds: options.seconds.unwrap_or(seconds),
            warm_up_seconds,
            rounds: options.rounds.unwrap_or(rounds).max(1),
            groups: options.groups.unwrap_or(groups),
            outage_seconds: options.outage.unwrap_or(outage_seconds),
            protocol: options.protocol.clone(),
        }
    }
}

/// Measures and prints the table.
///
/// # Errors
/// Something does not build, or a fleet that started could not be measured. A limit that does not hold is no
/// error: the table says so.
pub(super) fn run(options: Options) -> Result<()> {
    let plan = Plan::new(&options);
    let wanted = |what: &str| options.only.is_empty() || options.only.iter().any(|only| only == what);
    let releases: &[_] = if options.with_11 { &[Release::Ten, Release::Eleven] } else { &[Release::Ten] };
    let load_client = load_client()?;
    let mut candidates = candidate::all(options.servers.clone(), releases)?;
    let bench = Bench { plan: &plan, load_client: &load_client };
    for round in 1..=plan.rounds {
        if wanted("latency") {
            let what = format!("latency and CPU, round {round} of {}", plan.rounds);
            each(&mut candidates, &what, |candidate| bench.paced(candidate));
        }
        if wanted("rate") {
            let what = format!("rate, round {round} of {}", plan.rounds);
            each(&mut candidates, &what, |candidate| bench.rate(candidate));
        }
    }
    if wanted("groups") {
        each(&mut candidates, "groups", |candidate| bench.groups(candidate));
    }
    if wanted("outage") {
        each(&mut candidates, "outage", |candidate| bench.outage(candidate));
    }
    if wanted("elsewhere") {
        each(&mut candidates, "requests on another instance", |candidate| bench.elsewhere(candidate));
    }
    print!("{}", table::render(&plan, &candidates));
    ensure_measured(&candidates)
}
