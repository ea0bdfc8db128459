//! `cargo xtask bench console`: what the console costs three instances with many connections, and how soon its page has them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use hubline_testkit::Node;
use serde::Deserialize;

use super::candidate::{Candidate, Origin, StartCommand};
use super::figures::Measure;
use super::program::{Hub, idle};
use crate::build::{LoadOption, ServerOption};
use crate::node;
use crate::process::root;
use crate::transcript::Transcript;

/// Connections whose memory is measured, on an instance of their own.
const IDLE: u32 = 5000;
const MOST_PAINT_MS: f64 = 1000.0;
const MOST_AGE_MS: f64 = 2000.0;
const MOST_CPU_PERCENT: f64 = 1.0;
const MOST_TIMELINE_BYTES: f64 = 256.0;

/// The console with many connections on three instances: first paint, age of what it shows, CPU of being watched, memory of the timeline
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    server: ServerOption,
    #[command(flatten)]
    load: LoadOption,
    /// Connections of the three instances together
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(30..=20_000))]
    connections: u32,
    /// Seconds that CPU is measured for, unwatched and again watched
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(4..=600))]
    seconds: u32,
}

/// What `tests/javascript/console-figures.mjs` prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Watched {
    opened: Vec<Opened>,
    /// In percent of a processor, of each instance.
    unwatched: Vec<f64>,
    watched: Vec<f64>,
    snapshots: u32,
    connections: u32,
    oldest_when_it_came_ms: f64,
    oldest_when_replaced_ms: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    paint_ms: f64,
    figures_ms: f64,
    charts_ms: f64,
}

/// Measures and prints what came of it.
///
/// # Errors
/// Something does not build or start, or the page does not get there. A limit that does not hold is no error: the output says so.
pub(super) fn run(options: &Options) -> Result<()> {
    let (server, load) = (options.server.program()?, options.load.program()?);
    let cores = std::thread::available_parallelism()?;
    println!("{cores} cores, which three instances, Redis, Chromium and the load client share\n");
    watch(options, &server, &load)?.print();
    remember(&server, &load)
}

fn watch(options: &Options, server: &Path, load: &Path) -> Result<Watched> {
    let mut transcript = Transcript::on_standard_error();
    if !root().join("tests/javascript/node_modules/playwright-core").is_dir() {
        node::install(&mut transcript)?;
    }
    let mut figures = None;
    let status = Node::script(root().join("tests/javascript/console-figures.mjs"))
        .args([options.connections.to_string(), options.seconds.to_string()])
        .env("HUBLINE_SERVER", server)
        .env("HUBLINE_LOAD", load)
        .run(|line| match serde_json::from_str(line) {
            Ok(printed) => figures = Some(printed),
            Err(_) => transcript.line(line),
        })?;
    ensure!(status.success(), "console-figures.mjs ended with {status}");
    figures.context("console-figures.mjs has printed no figures")
}

impl Watched {
    fn print(&self) {
        let all = |time: fn(&Opened) -> f64| {
            let times: Vec<_> = self.opened.iter().map(|opened| format!("{:.0}", time(opened))).collect();
            times.join(", ")
        };
        let slowest = self.opened.iter().map(|opened| opened.paint_ms).fold(0.0, f64::max);
        println!(
            "{} connections: first paint after {} ms, figures after {} ms, charts after {} ms",
            self.connections,
            all(|opened| opened.paint_ms),
            all(|opened| opened.figures_ms),
            all(|opened| opened.charts_ms)
        );
        verdict(slowest <= MOST_PAINT_MS, "the first paint is within 1 s");
        println!(
            "{} snapshots: at most {:.0} ms old when they came, {:.0} ms when the next one came",
            self.snapshots, self.oldest_when_it_came_ms, self.oldest_when_replaced_ms
        );
        verdict(self.oldest_when_it_came_ms <= MOST_AGE_MS, "what comes is at most 2 s old");
        let percent = |of: &[f64]| of.iter().map(|one| format!("{one:.2}")).collect::<Vec<_>>().join(", ");
        println!(
            "CPU of each instance: {} % of a core, watched {} %",
            percent(&self.unwatched),
            percent(&self.watched)
        );
        let costs = self.watched.iter().zip(&self.unwatched).map(|(watched, unwatched)| watched - unwatched);
        verdict(costs.fold(0.0, f64::max) <= MOST_CPU_PERCENT, "being watched costs at most 1 % of a core");
    }
}

/// Memory of an idle connection, with the timeline and without.
fn remember(server: &Path, load: &Path) -> Result<()> {
    let server = server.to_str().context("the program's path is not UTF-8")?;
    let bytes = [&[][..], &["--Console:TimelineBytes=0"]].map(|more| {
        let command = StartCommand::of_program(server).with(more);
        let mut candidate = Candidate::new("", Origin::Command(command));
        idle(load, IDLE, &mut candidate, Hub::Chat)?;
        [Measure::ChatMemory, Measure::ChatMemoryOfUser]
            .map(|measure| {
                let figure = candidate.figures.get(measure).context("memory was not measured")?;
                anyhow::Ok(figure.median * 1024.0)
            })
            .into_iter()
            .collect::<Result<Vec<_>>>()
    });
    let [with, without] = bytes;
    for ((with, without), who) in with?.into_iter().zip(without?).zip(["no user", "a user"]) {
        println!(
            "an idle connection of the chat with {who}: {with:.0} bytes, {without:.0} without the timeline (of {IDLE})"
        );
        verdict(with - without <= MOST_TIMELINE_BYTES, "the timeline takes at most 256 bytes");
    }
    Ok(())
}

fn verdict(holds: bool, limit: &str) {
    println!("  {}: {limit}", if holds { "limit holds" } else { "limit does NOT hold" });
}
