//! Puts load on a SignalR server of this machine and says what came back.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hubline_load_tester::self_test::{SelfTestOptions, self_test};
use hubline_load_tester::{
    BroadcastOptions, ChatOptions, EchoOptions, ElsewhereOptions, FleetOptions, FloodOptions, FloorOptions,
    GroupsOptions, History, IdleOptions, NavigationOptions, Phase, Target, broadcast, chat, echo, elsewhere,
    fleet, flood, floor, groups, idle, judge, missed, navigation, read_stored,
};
use serde::Serialize;

/// A small raw load client for SignalR servers. Load goes to loopback addresses only.
#[derive(Parser)]
#[command(name = "hubline-load", version)]
struct Arguments {
    /// The hub, for example http://127.0.0.1:5000/benchhub
    #[arg(long, global = true, default_value = "http://127.0.0.1:5000/benchhub")]
    url: Target,
    /// JSON lines: {"phase": ...} as it goes on, {"report": ...} at the end
    #[arg(long, global = true)]
    json: bool,
    /// Threads of this program
    #[arg(long, global = true, default_value = "2")]
    threads: NonZeroUsize,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Hold connections that only keep alive
    Idle(IdleOptions),
    /// Send to all connections at a steady pace and check that every one receives everything
    Broadcast(BroadcastOptions),
    /// Call a method over and over on one connection
    Echo(EchoOptions),
    /// Send to all connections of several instances and check that every one receives everything
    Fleet(FleetOptions),
    /// Send to all without a pause, while they read at a bounded pace
    Flood(FloodOptions),
    /// Serve broadcasts and echoes with their system calls and nothing else, for a ratio that other servers are measured against
    Floor(FloorOptions),
    /// Send requests to another instance than negotiated their connection
    Elsewhere(ElsewhereOptions),
    /// Hold connections to a navigation state's hub while the state is sent again and again
    Navigation(NavigationOptions),
    /// Users write to each other and in rooms, come back when a connection is lost, and ask for what they have missed
    Chat(ChatOptions),
    /// Judge a chat by its history and by what the database has; the exit code is 1 if anything is lost, doubled, out of order or foreign
    Judge {
        /// What `chat` wrote; again for each file
        #[arg(long, required = true)]
        history: Vec<PathBuf>,
        /// Messages of the database, one JSON object a line: {"conversation": {"pair": [ONE, OTHER]} or {"room": NAME}, "id", "sender", "key"}
        #[arg(long)]
        stored: PathBuf,
    },
    /// Compare the events that users of rooms did not get with the times at which they had no connection
    Missed {
        /// What `chat` wrote; again for each file
        #[arg(long, required = true)]
        history: Vec<PathBuf>,
    },
    /// Join many groups on one connection, and leave them
    Groups(GroupsOptions),
    /// Let the oracle find faults that a server of this program plants; the exit code is 1 if it does not
    SelfTest(SelfTestOptions),
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<T> {
    Phase(Phase),
    Report(T),
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> anyhow::Result<()> {
    // One thread has no other to wake.
    let mut runtime = match &arguments.scenario {
        Scenario::Floor(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.worker_threads(arguments.threads.get()).enable_all().build()?.block_on(run(arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { url, json, .. } = arguments;
    let mut progress = |phase| print(*json, &Line::<()>::Phase(phase), &format_args!("{phase:?}"));
    match &arguments.scenario {
        Scenario::Idle(options) => report(*json, idle(url, options, &mut progress).await?),
        Scenario::Broadcast(options) => {
            report(*json, broadcast(url, options, &mut progress).await?);
        }
        Scenario::Echo(options) => report(*json, echo(url, options, &mut progress).await?),
        Scenario::Fleet(options) => report(*json, fleet(url, options, &mut progress).await?),
        Scenario::Floor(options) => floor(options).await?,
        Scenario::Flood(options) => report(*json, flood(url, options, &mut progress).await?),
        Scenario::Elsewhere(options) => report(*json, elsewhere(url, options, &mut progress).await?),
        Scenario::Chat(options) => report(*json, chat(url, options, &mut progress).await?),
        Scenario::Navigation(options) => report(*json, navigation(url, options, &mut progress).await?),
        Scenario::Judge { history, stored } => {
            let verdict = judge(&History::read(history)?, &read_stored(stored)?);
            let is_good = verdict.is_good();
            report(*json, verdict);
            anyhow::ensure!(is_good, "the chat is not what it may be");
        }
        Scenario::Missed { history } => report(*json, missed(&History::read(history)?)),
        Scenario::Groups(options) => report(*json, groups(url, options, &mut progress).await?),
        Scenario::SelfTest(options) => {
            let found = self_test(options, &mut |line| eprintln!("{line}")).await?;
            let is_good = found.is_good();
            report(*json, found);
            anyhow::ensure!(is_good, "the oracle did not find what was planted");
        }
    }
    Ok(())
}

fn report<T: Serialize + Display>(json: bool, report: T) {
    let text = report.to_string();
    print(json, &Line::Report(report), &text);
}

fn print<T: Serialize>(json: bool, line: &Line<T>, text: &dyn Display) {
    if json {
        println!("{}", serde_json::to_string(line).expect("reports are plain data"));
    } else {
        println!("{text}");
    }
}
