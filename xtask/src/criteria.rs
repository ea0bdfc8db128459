//! `cargo xtask criteria`: the eight signs by which Conduit's guide tells a backplane that works, each measured on real parts.

pub(crate) mod chat;
pub(crate) mod load;
mod navigation;
mod table;

use anyhow::{Result, ensure};

use crate::build::{LoadOption, ServerOption};
use load::LoadClient;
use table::Table;

/// How many instances there are.
const INSTANCES: u16 = 3;

/// Measures the eight signs of a backplane that works, and writes docs/success-criteria.md
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Connections at once
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(30..=15_000))]
    connections: u32,
    /// Users that chat while instances, Redis and PostgreSQL are killed and come back
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(20..=3000))]
    users: u32,
    /// Messages a second, of all users together
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: u32,
    #[command(flatten)]
    server: ServerOption,
    #[command(flatten)]
    load: LoadOption,
    /// Prints the table and leaves the file as it is
    #[arg(long)]
    print: bool,
}

/// Measures, prints the table, and writes it.
///
/// # Errors
/// Something does not build or start, or a sign is missing: the table says which.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (server, load) = (options.server.program()?, LoadClient::new(&options.load.program()?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut table = Table::default();
    runtime.block_on(async {
        navigation::measure(options, &server, &load, &mut table).await?;
        chat::measure(options, &server, &load, &mut table).await
    })?;
    print!("{table}");
    if !options.print {
        table.write()?;
    }
    ensure!(table.all_hold(), "not every sign is there");
    Ok(())
}
