//! `cargo xtask rolling-restart`: three instances behind nginx are replaced one after the other, while clients chat.

mod clients;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::build::{LoadOption, ServerOption};
use crate::cluster::{Cluster, Ports, Proxy, System};
use crate::criteria::chat::{DATABASE, STORED};
use crate::criteria::load::LoadClient;
use clients::OfficialClients;

const INSTANCES: u16 = 3;
const HUB: &str = "/chathub";
/// The key of `tests/javascript/parts/token.mjs`, with which the official clients' tokens are signed.
const JWT_KEY: &str = "conformance-signing-key-of-32-bytes-or-more";
const DRAIN_DELAY: &str = "5";
const SHUTDOWN_TIMEOUT: &str = "15";
/// Before the first instance stops, and after each is there again: longer than nginx leaves one alone that it could not reach.
const PAUSE: Duration = Duration::from_secs(5);
/// How long messages are sent: until all instances have been replaced, and a little longer.
const SECONDS: u32 = 100;
const SETTLE: u32 = 30;
/// How many clients may be away for more than 2 s: one in a thousand.
const LONG_SHARE: f64 = 0.001;

/// Replaces three instances behind nginx one after the other while clients chat, and says what each of them missed
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Clients of the load client, in rooms of 20
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(20..=5000))]
    users: u32,
    /// Official JavaScript clients, one in each of as many rooms; a third each over WebSockets, server-sent events and long polling
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=200))]
    official: u32,
    /// Messages to rooms in a second, of all together
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: u32,
    #[command(flatten)]
    server: ServerOption,
    #[command(flatten)]
    load: LoadOption,
    /// Keeps what happened, and the logs, in this directory
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Measures and prints what came of it.
///
/// # Errors
/// Something does not build or start, or clients missed more than they may.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.official * 20 <= options.users, "there are not enough rooms for --official");
    let (server, load) = (options.server.program()?, options.load.program()?);
    clients::install()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(measure(options, &server, &LoadClient::new(&load)))?;
    outcome.print(options);
    outcome.ensure_good()
}

/// What the load client said, and the instances.
struct Outcome {
    chat: Value,
    verdict: Value,
    missed: Value,
    stops: Vec<Stop>,
}

struct Stop {
    took: Duration,
    last_line: String,
}

async fn measure(options: &Options, server: &Path, load: &LoadClient) -> Result<Outcome> {
    let variables =
        [("Jwt__Key", JWT_KEY), ("Drain__Delay", DRAIN_DELAY), ("ShutdownTimeout", SHUTDOWN_TIMEOUT)];
    let mut cluster =
        Cluster::start(System::Teledoctor, server, INSTANCES, Ports::Free, Proxy::Deployed, &variables)
            .await?;
    let url = format!("{}{HUB}", cluster.proxy_url());
    let directory = tempfile::tempdir()?;
    let kept = options.keep.as_deref().unwrap_or(directory.path());
    std::fs::create_dir_all(kept)?;
    let files = [kept.join("load.jsonl"), kept.join("official.jsonl")];
    let official = OfficialClients::start(&url, options.official, &files[1]).await?;
    let arguments = [
        "--negotiate".to_owned(),
        "--rooms-only".to_owned(),
        format!("--users={}", options.users),
        format!("--rate={}", options.rate),
        format!("--seconds={SECONDS}"),
        format!("--settle={SETTLE}"),
        format!("--jwt-key={JWT_KEY}"),
        format!("--history={}", files[0].display()),
    ];
    let mut chat = load.start("chat", std::slice::from_ref(&url), &arguments)?;
    chat.phase("running").await?;
    let stops = restart_all(&mut cluster).await?;
    let chat = chat.report().await?;
    official.end().await?;

    let stored = kept.join("stored.jsonl");
    std::fs::write(&stored, cluster.postgres.command_in(DATABASE, STORED).await?)?;
    let histories = files.each_ref().map(|file| format!("--history={}", file.display()));
    let missed = load.start("missed", std::slice::from_ref(&url), &histories)?.report().await?;
    let judged = [&histories[..], &[format!("--stored={}", stored.display())]].concat();
    let verdict = load.start("judge", &[url], &judged)?.report().await?;
    if options.keep.is_some() {
        cluster.copy_logs(kept)?;
    }
    cluster.end().await;
    Ok(Outcome { chat, verdict, missed, stops })
}

