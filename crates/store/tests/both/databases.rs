//! A database of each kind for each test.

use hubline_store::{Store, StoreOptions};
use hubline_testkit::PostgresServer;

/// Runs a test on a fresh SQLite file and on a fresh database of PostgreSQL, with all tables there.
pub(crate) async fn each(test: impl AsyncFn(Store)) {
    let directory = tempfile::tempdir().unwrap();
    eprintln!("on SQLite:");
    test(Store::open(StoreOptions::file(directory.path().join("test.db"))).await.unwrap()).await;
    let database = PostgresServer::shared().await.unwrap().database().await.unwrap();
    let (options, _) = StoreOptions::parse(&database.connection_string(), directory.path()).unwrap();
    eprintln!("on PostgreSQL:");
    test(Store::open(options).await.unwrap()).await;
}
