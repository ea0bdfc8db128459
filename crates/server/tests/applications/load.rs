//! `hubline load`, as people run it, against this server.

use std::process::{Output, Stdio};
use std::time::Duration;

use hubline_testkit::{Certificates, Launch, ServerProcess};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(90);
const JWT_KEY: &str = "a-key-for-tokens-that-is-long-enough-0123456789";
const STATES: &str = "/hubs/navigation-state";

fn launch(settings: &[(&str, &str)]) -> Launch {
    let launch = Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve");
    settings.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubline"));
    command.arg("load").args(arguments).kill_on_drop(true);
    command
}

/// Exit code, report and what was said besides.
async fn load(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let arguments = [arguments, &["--json", "-"]].concat();
    let output = timeout(PATIENCE, command(&arguments).output()).await.unwrap().unwrap();
    let Output { status, stdout, stderr } = output;
    let said = String::from_utf8(stderr).unwrap();
    let report = serde_json::from_slice(&stdout).unwrap_or(Value::Null);
    (status.code(), report, said)
}

fn sum(report: &Value, name: &str) -> u64 {
    report["steps"].as_array().unwrap().iter().map(|step| step[name].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn the_users_call_works_over_a_ramp_and_in_several_processes() {
    let server = ServerProcess::start(launch(&[])).await.unwrap();
    let url = server.url() + STATES;
    let ramp = ["--url", &url, "--ramp", "5,20", "--duration", "1", "--interval", "100", "--settle", "1"];
    for processes in ["1", "2"] {
        let arguments =
            [&ramp[..], &["--processes", processes, "--fail-on", "lost>0,connected<100%"]].concat();
        let (code, report, said) = load(&arguments).await;
        assert_eq!(code, Some(0), "{said}");
        let steps = report["steps"].as_array().unwrap();
        assert_eq!(steps.iter().map(|step| step["connected"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 20]);
        // Ten calls of each in a second, give or take those at the edges of the step.
        assert!((200..=260).contains(&sum(&report, "sent")), "{said}");
        assert_eq!(sum(&report, "calls"), sum(&report, "sent"));
        assert!(report["verdict"]["proves"].as_str().unwrap().contains("Navigation states"), "{report:#}");
    }
}

#[tokio::test]
async fn messages_of_rooms_are_proved_over_every_transport_and_protocol() {
    let certificates = Certificates::new(&["localhost"]).unwrap();
    let launch = launch(&[("Jwt__Key", JWT_KEY)])
        .env("Kestrel__Certificates__Default__Path", certificates.certificate())
        .env("Kestrel__Certificates__Default__KeyPath", certificates.key())
        .with_https();
    let https = launch.https_port().unwrap();
    let server = ServerProcess::start(launch).await.unwrap();
    let scenario = tempfile::NamedTempFile::new().unwrap();
    let roles: String = [
        ("ws", "json", ""),
        ("ws", "messagepack", "skip-negotiation = true"),
        ("sse", "json", ""),
        ("lp", "json", ""),
        ("lp", "messagepack", ""),
        ("auto", "messagepack", "TLS"),
    ]
    .into_iter()
    .map(|(transport, protocol, more)| {
        let more = if more == "TLS" { format!("url = \"https://localhost:{https}/chathub\"") } else { more.to_owned() };
        format!("[[role]]\nname = \"{transport} {protocol} {}\"\ntransport = \"{transport}\"\nprotocol = \"{protocol}\"\n{more}\n", more.len())
    })
    .collect();
    let text = format!(
        "[all]\nurl = \"{}/chathub\"\njwt-key = \"{JWT_KEY}\"\njoin = \"JoinRoom\"\ngroups = 2\nmethod = \"SendToRoom\"\n\
         args = [\"{{group}}\", \"{{stamp}}\"]\nevent = \"ReceiveRoomMessage\"\naudience = \"group\"\ninterval = 200\n{roles}",
        server.url()
    );
    std::fs::write(&scenario, text).unwrap();
    let (file, ca) = (scenario.path().to_str().unwrap(), certificates.authority());
    let arguments =
        ["--scenario", file, "--ca", ca.to_str().unwrap(), "--connections", "24", "--duration", "2"];
    let (code, report, said) = load(&arguments).await;
    assert_eq!(code, Some(0), "{said}");
    let verdict = &report["verdict"];
    let sent = sum(&report, "sent");
    assert!((200..=250).contains(&sent), "{said}");
    // Each message goes to the twelve in its room.
    assert_eq!(verdict["expected"].as_u64(), Some(sent * 12), "{verdict:#}");
    for found in ["lost", "doubled", "out_of_order", "foreign"] {
        assert_eq!(verdict[found], 0, "{found}: {verdict:#}");
    }
    let hidden = format!("{report}{said}");
    assert!(!hidden.contains(JWT_KEY) && !hidden.contains("eyJ"), "{hidden}");
}

#[tokio::test]
async fn cut_connections_come_back_and_resumed_ones_lose_nothing() {
    let server =
        ServerProcess::start(launch(&[("Jwt__Key", JWT_KEY), ("SignalR__AllowStatefulReconnects", "true")]))
            .await
            .unwrap();
    let url = server.url() + "/chathub";
    let rooms = [
        "--url",
        &url,
        "--jwt-key",
        JWT_KEY,
        "--join",
        "JoinRoom",
        "--method",
        "SendToRoom",
        "--args",
        "[\"{group}\",\"{stamp}\"]",
        "--event",
        "ReceiveRoomMessage",
        "--audience",
        "group",
        "--connections",
        "10",
        "--interval",
        "100",
        "--duration",
        "3",
    ];
    let (code, report, said) = load(&[&rooms[..], &["--drop", "50%/s", "--storm"]].concat()).await;
    assert_eq!(code, Some(0), "what is lost while a connection is away is the fault's: {said}");
    assert!(sum(&report, "reconnects") >= 20, "{said}");
    let names: Vec<_> = report["faults"].as_array().unwrap().iter().map(|fault| &fault["name"]).collect();
    assert_eq!(names, ["drop", "storm"]);
    let (code, report, said) = load(&[&rooms[..], &["--stateful", "--drop", "50%/s"]].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    let fault = &report["faults"][0];
    assert!(fault["name"] == "stateful" && fault["count"].as_u64() > Some(5), "{fault:#}");
    for found in ["lost", "doubled", "out_of_order", "foreign"] {
        assert_eq!(report["verdict"][found], 0, "{found}: {said}");
    }
}

#[tokio::test]
async fn exit_codes_and_errors_tell_what_is_wrong_and_what_helps() {
    let server = ServerProcess::start(launch(&[("Limits__ConnectionsPerAddress", "3")])).await.unwrap();
    let url = server.url() + STATES;
    let short = ["--connections", "5", "--duration", "0.3", "--settle", "0.5"];
    let (code, report, said) = load(&[&["--url", &url], &short[..]].concat()).await;
    assert_eq!(code, Some(1), "two of five have no connection: {said}");
    let error = &report["errors"][0];
    assert_eq!(error["count"], 2, "{report:#}");
    assert!(error["cure"].as_str().unwrap().contains("Limits:ConnectionsPerAddress"), "{error:#}");

    let broken = ["--url", &url, "--connections", "2", "--duration", "0.5", "--fail-on", "p50>1us"];
    assert_eq!(load(&broken).await.0, Some(1));

    let nobody =
        ["--url", "http://127.0.0.1:9/hub", "--connections", "2", "--duration", "0.3", "--settle", "0"];
    let (code, report, _) = load(&nobody).await;
    assert_eq!((code, report["errors"][0]["count"].as_u64()), (Some(2), Some(2)), "{report:#}");
    for (arguments, told) in [
        (&["--url", "http://192.0.2.1/hub"][..], "--allow-remote"),
        (&["--url", &url, "--connections", "900000"], "raise"),
        (&["--url", &url, "--interval", "100", "--method", ""], "--method"),
        (&["--url", &url, "--html", "/nowhere/report.html"], "cannot be written"),
        (&["--url", &url, "--max-memory", "1M"], "--max-memory"),
    ] {
        let (code, _, said) = load(arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn an_interrupted_run_gives_the_report_so_far() {
    let server = ServerProcess::start(launch(&[])).await.unwrap();
    let url = server.url() + STATES;
    let arguments =
        ["--url", &url, "--connections", "3", "--duration", "600", "--interval", "50", "--json", "-"];
    let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    timeout(PATIENCE, async { while !lines.next_line().await.unwrap().unwrap().contains("measuring") {} })
        .await
        .unwrap();
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    let mut text = String::new();
    let mut read = BufReader::new(child.stdout.take().unwrap());
    let ended = async {
        let saying = async { while let Ok(Some(_)) = lines.next_line().await {} };
        let (read, ()) = tokio::join!(read.read_to_string(&mut text), saying);
        read.unwrap();
        child.wait().await
    };
    let status = timeout(PATIENCE, ended).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["outcome"], sum(&report, "connected")), (&"interrupted".into(), 3));
}
