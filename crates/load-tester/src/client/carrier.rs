//! The transports, opened and read.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::{bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::Instant;

use crate::client::error::{ConnectError, ConnectPhase, Disconnected};
use crate::client::options::TokenPlace;
use crate::client::post::{Post, Route};
use crate::client::request;
use crate::measure::PhaseTimes;
use crate::wire::event_stream::EventReader;
use crate::wire::framing::{FrameReader, Incoming, MessageReader, push_data, push_pong};
use crate::wire::http::{Answer, HttpConnection, Piece, ResponseReader};
use crate::wire::messages::{Protocol, message_type};
use crate::wire::socket::{self, Socket};

const HEAD_LIMIT_BYTES: usize = 16 * 1024;
/// Allocated room for what is sent that a connection may keep.
const KEPT_ROOM_BYTES: usize = 1024;

#[derive(Debug)]
pub(crate) enum Carrier {
    WebSocket {
        socket: Socket,
        reader: Box<FrameReader>,
    },
    Events {
        http: Box<HttpConnection>,
        events: EventReader,
        post: Box<Post>,
    },
    Polls {
        http: Box<HttpConnection>,
        request: Box<[u8]>,
        messages: Box<MessageReader>,
        post: Box<Post>,
    },
    /// The socket is gone.
    Cut,
}

impl Carrier {
    pub(crate) async fn web_socket(
        route: &Route,
        protocol: Protocol,
        is_resumed: bool,
        times: &mut PhaseTimes,
    ) -> Result<(Self, Vec<u8>), ConnectError> {
        let (target, token) = transport_token(route);
        let request = request::upgrade(&route.url, &target, token, &route.options);
        let mut socket = opened(route, times).await?;
        let started = Instant::now();
        let early = upgrade(&mut socket, &request).await?;
        times.upgrade = Some(started.elapsed());
        let reader = if is_resumed { FrameReader::resumed(protocol) } else { FrameReader::new(protocol) };
        Ok((Self::WebSocket { socket, reader: Box::new(reader) }, early))
    }

    pub(crate) async fn events(route: Route, times: &mut PhaseTimes) -> Result<Self, ConnectError> {
        let (target, token) = transport_token(&route);
        let request = request::get(&route.url, &target, token, &route.options, "text/event-stream");
        let mut http = HttpConnection::over(opened(&route, times).await?);
        let started = Instant::now();
        let events = open_stream(&mut http, &request).await?;
        times.upgrade = Some(started.elapsed());
        Ok(Self::Events { http: Box::new(http), events, post: Box::new(Post::new(route)) })
    }

    /// The first poll is answered at once.
    pub(crate) async fn polls(
        route: Route,
        protocol: Protocol,
        times: &mut PhaseTimes,
    ) -> Result<Self, ConnectError> {
        let at = ConnectPhase::Upgrade;
        let Route { url, target, token, options, .. } = &route;
        let request = request::get(url, target, token.as_deref(), options, "*/*").into_boxed_slice();
        let mut http = HttpConnection::over(opened(&route, times).await?);
        let started = Instant::now();
        let answer = http.ask(&request).await.map_err(|error| ConnectError::any(at, &error))?;
        if answer.status != 200 {
            return Err(ConnectError::status(at, answer.status, &answer.body, answer.location.as_deref()));
        }
        times.upgrade = Some(started.elapsed());
        http.send_now(&request).map_err(|error| ConnectError::any(at, &error))?;
        let messages = Box::new(MessageReader::new(protocol));
        Ok(Self::Polls { http: Box::new(http), request, messages, post: Box::new(Post::new(route)) })
    }

    /// Appends a hub message, with its framing of the hub protocol, to what is to be sent.
    pub(crate) fn push(&self, outbox: &mut Vec<u8>, protocol: Protocol, message: &[u8]) {
        match self {
            Self::WebSocket { .. } => push_data(outbox, protocol, message),
            Self::Events { .. } | Self::Polls { .. } => outbox.extend_from_slice(message),
            Self::Cut => {}
        }
    }

