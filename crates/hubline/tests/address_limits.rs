//! Limits of what one address has and does, over real sockets.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use std::net::SocketAddr;

use hubline::{AddressLimits, Caller, ForwardedHeaders, HttpOptions, Hub, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const CLIENT: &str = "203.0.113.7";

struct Running {
    address: SocketAddr,
    server: Server,
}

async fn start(limits: AddressLimits) -> Running {
    let server = Server::builder().address_limits(limits).build();
    let hub = Hub::new("Test").method("Address", async |caller: Caller| {
        caller.info().remote_address.map(|address| address.to_string())
    });
    let app = server.add_hub(hub).map("/hub");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = HttpOptions::default().forwarded_headers(ForwardedHeaders::default());
    tokio::spawn(hubline::serve_with(listener, app, CancellationToken::new(), options));
    Running { address, server }
}

impl Running {
    /// Sends a request of a client at this address, and returns its answer as far as it was read.
    async fn send(&self, client: &str, request: &str, headers: &str) -> (TcpStream, String) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("{request} HTTP/1.1\r\nHost: hub\r\nX-Forwarded-For: {client}\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        (socket, String::from_utf8(head).unwrap())
    }

    async fn negotiate(&self, client: &str) -> String {
        let request = "POST /hub/negotiate?negotiateVersion=1";
        let (mut socket, head) =
            self.send(client, request, "Content-Length: 0\r\nConnection: close\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut body = String::new();
        socket.read_to_string(&mut body).await.unwrap();
        let (_, token) = body.split_once("\"connectionToken\":\"").unwrap();
        token.split('"').next().unwrap().to_owned()
    }

    /// Opens a connection, or is refused.
    async fn open(&self, client: &str, transport: Transport) -> Result<TcpStream, String> {
        let token = self.negotiate(client).await;
        let headers = match transport {
            Transport::WebSockets => WEB_SOCKET,
            Transport::ServerSentEvents => "Accept: text/event-stream\r\n",
            Transport::LongPolling => "",
        };
        let (socket, head) = self.send(client, &format!("GET /hub?id={token}"), headers).await;
        if head.starts_with("HTTP/1.1 101") || head.starts_with("HTTP/1.1 200") {
            Ok(socket)
        } else {
            Err(head)
        }
    }

    async fn all_have_gone(&self) {
        loop {
            let now = self.server.statistics().connections;
            if now.web_sockets.active + now.server_sent_events.active + now.long_polling.active == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

const WEB_SOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[derive(Debug, Clone, Copy)]
enum Transport {
    WebSockets,
    ServerSentEvents,
    LongPolling,
}

#[track_caller]
fn assert_over_limit(head: &str) {
    assert!(head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{head}");
    assert!(head.contains("\r\nretry-after: "), "{head}");
}

#[tokio::test]
async fn connections_of_an_address_are_counted_over_all_transports() {
    let running = start(AddressLimits::default().connections(2)).await;
    for transport in [Transport::WebSockets, Transport::ServerSentEvents, Transport::LongPolling] {
        let first = running.open(CLIENT, transport).await.unwrap();
        let second = running.open(CLIENT, Transport::WebSockets).await.unwrap();
        for another in [Transport::WebSockets, Transport::ServerSentEvents, Transport::LongPolling] {
            assert_over_limit(&running.open(CLIENT, another).await.unwrap_err());
        }
        let (_, unnegotiated) = running.send(CLIENT, "GET /hub", WEB_SOCKET).await;
        assert_over_limit(&unnegotiated);
        let elsewhere = running.open("203.0.113.8", transport).await.unwrap();
        drop((first, second, elsewhere));
        if !matches!(transport, Transport::LongPolling) {
            running.all_have_gone().await;
        }
    }
    assert_eq!(running.server.statistics().connections.address_refusals.connections, 3 * 4);
}

#[tokio::test]
async fn negotiations_of_an_address_have_a_rate() {
    let running = start(AddressLimits::default().negotiations_per_second(2)).await;
    let negotiation = |connection: &str| {
        format!(
            "POST /hub/negotiate?negotiateVersion=1 HTTP/1.1\r\nHost: hub\r\nX-Forwarded-For: {CLIENT}\r\n\
             Content-Length: 0\r\nConnection: {connection}\r\n\r\n"
        )
    };
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    let requests = negotiation("keep-alive").repeat(19) + &negotiation("close");
    socket.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    socket.read_to_string(&mut answers).await.unwrap();
    let count = |status: &str| answers.matches(&format!("HTTP/1.1 {status}")).count();
    // However long it took, it was no second for each pair.
    assert!(count("200") >= 2 && count("429") >= 1 && count("200") + count("429") == 20, "{answers}");
    assert_over_limit(&answers[answers.find("HTTP/1.1 429").unwrap()..]);
    running.negotiate("203.0.113.8").await;
    let refused = running.server.statistics().connections.address_refusals.negotiations;
    assert_eq!(usize::try_from(refused).unwrap(), count("429"));
}

fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    frame
}

#[tokio::test]
async fn hub_methods_see_the_address_of_the_client() {
    let running = start(AddressLimits::default()).await;
    for (client, expected) in
        [(CLIENT, CLIENT), ("6.6.6.6, [2001:db8::1]:80", "2001:db8::1"), ("x", "127.0.0.1")]
    {
        let (mut socket, _) = running.send(client, "GET /hub", WEB_SOCKET).await;
        for text in [
            "{\"protocol\":\"json\",\"version\":1}\u{1e}",
            "{\"type\":1,\"invocationId\":\"1\",\"target\":\"Address\",\"arguments\":[]}\u{1e}",
        ] {
            socket.write_all(&text_frame(text)).await.unwrap();
        }
        let mut received = Vec::new();
        while received.iter().filter(|&&byte| byte == 0x1e).count() < 2 {
            assert_ne!(socket.read_buf(&mut received).await.unwrap(), 0);
        }
        let received = String::from_utf8_lossy(&received);
        assert!(received.contains(&format!("\"result\":\"{expected}\"")), "{client}: {received}");
    }
}

#[tokio::test]
async fn a_host_of_ones_own_says_where_requests_come_from() {
    let server = Server::builder().address_limits(AddressLimits::default().connections(1)).build();
    let app = server.add_hub(Hub::new("Test")).map("/hub");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let running = Running { address, server };
    let (_first, head) = running.send(CLIENT, "GET /hub", WEB_SOCKET).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let (_, head) = running.send("203.0.113.8", "GET /hub", WEB_SOCKET).await;
    assert_over_limit(&head);
}
