//! `hubline load`: a plan is made and checked, carried out, and reported.

mod company;
mod conductor;
mod faults;
mod inbox;
mod member;
mod opening;
mod processes;
mod shared;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use tokio::sync::watch;

use crate::client::{Network, NetworkOptions};
use crate::live;
use crate::measure::Limits;
use crate::plan::{LoadArgs, LoadCommand, Memory, Part, Plan, write_example};
use crate::report::model::{Outcome as Ended, Snapshot};
use crate::report::{self, Report, html, table};
use crate::self_test::self_test;
use crate::wire::hub_url::is_loopback;
use company::Company;
use shared::Shared;

/// Bytes that the system holds for a slow reader, so that its slowness reaches the server.
const SLOW_READER_BUFFER_BYTES: u32 = 16 * 1024;

/// Of what is printed.
const WIDTH: usize = 80;

/// How `hubline load` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything held.
    Passed,
    /// A threshold is broken.
    Broken,
    /// Nothing was measured.
    CouldNotRun,
    /// It was stopped; the report is of what was until then.
    Interrupted,
}

impl Outcome {
    /// The program's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Broken => 1,
            Self::CouldNotRun => 2,
            Self::Interrupted => 130,
        }
    }
}

/// Runs `hubline load` on threads of its own, prints what it finds, and says how it ended.
pub fn load(args: &LoadArgs) -> Outcome {
    match start(args) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("error: {error:#}");
            Outcome::CouldNotRun
        }
    }
}

fn start(args: &LoadArgs) -> anyhow::Result<Outcome> {
    if let Some(LoadCommand::Init { file }) = &args.command {
        write_example(file)?;
        println!("{} is a scenario: change it, then hubline load --scenario {0}", file.display());
        return Ok(Outcome::Passed);
    }
    if let Some(files) = &args.compare {
        return compare(files);
    }
    let threads = args.threads.map_or_else(cores, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads as usize)
        .enable_all()
        .build()
        .context("threads cannot be started")?;
    let outcome = runtime.block_on(run(args, threads));
    runtime.shutdown_background();
    outcome
}

fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores).unwrap_or(1)
}

fn compare(files: &[PathBuf]) -> anyhow::Result<Outcome> {
    let [first, second] = files else { bail!("--compare takes two reports") };
    let read = |file: &Path| {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        Report::from_json(&text).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
    };
    let (one, two) = (read(first)?, read(second)?);
    let (first, second) = (first.display().to_string(), second.display().to_string());
    let text = report::compare((&first, &one), (&second, &two), WIDTH, std::io::stdout().is_terminal());
    // Whoever reads this may close it.
    let _ = write!(std::io::stdout(), "{text}");
    Ok(Outcome::Passed)
}

async fn test_itself(args: &LoadArgs) -> anyhow::Result<Outcome> {
    let report = self_test(&args.self_test_options, &mut |line| eprintln!("{line}")).await?;
    match &args.json {
        Some(file) => {
            let text = serde_json::to_string_pretty(&report)?;
            if file == Path::new("-") {
                let _ = writeln!(std::io::stdout(), "{text}");
            } else {
                std::fs::write(file, text)
                    .with_context(|| format!("{} cannot be written", file.display()))?;
            }
        }
        None => _ = writeln!(std::io::stdout(), "{report}"),
    }
    Ok(if report.is_good() { Outcome::Passed } else { Outcome::Broken })
}

async fn run(args: &LoadArgs, threads: u32) -> anyhow::Result<Outcome> {
    if args.self_test {
        return test_itself(args).await;
    }
    if let Some(part) = &args.part {
        return part_of(args, part, threads).await;
    }
    let mark = fastrand::u32(..);
    let plan = Plan::new(args, mark)?;
    let network = network(args, &plan)?;
    let memory = Memory::of(&plan);
    check(args, &plan, &network, memory).await?;
    if !args.quiet {
        plan.notes.iter().chain(&plan.announcement(memory)).for_each(|line| eprintln!("{line}"));
    }
    let interrupt = interrupted();
    let mut report = if args.processes > 1 {
        {
            let (count, notes) = (args.processes, plan.notes.clone());
            tokio::task::spawn_blocking(move || processes::conduct(count, mark, notes)).await??
        }
    } else {
        let (snapshots, watched) = watch::channel(Snapshot::default());
        let shared = Arc::new(Shared::new(plan, network, threads as usize * 2));
        let progress = tokio::spawn(live::show(watched, live::Style::detect(args.quiet)));

        let report = conductor::conduct(shared, threads, interrupt, &snapshots, Company::Alone).await;
        drop(snapshots);
        let _ = progress.await;
        report
    };
    report.judge(&args.fail_on.clone().unwrap_or_default());
    hand_out(args, &report)?;
    outcome(&report)
}

