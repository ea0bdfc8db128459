//! The filter in front of hyper: it refuses what it should, and both see the same requests in the same bytes.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use futures_util::StreamExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::requests::Requests;
use crate::http::connection::{LIMITS, answer};

/// Bodies and header values that look like requests, where a filter that has lost its way would find work.
const DECOYS: [&str; 8] = [
    "",
    "#",
    "GET /x#y HTTP/1.1\r\nHost: hub\r\n\r\n",
    "\r\n\r\nPOST /#x HTTP/1.1\r\nContent-Length: 3\r\n\r\na#b",
    " /x#y HTTP/1.1\r\n\r\nGET /#",
    "0\r\n\r\nGET /# HTTP/1.1\r\n\r\n",
    "Content-Length: 5\r\n\r\nGET /# HTTP/1.1\r\n\r\n",
    "{\"type\":6}\u{1e}",
];

/// A client that sends its bytes piece by piece, each when all before it is read, and then waits.
struct Client {
    pieces: VecDeque<Vec<u8>>,
    answered: Arc<Mutex<Vec<u8>>>,
}

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
        self.answered.lock().unwrap().extend(bytes);
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
    target: String,
    headers: Vec<Vec<u8>>,
    body: Vec<u8>,
}

type Log = Arc<Mutex<Vec<Received>>>;

async fn record(State(log): State<Log>, request: Request<Body>) {
    let target = request.uri().to_string();
    let headers = request.headers().values().map(|value| value.as_bytes().to_vec()).collect();
    let at = {
        let mut log = log.lock().unwrap();
        log.push(Received { target, headers, body: Vec::new() });
        log.len() - 1
    };
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(data)) = body.next().await {
        log.lock().unwrap()[at].body.extend(data);
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
    let client = Client { pieces, answered: Arc::clone(&answered) };
    let serving = async {
        match server {
            Server::Hubline => answer(client, app, CancellationToken::new(), LIMITS).await,
            Server::HyperAlone => {
                let service = TowerToHyperService::new(app);
                _ = http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
            }
        }
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    // Whoever waits for more than was sent waits in vain.
    _ = runtime.block_on(async { timeout(Duration::from_secs(3600), serving).await });
    let answered = String::from_utf8(answered.lock().unwrap().clone()).unwrap();
    let statuses = answered.lines().filter_map(|line| line.strip_prefix("HTTP/1."));
    let statuses = statuses.map(|line| line[2..5].parse().unwrap()).collect();
    (log.lock().unwrap().clone(), statuses)
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
        let version = if *framing == Framing::Http10 { "1.0\r\nConnection: keep-alive" } else { "1.1" };
        let mut head = format!("POST {path}{fragment} HTTP/{version}\r\n");
        for value in &self.headers {
            head += &format!("X: {value}\r\n");
        }
        let length = format!("Content-Length: {}\r\n", body.len());
        head += &match framing {
            Framing::Plain | Framing::BareLineFeeds | Framing::Http10 => length,
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
            _ => head + body,
        }
    }
}

fn requests() -> impl Strategy<Value = Vec<Sent>> {
    use Framing::*;
    let framing = prop_oneof![
        12 => Just(Plain),
        2 => select(vec![Chunked, ChunkedWithLength, TwoLengths, BareLineFeeds, Http10, Upgrade]),
    ];
    let path = prop_oneof![
        select(vec!["/", "/hub?id=1", "/a%23b", "http://hub/x?y"]).prop_map(str::to_owned),
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
        if followed && fragment.is_some() {
            statuses.push(400);
            break;
        }
        let (target, body) = (path.clone(), body.clone().into_bytes());
        received.push(Received { target, headers: Vec::new(), body });
        statuses.push(200);
        followed &= *framing == Framing::Plain;
        if *framing == Framing::ChunkedWithLength {
            break;
        }
    }
    (received, statuses)
}

proptest! {
    #[test]
    fn bodies_arrive_as_sent_and_number_signs_in_targets_are_refused(sent in requests(), sizes in sizes()) {
        let bytes: String = sent.iter().map(Sent::encode).collect();
        let (mut received, statuses) = serve(Server::Hubline, cut(bytes.as_bytes(), &sizes));
        for request in &mut received {
            request.headers.clear();
        }
        prop_assert_eq!((received, statuses), expected(&sent));
    }

    /// Where the filter replaces a byte, hyper by itself reads a request target: with another letter in that place, the letter
    /// turns up in no body and no header.
    #[test]
    fn what_is_replaced_is_part_of_a_target_for_hyper_too(
        sent in requests(),
        damage in vec((any::<prop::sample::Index>(), select(&b" #:\t\r\n\r\n05aG/\x00\x7f\xff"[..])), 0..6),
        sizes in sizes(),
    ) {
        let mut bytes: Vec<u8> = sent.iter().map(Sent::encode).collect::<String>().replace('~', "").into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut requests = Requests::default();
        let mut filtered = cut(&bytes, &sizes);
        filtered.iter_mut().for_each(|piece| requests.filter(piece));
        let filtered: Vec<u8> = filtered.into_iter().flatten().collect();
        let replaced: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != filtered[at]).collect();
        prop_assert!(replaced.len() <= 1, "{:?}", replaced);
        let (with_filter, _) = serve(Server::Hubline, cut(&bytes, &sizes));
        if let Some(&at) = replaced.first() {
            prop_assert_eq!(bytes[at], b'#');
            bytes[at] = b'~';
        }
        let (by_hyper, _) = serve(Server::HyperAlone, cut(&bytes, &sizes));
        let same = if replaced.is_empty() { by_hyper == with_filter } else { by_hyper.starts_with(&with_filter) };
        prop_assert!(same, "{:?} {:?}", by_hyper, with_filter);
        for request in &by_hyper {
            let hidden = request.headers.iter().chain([&request.body]).any(|value| value.contains(&b'~'));
            prop_assert!(!hidden, "{:?}", request);
        }
    }
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
