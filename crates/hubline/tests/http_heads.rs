//! Heads of requests that Kestrel refuses, over real sockets: 400 without a body, then the connection ends.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use hubline::{Hub, Server, Workers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const NEGOTIATE: &str = "/hub/negotiate?negotiateVersion=1";
const END: &str = "GET /end HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n";

async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Server::new().add_hub(Hub::new("Test")).map("/hub");
    tokio::spawn(hubline::serve(listener, app, CancellationToken::new()));
    address
}

fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: hub\r\n{headers}\r\n{body}")
}

/// What a server answers to these bytes until it closes the connection.
async fn ask(address: SocketAddr, sent: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}

#[track_caller]
fn assert_refused(answer: &str, sent: &str) {
    assert_eq!(statuses(answer), ["400"], "{sent}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.contains("content-length: 0") && head.contains("connection: close"), "{sent}: {head}");
    assert!(!head.contains("content-type") && body.is_empty(), "{sent}: {answer}");
}

#[tokio::test]
async fn a_number_sign_in_a_target_is_refused() {
    let address = start().await;
    for target in [
        "/hub/negotiate#x",
        "/hub/negotiate?negotiateVersion=1#x",
        "/hub/negotiate?negotiateVersion=1&a=#",
        "/#/hub/negotiate",
        "#/hub/negotiate",
        "http://hub/hub/negotiate#x",
        "/nowhere#",
        "*#",
    ] {
        for sent in [
            request("POST", target, "Content-Length: 0\r\n", ""),
            request("POST", target, "Content-Length: 5\r\n", "hello"),
            request("POST", target, "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            request("GET", target, "Connection: Upgrade\r\nUpgrade: websocket\r\n", ""),
            request("POST", target, "Content-Length: 0\r\n", "") + END,
        ] {
            assert_refused(&ask(address, &sent).await, &sent);
        }
    }
    let sent = format!("POST {NEGOTIATE}# HTTP/1.0\r\n\r\n");
    assert!(ask(address, &sent).await.contains(" 400 Bad Request\r\n"), "{sent}");
}

#[tokio::test]
async fn a_number_sign_elsewhere_is_text() {
    let address = start().await;
    let body = "GET /x#y HTTP/1.1\r\nHost: hub\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", body.len());
    for (sent, status) in [
        (request("POST", &format!("{NEGOTIATE}&a=%23"), "Content-Length: 0\r\n", ""), "200"),
        (request("POST", "/hub/negotiate%23", "Content-Length: 0\r\n", ""), "404"),
        (request("POST", NEGOTIATE, "Content-Length: 0\r\nReferer: http://hub/#x\r\n", ""), "200"),
        (request("POST", NEGOTIATE, &length, body), "200"),
        (request("GET#", NEGOTIATE, "", ""), "405"),
    ] {
        assert_eq!(statuses(&ask(address, &(sent.clone() + END)).await), [status, "404"], "{sent}");
    }
}

#[tokio::test]
async fn requests_before_the_refused_one_are_answered() {
    let address = start().await;
    let negotiate = request("POST", NEGOTIATE, "Content-Length: 0\r\n", "");
    let decoy = request("POST", NEGOTIATE, "Content-Length: 17\r\n", "GET /x#y HTTP/1.1");
    let refused = request("POST", "/hub/negotiate#x", "Content-Length: 0\r\n", "");
    let sent = [&*negotiate, &decoy, "\r\n", &negotiate, &refused, &negotiate].concat();
    assert_eq!(statuses(&ask(address, &sent).await), ["200", "200", "200", "400"]);
}

#[tokio::test]
async fn workers_refuse_what_serve_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let workers = Workers::start_many(NonZeroUsize::MIN).unwrap();
    let app = Server::new().add_hub(Hub::new("Test")).map("/hub");
    let serving = workers.serve(listener, app, CancellationToken::new());
    let sent = request("POST", "/hub/negotiate#x", "Content-Length: 0\r\n", "");
    tokio::select! {
        answer = ask(address, &sent) => assert_refused(&answer, &sent),
        served = serving => panic!("{served:?}"),
    }
}

#[tokio::test]
async fn a_content_length_has_digits_only() {
    let address = start().await;
    for length in
        ["+0", "-0", "+2", "0x0", "0, 0", "0,0", "", "none", "1e0", "18446744073709551616", "\r\n 0"]
    {
        for method in ["POST", "GET"] {
            let sent = request(method, NEGOTIATE, &format!("Content-Length: {length}\r\n"), "");
            assert_refused(&ask(address, &sent).await, &sent);
        }
    }
    for length in ["0", "00", " 0", "0 ", "\t0\t"] {
        let sent = request("POST", NEGOTIATE, &format!("Content-Length: {length}\r\n"), "") + END;
        assert_eq!(statuses(&ask(address, &sent).await), ["200", "404"], "{length:?}");
    }
}

#[tokio::test]
async fn a_request_has_one_valid_host() {
    let address = start().await;
    let negotiate = |target: &str, version: &str, hosts: &[&str]| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        format!("POST {target} HTTP/{version}\r\n{hosts}Content-Length: 0\r\n\r\n")
    };
    let absolute = format!("http://hub:5000{NEGOTIATE}");
    for hosts in
        [&[][..], &["hub", "hub"], &["hub", "other"], &["hub, other"], &["hub:"], &["user@hub"], &["<b>"]]
    {
        let sent = negotiate(NEGOTIATE, "1.1", hosts) + END;
        assert_refused(&ask(address, &sent).await, &sent);
    }
    let sent = negotiate(&absolute, "1.1", &["hub"]) + END;
    assert_refused(&ask(address, &sent).await, &sent);
    for (target, hosts) in
        [(NEGOTIATE, ""), (NEGOTIATE, "hub"), (NEGOTIATE, "[::1]:5000"), (&absolute, "HUB:5000")]
    {
        let sent = negotiate(target, "1.1", &[hosts]) + END;
        assert_eq!(statuses(&ask(address, &sent).await), ["200", "404"], "{sent}");
    }
    for (hosts, status) in [(&[][..], "200 OK"), (&["hub"], "200 OK"), (&["hub", "hub"], "400 Bad Request")] {
        let sent = negotiate(NEGOTIATE, "1.0", hosts);
        let answer = ask(address, &sent).await;
        assert!(answer.starts_with(&format!("HTTP/1.0 {status}\r\n")), "{sent}: {answer}");
    }
}