/// The run of one of several processes.
async fn part_of(args: &LoadArgs, part: &str, threads: u32) -> anyhow::Result<Outcome> {
    let numbers: Vec<u32> = part.split('/').filter_map(|number| number.parse().ok()).collect();
    let [index, of, mark] = numbers[..] else { bail!("--part is set by the program itself") };
    let mut plan = Plan::new(args, mark)?;
    plan.part = Part { index, of };
    plan.notes.clear();
    let network = network(args, &plan)?;
    let _ = Limits::raised();
    let (snapshots, _) = watch::channel(Snapshot::default());
    let shared = Arc::new(Shared::new(plan, network, threads as usize * 2));
    let report = conductor::conduct(shared, threads, interrupted(), &snapshots, Company::Parent).await;
    Company::Parent.tell(report).await?;
    Ok(Outcome::Passed)
}

fn network(args: &LoadArgs, plan: &Plan) -> anyhow::Result<Arc<Network>> {
    let is_slow = plan.faults.read_rate.is_some() || plan.faults.pause_readers.is_some();
    let receive_buffer_bytes = is_slow.then_some(SLOW_READER_BUFFER_BYTES);
    Ok(Arc::new(Network::new(NetworkOptions { receive_buffer_bytes, ..args.connect.network_options() })?))
}

/// Everything that can be known before the first connection.
async fn check(args: &LoadArgs, plan: &Plan, network: &Network, memory: Memory) -> anyhow::Result<()> {
    if let Some(refusal) = memory.refusal(plan.memory_limit, 1) {
        bail!(refusal);
    }
    let mut addresses = BTreeSet::new();
    let mut remote = BTreeSet::new();
    for url in plan.roles.iter().flat_map(|role| &role.urls) {
        let found =
            network.addresses(url).await.map_err(|error| anyhow::anyhow!("--url {url}: {}", error.detail))?;
        for address in found {
            addresses.insert(address);
            if !is_loopback(address.ip()) {
                remote.insert(format!("{} ({address})", url.host()));
            }
        }
    }
    let limits = Limits::raised();
    let connections = u64::from(plan.connections().div_ceil(args.processes));
    if let Some(refusal) = limits.refusal(connections, addresses.len() as u64) {
        bail!(refusal);
    }
    for file in [&args.json, &args.html].into_iter().flatten() {
        check_writable(file)?;
    }
    ensure!(
        plan.connections() >= args.processes,
        "--processes {}: there are only {} connections",
        args.processes,
        plan.connections()
    );
    if !remote.is_empty() {
        let names = remote.into_iter().collect::<Vec<_>>().join(", ");
        eprintln!("This loads other machines: {names}. Their owners have to agree.");
        for line in plan.announcement(memory) {
            eprintln!("  {line}");
        }
    }
    Ok(())
}

fn check_writable(file: &Path) -> anyhow::Result<()> {
    if file == Path::new("-") {
        return Ok(());
    }
    let opened = std::fs::File::options().append(true).create(true).open(file);
    opened.map(drop).with_context(|| format!("{} cannot be written", file.display()))
}

/// Becomes true at the first Ctrl-C or SIGTERM; the second ends the program.
fn interrupted() -> watch::Receiver<bool> {
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        signal().await;
        eprintln!("stopping; once more ends at once");
        tell.send_replace(true);
        signal().await;
        std::process::exit(i32::from(Outcome::Interrupted.code()));
    });
    told
}

async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

fn hand_out(args: &LoadArgs, report: &Report) -> anyhow::Result<()> {
    let is_json_out = args.json.as_deref() == Some(Path::new("-"));
    let text = table(report, WIDTH, !is_json_out && std::io::stdout().is_terminal());
    // Whoever reads this may close it.
    if is_json_out {
        eprint!("{text}");
        let _ = writeln!(std::io::stdout(), "{}", report.to_json());
    } else {
        let _ = write!(std::io::stdout(), "{text}");
    }
    let write = |file: &Path, text: String| {
        std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
    };
    if let Some(file) = args.json.as_deref().filter(|_| !is_json_out) {
        write(file, report.to_json())?;
    }
    if let Some(file) = &args.html {
        write(file, html(report))?;
    }
    Ok(())
}

/// A run without a single connection has measured nothing.
fn outcome(report: &Report) -> anyhow::Result<Outcome> {
    let connected = report.steps.iter().any(|step| step.connected > 0);
    Ok(match report.outcome {
        Ended::Interrupted => Outcome::Interrupted,
        _ if !connected => Outcome::CouldNotRun,
        Ended::Broken => Outcome::Broken,
        Ended::Passed => Outcome::Passed,
    })
}
