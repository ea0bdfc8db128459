//! What everybody sees of how the server is, and what operators see.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod request;

use std::time::Duration;

use hubline_store::sqlx::{self, Connection, PgConnection};
use hubline_testkit::{
    Cluster, Launch, PostgresDatabase, PostgresServer, RedisServer, ServerProcess, free_port,
};
use request::{ask, send};
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);
const KEY: &str = "k3y-of-the-operators-0123456789ab";

fn hubline() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve")
}

async fn started(launch: Launch) -> (ServerProcess, u16) {
    let port = launch.port();
    (ServerProcess::start(launch).await.unwrap(), port)
}

fn with_key(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

async fn get(port: u16, path: &str, headers: &str) -> (u16, String) {
    let (head, body) = ask(port, &format!("GET {path}"), headers).await;
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

/// The report while Redis is away, once it has been noticed.
async fn degraded(port: u16, headers: &str) -> String {
    let noticed = async {
        loop {
            let (status, report) = get(port, "/health", headers).await;
            // Until the first attempt has failed there is no reason to tell.
            if status == 200 && report.contains("Degraded") && !report.contains("connecting") {
                return report;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, noticed).await.unwrap()
}

#[tokio::test]
async fn strangers_see_words_and_no_hosts_errors_or_numbers() {
    let redis = RedisServer::absent().unwrap();
    let launch = hubline().arg("--redis").arg(redis.connection_string()).env("Management__Key", KEY);
    let (_server, port) = started(launch).await;
    let whole = degraded(port, &with_key(KEY)).await;
    assert!(whole.contains(&redis.connection_string()) && whole.contains("\"connections\":0"), "{whole}");
    let (status, brief) = get(port, "/Health", "").await;
    let expected = r#"{"status":"Degraded","backplane":{"kind":"redis","connected":false},"directory":{"connected":false},"tokenKeys":{"connected":false},"database":{"kind":"sqlite","connected":true}}"#;
    assert_eq!((status, brief.as_str()), (200, expected), "a status that load balancers keep");
}

/// Waits until the report has this text.
async fn report_with(port: u16, text: &str) -> String {
    let mut last = String::new();
    let found = async {
        loop {
            last = get(port, "/health", &with_key(KEY)).await.1;
            if last.contains(text) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(PATIENCE, found).await.is_err() {
        panic!("{text} expected: {last}");
    }
    last
}

/// The backplane alone may be used by this user of Redis.
#[tokio::test]
async fn a_directory_or_an_agreement_that_fails_is_never_healthy() {
    let rights =
        "on >s3cret resetchannels &* -@all +subscribe +unsubscribe +publish +ping +hello +pubsub|numsub";
    let user: Vec<&str> = ["--user", "app"].into_iter().chain(rights.split_whitespace()).collect();
    let redis = RedisServer::start_with(&user).await.unwrap();
    let at = format!("{},user=app,password=s3cret", redis.connection_string());
    let (_server, port) = started(hubline().arg("--redis").arg(&at).env("Management__Key", KEY)).await;
    report_with(port, r#""backplane":{"kind":"redis","connected":true"#).await;
    report_with(port, r#""directory":{"connected":false,"reason":"Redis refuses: NOPERM"#).await;
    let report =
        report_with(port, r#""tokenKeys":{"connected":false,"reason":"the other instances cannot be"#).await;
    assert!(report.contains(r#"{"status":"Degraded""#), "{report}");
    let (_, page) = get(port, "/metrics", &with_key(KEY)).await;
    for figure in ["backplane_connected 1", "directory_connected 0", "token_keys_agreed 0"] {
        assert!(page.contains(&format!("\nhubline_{figure}\n")), "{figure}: {page}");
    }
}

/// As users have it configured.
#[tokio::test]
async fn a_cluster_with_a_name_and_a_database_is_healthy_and_says_which_database_it_uses() {
    let cluster = Cluster::start(3).await.unwrap();
    let at = format!("{},defaultDatabase=2,channelPrefix=TeleDoctor", cluster.connection_string());
    let launch = hubline().arg("--redis").arg(&at).env("Management__Key", KEY);
    let (server, port) = started(launch.env("Redis__InstanceName", "TeleDoctor:")).await;
    let report = report_with(port, r#"{"status":"Healthy""#).await;
    for part in [
        "\"directory\":{\"connected\":true}",
        "\"tokenKeys\":{\"connected\":true}",
        "defaultDatabase=2 is not used",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    server.line_with("defaultDatabase is not used, keys are in database 0").await.unwrap();
    server
        .line_with("its keys behind 'TeleDoctor:'; connection-token keys agreed through Redis")
        .await
        .unwrap();
}

/// Waits until the path is answered with this status; returns the body.
async fn answered_with(port: u16, path: &str, status: u16) -> String {
    let mut last = (0, String::new());
    let found = async {
        loop {
            last = get(port, path, "").await;
            if last.0 == status {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(PATIENCE, found).await.is_err() {
        panic!("{path}: {status} expected: {last:?}");
    }
    last.1
}

#[tokio::test]
async fn who_has_never_reached_redis_is_not_ready_and_who_has_stays_so() {
    let mut redis = RedisServer::absent().unwrap();
    let (_server, port) = started(hubline().arg("--redis").arg(redis.connection_string())).await;
    let (status, body) = get(port, "/Health/Ready", "").await;
    assert_eq!(
        (status, body.as_str()),
        (
            503,
            r#"{"status":"Unhealthy","reason":"Redis (ConnectionStrings:RedisSignalR) has not been reached yet"}"#
        )
    );
    assert_eq!(get(port, "/health/live", "").await, (200, r#"{"status":"Healthy"}"#.to_owned()));
    assert!(degraded(port, "").await.starts_with(r#"{"status":"Degraded""#));
    redis.start_again().await.unwrap();
    assert_eq!(answered_with(port, "/health/ready", 200).await, r#"{"status":"Healthy"}"#);
    redis.stop().await.unwrap();
    degraded(port, "").await;
    assert_eq!(get(port, "/health/ready", "").await.0, 200, "all instances have lost it");
}

/// The lock under which tables are made, held as by a program that makes them.
async fn hold_migrations(database: &PostgresDatabase) -> PgConnection {
    let mut holder = PgConnection::connect(&database.url()).await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(29397022485179749)").execute(&mut holder).await.unwrap();
    holder
}

#[tokio::test]
async fn while_migrations_run_it_lives_and_sends_everybody_away() {
    let database = PostgresServer::shared().await.unwrap().database().await.unwrap();
    let holder = hold_migrations(&database).await;
    let launch = || hubline().env("ConnectionStrings__Database", database.connection_string());
    let launches = [launch(), launch(), launch()];
    let mut servers: Vec<_> =
        launches.iter().map(|launch| ServerProcess::spawn(launch.clone()).unwrap()).collect();
    let reason = r#"{"status":"Unhealthy","reason":"migrations run in the database"}"#;
    for (server, port) in servers.iter().zip(launches.iter().map(Launch::port)) {
        server.line_with("Another program makes the tables of the database; waiting for it").await.unwrap();
        assert_eq!(get(port, "/health/ready", "").await, (503, reason.to_owned()));
        assert_eq!(get(port, "/Health", "").await, (503, reason.to_owned()));
        assert_eq!(get(port, "/health/live", "").await, (200, r#"{"status":"Healthy"}"#.to_owned()));
        for path in ["POST /chathub/negotiate?negotiateVersion=1", "GET /api/admin/model-mappings", "GET /"] {
            let (head, body) = ask(port, path, "").await;
            assert!(
                head.starts_with("HTTP/1.1 503") && head.to_lowercase().contains("retry-after: 2"),
                "{head}"
            );
            assert!(
                body.contains("this instance does not serve yet: migrations run in the database"),
                "{body}"
            );
        }
        let (head, _) = ask(port, "GET /health", "Origin: https://elsewhere.example\r\n").await;
        assert!(
            !head.to_lowercase().contains("access-control-allow-origin"),
            "other origins stay out: {head}"
        );
    }
    let mut ended = servers.pop().unwrap();
    ended.terminate().unwrap();
    assert!(ended.exit_status(PATIENCE).await.unwrap().success(), "nobody has to wait for it");
    drop(holder);
    for (server, port) in servers.iter_mut().zip(launches.iter().map(Launch::port)) {
        server.ready().await.unwrap();
        assert_eq!(get(port, "/health/ready", "").await, (200, r#"{"status":"Healthy"}"#.to_owned()));
        let (head, _) = ask(port, "POST /chathub/negotiate?negotiateVersion=1", "").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    let made = servers.iter().flat_map(|server| server.lines());
    assert_eq!(made.filter(|line| line.contains("Tables made") && line.contains("chat")).count(), 1);
    let _holder = hold_migrations(&database).await;
    let (_server, port) = started(launch()).await;
    assert_eq!(get(port, "/health/ready", "").await.0, 200, "there is nothing to make");
}

#[tokio::test]
async fn a_database_that_is_away_is_named_and_degrades() {
    let mut postgres = PostgresServer::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let launch = hubline().env("ConnectionStrings__Database", database.connection_string());
    let (server, port) = started(launch.env("Management__Key", KEY)).await;
    report_with(port, r#"{"status":"Healthy""#).await;
    postgres.stop().await.unwrap();
    let report = report_with(port, r#"{"status":"Degraded""#).await;
    assert!(report.contains(r#""database":{"kind":"postgresql","connected":false,"reason":""#), "{report}");
    let (status, brief) = get(port, "/health", "").await;
    assert!(
        status == 200 && brief.contains(r#""database":{"kind":"postgresql","connected":false}"#),
        "{brief}"
    );
    server.line_with("The database cannot be used").await.unwrap();
    postgres.start_again().await.unwrap();
    report_with(port, r#"{"status":"Healthy""#).await;
    server.line_with("The database works again").await.unwrap();
}

#[tokio::test]
async fn in_development_everybody_sees_all_of_it() {
    let (_server, port) = started(hubline().arg("--dev")).await;
    let (_, report) = get(port, "/health", "").await;
    assert!(
        report.contains("\"environment\":\"Development\"") && report.contains("\"connections\":0"),
        "{report}"
    );
}

#[tokio::test]
async fn with_a_key_the_metrics_and_the_rest_of_health_are_for_who_has_it() {
    let (server, port) = started(hubline().env("Management__Key", KEY)).await;
    for (headers, health, metrics) in [
        (String::new(), 200, 401),
        (with_key(KEY), 200, 200),
        (with_key(&KEY.replace('k', "K")), 401, 401),
        (format!("X-Management-Key: {KEY}\r\n"), 200, 401),
    ] {
        assert_eq!(get(port, "/health", &headers).await.0, health, "{headers}");
        assert_eq!(get(port, "/metrics", &headers).await.0, metrics, "{headers}");
    }
    server.line_with("A request without the right Management:Key was refused").await.unwrap();
    let (head, body) = ask(port, "GET /metrics", "").await;
    assert!(head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{head}");
    assert!(body.contains("Authorization: Bearer") && !server.lines().join("\n").contains(KEY), "{body}");
    let (_, page) = get(port, "/metrics", &with_key(KEY)).await;
    assert!(page.contains("\nhubline_management_requests_refused_total 5\n"), "{page}");
}

#[tokio::test]
async fn an_address_for_operators_has_the_metrics_and_all_of_health() {
    let management = free_port();
    let launch = hubline().env("Management__Urls", format!("http://127.0.0.1:{management}"));
    let (server, port) = started(launch).await;
    server.line_with(&format!("for operators on http://127.0.0.1:{management}")).await.unwrap();
    assert_eq!(get(port, "/metrics", "").await.0, 404);
    assert_eq!(
        get(port, "/health", "").await.1,
        r#"{"status":"Healthy","backplane":{"kind":"in-process","connected":true},"database":{"kind":"sqlite","connected":true}}"#
    );
    let (status, page) = get(management, "/metrics", "").await;
    assert!(status == 200 && page.contains("hubline_build_info"), "{page}");
    let (status, report) = get(management, "/health", "").await;
    assert!(status == 200 && report.contains("\"environment\":\"Production\""), "{report}");
    for nothing_else in ["/", "/chathub", "/hubs/navigation-state"] {
        assert_eq!(get(management, nothing_else, "").await.0, 404, "{nothing_else}");
    }
}

#[tokio::test]
async fn mistakes_are_told_at_the_start_and_show_no_key() {
    for (key, value, said) in [
        ("Management__Key", "too-short-a-secret", "openssl rand -base64 32"),
        ("Management__Key", "has blanks has blanks has blanks has", "without blanks"),
        ("Management__Urls", "https://localhost:9090", "https needs a certificate"),
        ("Management__Urls", "9090", "expected http://host:port"),
        ("Management__Kee", KEY, "did you mean Management:Key?"),
    ] {
        let launch = hubline().env(key, value).env("SignalR__StreamBufferCapacity", "none");
        let mut server = ServerProcess::spawn(launch).unwrap();
        assert_eq!(server.exit_status(PATIENCE).await.unwrap().code(), Some(2), "{key}={value}");
        let lines = server.lines().join("\n");
        assert!(lines.contains(said), "{key}={value}: {lines}");
        assert!(!key.starts_with("Management__K") || !lines.contains(value), "{lines}");
    }
    let launch = hubline();
    let url = format!("http://localhost:{}", launch.port());
    let mut server = ServerProcess::spawn(launch.env("Management__Urls", url)).unwrap();
    assert_eq!(server.exit_status(PATIENCE).await.unwrap().code(), Some(2));
    let lines = server.lines().join("\n");
    assert!(lines.contains("everybody would see") && lines.contains("another port"), "{lines}");
}

#[tokio::test]
async fn many_scrapes_at_once_take_one_thread() {
    let (_server, port) = started(hubline()).await;
    let threads = |page: &str| -> usize {
        let line = page.lines().find_map(|line| line.strip_prefix("process_threads ")).unwrap();
        line.parse().unwrap()
    };
    let before = threads(&get(port, "/metrics", "").await.1);
    let mut scrapes = Vec::new();
    for _ in 0..500 {
        scrapes.push(send(port, "GET /metrics", "Connection: close\r\n").await);
    }
    for scrape in &mut scrapes {
        let mut page = String::new();
        scrape.read_to_string(&mut page).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 200") && threads(&page) <= before + 3, "{before} before: {page}");
    }
}

#[tokio::test]
async fn a_poll_waits_as_long_as_a_proxy_lets_it() {
    let (_server, port) = started(hubline().env("SignalR__LongPolling__PollTimeout", "1")).await;
    let (_, negotiated) = ask(port, "POST /chathub/negotiate?negotiateVersion=1", "").await;
    let (_, token) = negotiated.split_once(r#""connectionToken":""#).unwrap();
    let poll = format!("/chathub?id={}", token.split('"').next().unwrap());
    assert_eq!(get(port, &poll, "").await, (200, String::new()), "the first is answered at once");
    // Without the setting it would be answered after 15 s, with a Close for want of a handshake.
    assert_eq!(get(port, &poll, "").await, (200, String::new()), "and this one because its time is over");
    for wrong in ["0", "00:01:40", "soon"] {
        let mut server =
            ServerProcess::spawn(hubline().env("SignalR__LongPolling__PollTimeout", wrong)).unwrap();
        assert_eq!(server.exit_status(PATIENCE).await.unwrap().code(), Some(2), "{wrong}");
        assert!(server.lines().join("\n").contains("less than 100 s"), "{wrong}");
    }
}
