//! The program and its database: where it is, its tables, and several programs that start at once.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use hubline_store::{Store, StoreError, StoreOptions};
use hubline_testkit::{Launch, PostgresServer, RedisServer, ServerProcess};
use tokio::sync::oneshot;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hubline");
const DATABASE: &str = "ConnectionStrings__Database";

fn launch(database: &str) -> Launch {
    Launch::new(PROGRAM).arg("serve").arg("--dev").env(DATABASE, database)
}

fn migrate(database: &str) -> Output {
    Command::new(PROGRAM).arg("migrate").env(DATABASE, database).output().unwrap()
}

fn said(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// A file of SQLite in a directory, and a new database of PostgreSQL.
async fn databases(directory: &Path) -> [String; 2] {
    let postgres = PostgresServer::shared().await.unwrap().database().await.unwrap();
    [format!("Data Source={}", directory.join("test.db").display()), postgres.connection_string()]
}

async fn is_healthy(server: &ServerProcess) -> bool {
    let health = server.health().await.unwrap();
    health.contains(r#""status":"Healthy""#)
}

#[tokio::test]
async fn three_programs_start_at_once_on_one_database() {
    let directory = tempfile::tempdir().unwrap();
    for database in databases(directory.path()).await {
        let launches = [launch(&database), launch(&database), launch(&database)];
        let mut servers = launches.map(|launch| ServerProcess::spawn(launch).unwrap());
        for server in &mut servers {
            server.ready().await.unwrap();
            assert!(is_healthy(server).await, "{}", server.health().await.unwrap());
        }
        let again = migrate(&database);
        assert!(again.status.success() && said(&again.stdout).contains("nothing was done"), "{again:?}");
    }
}

#[tokio::test]
async fn of_several_that_migrate_at_once_one_makes_the_tables() {
    let directory = tempfile::tempdir().unwrap();
    for database in databases(directory.path()).await {
        let start = || {
            let mut command = Command::new(PROGRAM);
            command.arg("migrate").env(DATABASE, &database).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let programs = [start(), start(), start()];
        let outputs = programs.map(|program| program.wait_with_output().unwrap());
        assert!(outputs.iter().all(|output| output.status.success()), "{outputs:?}");
        let have_said =
            |text: &str| outputs.iter().filter(|output| said(&output.stdout).contains(text)).count();
        assert_eq!(
            (have_said("migrations were carried out"), have_said("nothing was done")),
            (1, 2),
            "{outputs:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_locked_is_said_in_log_and_health_until_it_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    let database = format!("Data Source={}", path.display());
    assert!(migrate(&database).status.success());
    let mut options = StoreOptions::file(&path);
    options.deadline = std::time::Duration::from_secs(60);
    let other = Store::open(options).await.unwrap();
    let (begun, has_begun) = oneshot::channel();
    let (end, ends) = oneshot::channel::<()>();
    let holds = tokio::spawn(async move {
        let transaction = other.write(|_| {
            Box::pin(async move {
                _ = begun.send(());
                _ = ends.await;
                Ok::<_, StoreError>(())
            })
        });
        transaction.await
    });
    has_begun.await.unwrap();
    let server = ServerProcess::start(launch(&database)).await.unwrap();
    server.line_with("locked by another program").await.unwrap();
    let health = server.health().await.unwrap();
    assert!(health.contains("Degraded") && health.contains("locked by another program"), "{health}");
    end.send(()).unwrap();
    holds.await.unwrap().unwrap();
    server.line_with("The database is connected").await.unwrap();
    assert!(is_healthy(&server).await);
}

#[tokio::test]
async fn a_silent_postgres_is_said_in_log_and_health_and_found_again() {
    let postgres = PostgresServer::start().await.unwrap();
    let database = postgres.database().await.unwrap().connection_string();
    let server = ServerProcess::start(launch(&database)).await.unwrap();
    assert!(is_healthy(&server).await);
    postgres.pause().unwrap();
    server.line_with("no answer within 2 s").await.unwrap();
    let health = server.health().await.unwrap();
    assert!(health.contains("Degraded") && health.contains("no answer within 2 s"), "{health}");
    postgres.resume().unwrap();
    server.line_with("The database works again").await.unwrap();
    assert!(is_healthy(&server).await);
}

#[tokio::test]
async fn tables_that_are_left_to_migrate_are_named_until_it_has_run() {
    let directory = tempfile::tempdir().unwrap();
    for database in databases(directory.path()).await {
        let launch = launch(&database).env("CONDUIT_SKIP_DATABASE_INIT", "true");
        let server = ServerProcess::start(launch).await.unwrap();
        let health = server.health().await.unwrap();
        assert!(health.contains("Degraded") && health.contains("run `hubline migrate`"), "{health}");
        server.line_with("tables are missing in the database (migrations 1 chat").await.unwrap();
        let migrated = migrate(&database);
        assert_eq!(migrated.status.code(), Some(0), "{migrated:?}");
        assert!(
            said(&migrated.stdout).contains("migrations were carried out: 1 chat, 2 clinic"),
            "{migrated:?}"
        );
        server.line_with("The database is connected").await.unwrap();
        assert!(is_healthy(&server).await);
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_and_newer_tables_end_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = format!("Data Source={}", directory.path().join("nothing/test.db").display());
    let mut server = ServerProcess::spawn(launch(&nowhere)).unwrap();
    let status = server.exit_status(std::time::Duration::from_secs(30)).await.unwrap();
    assert_eq!(status.code(), Some(1));
    server.line_with("ConnectionStrings:Database").await.unwrap();
    server.line_with("nothing cannot be written").await.unwrap();

    let postgres = PostgresServer::shared().await.unwrap();
    let database = postgres.database().await.unwrap();
    assert!(migrate(&database.connection_string()).status.success());
    let later =
        "INSERT INTO hubline_migrations (version, name, digest, applied_at) VALUES (900, 'later', '', 0)";
    postgres.command_in(database.name(), later).await.unwrap();
    let refused = migrate(&database.connection_string());
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(said(&refused.stderr).contains("newer version (migration 900, later"), "{refused:?}");
    let mut server = ServerProcess::spawn(launch(&database.connection_string())).unwrap();
    assert!(!server.exit_status(std::time::Duration::from_secs(30)).await.unwrap().success());
}

#[tokio::test]
async fn a_program_starts_without_its_database_and_connects_when_it_is_there() {
    let mut postgres = PostgresServer::absent().await.unwrap();
    let database = postgres.database_to_be("postgres").connection_string();
    let server = ServerProcess::start(launch(&database)).await.unwrap();
    let health = server.health().await.unwrap();
    assert!(health.contains("Degraded") && !health.contains("s3cret"), "{health}");
    postgres.start_again().await.unwrap();
    server.line_with("The database is connected").await.unwrap();
    assert!(is_healthy(&server).await);
    assert!(server.lines().iter().all(|line| !line.contains("s3cret")), "{:?}", server.lines());
}

#[tokio::test]
async fn sqlite_beside_redis_is_one_history_per_machine() {
    let redis = RedisServer::start().await.unwrap();
    let launch = launch(":memory:").arg("--redis").arg(redis.connection_string());
    let server = ServerProcess::start(launch).await.unwrap();
    server.line_with("SQLite, which is this machine's alone").await.unwrap();
    assert!(server.health().await.unwrap().contains("SQLite, which is this machine's alone"));
}
