//! A database of each kind for each test.

use hubline_store::Store;
use hubline_testkit::PostgresServer;

/// Runs a test on a fresh SQLite file and on a fresh database of PostgreSQL, with all tables there.
pub(crate) async fn each(test: impl AsyncFn(Store)) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", directory.path().join("test.db").display());
    eprintln!("on SQLite:");
    test(Store::open(&url).await.unwrap()).await;
    let database = PostgresServer::shared().await.unwrap().database().await.unwrap();
    eprintln!("on PostgreSQL:");
    test(Store::open(&database.url()).await.unwrap()).await;
}
