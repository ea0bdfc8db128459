//! One HTTP connection and what its client may do with it.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{StatusCode, Version};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::TryFutureExt;
use futures_util::future::Either;
use hubline_transport::{BareIo, BareSocket, BodyTimeout, SendTimeout};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts, UpgradeableConnection};
use hyper::service::{HttpService, service_fn};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
#[cfg(any(target_os = "android", target_os = "linux"))]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::HttpOptions;
use super::head_filter::HeadFilter;
use super::host::has_host;
use super::long_response::{Answering, LongResponse, may_take_long};
use super::progress::{HeadTimer, Progress};

/// How much patience a client gets.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) options: HttpOptions,
    /// For the next bytes of a request's body, in place of Kestrel's `MinRequestBodyDataRate`.
    pub(super) body_timeout: Duration,
    /// For taking the next bytes of a response (`TransportSendTimeout`).
    pub(super) send_timeout: Duration,
    /// Bytes of a request's head, a little more or less, and of a response that waits to be sent (`MaxResponseBufferSize`). hyper
    /// itself refuses more than 100 headers, as Kestrel does.
    pub(super) buffer_size: usize,
}

/// Bytes of one socket that the kernel takes and has not sent (`TCP_NOTSENT_LOWAT`).
#[cfg(any(target_os = "android", target_os = "linux"))]
const LIMIT_UNSENT_BYTES: u32 = 128 * 1024;

impl Limits {
    pub(super) fn new(options: HttpOptions) -> Self {
        Self {
            options,
            body_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(10),
            buffer_size: 64 * 1024,
        }
    }
}

/// Answers the requests of one connection until it ends, or becomes a WebSocket. After `stop` it finishes
/// the request that is being answered.
///
/// hyper's own builder, because that of hyper-util waits for the first byte without a timeout.
pub(super) async fn serve_one(
    socket: TcpStream,
    remote: SocketAddr,
    app: Router,
    stop: CancellationToken,
    limits: Arc<Limits>,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a socket was gone before it could be set up");
        return;
    }
    bound_unsent_bytes(&socket);
    let io = SendTimeout::new(socket, limits.send_timeout);
    #[cfg(feature = "tls")]
    if let Some(tls) = limits.options.tls.clone() {
        // A future keeps room for all that it may ever await: in boxes, plain connections have none for TLS, nor those over TLS
        // for their handshake.
        let accepted = tokio::select! {
            accepted = Box::pin(tls.accept(io, remote)) => accepted,
            () = stop.cancelled() => None,
        };
        if let Some(stream) = accepted {
            Box::pin(answer(stream, remote, app, stop, limits)).await;
        }
        return;
    }
    answer(io, remote, app, stop, limits).await;
}

/// What is written and not sent waits here rather than in the kernel, where it cannot be seen whether the client reads:
/// a socket with megabytes to go takes nothing more for a second at a time, and its client would count as one that reads
/// nothing.
fn bound_unsent_bytes(socket: &TcpStream) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Err(error) = SockRef::from(socket).set_tcp_notsent_lowat(LIMIT_UNSENT_BYTES) {
        tracing::debug!(%error, "the kernel does not bound what waits to be sent");
    }
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = socket;
}

/// [`serve_one`] over any bytes.
pub(super) async fn answer<Io>(
    io: Io,
    remote: SocketAddr,
    app: Router,
    stop: CancellationToken,
    limits: Arc<Limits>,
) where
    Io: HttpIo,
{
    let progress = Arc::new(Progress::default());
    let mut filter = HeadFilter::new(io, Arc::clone(&progress));
    let own = (Arc::clone(&progress), Arc::clone(&limits));
    let mut service = service_fn(move |mut request: Request<Incoming>| {
        let (progress, limits) = &own;
        let client = match &limits.options.forwarded_headers {
            Some(forwarded) => forwarded.client(remote, request.headers()),
            None => remote,
        };
        request.extensions_mut().insert(ConnectInfo(client));
        let request = request.map(|body| BodyTimeout::new(body, limits.body_timeout));
        respond::<Io, _>(app.clone(), request, Arc::clone(progress))
    });
    loop {
        let head_timeout = limits.options.request_headers_timeout;
        let connection = http1::Builder::new()
            .timer(HeadTimer { progress: Arc::clone(&progress), head_timeout })
            .header_read_timeout(limits.options.keep_alive_timeout)
            .max_buf_size(limits.buffer_size)
            .serve_connection(TokioIo::new(filter), service)
            .with_upgrades();
        // In a box, which is empty while a long response is under way.
        let Some((parts, response)) = until_long_response(Box::new(connection), &progress, &stop).await
        else {
            return;
        };
        (filter, service) = (parts.io.into_inner(), parts.service);
        // A copy, because even an empty piece keeps the whole of hyper's buffer.
        let mut early = BytesMut::from(&parts.read_buf[..]);
        drop(parts.read_buf);
        match response.write(&mut filter, &mut early, || stop.is_cancelled()).await {
            Ok(true) => filter.unread(early.freeze()),
            Ok(false) => {
                _ = filter.shutdown().await;
                return;
            }
            Err(error) => return tracing::debug!(%error, "a client left before its response had ended"),
        }
    }
}

