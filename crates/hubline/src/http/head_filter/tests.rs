//! The filter in front of hyper: it refuses what it should, and both see the same requests in the same bytes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Version};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::rewriter::Rewriter;
use crate::http::HttpOptions;
use crate::http::connection::{HttpIo, Limits, answer};
use crate::http::host::has_host;

/// Bodies and header values that look like requests, where a filter that has lost its way would find work.
const DECOYS: [&str; 9] = [
    "",
    "#",
    "GET /<b> HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET /x#y HTTP/1.1\r\nHost: hub\r\n\r\n",
    "\r\n\r\nPOST /#x HTTP/1.1\r\nContent-Length: 3\r\n\r\na#b",
    " /x#y HTTP/1.1\r\n\r\nGET /#",
    "0\r\n\r\nGET /# HTTP/1.1\r\n\r\n",
    "Content-Length: 5\r\n\r\nGET /# HTTP/1.1\r\n\r\n",
    "{\"type\":6}\u{1e}",
];

/// A client that sends its bytes piece by piece, each when all before it is read, and then waits. It takes so many bytes of
/// an answer at once.
struct Client {
    pieces: VecDeque<Vec<u8>>,
    answered: Arc<Mutex<Vec<u8>>>,
    takes: usize,
}

impl HttpIo for Client {}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.pieces.pop_front() else { return Poll::Pending };
        let rest = piece.split_off(piece.len().min(buffer.remaining()));
        buffer.put_slice(&piece);
        if !rest.is_empty() {
            self.pieces.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(self.takes)];
        self.answered.lock().extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A request as an application gets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Received {
    has_host: bool,
    target: String,
    headers: Vec<Vec<u8>>,
    body: Vec<u8>,
}

type Log = Arc<Mutex<Vec<Received>>>;

async fn record(State(log): State<Log>, request: Request<Body>) {
    let (has_host, target) = (has_host(&request), request.uri().to_string());
    let headers = request.headers().values().map(|value| value.as_bytes().to_vec()).collect();
    let at = {
        let mut log = log.lock();
        log.push(Received { has_host, target, headers, body: Vec::new() });
        log.len() - 1
    };
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(data)) = body.next().await {
        log.lock()[at].body.extend(data);
    }
}

#[derive(Debug, Clone, Copy)]
enum Server {
    Hubline,
    HyperAlone,
}

/// The requests that an application gets of what a client sends, and the statuses that the client gets.
fn serve(server: Server, pieces: VecDeque<Vec<u8>>) -> (Vec<Received>, Vec<u16>) {
    let (log, answered) = (Log::default(), Arc::default());
    let app = Router::new().fallback(record).with_state(Arc::clone(&log));
    let client = Client { pieces, answered: Arc::clone(&answered), takes: usize::MAX };
    let serving = async {
        match server {
            Server::Hubline => serve_client(client, app).await,
            Server::HyperAlone => {
                let service = TowerToHyperService::new(app);
                _ = http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
            }
        }
    };
    run(serving);
    let answered = String::from_utf8(answered.lock().clone()).unwrap();
    let statuses = answered.lines().filter_map(|line| line.strip_prefix("HTTP/1."));
    let statuses = statuses.map(|line| line[2..5].parse().unwrap()).collect();
    (log.lock().clone(), statuses)
}

async fn serve_client(client: Client, app: Router) {
    let remote = SocketAddr::from(([127, 0, 0, 1], 1));
    answer(client, remote, app, CancellationToken::new(), Arc::new(Limits::new(HttpOptions::default())))
        .await;
}

/// Runs it to its end, or until it waits for what does not come.
fn run(serving: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    _ = runtime.block_on(async { timeout(Duration::from_secs(3600), serving).await });
}

/// How a request is framed; behind all but the first, hyper knows where the next one begins and the filter does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Plain,
    Chunked,
    ChunkedWithLength,
    TwoLengths,
    BareLineFeeds,
    Http10,
    Http10Upgrade,
    Upgrade,
}

