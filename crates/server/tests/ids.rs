//! Ids that are secrets: those of clients that negotiate with version 0, or not at all.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod client;
mod request;

use std::time::Duration;

use hubline_testkit::{Launch, ServerProcess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use request::ask;

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

async fn started(settings: &[(&str, &str)]) -> (ServerProcess, u16) {
    let mut launch = Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve").arg("--dev");
    for (name, value) in settings {
        launch = launch.env(*name, *value);
    }
    let port = launch.port();
    (ServerProcess::start(launch).await.unwrap(), port)
}

async fn invoke(socket: &mut TcpStream, method: &str, arguments: &[&str]) {
    let arguments = serde_json::to_string(arguments).unwrap();
    let text = format!("{{\"type\":1,\"target\":\"{method}\",\"arguments\":{arguments}}}\x1e");
    let size = u8::try_from(text.len()).unwrap();
    assert!(size < 126, "{text}");
    let mut frame = vec![0x81, 0x80 | size, 0, 0, 0, 0];
    frame.extend(text.into_bytes());
    socket.write_all(&frame).await.unwrap();
}

/// The arguments of the next call of this method.
async fn called(socket: &mut TcpStream, method: &str) -> Vec<String> {
    let start = format!("{{\"type\":1,\"target\":\"{method}\"");
    let mut received = Vec::new();
    loop {
        received.push(timeout(PATIENCE, socket.read_u8()).await.unwrap().unwrap());
        let text = String::from_utf8_lossy(&received);
        if let Some((_, call)) = text.split_once(&start)
            && let Some((rest, _)) = call.split_once('\x1e')
        {
            let call: serde_json::Value = serde_json::from_str(&format!("{start}{rest}")).unwrap();
            return serde_json::from_value(call["arguments"].clone()).unwrap();
        }
    }
}

async fn negotiated(port: u16, version: &str) -> serde_json::Value {
    let (_, body) = ask(port, &format!("POST /chathub/negotiate{version}"), "").await;
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn the_chat_shows_no_secret_id_and_answers_reach_who_is_shown() {
    let (_server, port) = started(&[]).await;
    let version_0 = negotiated(port, "").await["connectionId"].as_str().unwrap().to_owned();
    let version_1 = negotiated(port, "?negotiateVersion=1").await;
    let path = |token: &str| format!("/chathub?id={token}");
    let mut old = client::connect(port, &path(&version_0)).await;
    let mut new = client::connect(port, &path(version_1["connectionToken"].as_str().unwrap())).await;
    let mut unnegotiated = client::connect(port, "/chathub").await;
    let mut reader = client::connect(port, "/chathub").await;
    invoke(&mut reader, "JoinRoom", &["r"]).await;
    // Who is in the room sees it; a client is in it when it hears itself.
    invoke(&mut reader, "SendToRoom", &["r", "ready"]).await;
    called(&mut reader, "ReceiveRoomMessage").await;

    let mut names = Vec::new();
    for socket in [&mut old, &mut new, &mut unnegotiated] {
        invoke(socket, "JoinRoom", &["r"]).await;
        for _ in 0..2 {
            invoke(socket, "SendToRoom", &["r", "hello"]).await;
            names.push(called(&mut reader, "ReceiveRoomMessage").await.remove(0));
        }
        let name = names.last().unwrap().clone();
        invoke(&mut reader, "SendMessage", &[&name, "to you"]).await;
        assert_eq!(called(socket, "ReceiveMessage").await[1], "to you");
    }
    assert!(names.iter().all(|name| name.len() == 22), "{names:?}");
    assert!(
        names.chunks(2).all(|twice| twice[0] == twice[1]),
        "a name lasts as long as its connection: {names:?}"
    );
    assert_ne!(names[0], version_0);
    assert_eq!(names[2], version_1["connectionId"].as_str().unwrap());
    // With the name nobody gets in, with the id its client does.
    for name in [&names[0], &names[4]] {
        let (head, _) = ask(port, &format!("GET {}", path(name)), "").await;
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    }
}

#[tokio::test]
async fn version_0_can_be_refused_and_unnegotiated_web_sockets_stay_as_with_asp_net_core() {
    let (_server, port) = started(&[("SignalR__MinimumProtocolVersion", "1")]).await;
    let refused = negotiated(port, "").await;
    let expected = "The client requested version '0', but the server does not support this version.";
    assert_eq!(refused, serde_json::json!({ "error": expected }));
    assert!(negotiated(port, "?negotiateVersion=1").await["connectionToken"].is_string());
    client::connect(port, "/chathub").await;
}