/// Has hyper serve a connection until it ends, or has a response that takes long.
async fn until_long_response<Io, S>(
    mut connection: Box<UpgradeableConnection<TokioIo<HeadFilter<Io>>, S>>,
    progress: &Progress,
    stop: &CancellationToken,
) -> Option<(Parts<TokioIo<HeadFilter<Io>>, S>, LongResponse)>
where
    Io: HttpIo,
    S: HttpService<Incoming, ResBody = axum::body::Body> + Unpin,
    S::Error: Into<axum::BoxError>,
{
    let mut stopped = pin!(stop.cancelled());
    let mut is_stopping = false;
    let response = poll_fn(|cx| {
        if !is_stopping && stopped.as_mut().poll(cx).is_ready() {
            is_stopping = true;
            Pin::new(&mut *connection).graceful_shutdown();
        }
        match Pin::new(&mut *connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(ended)),
            Poll::Pending => {
                progress.take_long_response().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
            }
        }
    })
    .await;
    match response {
        Ok(response) => Some((connection.into_parts()?, response)),
        Err(Ok(())) => None,
        Err(Err(error)) => {
            tracing::debug!(%error, "an HTTP connection ended with an error");
            None
        }
    }
}

/// Answers a request as the client sent it, and tells the filter of an answer that makes the connection a WebSocket.
///
/// hyper keeps room for this future for as long as the connection lasts, and an `async fn` would hold the request several times.
fn respond<Io: HttpIo, B>(
    app: Router,
    mut request: Request<B>,
    progress: Arc<Progress>,
) -> impl Future<Output = Result<Response, Infallible>>
where
    B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let mut is_lifted = false;
    if request.extensions().get::<OnUpgrade>().is_some() {
        request.extensions_mut().insert(BareSocket(bare::<Io>));
        is_lifted = progress.is_lifted();
    }
    if is_lifted {
        *request.version_mut() = Version::HTTP_10;
    }
    if !has_host(&request) {
        let refused = (StatusCode::BAD_REQUEST, [(CONNECTION, "close")]).into_response();
        return Either::Left(Either::Left(ready(Ok(refused))));
    }
    if may_take_long(&request) {
        return Either::Left(Either::Right(Answering::new(app, request, progress)));
    }
    Either::Right(app.oneshot(request).map_ok(move |mut response| {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            progress.switch();
        } else if is_lifted {
            *response.version_mut() = Version::HTTP_10;
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }))
}

fn bare<Io: HttpIo>(upgraded: Upgraded) -> Result<(BareIo, Bytes), Upgraded> {
    let parts = upgraded.downcast::<TokioIo<HeadFilter<Io>>>()?;
    let (io, rest) = parts.io.into_inner().into_parts();
    let early = if rest.is_empty() { parts.read_buf } else { [&parts.read_buf[..], &rest].concat().into() };
    Ok((io.into_bare(), early))
}

/// What HTTP is served on.
pub(super) trait HttpIo: AsyncRead + AsyncWrite + Send + Sized + Unpin + 'static {
    /// As hubs get it, which have their own bounds for clients that do not read.
    fn into_bare(self) -> BareIo {
        BareIo::Other(Box::new(self))
    }
}

impl HttpIo for SendTimeout<TcpStream> {
    fn into_bare(self) -> BareIo {
        BareIo::Tcp(self.into_inner())
    }
}

#[cfg(feature = "tls")]
impl HttpIo for TlsStream<SendTimeout<TcpStream>> {
    fn into_bare(mut self) -> BareIo {
        self.get_mut().0.lift();
        BareIo::Other(Box::new(self))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::{Body, Bytes};
    use axum::extract::State;
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;

    impl HttpIo for tokio::io::DuplexStream {}

    const SHORT: Duration = Duration::from_millis(50);

    fn patient() -> Limits {
        let long = Duration::from_secs(3600);
        let options = HttpOptions::default().keep_alive_timeout(long).request_headers_timeout(long);
        Limits { body_timeout: long, send_timeout: long, ..Limits::new(options) }
    }

    /// A client's socket to `app`, whose connection ends with the future.
    async fn connect(app: Router, limits: Limits) -> (TcpStream, impl Future<Output = ()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, remote) = listener.accept().await.unwrap();
        let serving =
            tokio::spawn(serve_one(socket, remote, app, CancellationToken::new(), Arc::new(limits)));
        (client, async move { serving.await.unwrap() })
    }

