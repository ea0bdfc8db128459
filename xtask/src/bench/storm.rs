//! `cargo xtask bench storm`: many clients come at once, as after an instance has gone, while others chat.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::candidate::{self, Candidate, Origin, ServerArgument};
use super::load::{self, Report};
use super::owned_child::OwnedChild;
use super::server::Server;
use super::{each, ensure_measured, load_client};

const HUB: &str = "/chathub";
/// A secret of this run alone; the programs listen on loopback.
const JWT_KEY: &str = "a secret of the benchmark, with which it signs tokens";
/// Seconds until nothing is on its way any more.
const SETTLE: u32 = 3;
/// How long those who came stay: until those who chat have ended.
const STAY: u32 = 20;
/// What those who come may take, and how late messages may be meanwhile.
const ALL_BACK_SECONDS: f64 = 15.0;
const LATE_MICROS: f64 = 50_000.0;

/// Many clients come at once, as after an instance has gone, while others chat: how long that takes, and how late messages are meanwhile
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Clients that come at once, each of which negotiates and opens a WebSocket
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=15_000))]
    connections: u32,
    /// Users that are there, in rooms of 20
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u32).range(4..=2000))]
    users: u32,
    /// Messages a second of those that are there, all together
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=2000))]
    rate: u32,
    /// Seconds that messages are sent for, before and again from the moment at which the others come
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=60))]
    seconds: u32,
    /// Over TLS
    #[arg(long)]
    tls: bool,
    /// Another build of the program, or with NAME "Hubline" instead of that of this checkout. COMMAND is split at spaces, gets
    /// its address for {url}, and has to be the program itself or to exec it
    #[arg(long = "server", value_name = "NAME=COMMAND")]
    servers: Vec<ServerArgument>,
}

/// Measures and prints what came of it.
///
/// # Errors
/// Something does not build, or a program that started could not be measured. A limit that does not hold is no error: the output says so.
pub(super) fn run(options: &Options) -> Result<()> {
    let load_client = load_client()?;
    let mut candidates = candidate::programs(options.servers.clone())?;
    let Options { connections, users, rate, seconds, .. } = options;
    let cores = std::thread::available_parallelism()?;
    println!(
        "{cores} cores, which all share; those who come run with nice 19, as they would have processors of their own\n\
         {users} users send {rate} messages a second for {seconds} s, alone, and from the moment at which {connections} come\n"
    );
    each(&mut candidates, "clients come at once", |candidate| measure(options, &load_client, candidate));
    ensure_measured(&candidates)
}

fn measure(options: &Options, load_client: &Path, candidate: &Candidate) -> Result<()> {
    let Origin::Command(command) = &candidate.origin else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let root = directory.path().display().to_string();
    let variables = [
        ("ConnectionStrings__Database", ":memory:".to_owned()),
        ("Jwt__Key", JWT_KEY.to_owned()),
        ("Authentication__AllowAnonymous", "true".to_owned()),
        ("Chat__MessagesPerMinutePerUser", "0".to_owned()),
        // Two lines for each client would go to this terminal.
        ("Logging__LogLevel__Default", "Warning".to_owned()),
    ];
    let command = command.with(&["--content-root", &root]);
    let server = match options.tls {
        true => Server::start_set_with_tls(&command, &variables)?,
        false => Server::start_set(&command, &variables)?,
    };
    let url = server.public_url_of(HUB);
    let before = chat(options, load_client, &url, || Ok(()))?;
    let mut crowd = None;
    let cpu = server.cpu_micros()?;
    let during = chat(options, load_client, &url, || {
        crowd = Some(come(options, load_client, &url)?);
        Ok(())
    })?;
    let cpu = (server.cpu_micros()? - cpu) as f64 / 1e6;
    let crowd = arrived(crowd.context("nobody came")?)?;
    print(&candidate.name, options, &before, &during, &crowd, cpu)
}

fn chat(
    options: &Options,
    load_client: &Path,
    url: &str,
    mut running: impl FnMut() -> Result<()>,
) -> Result<Report> {
    let arguments = [
        format!("--url={url}"),
        "chat".to_owned(),
        format!("--users={}", options.users),
        format!("--rate={}", options.rate),
        format!("--seconds={}", options.seconds),
        format!("--settle={SETTLE}"),
        format!("--jwt-key={JWT_KEY}"),
    ];
    let report = load::run(load_client, &arguments, |phase| match phase {
        "running" => running(),
        _ => Ok(()),
    })?;
    report.ensure_none(&["reconnects", "repeated", "unfinished"])?;
    Ok(report)
}

fn come(options: &Options, load_client: &Path, url: &str) -> Result<OwnedChild> {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(load_client);
    command.args(["--json", "--threads=1", &format!("--url={url}"), "idle", "--transport=negotiated-ws"]);
    let count = options.connections;
    command.args([
        format!("--connections={count}"),
        format!("--connecting={count}"),
        format!("--seconds={STAY}"),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    Ok(OwnedChild(command.spawn().context("nice")?))
}

/// What they report at their end.
fn arrived(mut crowd: OwnedChild) -> Result<Value> {
    let output = crowd.0.stdout.take().context("no standard output")?;
    let text = std::io::read_to_string(output)?;
    for line in text.lines() {
        let mut line: Value = serde_json::from_str(line)?;
        if let Some(report) = line.get_mut("report") {
            return Ok(report.take());
        }
    }
    bail!("those who came ended without a report")
}

fn print(
    name: &str,
    options: &Options,
    before: &Report,
    during: &Report,
    crowd: &Value,
    cpu: f64,
) -> Result<()> {
    let seconds = crowd["connect_seconds"].as_f64().context("connect_seconds")?;
    let lost = crowd["lost"].as_u64().context("lost")?;
    println!(
        "{name}: {} came within {seconds:.2} s, {lost} were lost; {cpu:.2} s of CPU meanwhile",
        options.connections
    );
    verdict(seconds <= ALL_BACK_SECONDS && lost == 0, "all are back within 15 s");
    for what in ["confirmed_in", "delivered_in"] {
        let micros = |report: &Report, quantile: &str| report.number(&format!("{what}.{quantile}_micros"));
        let (alone, crowded) = (micros(before, "p99")?, micros(during, "p99")?);
        println!(
            "{}: p99 {:.1} ms alone, {:.1} ms meanwhile (max {:.1} and {:.1} ms)",
            what.trim_end_matches("_in"),
            alone / 1e3,
            crowded / 1e3,
            micros(before, "max")? / 1e3,
            micros(during, "max")? / 1e3
        );
        verdict(crowded <= LATE_MICROS.max(2.0 * alone), "p99 is at most 50 ms, or twice that of before");
    }
    Ok(())
}

fn verdict(holds: bool, limit: &str) {
    println!("  {}: {limit}", if holds { "limit holds" } else { "limit does NOT hold" });
}
