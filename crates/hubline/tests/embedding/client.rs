//! A client for each transport, and the HTTP requests it is made of.

use std::net::SocketAddr;

use axum::http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hubline::TransportKind;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const TRANSPORTS: [TransportKind; 3] =
    [TransportKind::WebSockets, TransportKind::ServerSentEvents, TransportKind::LongPolling];

const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

const UPGRADE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Somebody who makes requests, each on a connection of its own.
#[derive(Clone)]
pub(crate) struct Http {
    address: SocketAddr,
    /// Sent with every request.
    header: Option<(&'static str, &'static str)>,
}

impl Http {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, header: None }
    }

    /// The same with a header on every request.
    pub(crate) fn with(&self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self.clone() }
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Incoming> {
        let socket = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut sender, connection) = http1::handshake(socket).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let mut request =
            Request::builder().method(method).uri(uri).header(header::HOST, self.address.to_string());
        for (name, value) in headers.iter().chain(&self.header) {
            request = request.header(*name, *value);
        }
        sender.send_request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap()
    }

    /// The status that answers a negotiation of this path.
    pub(crate) async fn negotiates(&self, path: &str) -> StatusCode {
        self.request(Method::POST, &format!("{}/negotiate", path.trim_end_matches('/')), &[], "")
            .await
            .status()
    }

    /// The statuses that answer a negotiation and each transport without one.
    pub(crate) async fn statuses(&self, path: &str) -> [StatusCode; 4] {
        [
            self.negotiates(path).await,
            self.request(Method::GET, path, &UPGRADE, "").await.status(),
            self.request(Method::GET, path, &[("accept", "text/event-stream")], "").await.status(),
            self.request(Method::GET, path, &[], "").await.status(),
        ]
    }

    /// Connects by this transport and shakes hands.
    pub(crate) async fn connect(&self, path: &str, transport: TransportKind) -> Client {
        let mut client = self.attach(path, transport).await;
        client.shake_hands().await;
        client
    }

    /// Connects by this transport and says nothing.
    pub(crate) async fn attach(&self, path: &str, transport: TransportKind) -> Client {
        let uri = self.negotiate(path).await;
        self.open(uri, transport).await
    }

    /// Where to open a connection.
    pub(crate) async fn negotiate(&self, path: &str) -> String {
        let uri = format!("{}/negotiate?negotiateVersion=1", path.trim_end_matches('/'));
        let negotiated = self.request(Method::POST, &uri, &[], "").await;
        assert_eq!(negotiated.status(), StatusCode::OK);
        let negotiated = negotiated.collect().await.unwrap().to_bytes();
        let negotiated: serde_json::Value = serde_json::from_slice(&negotiated).unwrap();
        format!("{path}?id={}", negotiated["connectionToken"].as_str().unwrap())
    }

    /// Opens what was negotiated.
    pub(crate) async fn open(&self, uri: String, transport: TransportKind) -> Client {
        let wire = match transport {
            TransportKind::WebSockets => {
                let response = self.request(Method::GET, &uri, &UPGRADE, "").await;
                assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
                Wire::WebSocket(TokioIo::new(hyper::upgrade::on(response).await.unwrap()))
            }
            TransportKind::ServerSentEvents => {
                let response = self.request(Method::GET, &uri, &[("accept", "text/event-stream")], "").await;
                assert_eq!(response.status(), StatusCode::OK);
                Wire::Events(response.into_body())
            }
            TransportKind::LongPolling => {
                let first = self.request(Method::GET, &uri, &[], "").await;
                assert_eq!(first.status(), StatusCode::OK);
                Wire::Polls
            }
        };
        Client { http: self.clone(), uri, wire, raw: String::new(), received: String::new(), closed: false }
    }
}

/// A connection to a hub.
pub(crate) struct Client {
    http: Http,
    uri: String,
    wire: Wire,
    /// A line that has not come whole.
    raw: String,
    /// Hub messages that nobody has taken.
    received: String,
    /// Whether the server has closed the connection; then clients poll no more.
    closed: bool,
}

enum Wire {
    WebSocket(TokioIo<Upgraded>),
    Events(Incoming),
    Polls,
}

impl Client {
    pub(crate) async fn shake_hands(&mut self) {
        self.send(HANDSHAKE).await;
        assert_eq!(self.receive().await.unwrap(), "{}");
    }

    pub(crate) async fn send(&mut self, text: &str) {
        match &mut self.wire {
            Wire::WebSocket(socket) => {
                let mut frame = vec![TEXT, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
                frame.extend(text.as_bytes());
                socket.write_all(&frame).await.unwrap();
            }
            Wire::Events(_) | Wire::Polls => {
                let response = self.http.request(Method::POST, &self.uri, &[], text).await;
                assert_eq!(response.status(), StatusCode::OK);
            }
        }
    }

    /// The next hub message that is no ping; `None` once the transport has ended as it should.
    pub(crate) async fn receive(&mut self) -> Option<String> {
        loop {
            while let Some(end) = self.received.find('\u{1e}') {
                let message: String = self.received.drain(..=end).collect();
                let message = message.trim_end_matches('\u{1e}');
                self.closed |= message.starts_with("{\"type\":7");
                if message != "{\"type\":6}" {
                    return Some(message.to_owned());
                }
            }
            if !self.receive_more().await {
                return None;
            }
        }
    }

    /// Calls a method and returns what completes the call.
    pub(crate) async fn call(&mut self, method: &str, arguments: &str) -> serde_json::Value {
        let call = format!(
            "{{\"type\":1,\"invocationId\":\"1\",\"target\":\"{method}\",\"arguments\":{arguments}}}\u{1e}"
        );
        self.send(&call).await;
        let completion: serde_json::Value = serde_json::from_str(&self.receive().await.unwrap()).unwrap();
        assert_eq!((&completion["type"], &completion["invocationId"]), (&3.into(), &"1".into()));
        completion["result"].clone()
    }

    async fn receive_more(&mut self) -> bool {
        match &mut self.wire {
            Wire::WebSocket(socket) => match read_frame(socket).await {
                (TEXT, payload) => self.received.push_str(&payload),
                (CLOSE, _) => {
                    socket.write_all(&[CLOSE, 0x80, 0, 0, 0, 0]).await.unwrap();
                    return false;
                }
                other => panic!("unexpected frame {other:?}"),
            },
            Wire::Events(body) => {
                let Some(frame) = body.frame().await else { return false };
                self.raw.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
                while let Some(end) = self.raw.find("\r\n") {
                    let line: String = self.raw.drain(..end + 2).collect();
                    if let Some(data) = line.trim_end().strip_prefix("data: ") {
                        self.received.push_str(data);
                    }
                }
            }
            Wire::Polls if self.closed => return false,
            Wire::Polls => {
                let response = self.http.request(Method::GET, &self.uri, &[], "").await;
                if response.status() == StatusCode::NO_CONTENT {
                    return false;
                }
                assert_eq!(response.status(), StatusCode::OK);
                let body = response.collect().await.unwrap().to_bytes();
                self.received.push_str(std::str::from_utf8(&body).unwrap());
            }
        }
        true
    }
}

/// A frame of less than 64 KiB.
async fn read_frame(socket: &mut TokioIo<Upgraded>) -> (u8, String) {
    let first = socket.read_u8().await.unwrap();
    let length = match socket.read_u8().await.unwrap() {
        126 => socket.read_u16().await.unwrap(),
        short => short.into(),
    };
    let mut payload = vec![0; length.into()];
    socket.read_exact(&mut payload).await.unwrap();
    // The code in a close frame is no text.
    (first, String::from_utf8_lossy(&payload).into_owned())
}