/// Each is stopped as an operator would, and started again.
async fn restart_all(cluster: &mut Cluster) -> Result<Vec<Stop>> {
    let mut stops = Vec::new();
    for number in 0..usize::from(INSTANCES) {
        sleep(PAUSE).await;
        let begun = Instant::now();
        cluster.stop(number).await?;
        let took = begun.elapsed();
        let log = cluster.log(number)?;
        let last_line =
            log.lines().rev().find(|line| line.contains("Drained")).context("no line of the end")?;
        let last_line = last_line.rsplit(": ").next().unwrap_or_default().to_owned();
        eprintln!("instance {} ended after {:.1} s: {last_line}", number + 1, took.as_secs_f64());
        stops.push(Stop { took, last_line });
        cluster.start_again(number).await?;
    }
    Ok(stops)
}

impl Outcome {
    fn print(&self, options: &Options) {
        let Options { users, official, rate, .. } = options;
        let count = |report: &Value, member: &str| report[member].as_u64().unwrap_or(u64::MAX);
        let millis = |report: &Value, member: &str| count(report, member) as f64 / 1000.0;
        let (missed, chat, verdict) = (&self.missed, &self.chat, &self.verdict);
        println!(
            "{users} clients and {official} official ones, {rate} messages to rooms in a second, for {SECONDS} s\n\n| | |\n| --- | --- |"
        );
        println!(
            "| messages sent, confirmed, stored | {}, {}, {} |",
            count(verdict, "sent"),
            count(verdict, "confirmed"),
            count(verdict, "stored")
        );
        println!(
            "| stored messages lost, doubled, out of order, seen by others | {}, {}, {}, {} |",
            count(verdict, "lost"),
            count(verdict, "doubled"),
            count(verdict, "outOfOrder"),
            count(verdict, "foreign")
        );
        println!(
            "| events due, received | {}, {} |\n| events missed between two connections, within 100 ms before a Close was read, and otherwise | {}, {}, {} |",
            count(missed, "due"),
            count(missed, "received"),
            count(missed, "between"),
            count(missed, "leaving"),
            count(missed, "outside")
        );
        let absent = &missed["absent"];
        println!(
            "| times between two connections | {}: median {:.0} ms, 99 % within {:.0} ms, all within {:.0} ms |",
            count(missed, "absences"),
            millis(absent, "p50_micros"),
            millis(absent, "p99_micros"),
            millis(absent, "max_micros")
        );
        println!(
            "| clients that were away for more than 2 s | {} of {} |",
            count(missed, "usersAbsentLong"),
            count(missed, "users")
        );
        for (name, member) in [("confirmed", "confirmed_in"), ("delivered", "delivered_in")] {
            println!(
                "| {name} | median {:.0} ms, 99 % within {:.0} ms |",
                millis(&chat[member], "p50_micros"),
                millis(&chat[member], "p99_micros")
            );
        }
        let took: Vec<_> =
            self.stops.iter().map(|stop| format!("{:.1} s", stop.took.as_secs_f64())).collect();
        println!("| from SIGTERM to the end of the process | {} |", took.join(", "));
        let lines: Vec<_> = self.stops.iter().map(|stop| stop.last_line.as_str()).collect();
        println!("| left | {} |", lines.join("; "));
        for line in [&missed["told"], &verdict["faults"]].into_iter().filter_map(Value::as_array).flatten() {
            println!("- {}", line.as_str().unwrap_or_default());
        }
    }

    fn ensure_good(&self) -> Result<()> {
        let count = |report: &Value, member: &str| report[member].as_f64().unwrap_or(f64::INFINITY);
        for kind in ["lost", "doubled", "outOfOrder", "foreign"] {
            ensure!(count(&self.verdict, kind) == 0.0, "{kind} is not 0");
        }
        ensure!(count(&self.chat, "unfinished") == 0.0, "clients did not come back");
        ensure!(count(&self.missed, "outside") == 0.0, "events were missed by clients that were connected");
        let long = count(&self.missed, "usersAbsentLong") / count(&self.missed, "users");
        ensure!(long <= LONG_SHARE, "{:.2} % of the clients were away for more than 2 s", long * 100.0);
        Ok(())
    }
}
