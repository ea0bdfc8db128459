//! Signs that navigation states show.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use hubline_testkit::RedisServer;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::sleep;

use super::load::LoadClient;
use super::table::Table;
use super::{INSTANCES, Options};
use crate::cluster::{Cluster, Ports, Proxy, System};

const HUB: &str = "/hubs/navigation-state";
const START_LINE: &str = "[Conduit] SignalR configured with Redis backplane for horizontal scaling";
const PREFIX: &str = "conduit_signalr:";
/// Connections to each instance, and how often the state is sent.
const WATCHING: u32 = 100;
const TRIGGERS: u32 = 200;
/// What propagation may take.
const LIMIT_MICROS: u64 = 50_000;
/// What Redis may hold more than before once all connections are gone.
const LIMIT_LEFT_BYTES: u64 = 2 << 20;
/// Until Redis has forgotten what is gone.
const FORGETTING: Duration = Duration::from_secs(5);

pub(super) async fn measure(
    options: &Options,
    server: &Path,
    load: &LoadClient,
    table: &mut Table,
) -> Result<()> {
    let cluster = Cluster::start(System::Conduit, server, INSTANCES, Ports::Free, Proxy::Theirs, &[]).await?;
    let urls: Vec<String> = cluster.urls().map(|url| format!("{url}{HUB}")).collect();

    let saying = cluster.outputs().filter(|lines| lines.iter().any(|line| line.contains(START_LINE))).count();
    let instances = urls.len();
    table.add(
        1,
        "All instances say that the backplane is configured",
        saying == instances,
        format!("{saying} of {instances}"),
    );

    eprintln!("navigation states to {WATCHING} connections of each instance");
    let mut monitor = Monitor::start(&cluster.redis)?;
    let arguments = [format!("--connections={WATCHING}"), format!("--triggers={TRIGGERS}")];
    let states = load.start("navigation", &urls, &arguments)?.report().await?;
    let monitored = monitor.end().await?;
    let all_same = states["without_the_last"] == 0 && states["lost"] == 0 && states["went_back"] == 0;
    let figures = format!(
        "{} of {} connections got every last state; {} states received, {} went back",
        number(&states, "connections") - number(&states, "without_the_last"),
        number(&states, "connections"),
        number(&states, "received"),
        number(&states, "went_back"),
    );
    table.add(2, "Clients of different instances get the same updates", all_same, figures);
    let prefixed = monitored.lines().filter(|line| line.contains(PREFIX)).count();
    let figures = format!("{prefixed} lines with it while the state was sent {TRIGGERS} times");
    table.add(3, "`MONITOR` shows `conduit_signalr:`", prefixed > 0, figures);
    let age = &states["age"];
    let p99 = number(age, "p99_micros");
    let figures = format!(
        "p50 {}, p99 {}, max {}",
        millis(age, "p50_micros"),
        millis(age, "p99_micros"),
        millis(age, "max_micros")
    );
    table.add(4, "Propagation takes less than 50 ms (p99)", p99 < LIMIT_MICROS, figures);

    connections(options, &cluster, &urls, load, table).await?;
    cluster.end().await;
    Ok(())
}

/// Holds connections to all instances, and looks at Redis before, meanwhile and afterwards.
async fn connections(
    options: &Options,
    cluster: &Cluster,
    urls: &[String],
    load: &LoadClient,
    table: &mut Table,
) -> Result<()> {
    let each = options.connections.div_ceil(u32::try_from(urls.len())?);
    eprintln!("{each} connections to each instance");
    let before = used_memory(&cluster.redis).await?;
    let arguments = [format!("--connections={each}"), "--seconds=20".to_owned()];
    let mut holding = Vec::new();
    for url in urls {
        let mut load = load.start("idle", std::slice::from_ref(url), &arguments)?;
        load.phase("connected").await?;
        holding.push(load);
    }
    let during = used_memory(&cluster.redis).await?;
    let triggers = [format!("--connections={}", WATCHING / 10), format!("--triggers={}", WATCHING / 2)];
    let states = load.start("navigation", urls, &triggers)?.report().await?;
    let mut held = 0;
    let mut lost = 0;
    for load in holding {
        let report = load.report().await?;
        held += number(&report, "connections");
        lost += number(&report, "lost");
    }
    sleep(FORGETTING).await;
    let after = used_memory(&cluster.redis).await?;
    let figures = format!(
        "{held} held, {lost} lost; a state went to all of them, and reached {} that were watched in {} (p99)",
        number(&states, "connections"),
        millis(&states["age"], "p99_micros")
    );
    let are_held = held >= u64::from(options.connections) && lost == 0;
    table.add(6, "10,000 connections at once", are_held && options.connections >= 10_000, figures);
    let figures = format!("{} before, {} with them, {} after", kib(before), kib(during), kib(after));
    let is_flat = after <= before + LIMIT_LEFT_BYTES;
    table.add(7, "Redis' memory stays flat", is_flat, figures);
    Ok(())
}

async fn used_memory(redis: &RedisServer) -> Result<u64> {
    let info = redis.command(&["INFO", "memory"]).await?;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("used_memory")?;
    Ok(line.trim().parse()?)
}

fn number(report: &Value, member: &str) -> u64 {
    report[member].as_u64().unwrap_or_default()
}

fn millis(report: &Value, member: &str) -> String {
    let micros = u32::try_from(number(report, member)).unwrap_or(u32::MAX);
    format!("{:.1} ms", f64::from(micros) / 1000.0)
}

fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes / 1024)
}

/// `redis-cli MONITOR`.
struct Monitor(tokio::process::Child);

impl Monitor {
    fn start(redis: &RedisServer) -> Result<Self> {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &redis.port().to_string(), "MONITOR"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        Ok(Self(command.spawn().context("redis-cli")?))
    }

    async fn end(&mut self) -> Result<String> {
        let mut output = self.0.stdout.take().context("its output")?;
        self.0.start_kill()?;
        let mut text = Vec::new();
        output.read_to_end(&mut text).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
