//! A database of each kind for each test.

use std::time::Duration;

use hubline_store::{Store, StoreOptions, StoreStatus};
use hubline_testkit::PostgresServer;
use tokio::time::timeout;

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test on a fresh SQLite file and on a fresh database of PostgreSQL, with all tables there.
pub(crate) async fn each(test: impl AsyncFn(Store)) {
    each_empty(async |options| test(Store::open(options).await.unwrap()).await).await;
}

/// Runs a test with the options of a file that is not there yet, and of an empty database of PostgreSQL.
pub(crate) async fn each_empty(test: impl AsyncFn(StoreOptions)) {
    let directory = tempfile::tempdir().unwrap();
    eprintln!("on SQLite:");
    test(StoreOptions::file(directory.path().join("test.db"))).await;
    let database = PostgresServer::shared().await.unwrap().database().await.unwrap();
    eprintln!("on PostgreSQL:");
    test(database.connection_string().parse().unwrap()).await;
}

/// Waits until the store has a status that fits.
pub(crate) async fn until(store: &Store, fits: impl Fn(&StoreStatus) -> bool) -> StoreStatus {
    let mut status = store.status();
    let waited =
        timeout(PATIENCE, status.wait_for(|status| fits(status))).await.map(|status| status.unwrap().clone());
    waited.unwrap_or_else(|_| panic!("it is still {:?}", *store.status().borrow()))
}

pub(crate) async fn until_connected(store: &Store) {
    until(store, |status| *status == StoreStatus::Connected).await;
}