    /// Sends; ready when everything has left.
    pub(crate) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        outbox: &mut Vec<u8>,
    ) -> Poll<Result<(), Disconnected>> {
        match self {
            Self::WebSocket { socket, .. } => {
                let mut sent = 0;
                while sent < outbox.len() {
                    match Pin::new(&mut *socket).poll_write(context, &outbox[sent..]) {
                        Poll::Ready(Ok(0)) => return Poll::Ready(Err(lost(&"the socket takes nothing"))),
                        Poll::Ready(Ok(count)) => sent += count,
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(&error))),
                        Poll::Pending => {
                            outbox.drain(..sent);
                            return Poll::Pending;
                        }
                    }
                }
                outbox.clear();
                if outbox.capacity() > KEPT_ROOM_BYTES {
                    *outbox = Vec::new();
                }
                // A TLS stream may hold what its socket has not taken.
                Pin::new(socket).poll_flush(context).map_err(|error| lost(&error))
            }
            Self::Events { post, .. } | Self::Polls { post, .. } => post.poll(context, outbox),
            Self::Cut => Poll::Ready(Err(lost(&"it was cut"))),
        }
    }

    /// Reads once, `limit` bytes at most, and hands over what is whole. Pongs are appended to the outbox.
    pub(crate) fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        limit: usize,
        outbox: &mut Vec<u8>,
        on_message: &mut dyn FnMut(u8, &[u8]),
    ) -> Poll<anyhow::Result<()>> {
        match self {
            Self::WebSocket { socket, reader } => {
                socket::poll_read_at_most(socket, context, limit, |bytes| {
                    take_frames(reader, bytes, outbox, on_message)
                })
            }
            Self::Events { http, events, .. } => http.poll_receive_at_most(context, limit, &mut |piece| {
                match piece {
                    Piece::Head(status) => ensure!(status == 200, "answered {status}"),
                    Piece::Body(bytes) => events.feed(bytes, on_message)?,
                    Piece::End => bail!("the event stream ended"),
                }
                Ok(())
            }),
            Self::Polls { http, request, messages, .. } => {
                let mut answered = false;
                ready!(http.poll_receive_at_most(context, limit, &mut |piece| {
                    match piece {
                        Piece::Head(204) => bail!("the poll was answered 204: the connection is over"),
                        Piece::Head(status) => ensure!(status == 200, "the poll was answered {status}"),
                        Piece::Body(bytes) => messages.feed(bytes, |message| {
                            on_message(message_type(message).unwrap_or(0), message);
                        })?,
                        Piece::End => answered = true,
                    }
                    Ok(())
                }))?;
                if answered {
                    http.send_now(request)?;
                }
                Poll::Ready(Ok(()))
            }
            Self::Cut => Poll::Ready(Err(anyhow::anyhow!("it was cut"))),
        }
    }

    /// Hands over what came with the answer to the upgrade.
    pub(crate) fn take_early(
        &mut self,
        bytes: &[u8],
        outbox: &mut Vec<u8>,
        on_message: &mut dyn FnMut(u8, &[u8]),
    ) -> anyhow::Result<()> {
        match self {
            Self::WebSocket { reader, .. } if !bytes.is_empty() => {
                take_frames(reader, bytes, outbox, on_message)
            }
            _ => Ok(()),
        }
    }

    /// Resets the socket, as when a network or a program goes away.
    pub(crate) fn cut(&mut self) {
        let socket = match self {
            Self::WebSocket { socket, .. } => socket,
            Self::Events { http, .. } | Self::Polls { http, .. } => http.socket(),
            Self::Cut => return,
        };
        // If it cannot be reset it is closed.
        let _ = socket.tcp().set_zero_linger();
        *self = Self::Cut;
    }
}

pub(crate) fn lost(error: &dyn std::fmt::Display) -> Disconnected {
    Disconnected::Lost(error.to_string())
}

fn take_frames(
    reader: &mut FrameReader,
    bytes: &[u8],
    outbox: &mut Vec<u8>,
    on_message: &mut dyn FnMut(u8, &[u8]),
) -> anyhow::Result<()> {
    let mut closed = bytes.is_empty().then(|| "the socket closed".to_owned());
    reader.feed(bytes, |incoming| match incoming {
        Incoming::Message(message) => on_message(message_type(message).unwrap_or(0), message),
        Incoming::Ping(payload) => push_pong(outbox, payload),
        Incoming::Close(Some(code)) => closed = Some(format!("the server closed the WebSocket with {code}")),
        Incoming::Close(None) => closed = Some("the server closed the WebSocket".to_owned()),
    })?;
    closed.map_or(Ok(()), |how| bail!(how))
}

