//! Responses that take long: event streams, and polls that wait.
//!
//! hyper keeps its buffers, 16 KiB and more, from a request's head to the end of its response. So it is asked for its socket once it has
//! read such a request, the response is written here, and then the socket is served by hyper again.

use std::convert::Infallible;
use std::fmt::{self, Write};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use axum::response::Response;
use bytes::{Buf, BytesMut};
use futures_util::future::BoxFuture;
use http_body::Body as _;
use hyper::upgrade::OnUpgrade;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tower::ServiceExt;

use super::progress::Progress;

/// A response without hyper.
pub(super) struct LongResponse {
    answer: Answer,
    /// Whether the client may send another request afterwards.
    is_kept_alive: bool,
}

enum Answer {
    Waited(BoxFuture<'static, Result<Response, Infallible>>),
    Begun(Response),
}

impl fmt::Debug for LongResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongResponse").field("is_kept_alive", &self.is_kept_alive).finish_non_exhaustive()
    }
}

/// Whether a request may take long: it asks for an event stream or polls, which name a connection and have no body.
pub(super) fn may_take_long<B: http_body::Body>(request: &Request<B>) -> bool {
    let names_connection = |query: &str| query.split('&').any(|parameter| parameter.starts_with("id="));
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_end_stream()
        && request.extensions().get::<OnUpgrade>().is_none()
        && request.uri().query().is_some_and(names_connection)
}

/// What hyper is told of such a request: its response if that is there at once and whole, and otherwise nothing, since it is handed over.
pub(super) struct Answering {
    answer: Option<BoxFuture<'static, Result<Response, Infallible>>>,
    is_kept_alive: bool,
    progress: Arc<Progress>,
}

impl Answering {
    pub(super) fn new<B>(app: Router, request: Request<B>, progress: Arc<Progress>) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let is_kept_alive = !says_close(request.headers());
        Self { answer: Some(Box::pin(app.oneshot(request))), is_kept_alive, progress }
    }
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut answer) = self.answer.take() else { return Poll::Pending };
        let answer = match answer.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) if response.body().size_hint().exact().is_some() => {
                return Poll::Ready(Ok(response));
            }
            Poll::Ready(Ok(response)) => Answer::Begun(response),
            Poll::Pending => Answer::Waited(answer),
        };
        self.progress.hand_over(LongResponse { answer, is_kept_alive: self.is_kept_alive });
        Poll::Pending
    }
}

impl LongResponse {
    /// Writes it, and returns whether the connection goes on. What the client sends meanwhile is added to `early`.
    ///
    /// # Errors
    /// The client went away, or takes nothing; or the response broke off.
    pub(super) async fn write<Io>(
        self,
        io: &mut Io,
        early: &mut BytesMut,
        is_stopping: impl Fn() -> bool,
    ) -> io::Result<bool>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let response = match self.answer {
            Answer::Waited(answer) => tokio::select! {
                biased;
                Ok(response) = answer => response,
                gone = left(io, early) => return Err(gone),
            },
            Answer::Begun(response) => response,
        };
        let (parts, body) = response.into_parts();
        let is_kept_alive = self.is_kept_alive && !says_close(&parts.headers) && !is_stopping();
        let framing = Framing::of(parts.status, &body);
        let head = head(parts.status, parts.headers, framing, is_kept_alive);
        write_body(io, head, body, framing, early).await?;
        Ok(is_kept_alive)
    }
}

async fn write_body<Io>(
    io: &mut Io,
    head: Bytes,
    body: Body,
    framing: Framing,
    early: &mut BytesMut,
) -> io::Result<()>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let mut body = pin!(body);
    let mut head = head;
    loop {
        let at_once = poll_fn(|cx| Poll::Ready(body.as_mut().poll_frame(cx))).await;
        let frame = match at_once {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                write(io, &mut std::mem::take(&mut head)).await?;
                tokio::select! {
                    biased;
                    frame = poll_fn(|cx| body.as_mut().poll_frame(cx)) => frame,
                    gone = left(io, early) => return Err(gone),
                }
            }
        };
        let begin = std::mem::take(&mut head);
        match frame.transpose().map_err(io::Error::other)?.map(http_body::Frame::into_data) {
            Some(Ok(data)) if !data.is_empty() => match framing {
                Framing::Chunked => {
                    let size = ChunkSize::of(data.len());
                    write(io, &mut begin.chain(size.as_slice()).chain(data).chain(&b"\r\n"[..])).await?;
                }
                Framing::Length(_) => write(io, &mut begin.chain(data)).await?,
                Framing::NoBody => write(io, &mut { begin }).await?,
            },
            Some(_) => head = begin,
            None => {
                let end: &[u8] = if framing == Framing::Chunked { b"0\r\n\r\n" } else { b"" };
                return write(io, &mut begin.chain(end)).await;
            }
        }
    }
}

async fn write<Io: AsyncWrite + Unpin>(io: &mut Io, bytes: &mut impl Buf) -> io::Result<()> {
    io.write_all_buf(bytes).await?;
    io.flush().await
}

/// Waits until the client has left. What it sends, its next request, is kept, and then nothing more is read: hyper, too, notices a
/// client's end only while there is nothing to read of it.
async fn left<Io: AsyncRead + Unpin>(io: &mut Io, early: &mut BytesMut) -> io::Error {
    poll_fn(|cx| {
        while early.is_empty() {
            let mut scratch = [0; 512];
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut *io).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => {
                    return Poll::Ready(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(()) => early.extend_from_slice(buffer.filled()),
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Pending
    })
    .await
}

/// How a client knows where a body ends (RFC 9112, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    NoBody,
    Length(u64),
    Chunked,
}

impl Framing {
    fn of(status: StatusCode, body: &Body) -> Self {
        match body.size_hint().exact() {
            _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Self::NoBody,
            Some(length) => Self::Length(length),
            None => Self::Chunked,
        }
    }
}

fn head(status: StatusCode, mut headers: HeaderMap, framing: Framing, is_kept_alive: bool) -> Bytes {
    headers.remove(TRANSFER_ENCODING);
    headers.remove(CONTENT_LENGTH);
    match framing {
        Framing::NoBody => {}
        Framing::Length(length) => drop(headers.insert(CONTENT_LENGTH, length.into())),
        Framing::Chunked => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
    if !is_kept_alive {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if !headers.contains_key(DATE)
        && let Ok(now) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
    {
        headers.insert(DATE, now);
    }
    let mut head = BytesMut::with_capacity(512);
    let reason = status.canonical_reason().unwrap_or_default();
    let _ = write!(head, "HTTP/1.1 {} {reason}\r\n", status.as_u16());
    for (name, value) in &headers {
        head.extend_from_slice(name.as_ref());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.freeze()
}

fn says_close(headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    options.any(|value| value.split(',').any(|option| option.trim().eq_ignore_ascii_case("close")))
}

/// The line in front of a chunk: its size in hexadecimal digits.
struct ChunkSize {
    line: [u8; 18],
    length: usize,
}

impl ChunkSize {
    fn of(size: usize) -> Self {
        let mut line = [0; 18];
        let mut rest = &mut line[..];
        let _ = io::Write::write_fmt(&mut rest, format_args!("{size:x}\r\n"));
        let length = 18 - rest.len();
        Self { line, length }
    }

    fn as_slice(&self) -> &[u8] {
        &self.line[..self.length]
    }
}

#[cfg(test)]
mod tests;
