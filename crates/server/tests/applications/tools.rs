//! `hubline ping`, `hubline send` and `hubline listen`, as people run them.

use std::process::{Output, Stdio};
use std::time::Duration;

use hubline_testkit::{Launch, ServerProcess};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

fn launch() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve").arg("--dev")
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubline"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Exit code, standard output, standard error.
async fn hubline(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        timeout(PATIENCE, command(arguments).output()).await.unwrap().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn ping_times_each_phase_over_every_transport() {
    let server = ServerProcess::start(launch()).await.unwrap();
    let url = format!("{}/hubs/navigation-state", server.url());
    for transport in ["ws", "sse", "lp"] {
        let (code, out, said) =
            hubline(&["ping", &url, "--count", "2", "--interval", "1", "--transport", transport]).await;
        assert_eq!((code, said.as_str()), (Some(0), ""), "{out}");
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].starts_with("  1  connected in ") && lines[1].starts_with("  2  "), "{out}");
        for phase in ["TCP ", "negotiate ", "handshake "] {
            assert!(lines[0].contains(phase), "{phase}: {out}");
        }
        assert!(lines[2].starts_with("2 of 2 connected; half of them within "), "{out}");
    }
    let arguments = ["ping", &url, "--count", "1", "--json", "--method", "RequestCurrentState"];
    let (code, out, _) = hubline(&arguments).await;
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0), "{out}");
    assert!(line["phases"]["first_call_micros"].as_u64().unwrap() > 0, "{line}");
}

#[tokio::test]
async fn ping_names_the_phase_that_failed_and_what_helps() {
    let server = ServerProcess::start(launch()).await.unwrap();
    let one = |url: String| async move { hubline(&["ping", &url, "--count", "1"]).await };
    let (code, out, said) = one(format!("{}/nothing-here", server.url())).await;
    assert_eq!((code, out.as_str()), (Some(1), "0 of 1 connected\n"));
    assert!(
        said.contains("failed: negotiate: answered 404") && said.contains("cure: no hub is there"),
        "{said}"
    );
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, _, said) = one(format!("http://127.0.0.1:{port}/chathub")).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("nobody listens there") && said.contains("cure: start the server"), "{said}");
    let (code, _, said) = one("http://192.0.2.1/chathub".to_owned()).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("--allow-remote"), "{said}");
    let (code, _, said) = hubline(&["ping", "localhost:5000/chathub"]).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("http://"), "{said}");
}

#[tokio::test]
async fn events_are_json_lines_in_a_pipe_and_a_call_that_fails_is_told() {
    let server = ServerProcess::start(launch()).await.unwrap();
    let states = format!("{}/hubs/navigation-state", server.url());
    let listen =
        ["listen", &states, "navigationstatechanged", "--count", "1", "--call", "RequestCurrentState"];
    for transport in ["ws", "sse", "lp"] {
        let (code, out, said) = hubline(&[&listen[..], &["--transport", transport]].concat()).await;
        assert_eq!((code, said), (Some(0), format!("connected to {states}\n")));
        let line: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(line["event"], "NavigationStateChanged", "{line}");
        assert_eq!(line["arguments"][0]["mappings"], json!([]), "{line}");
    }
    let (code, out, said) = hubline(&["listen", &states, "--call", "NoSuchMethod [1]"]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(said.contains("failed: NoSuchMethod: "), "{said}");
    let (code, _, said) = hubline(&["listen", &states, "--call", "SubscribeToModel gpt"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("arguments are a JSON array"), "{said}");
}

#[tokio::test]
async fn a_result_is_printed_and_a_servers_error_is_told() {
    let server = ServerProcess::start(launch()).await.unwrap();
    let states = format!("{}/hubs/navigation-state", server.url());
    for protocol in ["json", "messagepack"] {
        let (code, out, said) =
            hubline(&["send", &states, "RequestCurrentState", "--protocol", protocol]).await;
        assert_eq!((code, said.as_str()), (Some(0), ""));
        let state: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(state["mappings"], json!([]), "{state}");
    }
    let (code, out, said) = hubline(&["send", &states, "NoSuchMethod", "1"]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(said.starts_with("failed: NoSuchMethod: ") && said.contains("does not exist"), "{said}");
    let (code, _, said) = hubline(&["send", &states, "RequestCurrentState", "--stream"]).await;
    assert_eq!(code, Some(1), "{said}");
}

#[tokio::test]
async fn who_listens_comes_back_when_the_server_is_back() {
    let mut server = ServerProcess::start(launch()).await.unwrap();
    let states = format!("{}/hubs/navigation-state", server.url());
    let mut listening = command(&["listen", &states, "--call", "RequestCurrentState", "--count", "2"]);
    let mut listening = listening.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(listening.stderr.take().unwrap()).lines();
    let mut out = BufReader::new(listening.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, out.next_line()).await.unwrap().unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["event"], "NavigationStateChanged");
    let port = server.url().rsplit(':').next().unwrap().parse().unwrap();
    server.kill().await.unwrap();
    let _server = ServerProcess::start(launch().at(port)).await.unwrap();
    let line = timeout(PATIENCE, out.next_line()).await.unwrap().unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["event"], "NavigationStateChanged");
    let mut told = Vec::new();
    while let Some(line) = timeout(PATIENCE, said.next_line()).await.unwrap().unwrap() {
        told.push(line);
    }
    let connected = told.iter().filter(|line| line.starts_with("connected to ")).count();
    assert!(connected == 2 && told.iter().any(|line| line.starts_with("reconnecting: ")), "{told:?}");
    assert_eq!(timeout(PATIENCE, listening.wait()).await.unwrap().unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_help_fits_a_terminal_and_there_is_a_manual_page() {
    for tool in ["ping", "send", "listen"] {
        for help in ["-h", "--help"] {
            let (code, out, _) = hubline(&[tool, help]).await;
            assert_eq!(code, Some(0));
            let wide: Vec<_> = out.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(wide.is_empty(), "{wide:?}");
        }
        let (code, page, _) = hubline(&["man", tool]).await;
        assert!(code == Some(0) && page.contains(".SH"), "{page}");
    }
}
