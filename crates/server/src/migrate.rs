//! `hubline migrate`: the tables of the database, and nothing else.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use hubline_store::{Migration, Store, StoreError};

use crate::config::DatabaseConfig;
use crate::observe::Output;

/// How long a database that cannot be reached is waited for: as a service of Compose it may be started together with it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Exit code for tables that are not this version's to change.
const OTHER_VERSION: u8 = 3;

/// Brings the tables up to date, and says what was done on standard output.
pub(crate) async fn run(config: &DatabaseConfig, log: &Output) -> ExitCode {
    let place = config.options.to_string();
    match Store::migrate(config.options.clone(), PATIENCE).await {
        Ok(made) => {
            // Whoever reads this may have closed it.
            let said = log.for_standard_output(&format!("{place}: {}\n", done(&made)));
            _ = std::io::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            log.fail(&format!("the database that {} names ({place}): {error}", DatabaseConfig::KEY));
            match error {
                StoreError::Schema(_) => ExitCode::from(OTHER_VERSION),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn done(made: &[Migration]) -> String {
    let names: Vec<String> = made.iter().map(|made| format!("{} {}", made.version, made.name)).collect();
    match names.len() {
        0 => "the tables are those of this version, nothing was done".to_owned(),
        1 => format!("1 migration was carried out: {}", names.join("")),
        count => format!("{count} migrations were carried out: {}", names.join(", ")),
    }
}
