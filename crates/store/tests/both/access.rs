//! PostgreSQL over TLS, its schemas, and users that may not do everything.

use std::time::Duration;

use hubline_store::{Store, StoreOptions, StoreStatus};
use hubline_testkit::{Certificates, PostgresServer};

use crate::databases::until_connected;
use crate::notes::change;

/// Opens the store, and says whether it is connected or why not.
async fn tried(connection_string: &str) -> (Store, String) {
    let mut options: StoreOptions = connection_string.parse().unwrap();
    options.deadline = Duration::from_secs(2);
    let store = Store::open(options).await.unwrap();
    let said = match &*store.status().borrow() {
        StoreStatus::Connected => "connected".to_owned(),
        StoreStatus::Migrating => "migrating".to_owned(),
        StoreStatus::Starting(why) | StoreStatus::Disconnected(why) => why.clone(),
    };
    (store, said)
}

#[tokio::test]
async fn tls_is_used_and_verified_as_the_connection_string_says() {
    let (right, other) =
        (Certificates::new(&["127.0.0.1"]).unwrap(), Certificates::new(&["127.0.0.1"]).unwrap());
    let server = PostgresServer::start_with_tls(&right, &[]).await.unwrap();
    let database = server.database().await.unwrap().connection_string();
    let (authority, foreign) = (right.authority(), other.authority());
    let [authority, foreign] =
        [&authority, &foreign].map(|file| format!("Root Certificate={}", file.display()));
    for (mode, expected) in [
        ("SSL Mode=Require".to_owned(), "connected"),
        ("SSL Mode=Prefer".to_owned(), "connected"),
        ("SSL Mode=Allow".to_owned(), "connected"),
        (format!("SSL Mode=VerifyCA;{authority}"), "connected"),
        (format!("SSL Mode=VerifyFull;{authority}"), "connected"),
        (format!("SSL Mode=VerifyCA;{authority};Host=localhost"), "connected"),
        (format!("SSL Mode=VerifyFull;{authority};Host=localhost"), "Host has to be a name"),
        ("SSL Mode=VerifyFull".to_owned(), "Root Certificate has to name"),
        (format!("SSL Mode=VerifyCA;{foreign}"), "Root Certificate has to name"),
        (format!("SSL Mode=VerifyFull;{foreign}"), "Root Certificate has to name"),
        (
            "SSL Mode=VerifyFull;Root Certificate=/nowhere/ca.pem".to_owned(),
            "/nowhere/ca.pem, which Root Certificate names, cannot be read",
        ),
        ("SSL Mode=Disable".to_owned(), "take SSL Mode=VerifyFull, or Require"),
    ] {
        let (store, said) = tried(&format!("{database};{mode}")).await;
        assert!(said.contains(expected) && !said.contains("s3cret"), "{mode}: {said}");
        if expected == "connected" {
            let pid = "SELECT COUNT(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'hubline' AND NOT s.ssl";
            change(&store, "DELETE FROM clinic_bans").await.unwrap();
            assert_eq!(server.command_in("postgres", pid).await.unwrap(), "0", "{mode}");
        }
    }
    let plain = PostgresServer::shared().await.unwrap().database().await.unwrap().connection_string();
    for mode in ["Require", "VerifyCA", "VerifyFull"] {
        let (_, said) = tried(&format!("{plain};SSL Mode={mode}")).await;
        assert!(said.contains("TLS, which SSL Mode asks for: server does not support TLS"), "{said}");
    }
    assert_eq!(tried(&format!("{plain};SSL Mode=Prefer")).await.1, "connected");
}

#[tokio::test]
async fn tables_are_in_the_first_schema_of_the_search_path() {
    let server = PostgresServer::shared().await.unwrap();
    let database = server.database().await.unwrap();
    let connection_string = database.connection_string();
    let in_house = format!("{connection_string};Search Path=\"house, public\"");
    let (store, said) = tried(&format!("{connection_string};Search Path=house")).await;
    assert!(said.contains("make the one that Search Path names"), "{said}");
    server.command_in(database.name(), "CREATE SCHEMA house").await.unwrap();
    until_connected(&store).await;
    let schemas =
        "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'c%' OR tablename LIKE 'hubline%'";
    let schemas = format!("{schemas} AND schemaname NOT LIKE 'pg%'");
    assert_eq!(server.command_in(database.name(), &schemas).await.unwrap(), "house");
    let (again, said) = tried(&in_house).await;
    assert_eq!(said, "connected");
    change(
        &again,
        "INSERT INTO clinic_bans (user_id, until, reason, banned_by, banned_at) VALUES ('eve', 1, '', '', 0)",
    )
    .await
    .unwrap();
    assert_eq!(
        server.command_in(database.name(), "SELECT user_id FROM house.clinic_bans").await.unwrap(),
        "eve"
    );
}

#[tokio::test]
async fn a_user_that_may_make_nothing_is_told_what_is_needed_and_then_suffices() {
    let server = PostgresServer::shared().await.unwrap();
    let database = server.database().await.unwrap();
    let role = format!("CREATE ROLE limited_{} LOGIN PASSWORD 'limited'", database.name());
    server.command_in("postgres", &role).await.unwrap();
    let limited =
        format!("{};Username=limited_{};Password=limited", database.connection_string(), database.name());
    let (store, said) = tried(&limited).await;
    for part in [
        "tables are missing and may not be made",
        "permission denied",
        "GRANT CREATE ON SCHEMA",
        "`hubline migrate`",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let owner: StoreOptions = database.connection_string().parse().unwrap();
    assert!(!Store::migrate(owner, Duration::from_secs(20)).await.unwrap().is_empty());
    let grant = format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO limited_{}",
        database.name()
    );
    server.command_in(database.name(), &grant).await.unwrap();
    until_connected(&store).await;
    change(&store, "DELETE FROM clinic_bans").await.unwrap();
}
