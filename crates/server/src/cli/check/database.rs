//! Whether the database is reached, and its tables are those of this version.

use std::time::Duration;

use hubline_store::{Store, StoreStatus};
use tokio::time::{Instant, timeout};

use super::instances::milliseconds;
use super::report::Report;
use crate::config::Config;

const STEP: &str = "Database";
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at PostgreSQL without changing anything. SQLite is the machine's own, and opened by its instance alone.
pub(super) async fn check(config: &Config, is_named: bool, report: &mut Report) {
    let mut options = config.database.options.clone();
    let place = options.to_string();
    if !options.is_shared() {
        if is_named {
            let text = format!("{place} is a file of one machine, which its instance alone opens");
            report.left_out(STEP, text, "/health of the instance says whether it can be used");
        }
        return;
    }
    (options.skip_migrations, options.maximum_connections) = (true, 1);
    let begun = Instant::now();
    let looked = timeout(PATIENCE, look(options)).await;
    let cure = "is it up, and does this machine reach it? --database or ConnectionStrings:Database names it";
    match looked {
        Ok(Ok(StoreStatus::Connected)) => {
            let text = format!(
                "{place} answers after {}, with the tables of this version",
                milliseconds(begun.elapsed())
            );
            report.passed(STEP, text);
        }
        Ok(Ok(StoreStatus::Migrating)) => {
            report.failed(STEP, format!("{place}: migrations run"), "wait for their end")
        }
        Ok(Ok(StoreStatus::Starting(why) | StoreStatus::Disconnected(why))) => {
            report.failed(STEP, format!("{place}: {why}"), cure);
        }
        Ok(Err(why)) => report.failed(STEP, format!("{place}: {why}"), cure),
        Err(_) => {
            report.failed(STEP, format!("{place} does not answer within {} s", PATIENCE.as_secs()), cure)
        }
    }
}

async fn look(options: hubline_store::StoreOptions) -> Result<StoreStatus, hubline_store::StoreError> {
    let (store, begun) = Store::start(options).await?;
    begun.await?;
    let status = store.status().borrow().clone();
    Ok(status)
}