    async fn read_to_end(client: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        // What the server did not read makes a reset of its good-bye, behind the answer.
        _ = client.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_disconnected() {
        let (alive, mut dropped) = mpsc::channel::<Infallible>(1);
        let endless = get(async |State(alive): State<mpsc::Sender<Infallible>>| {
            Body::from_stream(stream::repeat_with(move || {
                assert!(!alive.is_closed());
                Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 8192]))
            }))
        });
        let app = Router::new().route("/", endless).with_state(alive);
        let (mut client, ended) = connect(app, Limits { send_timeout: SHORT, ..patient() }).await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n").await.unwrap();
        ended.await;
        assert_eq!(dropped.recv().await, None, "the response is dropped with its connection");
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let app = Router::new().route("/", post(async |body: Bytes| body.len().to_string()));
        let (mut client, ended) = connect(app, Limits { body_timeout: SHORT, ..patient() }).await;
        client.write_all(b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
        let answer = read_to_end(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        ended.await;
    }

    /// How many seconds a client that sends these pieces, each after the seconds before it, keeps its connection; and how many answers it
    /// gets.
    async fn seconds_connected(pieces: &[(u64, &str)]) -> (u64, usize) {
        let (mut client, io) = tokio::io::duplex(1024);
        let app = Router::new().fallback(async |_: Bytes| "here");
        let limits = Limits::new(HttpOptions::default());
        let remote = SocketAddr::from(([127, 0, 0, 1], 1));
        let start = Instant::now();
        let serving = tokio::spawn(answer(io, remote, app, CancellationToken::new(), Arc::new(limits)));
        for (seconds, piece) in pieces {
            tokio::time::sleep_until(start + Duration::from_secs(*seconds)).await;
            client.write_all(piece.as_bytes()).await.unwrap();
        }
        serving.await.unwrap();
        let connected = start.elapsed();
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        (connected.as_secs(), answers.matches("here").count())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_waits_long_for_a_request_and_not_so_long_for_the_rest_of_it() {
        const WHOLE: &str = "GET / HTTP/1.1\r\nHost: hub\r\n\r\n";
        const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let two = [WHOLE, WHOLE].concat();
        let one_and_a_half = [WHOLE, "GET / HT"].concat();
        for (pieces, expected) in [
            (&[][..], (130, 0)),
            (&[(0, "\r\n")], (130, 0)),
            (&[(0, "G")], (30, 0)),
            (&[(0, "GET / HTTP/1.1\r\nHost: hu")], (30, 0)),
            (&[(0, "GET / HTTP/1.0\r\nHost: hu")], (30, 0)),
            (&[(0, WHOLE)], (130, 1)),
            (&[(0, &*two)], (130, 2)),
            (&[(0, &*one_and_a_half)], (30, 1)),
            (&[(0, WHOLE), (129, WHOLE)], (129 + 130, 2)),
            (&[(0, WHOLE), (61, "G"), (62, "E")], (61 + 30, 1)),
            (&[(0, WHOLE), (61, "G"), (90, &WHOLE[1..])], (90 + 130, 2)),
            (&[(0, WHOLE), (61, "\r\n")], (130, 1)),
            (&[(129, "G")], (129 + 30, 0)),
            // Behind this one nobody but hyper knows where a request begins.
            (&[(0, CHUNKED)], (130, 1)),
            (&[(0, CHUNKED), (61, "G")], (61 + 30, 1)),
            (&[(0, CHUNKED), (100, WHOLE), (200, CHUNKED)], (200 + 130, 3)),
        ] {
            assert_eq!(seconds_connected(pieces).await, expected, "{pieces:?}");
        }
    }

    #[tokio::test]
    async fn heads_have_a_bound() {
        for (header, count) in [("x".repeat(4 * patient().buffer_size), 1), ("x".to_owned(), 101)] {
            let (mut client, ended) = connect(Router::new(), patient()).await;
            let headers = format!("a: {header}\r\n").repeat(count);
            // The last of it may meet a closed socket.
            _ = client.write_all(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes()).await;
            let answer = read_to_end(&mut client).await;
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            assert!(answer.starts_with(&format!("HTTP/1.1 {}", status.as_u16())), "{answer}");
            ended.await;
        }
    }

    #[tokio::test]
    async fn an_upgraded_connection_is_the_bare_socket() {
        let (send, mut upgraded) = mpsc::channel(1);
        let upgrade = get(async move |mut request: Request| {
            let pending = request.extensions_mut().remove::<OnUpgrade>().unwrap();
            let BareSocket(bare) = request.extensions_mut().remove().unwrap();
            send.send((pending, bare)).await.unwrap();
            (StatusCode::SWITCHING_PROTOCOLS, [("Upgrade", "echo"), ("Connection", "Upgrade")])
        });
        let (mut client, ended) = connect(Router::new().route("/", upgrade), patient()).await;
        let request =
            b"GET / HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nGET /# HTTP/1.1\r\n";
        client.write_all(request).await.unwrap();
        let (pending, bare) = upgraded.recv().await.unwrap();
        ended.await;
        let (BareIo::Tcp(mut socket), early) = bare(pending.await.unwrap()).unwrap() else {
            panic!("no TCP socket")
        };
        assert_eq!(early, "GET /# HTTP/1.1\r\n");
        client.write_all(b"GET /#").await.unwrap();
        let mut later = [0; 6];
        socket.read_exact(&mut later).await.unwrap();
        assert_eq!(&later, b"GET /#");
    }
}
