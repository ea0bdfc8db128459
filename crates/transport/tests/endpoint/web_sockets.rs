//! WebSockets over real sockets.

use std::net::SocketAddr;
use std::task::Poll;

use hubline_pipe::{CloseCode, CloseOutcome, PipeEnd};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::gate::Who;
use crate::hub::{Connection, Hub, options};

/// Serves the endpoint over HTTP/1.1.
pub(crate) async fn serve(hub: &Hub) -> SocketAddr {
    serve_as(hub, Who::Nobody).await
}

/// The same, as to a client that shows who it is.
pub(crate) async fn serve_as(hub: &Hub, who: Who) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = hub.endpoint.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let endpoint = endpoint.clone();
            let service = service_fn(move |mut request: http::Request<_>| {
                who.present(request.extensions_mut());
                let response = endpoint.respond(request);
                async move { Ok::<_, std::convert::Infallible>(response.await) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    address
}

pub(crate) struct Client(TcpStream);

impl Client {
    /// Asks for a WebSocket; the status, and the body of a refusal.
    pub(crate) async fn open(address: SocketAddr, query: &str) -> Result<Self, (u16, String)> {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /hub{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(socket.read_u8().await.unwrap()));
        }
        let status = head[9..12].parse().unwrap();
        if status == 101 {
            return Ok(Self(socket));
        }
        let length = head.to_lowercase().split_once("content-length: ").unwrap().1.to_owned();
        let mut body = vec![0; length.split_once('\r').unwrap().0.parse().unwrap()];
        socket.read_exact(&mut body).await.unwrap();
        Err((status, String::from_utf8(body).unwrap()))
    }

    /// Sends a frame that is masked with zeros.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    async fn receive(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.unwrap();
        let mut payload = vec![0; self.0.read_u8().await.unwrap().into()];
        self.0.read_exact(&mut payload).await.unwrap();
        (first, payload)
    }
}

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

async fn open(hub: &mut Hub, address: SocketAddr, query: &str) -> (Client, Connection) {
    let client = Client::open(address, query).await.map_err(|refusal| panic!("{refusal:?}")).unwrap();
    let connection = hub.accept().await;
    (client, connection)
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_peer_answers_the_close() {
    let mut hub = Hub::new(options());
    let address = serve(&hub).await;
    let (mut client, mut connection) = open(&mut hub, address, "?id=&name=ada").await;
    assert_eq!(&*connection.info.query, "name=ada");
    client.send(TEXT, b"ping").await;
    assert_eq!(connection.receive().await.unwrap(), "ping");
    connection.send("pong").await.unwrap();
    assert_eq!(client.receive().await, (TEXT, b"pong".to_vec()));
    let peer = tokio::spawn(async move {
        assert_eq!(client.receive().await, (CLOSE, vec![3, 232]));
        client.send(CLOSE, &[3, 232]).await;
        client
    });
    assert_eq!(connection.close().await, CloseOutcome::Answered);
    peer.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_answer_the_close_is_silent() {
    let timeout = std::time::Duration::from_millis(20);
    let mut hub = Hub::new(options().web_sockets_close_timeout(timeout));
    let address = serve(&hub).await;
    let (_client, mut connection) = open(&mut hub, address, "").await;
    assert_eq!(connection.close().await, CloseOutcome::Silent);
}

#[tokio::test]
async fn bad_close_frames_are_violations() {
    for (payload, code) in
        [(&[3, 236][..], CloseCode::ProtocolError), (&[3, 232, 0xff], CloseCode::InvalidPayload)]
    {
        let mut hub = Hub::new(options());
        let address = serve(&hub).await;
        let (mut client, mut connection) = open(&mut hub, address, "").await;
        client.send(CLOSE, payload).await;
        assert_eq!(connection.receive().await, Err(PipeEnd::Violation(code)));
        let closing = tokio::spawn(async move { connection.close_with(code).await });
        assert_eq!(client.receive().await, (CLOSE, code.number().to_be_bytes().to_vec()));
        drop(client);
        assert_eq!(closing.await.unwrap(), CloseOutcome::Lost);
    }
}

#[tokio::test]
async fn a_token_carries_one_web_socket_without_stateful_reconnect() {
    let mut hub = Hub::new(options());
    let address = serve(&hub).await;
    let query = format!("?id={}", hub.negotiate().await);
    let (_client, connection) = open(&mut hub, address, &query).await;
    assert!(connection.resumable.is_none());
    assert_eq!(Client::open(address, &query).await.err(), Some((409, String::new())));
    let token = &query[4..];
    let post = hub.post(token, b"x").await;
    assert_eq!(post.summary().0, 405);
    assert_eq!(post.summary().2, "POST requests are not allowed for WebSocket connections.");
    assert_eq!(hub.delete(token).await.status, 400);
    assert_eq!(hub.get(token).await.summary().2, "Cannot change transports mid-connection");
}

async fn stateful(hub: &mut Hub, address: SocketAddr) -> (String, Client, Connection) {
    let token = hub.negotiate_with("&useStatefulReconnect=true").await;
    let query = format!("?id={token}");
    let (client, connection) = open(hub, address, &query).await;
    (query, client, connection)
}

#[tokio::test]
async fn a_lost_web_socket_is_followed_by_another() {
    let mut hub = Hub::new(options().allow_stateful_reconnects());
    let address = serve(&hub).await;
    let (query, client, mut connection) = stateful(&mut hub, address).await;
    drop(client);
    assert_eq!(connection.receive().await, Err(PipeEnd::Lost));
    let mut resumable = connection.resumable.take().unwrap();
    let again = tokio::spawn(async move { Client::open(address, &format!("{query}&name=newer")).await });
    let request = std::future::poll_fn(|cx| resumable.poll_request(cx)).await.unwrap();
    let accepted = request.accept().await.unwrap().unwrap();
    assert_eq!(accepted.info.id, connection.info.id);
    assert_eq!(&*accepted.info.query, "name=newer");
    assert!(accepted.resumable.is_none());
    connection.pipe = Some(accepted.pipe);
    let mut client = again.await.unwrap().ok().unwrap();
    client.send(TEXT, b"here again").await;
    assert_eq!(connection.receive().await.unwrap(), "here again");
}

#[tokio::test]
async fn a_claim_that_is_refused_is_a_404_and_one_that_is_not_taken_a_409() {
    let mut hub = Hub::new(options().allow_stateful_reconnects());
    let address = serve(&hub).await;
    let (query, _client, mut connection) = stateful(&mut hub, address).await;
    let mut resumable = connection.resumable.take().unwrap();
    let refused = tokio::spawn({
        let query = query.clone();
        async move { Client::open(address, &query).await.err() }
    });
    drop(std::future::poll_fn(|cx| resumable.poll_request(cx)).await);
    assert_eq!(refused.await.unwrap(), Some((404, String::new())));
    drop(resumable);
    assert_eq!(Client::open(address, &query).await.err(), Some((409, String::new())));
}

#[tokio::test]
async fn other_transports_are_never_resumed_although_it_is_granted() {
    let mut hub = Hub::new(options().allow_stateful_reconnects());
    let token = hub.negotiate_with("&useStatefulReconnect=true").await;
    let _stream = hub.events(&token).await;
    let mut resumable = hub.accept().await.resumable.unwrap();
    let claim = std::future::poll_fn(|cx| Poll::Ready(resumable.poll_request(cx))).await;
    assert!(matches!(claim, Poll::Ready(None)), "it is known at once that nobody comes");
}