#[derive(Debug, Clone)]
struct Sent {
    framing: Framing,
    path: String,
    fragment: Option<&'static str>,
    headers: Vec<String>,
    body: String,
}

impl Sent {
    fn encode(&self) -> String {
        let Self { framing, path, body, .. } = self;
        let fragment = self.fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
        let (method, version) = match framing {
            Framing::Http10 => ("POST", "1.0\r\nConnection: keep-alive"),
            Framing::Http10Upgrade => ("GET", "1.0\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket"),
            _ => ("POST", "1.1"),
        };
        let mut head = format!("{method} {path}{fragment} HTTP/{version}\r\nHost: hub\r\n");
        for value in &self.headers {
            head += &format!("X: {value}\r\n");
        }
        let length = format!("Content-Length: {}\r\n", body.len());
        head += &match framing {
            Framing::Plain | Framing::BareLineFeeds | Framing::Http10 => length,
            Framing::Http10Upgrade => String::new(),
            Framing::Upgrade => format!("{length}Upgrade: websocket\r\nConnection: upgrade\r\n"),
            Framing::TwoLengths => length.repeat(2),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
            Framing::ChunkedWithLength => {
                "Transfer-Encoding: chunked\r\nContent-Length: 1\r\nConnection: close\r\n".to_owned()
            }
        };
        head += "\r\n";
        match framing {
            Framing::BareLineFeeds => head.replace("\r\n", "\n") + body,
            Framing::Chunked | Framing::ChunkedWithLength if body.is_empty() => head + "0\r\n\r\n",
            Framing::Chunked | Framing::ChunkedWithLength => {
                format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
            }
            Framing::Http10Upgrade => head,
            _ => head + body,
        }
    }
}

/// A target that Kestrel takes, and hyper as [`ENCODED`].
const STRANGE: &str = "/a<b>`c{d}?e=\"<f>\"&`";
const ENCODED: &str = "/a%3Cb%3E%60c{d}?e=%22%3Cf%3E%22&`";

fn requests() -> impl Strategy<Value = Vec<Sent>> {
    use Framing::*;
    let framing = prop_oneof![
        12 => Just(Plain),
        2 => select(vec![Chunked, ChunkedWithLength, TwoLengths, BareLineFeeds, Http10, Http10Upgrade, Upgrade]),
    ];
    let path = prop_oneof![
        select(vec!["/", "/hub?id=1", "/a%23b", "http://hub/x?y", STRANGE]).prop_map(str::to_owned),
        "/[a-z/?=&%!]{0,120}".prop_map(|path| path.replace('%', "%23")),
    ];
    let fragment = prop_oneof![7 => Just(None), 1 => select(vec!["", "x", "#", "x#y"]).prop_map(Some)];
    let header = prop_oneof![
        select(&DECOYS[..]).prop_map(|decoy| decoy.replace(['\r', '\n', '\u{1e}'], " ").trim().to_owned()),
        "[!-~]{0,100}",
    ];
    let body = prop_oneof![
        select(&DECOYS[..]).prop_map(str::to_owned),
        vec(select(&DECOYS[..]), 0..4).prop_map(|decoys| decoys.concat()),
        "[ -~\r\n]{0,200}",
    ];
    let sent = (framing, path, fragment, vec(header, 0..3), body)
        .prop_map(|(framing, path, fragment, headers, body)| Sent { framing, path, fragment, headers, body });
    vec(sent, 1..8)
}

/// Cuts bytes into pieces of these sizes, again and again.
fn cut(bytes: &[u8], sizes: &[usize]) -> VecDeque<Vec<u8>> {
    let (mut pieces, mut rest) = (VecDeque::new(), bytes);
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, more) = rest.split_at(rest.len().min(*size));
        pieces.push_back(piece.to_vec());
        rest = more;
    }
    pieces
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![usize::MAX]), Just(vec![1]), vec(1usize..60, 1..8), vec(1usize..4000, 1..4)]
}

