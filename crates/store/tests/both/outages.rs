//! A database that is away, returns, is silent, is not ours.

use std::time::Duration;

use futures_util::future::join_all;
use hubline_store::sqlx::{Connection as _, PgConnection};
use hubline_store::{Store, StoreError, StoreOptions, StoreStatus};
use hubline_testkit::PostgresServer;

use crate::databases::{until, until_connected};
use crate::notes::{add, all, create, execute};

fn is_away(status: &StoreStatus) -> bool {
    matches!(status, StoreStatus::Disconnected(_))
}

async fn open(connection_string: &str) -> Store {
    let mut options: StoreOptions = connection_string.parse().unwrap();
    options.deadline = Duration::from_millis(1500);
    Store::open(options).await.unwrap()
}

#[tokio::test]
async fn postgres_may_be_away_and_silent_and_comes_back() {
    let mut server = PostgresServer::absent().await.unwrap();
    let database = server.database_to_be("postgres");
    let store = open(&database.connection_string()).await;
    let StoreStatus::Starting(why) = store.status().borrow().clone() else { panic!("it was reached") };
    assert!(why.contains("refused"), "{why}");
    let error = add(&store, 0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");

    server.start_again().await.unwrap();
    until_connected(&store).await;
    create(&store).await;
    add(&store, 1).await.unwrap();

    server.stop().await.unwrap();
    until(&store, is_away).await;
    let error = add(&store, 2).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    server.start_again().await.unwrap();
    until_connected(&store).await;
    add(&store, 3).await.unwrap();
    assert_eq!(all(&store).await, [1, 3]);

    server.pause().unwrap();
    let error = store.read(|db| execute(db, "SELECT 1")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    until(&store, is_away).await;
    server.resume().unwrap();
    until_connected(&store).await;
    assert_eq!(all(&store).await, [1, 3]);
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_said() {
    let server = PostgresServer::shared().await.unwrap();
    let right = server.database().await.unwrap().connection_string();
    let wrong = format!("{right};Password=n0t-this");
    for (connection_string, expected) in [
        (wrong, "user or password are refused"),
        (server.database_to_be("nowhere").connection_string(), "there is no such database"),
    ] {
        let store = open(&connection_string).await;
        let StoreStatus::Starting(why) = store.status().borrow().clone() else { panic!("it was reached") };
        assert!(why.contains(expected) && !why.contains("n0t-this"), "{why}");
    }
}

#[tokio::test]
async fn all_connections_busy_is_said_with_the_setting() {
    let server = PostgresServer::shared().await.unwrap();
    let connection_string = server.database().await.unwrap().connection_string();
    let store = open(&format!("{connection_string};Maximum Pool Size=2")).await;
    let busy = || store.read(|db| execute(db, "SELECT 1 FROM pg_sleep(60)"));
    // Each waits as long as the statements before it may take, so the last two find no connection.
    let results = join_all((0..6).map(|_| busy())).await;
    let said: Vec<String> = results.into_iter().map(|result| result.unwrap_err().to_string()).collect();
    assert!(said.iter().any(|said| said.contains("all 2 connections were busy")), "{said:?}");
    assert!(said.iter().any(|said| said.contains("Database:MaximumConnections")), "{said:?}");
}

#[tokio::test]
async fn a_silent_postgres_fails_all_in_time_and_leaves_no_connection_behind() {
    let server = PostgresServer::start().await.unwrap();
    let database = server.database().await.unwrap();
    let store = open(&format!("{};Maximum Pool Size=3", database.connection_string())).await;
    create(&store).await;
    let together = async |ids: std::ops::Range<i64>| join_all(ids.map(|id| add(&store, id))).await;
    assert!(together(0..12).await.iter().all(Result::is_ok));

    server.pause().unwrap();
    for result in together(100..112).await {
        let error = result.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(_) | StoreError::Slow(_)), "{error}");
    }
    until(&store, is_away).await;
    let error = add(&store, 112).await.unwrap_err();
    assert!(error.to_string().contains("no answer within 2 s"), "{error}");

    server.resume().unwrap();
    until_connected(&store).await;
    assert!(together(200..212).await.iter().all(Result::is_ok));
    assert!(all(&store).await.iter().filter(|id| **id >= 200).count() == 12);
    assert!(store.figures().connections <= 3, "{:?}", store.figures());
    assert_eq!(store.figures().waiting, 0);
    // What was given up has ended on the server's side too, with its transactions.
    let left = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'hubline'";
    let open_transactions = format!("{left} AND state LIKE 'idle in transaction%'");
    while server.command_in("postgres", &open_transactions).await.unwrap() != "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_postgres_that_takes_no_more_connections_is_said_with_the_cure() {
    let full = ["max_connections=5", "superuser_reserved_connections=0"];
    let server = PostgresServer::start_with(&full).await.unwrap();
    let database = server.database().await.unwrap();
    let store = open(&database.connection_string()).await;
    create(&store).await;
    let mut others = Vec::new();
    while let Ok(connection) = PgConnection::connect(&database.url()).await {
        others.push(connection);
    }
    let is_said = |status: &StoreStatus| {
        let said = format!("{status:?}");
        said.contains("it takes no more connections") && said.contains("Database:MaximumConnections")
    };
    // One has the connection that there is, the others wait for one in vain.
    let busy = || store.read(|db| execute(db, "SELECT 1 FROM pg_sleep(1)"));
    let results = join_all((0..4).map(|_| busy())).await;
    assert!(results.iter().any(Result::is_ok) && results.iter().any(Result::is_err), "{results:?}");
    until(&store, is_said).await;
    add(&store, 1).await.unwrap();
    let late = open(&database.connection_string()).await;
    assert!(is_said(&late.status().borrow()), "{:?}", late.status().borrow());

    drop(others);
    until_connected(&store).await;
    until_connected(&late).await;
    assert!(join_all((0..4).map(|_| busy())).await.iter().all(Result::is_ok));
    assert_eq!(all(&late).await, [1]);
}