async fn opened(route: &Route, times: &mut PhaseTimes) -> Result<Socket, ConnectError> {
    let opened = route.network.open(&route.url).await?;
    (times.tcp, times.tls) = (Some(opened.tcp), opened.tls);
    Ok(opened.socket)
}

/// Path and query, and the token for the header, of a WebSocket or an event stream.
fn transport_token(route: &Route) -> (String, Option<&str>) {
    let Route { target, token, options, .. } = route;
    match token {
        Some(token) if options.token_place == TokenPlace::Query => {
            let between = if target.contains('?') { '&' } else { '?' };
            let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
            (format!("{target}{between}access_token={token}"), None)
        }
        token => (target.clone(), token.as_deref()),
    }
}

/// Returns what came behind the head.
async fn upgrade(socket: &mut Socket, request: &[u8]) -> Result<Vec<u8>, ConnectError> {
    let at = ConnectPhase::Upgrade;
    let failed = |text: &str| ConnectError::new(at, text);
    socket::send(socket, request).await.map_err(|error| ConnectError::any(at, &error))?;
    let mut bytes = Vec::with_capacity(512);
    let end = loop {
        let read = socket.read_buf(&mut bytes).await.map_err(|error| ConnectError::io(at, &error))?;
        let end = memchr::memmem::find(&bytes, b"\r\n\r\n").map(|end| end + 4);
        match end {
            Some(end) => break end,
            None if read == 0 => {
                return Err(failed("the server closed instead of an answer to the WebSocket upgrade"));
            }
            None if bytes.len() > HEAD_LIMIT_BYTES => return Err(failed("an answer without end")),
            None => {}
        }
    };
    if !bytes.starts_with(b"HTTP/1.1 101 ") {
        return Err(refusal(socket, &bytes).await);
    }
    let has_key = memchr::memmem::find(&bytes[..end], request::ACCEPT.as_bytes()).is_some();
    if !has_key {
        return Err(failed("the answer to the WebSocket upgrade has a wrong Sec-WebSocket-Accept"));
    }
    bytes.drain(..end);
    Ok(bytes)
}

/// What an answer other than 101 says.
async fn refusal(socket: &mut Socket, start: &[u8]) -> ConnectError {
    let (mut reader, mut answer, mut whole) = (ResponseReader::default(), Answer::default(), false);
    let mut fed = reader.feed(start, &mut |piece| answer.take(&piece, &mut whole));
    while fed.is_ok() && !whole {
        let take = |bytes: &[u8]| {
            ensure!(!bytes.is_empty(), "the socket closed");
            reader.feed(bytes, &mut |piece| answer.take(&piece, &mut whole))
        };
        let mut take = Some(take);
        fed = poll_fn(|context| {
            socket::poll_read(socket, context, |bytes| take.take().map_or(Ok(()), |mut take| take(bytes)))
        })
        .await;
    }
    match answer.status {
        0 => ConnectError::new(ConnectPhase::Upgrade, "the answer to the WebSocket upgrade is no HTTP/1.1"),
        status => {
            ConnectError::status(ConnectPhase::Upgrade, status, &answer.body, reader.location().as_deref())
        }
    }
}

/// Sends the request and waits for a head that is a success.
async fn open_stream(http: &mut HttpConnection, request: &[u8]) -> Result<EventReader, ConnectError> {
    let at = ConnectPhase::Upgrade;
    http.send_now(request).map_err(|error| ConnectError::any(at, &error))?;
    let mut events = EventReader::new();
    let (mut answer, mut whole) = (Answer::default(), false);
    while answer.status == 0 || (answer.status != 200 && !whole) {
        poll_fn(|context| {
            http.poll_receive_at_most(context, usize::MAX, &mut |piece| match piece {
                // Nothing but the opening comment comes before the handshake.
                Piece::Body(bytes) if answer.status == 200 => events.feed(bytes, &mut |_, _| ()),
                piece => answer.take(&piece, &mut whole),
            })
        })
        .await
        .map_err(|error| ConnectError::any(at, &error))?;
    }
    if answer.status != 200 {
        return Err(ConnectError::status(at, answer.status, &answer.body, None));
    }
    Ok(events)
}