/// What Hubline has to make of these requests.
fn expected(sent: &[Sent]) -> (Vec<Received>, Vec<u16>) {
    let (mut received, mut statuses, mut followed) = (Vec::new(), Vec::new(), true);
    for Sent { framing, path, fragment, body, .. } in sent {
        if if followed { fragment.is_some() } else { path == STRANGE } {
            statuses.push(400);
            break;
        }
        let target = if path == STRANGE { ENCODED.to_owned() } else { path.clone() };
        let body = if *framing == Framing::Http10Upgrade { "" } else { body };
        received.push(Received { has_host: true, target, headers: Vec::new(), body: body.into() });
        statuses.push(200);
        let is_lifted = followed && *framing == Framing::Http10Upgrade && path.starts_with('/');
        if *framing == Framing::ChunkedWithLength || is_lifted {
            break;
        }
        followed &= *framing == Framing::Plain;
    }
    (received, statuses)
}

/// Which bytes of what was sent are others in what hyper reads.
fn changes(sent: &[u8], read: &[u8]) -> Vec<usize> {
    let (mut changed, mut rest) = (Vec::new(), read);
    for (at, &byte) in sent.iter().enumerate() {
        let encoded: &[u8] = match byte {
            b'<' => b"%3C",
            b'>' => b"%3E",
            b'"' => b"%22",
            b'`' => b"%60",
            b'#' => b"\x7f",
            b'0' => b"1",
            _ => b"",
        };
        rest = match rest.strip_prefix(&[byte]) {
            Some(rest) => rest,
            None => {
                changed.push(at);
                assert!(!encoded.is_empty() && rest.starts_with(encoded), "{at}: {byte}");
                &rest[encoded.len()..]
            }
        };
    }
    assert!(rest.is_empty(), "{rest:?}");
    changed
}

proptest! {
    #[test]
    fn bodies_arrive_as_sent_and_targets_as_kestrel_has_them(sent in requests(), sizes in sizes()) {
        let bytes: String = sent.iter().map(Sent::encode).collect();
        let (mut received, statuses) = serve(Server::Hubline, cut(bytes.as_bytes(), &sizes));
        for request in &mut received {
            request.headers.clear();
        }
        prop_assert_eq!((received, statuses), expected(&sent));
    }

    /// Where the filter changes a byte, hyper by itself reads a request target, or the version of a request: with
    /// another letter in a target's place, the letter turns up in no body and no header. Both read the same requests otherwise.
    #[test]
    fn what_is_changed_is_part_of_a_target_for_hyper_too(
        sent in requests(),
        damage in vec((any::<prop::sample::Index>(), select(&b" #:\t\r\n\r\n015aG/<\"?\x00\x7f\xff"[..])), 0..6),
        sizes in sizes(),
    ) {
        let mut bytes: Vec<u8> = sent.iter().map(Sent::encode).collect::<String>().replace('~', "").into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let read = rewritten(cut(&bytes, &sizes));
        let changed = changes(&bytes, &read);
        let (mut with_filter, _) = serve(Server::Hubline, cut(&bytes, &sizes));
        let is_cut_short = changed.iter().any(|&at| matches!(bytes[at], b'#' | b'0'));
        for &at in &changed {
            if bytes[at] != b'0' {
                bytes[at] = b'~';
            }
        }
        let (by_hyper, _) = serve(Server::HyperAlone, cut(&bytes, &sizes));
        for request in &mut with_filter {
            for encoded in ["%3C", "%3E", "%22", "%60"] {
                request.target = request.target.replace(encoded, "~");
            }
        }
        let well_hosted = by_hyper.iter().take_while(|request| request.has_host).count();
        let same = by_hyper[..well_hosted].starts_with(&with_filter)
            && (is_cut_short || well_hosted == with_filter.len());
        prop_assert!(same, "{:?} {:?}", by_hyper, with_filter);
        for request in &by_hyper {
            let hidden = request.headers.iter().chain([&request.body]).any(|value| value.contains(&b'~'));
            prop_assert!(!hidden, "{:?}", request);
        }
    }
}

