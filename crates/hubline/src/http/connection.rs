//! One HTTP connection and what its client may do with it.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use hubline_transport::{BareSocket, BodyTimeout, SendTimeout};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::head_filter::HeadFilter;

/// How much patience a client gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For the head of a request, from the end of the one before (Kestrel's `RequestHeadersTimeout`).
    pub(super) head_timeout: Duration,
    /// For the next bytes of a request's body, in place of Kestrel's `MinRequestBodyDataRate`.
    pub(super) body_timeout: Duration,
    /// For taking the next bytes of a response (`TransportSendTimeout`).
    pub(super) send_timeout: Duration,
    /// Bytes of a request's head, a little more or less, and of a response that waits to be sent (`MaxResponseBufferSize`). hyper
    /// itself refuses more than 100 headers, as Kestrel does.
    pub(super) buffer_size: usize,
}

pub(super) const LIMITS: Limits = Limits {
    head_timeout: Duration::from_secs(30),
    body_timeout: Duration::from_secs(30),
    send_timeout: Duration::from_secs(10),
    buffer_size: 64 * 1024,
};

/// Answers the requests of one connection until it ends, or becomes a WebSocket. After `stop` it finishes
/// the request that is being answered.
///
/// hyper's own builder, because that of hyper-util waits for the first byte without a timeout.
pub(super) async fn serve_one(socket: TcpStream, app: Router, stop: CancellationToken, limits: Limits) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a socket was gone before it could be set up");
        return;
    }
    answer(socket, app, stop, limits).await;
}

/// [`serve_one`] over any bytes.
pub(super) async fn answer<Io>(io: Io, app: Router, stop: CancellationToken, limits: Limits)
where
    Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        if request.extensions().get::<OnUpgrade>().is_some() {
            request.extensions_mut().insert(BareSocket(bare));
        }
        app.clone().oneshot(request.map(|body| BodyTimeout::new(body, limits.body_timeout)))
    });
    let io = TokioIo::new(SendTimeout::new(HeadFilter::new(io), limits.send_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.buffer_size)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended with an error");
    }
}

fn bare(upgraded: Upgraded) -> Result<(TcpStream, Bytes), Upgraded> {
    let parts = upgraded.downcast::<TokioIo<SendTimeout<HeadFilter<TcpStream>>>>()?;
    Ok((parts.io.into_inner().into_inner().into_inner(), parts.read_buf))
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

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const PATIENT: Limits = Limits {
        head_timeout: Duration::from_secs(3600),
        body_timeout: Duration::from_secs(3600),
        send_timeout: Duration::from_secs(3600),
        ..LIMITS
    };

    /// A client's socket to `app`, whose connection ends with the future.
    async fn connect(app: Router, limits: Limits) -> (TcpStream, impl Future<Output = ()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let serving = tokio::spawn(serve_one(socket, app, CancellationToken::new(), limits));
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
        let (mut client, ended) = connect(app, Limits { send_timeout: SHORT, ..PATIENT }).await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n").await.unwrap();
        ended.await;
        assert_eq!(dropped.recv().await, None, "the response is dropped with its connection");
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let app = Router::new().route("/", post(async |body: Bytes| body.len().to_string()));
        let (mut client, ended) = connect(app, Limits { body_timeout: SHORT, ..PATIENT }).await;
        client.write_all(b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
        let answer = read_to_end(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        ended.await;
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_is_given_up() {
        let answered = "GET / HTTP/1.1\r\nHost: hub\r\n\r\n";
        for (sent, answers) in [("", 0), ("GET / HTTP/1.1\r\nHost: hu", 0), (answered, 1)] {
            let app = Router::new().route("/", get(async || "here"));
            let (mut client, ended) = connect(app, Limits { head_timeout: SHORT, ..PATIENT }).await;
            client.write_all(sent.as_bytes()).await.unwrap();
            ended.await;
            assert_eq!(read_to_end(&mut client).await.matches("here").count(), answers, "{sent}");
        }
    }

    #[tokio::test]
    async fn heads_have_a_bound() {
        for (header, count) in [("x".repeat(4 * LIMITS.buffer_size), 1), ("x".to_owned(), 101)] {
            let (mut client, ended) = connect(Router::new(), PATIENT).await;
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
        let (mut client, ended) = connect(Router::new().route("/", upgrade), PATIENT).await;
        let request =
            b"GET / HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nGET /# HTTP/1.1\r\n";
        client.write_all(request).await.unwrap();
        let (pending, bare) = upgraded.recv().await.unwrap();
        ended.await;
        let (mut socket, early) = bare(pending.await.unwrap()).unwrap();
        assert_eq!(early, "GET /# HTTP/1.1\r\n");
        client.write_all(b"GET /#").await.unwrap();
        let mut later = [0; 6];
        socket.read_exact(&mut later).await.unwrap();
        assert_eq!(&later, b"GET /#");
    }
}
