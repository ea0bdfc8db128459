use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::client::ConnectArgs;
use crate::plan::settings::{RoleSettings, RunSettings};
use crate::report::Thresholds;
use crate::self_test::SelfTestOptions;

const EXAMPLES: &str = "\
Examples:
  hubline load --url http://localhost:5000/hubs/navigation-state \\
      --connections 1000 --duration 300 --interval 100
  hubline load --url http://localhost:5000/chathub --ramp 10,100,1000
      Connections that only listen
  hubline load --url http://localhost:5000/hub --method Broadcast \\
      --args '[\"{stamp}\"]' --event OnBroadcast --senders 10 --connections 1000
      Proves that every connection gets every message
  hubline load init scenario.toml; hubline load --scenario scenario.toml

Exit codes: 0 passed, 1 a threshold is broken, 2 could not run, 130 interrupted";

/// `hubline load`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct LoadArgs {
    /// Something else than to load a server.
    #[command(subcommand)]
    pub command: Option<LoadCommand>,
    /// What connections do.
    #[command(flatten)]
    pub role: RoleSettings,
    /// How much, and which faults.
    #[command(flatten)]
    pub run: RunSettings,
    /// How servers are reached.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Scenario with several roles; options go over what it says
    #[arg(long, value_name = "FILE", help_heading = "More")]
    pub scenario: Option<PathBuf>,
    /// Processes that share the connections, under one report
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "More")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=256))]
    pub processes: u32,
    /// Threads of each process [default: as many as processors]
    #[arg(long, value_name = "N", help_heading = "More")]
    pub threads: Option<std::num::NonZeroU32>,
    /// Prove that the oracle finds what a faulty server does
    #[arg(long, help_heading = "Self-test", conflicts_with = "compare")]
    pub self_test: bool,
    /// How the self-test is made.
    #[command(flatten, next_help_heading = "Self-test")]
    pub self_test_options: SelfTestOptions,
    /// What fails the run: p99>50ms,lost>0
    #[arg(long, value_name = "LIMITS", help_heading = "Report")]
    pub fail_on: Option<Thresholds>,
    /// Write the report as JSON; - is standard output
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub json: Option<PathBuf>,
    /// Write the report as one page with charts
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub html: Option<PathBuf>,
    /// Compare two reports (JSON) instead of a run
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], help_heading = "Report")]
    pub compare: Option<Vec<PathBuf>>,
    /// No progress, only the report
    #[arg(long, short, help_heading = "Report")]
    pub quiet: bool,
    /// Set by the process that this one belongs to.
    #[arg(long, hide = true, value_name = "I/N/MARK")]
    pub part: Option<String>,
}

/// What `hubline load` does besides loading.
#[derive(Debug, Clone, Subcommand)]
pub enum LoadCommand {
    /// Write a commented scenario
    Init {
        /// Where to
        #[arg(default_value = "scenario.toml")]
        file: PathBuf,
    },
}
