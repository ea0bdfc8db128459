//! `cargo xtask cluster`: everything that one of the two users' systems consists of, on one machine.

mod environment;
mod guard;
mod nginx;
mod places;
mod running;

use std::path::Path;

use anyhow::Result;
use tokio::io::{AsyncReadExt, stdin};
use tokio::signal::unix::{SignalKind, signal};

use crate::build::ServerOption;

pub(crate) use running::Cluster;

/// Redis, PostgreSQL, nginx and several instances with the settings of one of the two systems that Hubline was made for
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many instances, from 1 to 20
    #[arg(default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
    instances: u16,
    /// Whose settings: deploy/conduit.env or deploy/teledoctor.env
    #[arg(long = "as", value_enum)]
    system: System,
    /// Theirs: Redis 6379, PostgreSQL 5432, instances from 5000 on, nginx 80; or free ones
    #[arg(long, value_enum, default_value_t = Ports::Theirs)]
    ports: Ports,
    #[command(flatten)]
    server: ServerOption,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum System {
    /// Navigation state
    Conduit,
    /// Consultations
    Teledoctor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ports {
    /// Those of the user's documents.
    Theirs,
    /// Any that are free.
    Free,
}

/// How nginx is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// As the users have it.
    Theirs,
    /// By `deploy/nginx/nginx.conf`.
    Deployed,
}

/// Starts everything, says where it is, and ends it at Ctrl-C, SIGTERM, or when standard input ends.
///
/// # Errors
/// A port is taken, or a program is missing or does not come up.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = options.server.program()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(options, &program));
    // Standard input may be read by a thread that cannot be stopped.
    runtime.shutdown_background();
    result
}

async fn serve(options: &Options, program: &Path) -> Result<()> {
    let asked_to_end = end();
    tokio::pin!(asked_to_end);
    let mut cluster = tokio::select! {
        cluster = Cluster::start(options.system, program, options.instances, options.ports, Proxy::Theirs, &[]) => cluster?,
        ended = &mut asked_to_end => return ended,
    };
    println!("Ready. Ctrl-C ends all of it.");
    let result = tokio::select! {
        ended = &mut asked_to_end => ended,
        () = cluster.tell_of_the_dead() => Ok(()),
    };
    cluster.end().await;
    result
}

/// Returns at Ctrl-C, SIGTERM, or the end of standard input.
async fn end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut input = stdin();
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            read = input.read(&mut ignored) => if !matches!(read, Ok(1..)) {
                return Ok(());
            },
        }
    }
}
