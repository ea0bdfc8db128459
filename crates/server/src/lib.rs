//! The Hubline server: chat, calls and navigation state over SignalR, on one instance or on many behind a load balancer.
//!
//! The applications (`chat`, `calls`, `mapping`, `navigation`) use the library's public API alone and never each other; `app`
//! knows all of them. What is public here is so for the tests.

mod access_token;
pub mod admin;
mod api;
mod app;
mod cache_entry;
pub mod calls;
pub mod chat;
mod check;
mod cli;
pub mod clinic;
mod config;
mod console;
pub mod consultations;
mod development;
mod drain;
mod listen;
mod management;
pub mod mapping;
mod migrate;
pub mod navigation;
mod observe;
mod pages;
mod paths;
mod refused;
mod serve;
mod starting;
mod user_ids;
mod user_rate;

use std::io::Write;
use std::process::ExitCode;

use cli::{CheckArgs, Cli, Command, ConfigArgs};
use config::{Config, Loaded};
use hubline_load_tester::tools;
use observe::{Output, Telemetry};

/// Exit code for a configuration that cannot be used.
const BAD_CONFIGURATION: u8 = 2;

/// Runs the program: reads its command line, and does what that says.
pub fn main() -> ExitCode {
    let arguments = Cli::try_from_arguments(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let log = Output::start().unwrap_or_else(|_| Output::nowhere());
    log.take_panics();
    let code = match arguments.command {
        Command::Serve(arguments) => with_configuration(&arguments, &log, |loaded| serve(loaded, &log)),
        Command::Migrate(arguments) => with_configuration(&arguments, &log, |loaded| migrate(&loaded, &log)),
        Command::Config(arguments) => with_configuration(&arguments, &log, |loaded| {
            // Whoever reads this may take their time, or close it.
            _ = std::io::stdout().write_all(loaded.describe().as_bytes());
            ExitCode::SUCCESS
        }),
        Command::Drain(arguments) => with_configuration(&arguments.config, &log, |loaded| {
            block_on(&log, drain::command(&loaded.config, &log))
        }),
        Command::Load(arguments) => ExitCode::from(hubline_load_tester::run::load(&arguments).code()),
        Command::Ping(arguments) => ExitCode::from(tools::ping(&arguments).code()),
        Command::Send(arguments) => ExitCode::from(tools::send(&arguments).code()),
        Command::Listen(arguments) => ExitCode::from(tools::listen(&arguments).code()),
        Command::Completions { shell } => {
            _ = std::io::stdout().write_all(&cli::manual::completions(shell));
            ExitCode::SUCCESS
        }
        Command::Man { command } => match cli::manual::page(command.as_deref()) {
            Ok(page) => {
                _ = std::io::stdout().write_all(&page);
                ExitCode::SUCCESS
            }
            Err(mistake) => {
                log.fail(&mistake);
                ExitCode::from(BAD_CONFIGURATION)
            }
        },
        Command::Check(arguments) => match arguments.checked() {
            Ok(arguments) => with_configuration(&arguments.configuration(), &log, |loaded| {
                check(&arguments, &loaded, &log)
            }),
            Err(mistake) => {
                log.fail(&mistake);
                ExitCode::from(BAD_CONFIGURATION)
            }
        },
    };
    log.flush();
    code
}

fn with_configuration(
    arguments: &ConfigArgs,
    log: &Output,
    run: impl FnOnce(Loaded) -> ExitCode,
) -> ExitCode {
    let directory = match std::env::current_dir() {
        Ok(directory) => directory,
        Err(error) => {
            log.fail(&format!("the working directory cannot be used: {error}"));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match Config::load(arguments, config::process_variables(), &directory) {
        Ok(loaded) => run(loaded),
        Err(errors) => {
            if errors.is_json {
                log.become_json();
            }
            log.fail(errors.to_string().trim_end());
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

fn serve(loaded: Loaded, log: &Output) -> ExitCode {
    let Loaded { config, warnings, .. } = loaded;
    let (telemetry, said) = Telemetry::start(config.server.application_name.as_deref());
    observe::subscribe(&config.logging, log, &telemetry);
    for note in said {
        tracing::warn!("{note}");
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    for note in app::notes(&config) {
        tracing::warn!("{note}");
    }
    // Accepts, and drives Redis; connections are served by threads of their own.
    let code = block_on(log, async {
        match serve::run(&config, log, &telemetry).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log.fail(&format!("{error:#}"));
                ExitCode::FAILURE
            }
        }
    });
    telemetry.stop();
    code
}

fn migrate(loaded: &Loaded, log: &Output) -> ExitCode {
    observe::subscribe(&loaded.config.logging, log, &Telemetry::default());
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    block_on(log, migrate::run(&loaded.config.database, log))
}

fn check(arguments: &CheckArgs, loaded: &Loaded, log: &Output) -> ExitCode {
    block_on(log, cli::check::run(arguments, &loaded.config, log))
}

fn block_on(log: &Output, work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            log.fail(&format!("the runtime cannot be started: {error}"));
            ExitCode::FAILURE
        }
    }
}
