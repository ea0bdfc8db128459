//! `hubline check`, as people run it.

mod places;

use std::process::Output;
use std::time::Duration;

use hubline_testkit::{Certificates, Launch, RedisServer, ServerProcess};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "an-admin-key-that-nobody-guesses-0123456789";
const PREFIX: &str = "conduit_signalr:";

fn launch(redis: &RedisServer, settings: &[(&str, &str)]) -> Launch {
    let connection_string = format!("{},defaultDatabase=2", redis.connection_string());
    let launch = Launch::new(env!("CARGO_BIN_EXE_hubline"))
        .arg("serve")
        .env("ConnectionStrings__RedisSignalR", connection_string)
        .env("SignalR__ChannelPrefix", PREFIX)
        .env("Admin__ApiKey", KEY);
    settings.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

async fn hubline(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let running = Command::new(env!("CARGO_BIN_EXE_hubline"))
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(&directory)
        .kill_on_drop(true)
        .output();
    timeout(PATIENCE, running).await.unwrap().unwrap()
}

/// Exit code and report.
async fn check(urls: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, Value) {
    let arguments = [&["check", "--json", "--urls", urls][..], arguments].concat();
    let output = hubline(&arguments, variables).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(KEY), "{text}");
    let said = String::from_utf8_lossy(&output.stderr);
    (output.status.code(), serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{said}")))
}

/// The texts of what came of a step in this way.
fn texts<'a>(report: &'a Value, step: &str, outcome: &str) -> Vec<&'a str> {
    let steps = report["steps"].as_array().unwrap().iter();
    let of_step = steps.filter(|found| found["step"] == step && found["outcome"] == outcome);
    of_step.map(|found| found["text"].as_str().unwrap()).collect()
}

fn urls(servers: &[ServerProcess]) -> String {
    servers.iter().map(ServerProcess::url).collect::<Vec<_>>().join(";")
}

#[tokio::test]
async fn instances_of_one_fleet_pass_and_what_a_key_is_needed_for_is_named() {
    let redis = RedisServer::start().await.unwrap();
    let starting = (0..3).map(|_| ServerProcess::start(launch(&redis, &[])));
    let servers = futures_util::future::try_join_all(starting).await.unwrap();
    let (urls, redis) = (urls(&servers), redis.connection_string());
    let named = ["--redis", &redis];

    let (code, report) = check(&urls, &[&named[..], &["--strict"]].concat(), &[("Admin__ApiKey", KEY)]).await;
    assert_eq!((code, &report["failed"], &report["leftOut"]), (Some(0), &0.into(), &0.into()), "{report:#}");
    let [messages] = texts(&report, "Messages", "passed")[..] else { panic!("{report:#}") };
    assert!(messages.starts_with("81 of 81 messages arrived, between 3 addresses"), "{messages}");
    let [channels] = texts(&report, "Channels", "passed")[..] else { panic!("{report:#}") };
    assert!(
        channels.contains(PREFIX) && channels.contains("9 of 9") && channels.contains("3 instances"),
        "{channels}"
    );
    assert_eq!(texts(&report, "Health", "passed").len(), 3);

    // Without a key nothing has failed, and the steps that need one are left out.
    for (strict, expected) in [(&[][..], 0), (&["--strict"], 2)] {
        let (code, report) = check(&urls, &[&named[..], strict].concat(), &[]).await;
        assert_eq!((code, &report["failed"]), (Some(expected), &0.into()), "{report:#}");
        for step in ["Versions", "Clocks", "Configuration", "Messages", "Channels"] {
            assert_eq!(texts(&report, step, "leftOut").len(), 1, "{step}: {report:#}");
        }
    }
    let wrong = "a-key-of-nobody-0123456789012345678901";
    let (code, report) = check(&urls, &[&named[..], &["--admin-key", wrong]].concat(), &[]).await;
    assert_eq!(code, Some(1));
    assert!(
        texts(&report, "Instances", "failed")[0].contains("no admin key")
            && !report.to_string().contains(wrong)
    );
}

/// One instance is on another Redis, and one is configured otherwise.
#[tokio::test]
async fn half_a_fleet_is_told_by_name_and_no_secret_is_shown() {
    let (redis, other) = (RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap());
    let secrets = ["a secret of the first that has 32 bytes", "a secret of the other that has 32 bytes"];
    let jwt = |secret: &'static str| ("Jwt__Key", secret);
    let launches = [
        launch(&redis, &[jwt(secrets[0]), ("Logging__LogLevel__Default", "Debug")]),
        launch(&redis, &[jwt(secrets[1]), ("Chat__MaximumMessageLength", "100")]),
        launch(&other, &[jwt(secrets[0])]),
    ];
    let servers = futures_util::future::try_join_all(launches.map(ServerProcess::start)).await.unwrap();
    let [first, second, third] = [0, 1, 2].map(|server: usize| servers[server].url());
    let redis = redis.connection_string();
    let arguments = ["--redis", &redis, "--admin-key", KEY];

    let (code, report) = check(&format!("{first};{second}"), &arguments, &[]).await;
    assert_eq!(code, Some(1), "{report:#}");
    let differing = texts(&report, "Configuration", "failed");
    let names: Vec<_> = differing.iter().map(|text| text.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["Chat:MaximumMessageLength", "Jwt:Key"], "{report:#}");
    assert!(differing[0].contains(&first) && differing[0].contains(&second), "{report:#}");
    assert!(secrets.iter().all(|secret| !report.to_string().contains(secret)), "{report:#}");
    assert_eq!(texts(&report, "Messages", "passed").len(), 1, "they hear each other: {report:#}");

    let (code, report) = check(&format!("{first};{third}"), &arguments, &[]).await;
    assert_eq!(code, Some(1), "{report:#}");
    let [messages] = texts(&report, "Messages", "failed")[..] else { panic!("{report:#}") };
    for way in [format!("all from {first} to {third}"), format!("all from {third} to {first}")] {
        assert!(messages.contains(&way), "{messages}");
    }
    assert!(messages.starts_with("18 of 36 messages arrived"), "{messages}");
    let [channels] = texts(&report, "Channels", "failed")[..] else { panic!("{report:#}") };
    assert!(channels.starts_with("3 of 6 messages"), "{channels}");
    assert!(
        texts(&report, "Configuration", "failed")[0].contains("do not share their keys on Redis"),
        "{report:#}"
    );

    // Nobody is there, and the Redis that is named is gone.
    let gone = format!("http://127.0.0.1:{}", hubline_testkit::free_port());
    let (code, report) = check(&gone, &["--redis", "127.0.0.1:1,connectTimeout=500"], &[]).await;
    assert_eq!((code, &report["failed"]), (Some(1), &2.into()), "{report:#}");
    assert!(texts(&report, "Health", "failed")[0].contains("Connection refused"), "{report:#}");
}