/// What hyper reads of these pieces.
fn rewritten(pieces: VecDeque<Vec<u8>>) -> Vec<u8> {
    let (mut rewriter, mut read, mut room) = (Rewriter::default(), Vec::new(), [0; 100]);
    for mut piece in pieces {
        let kept = rewriter.take(&mut piece);
        read.extend(&piece[..kept]);
        let mut buffer = ReadBuf::new(&mut room);
        while rewriter.give(&mut buffer) {
            read.extend(buffer.filled());
            buffer.clear();
        }
    }
    read.extend(rewriter.into_rest());
    read
}

/// Answers an upgrade as [`hubline_transport`] does, and everything else with the text of such an answer.
async fn upgrade(request: Request<Body>) -> Response {
    if !request.headers().contains_key("upgrade") {
        return SWITCHING.into_response();
    }
    assert_eq!(request.version() == Version::HTTP_10, request.uri().path() == "/10");
    let headers = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-accept", "upgrade: connection:"),
        ("x-upgrade", "1"),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: no\r\n\r\n";

#[test]
fn the_answer_that_switches_is_spelled_and_nothing_else() {
    let asking = "Connection: Upgrade\r\nUpgrade: websocket\r\nHost: hub\r\n\r\n";
    let before = "GET / HTTP/1.1\r\nHost: hub\r\n\r\n";
    for (request, size, takes) in ["GET /10 HTTP/1.0\r\n", "GET / HTTP/1.1\r\n"]
        .into_iter()
        .flat_map(|request| [1, 7, usize::MAX].map(|size| (request, size)))
        .flat_map(|(request, size)| [1, 3, 40, usize::MAX].map(|takes| (request, size, takes)))
    {
        let pieces = cut(format!("{before}{request}{asking}").as_bytes(), &[size]);
        let answered = Arc::default();
        let client = Client { pieces, answered: Arc::clone(&answered), takes };
        run(serve_client(client, Router::new().fallback(upgrade)));
        let answered = String::from_utf8(answered.lock().clone()).unwrap();
        let (first, second) = answered.split_once(SWITCHING).expect("the first answer has its body");
        assert!(first.contains("\r\ncontent-type: text/plain"), "{first}");
        assert!(second.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{second}");
        for line in [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Accept: upgrade: connection:",
            "x-upgrade: 1",
        ] {
            assert!(second.lines().any(|own| own == line), "{line} {second}");
        }
    }
}

#[test]
fn an_upgrade_over_http_10_that_is_refused_is_answered_as_to_http_10() {
    let refuse = Router::new().fallback(async || {
        (StatusCode::NOT_FOUND, Body::from_stream(futures_util::stream::iter([Ok::<_, Infallible>("none")])))
    });
    let request = "GET / HTTP/1.0\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answered = Arc::default();
    let pieces = cut(request.repeat(2).as_bytes(), &[usize::MAX]);
    run(serve_client(Client { pieces, answered: Arc::clone(&answered), takes: usize::MAX }, refuse));
    let answered = String::from_utf8(answered.lock().clone()).unwrap();
    assert!(answered.starts_with("HTTP/1.0 404 Not Found\r\n"), "{answered}");
    assert!(answered.contains("connection: close\r\n") && answered.ends_with("\r\n\r\nnone"), "{answered}");
}

/// httparse looks at 8 to 32 bytes at once.
#[test]
fn a_refused_byte_is_found_anywhere_in_a_target() {
    for before in 0..100 {
        let request = format!("GET /{}#x HTTP/1.1\r\nHost: hub\r\n\r\n", "a".repeat(before));
        let refused = serve(Server::Hubline, cut(request.as_bytes(), &[usize::MAX]));
        assert_eq!(refused, (Vec::new(), vec![400]), "{before}");
    }
}
