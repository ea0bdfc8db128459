//! A client against a server of a few lines that says what each test wants.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

/// Answers the requests of all connections with what `answer` says to a request's head; `None` closes.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> Option<Vec<u8>> + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, answer.clone(), Arc::clone(&seen)));
            }
        });
        Self { url, requests, _tasks: tasks }
    }

    async fn connect(&self, path: &str, options: ConnectOptions) -> Result<Client, ConnectError> {
        let network = Arc::new(Network::new(NetworkOptions::default()).unwrap());
        let url = format!("{}{path}", self.url).parse().unwrap();
        Client::connect(&url, &network, &Arc::new(options)).await.map(|(client, _)| client)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

async fn serve(
    mut socket: TcpStream,
    answer: impl Fn(&str) -> Option<Vec<u8>>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut bytes = Vec::new();
    while socket.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        if !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            continue;
        }
        let head = String::from_utf8_lossy(&std::mem::take(&mut bytes)).into_owned();
        let said = answer(&head);
        seen.lock().push(head);
        match said {
            Some(said) => socket.write_all(&said).await.unwrap(),
            None => return,
        }
    }
}

fn ok(body: &str) -> Option<Vec<u8>> {
    Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn upgraded(frames: &[u8]) -> Option<Vec<u8>> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        request::ACCEPT
    );
    Some([head.as_bytes(), frames].concat())
}

fn frame(text: &str) -> Vec<u8> {
    [&[0x81, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn skipping() -> ConnectOptions {
    ConnectOptions { skip_negotiation: true, ..ConnectOptions::default() }
}

#[tokio::test]
async fn a_redirect_leads_to_another_server_with_another_token() {
    let service = Server::start(|head| match head {
        head if head.starts_with("POST /client/negotiate?hub=chat&asrs=1&negotiateVersion=1 ") => {
            ok(r#"{"negotiateVersion":1,"connectionId":"i","connectionToken":"t",
                "availableTransports":[{"transport":"WebSockets","transferFormats":["Text","Binary"]}]}"#)
        }
        _ => upgraded(&frame("{}\u{1e}")),
    })
    .await;
    let redirect = format!(r#"{{"url":"{}/client/?hub=chat&asrs=1","accessToken":"theirs"}}"#, service.url);
    let app = Server::start(move |_| ok(&redirect)).await;
    let options = ConnectOptions { token: Some("mine".to_owned()), ..ConnectOptions::default() };
    let client = app.connect("/chat?tenant=7", options).await.unwrap();
    assert_eq!(client.id(), Some("i"));
    let asked = &app.requests()[0];
    assert!(asked.starts_with("POST /chat/negotiate?tenant=7&negotiateVersion=1 "), "{asked}");
    assert!(asked.contains("Authorization: Bearer mine\r\n"), "{asked}");
    let [negotiated, opened] = &service.requests()[..] else { panic!("{:?}", service.requests()) };
    assert!(negotiated.contains("Authorization: Bearer theirs\r\n"), "{negotiated}");
    assert!(
        opened.starts_with("GET /client/?hub=chat&asrs=1&id=t&access_token=theirs HTTP/1.1\r\n"),
        "{opened}"
    );
    assert!(!opened.contains("Authorization"), "{opened}");
}

#[tokio::test]
async fn redirects_have_an_end_and_stay_on_this_machine() {
    let again = Server::start(|head| {
        let host = head.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap();
        ok(&format!(r#"{{"url":"http://{host}/again"}}"#))
    })
    .await;
    let endless = again.connect("/hub", ConnectOptions::default()).await.unwrap_err();
    assert_eq!(endless.detail, "Negotiate redirection limit exceeded.");
    assert_eq!(again.requests().len(), 101);
    let away = Server::start(|_| ok(r#"{"url":"http://192.0.2.1/hub"}"#)).await;
    let refused = away.connect("/hub", ConnectOptions::default()).await.unwrap_err();
    assert!(refused.detail.contains("--allow-remote"), "{refused}");
}

#[tokio::test]
async fn what_fails_says_where_with_what_and_what_helps() {
    let refused = Server::start(|_| {
        let body = "Too many connections from this address";
        Some(format!("HTTP/1.1 429 No\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    })
    .await;
    for (options, phase) in
        [(ConnectOptions::default(), ConnectPhase::Negotiate), (skipping(), ConnectPhase::Upgrade)]
    {
        let error = refused.connect("/hub", options).await.unwrap_err();
        assert_eq!((error.phase, error.status), (phase, Some(429)));
        assert_eq!(error.detail, "Too many connections from this address");
        assert!(error.cure().unwrap().contains("Limits:ConnectionsPerAddress"));
    }
    let silent = Server::start(|_| None).await;
    let error = silent.connect("/hub", skipping()).await.unwrap_err();
    assert_eq!(error.phase, ConnectPhase::Upgrade);
    let shaken =
        Server::start(|_| upgraded(&frame("{\"error\":\"The protocol 'x' is not supported.\"}\u{1e}"))).await;
    let error = shaken.connect("/hub", skipping()).await.unwrap_err();
    assert_eq!(error.phase, ConnectPhase::Handshake);
    assert!(error.detail.ends_with("The protocol 'x' is not supported."), "{error}");
    let stranger = Server::start(|_| ok("<html><title>Welcome</title></html>")).await;
    let error = stranger.connect("/hub", ConnectOptions::default()).await.unwrap_err();
    assert!(error.detail.contains("Welcome"), "{error}");
}

#[tokio::test]
async fn what_comes_behind_the_handshake_is_not_lost() {
    let told = "{}\u{1e}{\"type\":1,\"target\":\"Hello\",\"arguments\":[7]}\u{1e}";
    let closing = frame("{\"type\":7,\"error\":\"over\",\"allowReconnect\":true}\u{1e}");
    let server = Server::start(move |_| upgraded(&[frame(told), closing.clone()].concat())).await;
    let mut client = server.connect("/hub", skipping()).await.unwrap();
    let Event::Invocation { target, arguments, .. } = client.next_event().await else { panic!("no event") };
    assert_eq!((target.as_str(), arguments), ("Hello", vec![json!(7)]));
    let over = Disconnected::ByServer { error: Some("over".to_owned()), allow_reconnect: true };
    assert_eq!(client.next_event().await, Event::Disconnected(over.clone()));
    let call = client.invoke("Any", &[Value::Null], Duration::from_secs(30)).await;
    assert_eq!(call, Err(CallError::Disconnected(over)));
    assert!(!client.reconnect().await.unwrap().0);
}