#[tokio::test]
async fn the_instance_of_this_machine_says_in_one_line_whether_it_is_ready() {
    let port = hubline_testkit::free_port();
    let address = format!("http://+:{port}");
    let asked = || async {
        let variables = [("ASPNETCORE_URLS", &*address), ("AllowedHosts", "*.example.org")];
        let output = hubline(&["check", "--self"], &variables).await;
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, line) = asked().await;
    assert!(code == Some(1) && line.starts_with("✗ ") && line.contains("refused"), "{line}");

    let launch = |redis: &str| {
        let launch = Launch::new(env!("CARGO_BIN_EXE_hubline")).at(port).arg("serve");
        launch.env("AllowedHosts", "*.example.org").env("ConnectionStrings__RedisSignalR", redis)
    };
    // It was never reached, so nobody is to come.
    let server = ServerProcess::spawn(launch("127.0.0.1:1")).unwrap();
    server.line_with("in environment Production").await.unwrap();
    let (code, line) = asked().await;
    assert!(code == Some(1) && line.contains("answers 503") && line.contains("Redis"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    drop(server);

    let server = ServerProcess::spawn(launch("")).unwrap();
    server.line_with("in environment Production").await.unwrap();
    let (code, line) = asked().await;
    assert_eq!((code, line), (Some(0), format!("✓ http://127.0.0.1:{port} is ready\n")));

    // Over TLS, whatever name the certificate is for.
    let certificates = Certificates::new(&["chat.example.org"]).unwrap();
    let files =
        [certificates.certificate(), certificates.key()].map(|file| file.to_str().unwrap().to_owned());
    let tls = [
        ("Kestrel__Certificates__Default__Path", files[0].as_str()),
        ("Kestrel__Certificates__Default__KeyPath", files[1].as_str()),
    ];
    let launch = Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve").with_https();
    let https = format!("https://+:{}", launch.https_port().unwrap());
    let secure =
        ServerProcess::spawn(tls.iter().fold(launch, |launch, (name, value)| launch.env(name, value)))
            .unwrap();
    secure.line_with("in environment Production").await.unwrap();
    let variables = [&[("ASPNETCORE_URLS", &*https)][..], &tls].concat();
    let output = hubline(&["check", "--self"], &variables).await;
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && line.starts_with("✓ https://127.0.0.1:"), "{line}");

    // What the hub of checks is for is off without a key.
    for path in ["/hubline/check/instance", "/hubline/check/negotiate?negotiateVersion=1"] {
        let url = format!("{}{path}", server.url());
        let request = if path.contains("negotiate") { "POST" } else { "GET" };
        let output =
            Command::new("curl").args(["-s", "-X", request, "-H", "Host: a.example.org", &url]).output();
        let answer = String::from_utf8(output.await.unwrap().stdout).unwrap();
        assert!(answer.contains("\"status\":403") && answer.contains("Admin__ApiKey"), "{answer}");
    }
}

#[tokio::test]
async fn what_cannot_be_checked_is_refused_with_what_would_be_right() {
    for (arguments, says) in [
        (&["check"][..], "--urls"),
        (&["check", "--urls", "localhost:5000"], "expected http://host:port"),
        (&["check", "--urls", ";"], "names no address"),
        (&["check", "--urls", "http://a", "--redis", "redis,pasword=x"], "there is a mistake"),
        (&["check", "--self", "--strict"], "cannot be used with"),
        (&["man", "serv"], "there are serve"),
    ] {
        let output = hubline(arguments, &[]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(says), "{arguments:?}: {said}");
    }
    let commands = ["check", "serve", "config", "migrate", "drain", "completions", "man"];
    let helps = commands.iter().flat_map(|command| [vec![*command, "-h"], vec![*command, "--help"]]);
    for arguments in helps.chain([vec!["-h"], vec!["--help"]]) {
        let arguments = &arguments[..];
        let text = String::from_utf8(hubline(arguments, &[]).await.stdout).unwrap();
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty() && !text.is_empty(), "{arguments:?}: {wide:?}");
    }
    for (arguments, says) in [(&["completions", "bash"][..], "complete -F"), (&["man", "check"], ".TH")] {
        let output = hubline(arguments, &[]).await;
        assert!(
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains(says),
            "{arguments:?}"
        );
    }
}
