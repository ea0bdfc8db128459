//! Connections without a hub.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

#[cfg(feature = "axum")]
use axum::Router;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use hubline_pipe::{Accepted, CloseCode, ConnectionHandler, ConnectionInfo, Frame, Pipe, PipeEnd};
use hubline_protocol::{Encoded, TransferFormat};
use hubline_transport::EndpointOptions;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::stops::Stops;
use crate::{HubService, Server};

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Server {
    /// Routes for an axum application: `path` and its `/negotiate`, where clients open connections that speak no hub protocol
    /// (ASP.NET Core's `MapConnectionHandler`). Each is given to `handler` and lasts until the [`Connection`] is dropped,
    /// which a handler does at its end. An error that the handler returns is logged.
    ///
    /// All transports are served, by any instance of a fleet; [`Server::shutdown`] ends [`Connection::receive`] and waits for
    /// the handlers; [`Server::statistics`] counts the connections.
    ///
    /// ```
    /// use hubline::{Connection, ConnectionError, Server};
    ///
    /// async fn echo(mut connection: Connection) -> Result<(), ConnectionError> {
    ///     while let Some(bytes) = connection.receive().await {
    ///         connection.send_binary(bytes).await?;
    ///     }
    ///     Ok(())
    /// }
    /// let app: axum::Router = axum::Router::new().merge(Server::new().map_connections("/echo", echo));
    /// ```
    ///
    /// # Panics
    /// As [`HubHandle::map`](crate::HubHandle::map).
    #[cfg(feature = "axum")]
    #[track_caller]
    pub fn map_connections<S, F, Fut, E>(&self, path: &str, handler: F) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Failure>,
    {
        self.map_connections_with(path, EndpointOptions::default(), handler)
    }

    /// [`Server::map_connections`] with options for this path.
    ///
    /// # Panics
    /// As [`Server::map_connections`]. If the options allow stateful reconnects, which are a matter of the hub protocol.
    #[cfg(feature = "axum")]
    #[track_caller]
    pub fn map_connections_with<S, F, Fut, E>(
        &self,
        path: &str,
        options: EndpointOptions,
        handler: F,
    ) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Failure>,
    {
        let has_refresh = options.enable_authentication_refresh;
        self.routes(path, has_refresh, self.connection_service(path, options, handler))
    }

    /// What [`Server::map_connections_with`] maps as a tower service, for hosts other than axum. `name` and paths are as in
    /// [`HubHandle::service`](crate::HubHandle::service).
    ///
    /// # Panics
    /// As [`Server::map_connections_with`].
    #[track_caller]
    pub fn connection_service<F, Fut, E>(
        &self,
        name: &str,
        options: EndpointOptions,
        handler: F,
    ) -> HubService
    where
        F: Fn(Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Failure>,
    {
        assert!(
            !options.allow_stateful_reconnects,
            "connections at `{name}` speak no hub protocol, so they cannot be resumed: leave `allow_stateful_reconnects` out"
        );
        let (name, stops) = (Arc::<str>::from(name), self.stops().clone());
        let count = self.add_connection_handler(Arc::clone(&name));
        let handler = Handler { name: Arc::clone(&name), stops, count, handler };
        self.endpoint(&name, Arc::new(handler), options)
    }
}

/// A connection that speaks no hub protocol. Dropping it closes it.
pub struct Connection {
    pipe: Option<Box<dyn Pipe>>,
    info: ConnectionInfo,
    stopping: CancellationToken,
    input: BytesMut,
    /// What a dropped `send` has left.
    unsent: VecDeque<Frame>,
    end: Option<PipeEnd>,
    /// Where the pipe is closed.
    closing: Option<oneshot::Sender<Box<dyn Pipe>>>,
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The connection has ended.
    Closed(PipeEnd),
    /// Server-sent events carry text, and bytes were to be sent. Offer other transports
    /// ([`EndpointOptions::transports`]) or send text.
    TextOnly,
}

impl Connection {
    /// Who it is and how it came.
    pub fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// The next bytes of the client, as far as they have come: where one piece ends and the next begins means nothing. `None` once
    /// the client has gone, the server is stopping, or the authentication has expired that the connection ends with.
    ///
    /// # Cancel safety
    /// Safe: no bytes are lost.
    pub async fn receive(&mut self) -> Option<Bytes> {
        let stopping = self.stopping.clone();
        loop {
            let expires = self.pipe.as_ref().and_then(|pipe| pipe.expires());
            let expired = async {
                match expires {
                    Some(expires) => sleep_until(expires).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stopping.cancelled() => return None,
                received = poll_fn(|cx| self.poll_receive(cx)) => return received,
                () = expired => {}
            }
            // A newer request may have brought a newer token.
            let expires = self.pipe.as_ref().and_then(|pipe| pipe.expires());
            if expires.is_some_and(|expires| expires <= Instant::now()) {
                return None;
            }
        }
    }

    /// Sends a text, as one message of a WebSocket or one event. Ready when the transport has taken it, which waits for a client
    /// that does not read.
    ///
    /// # Errors
    /// The connection has ended.
    ///
    /// # Cancel safety
    /// Safe: the text stays in line, and is sent by the next `send` or `receive`.
    pub async fn send_text(&mut self, text: impl AsRef<str>) -> Result<(), ConnectionError> {
        self.send(text.as_ref().as_bytes(), TransferFormat::Text).await
    }

    /// The same with bytes, as a binary message.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    ///
    /// # Cancel safety
    /// As [`Connection::send_text`].
    pub async fn send_binary(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), ConnectionError> {
        if !self.info.transport.transfer_formats().contains(&TransferFormat::Binary) {
            return Err(ConnectionError::TextOnly);
        }
        self.send(bytes.as_ref(), TransferFormat::Binary).await
    }

    async fn send(&mut self, bytes: &[u8], format: TransferFormat) -> Result<(), ConnectionError> {
        self.unsent.push_back(Frame::uncounted(Encoded::copy_from(bytes), format));
        poll_fn(|cx| self.poll_send(cx)).await.map_err(ConnectionError::Closed)
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.unsent.is_empty()
            && let Poll::Ready(Err(_)) = self.poll_send(cx)
        {
            return Poll::Ready(None);
        }
        let Some(pipe) = self.pipe.as_mut().filter(|_| self.end.is_none()) else { return Poll::Ready(None) };
        while let Poll::Ready(principal) = pipe.poll_principal(cx) {
            self.info.principal = principal;
        }
        while self.input.is_empty() {
            if let Err(end) = ready!(pipe.poll_receive(cx, &mut self.input)) {
                self.end = Some(end);
                return Poll::Ready(None);
            }
        }
        Poll::Ready(Some(std::mem::take(&mut self.input).freeze()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PipeEnd>> {
        match (&mut self.pipe, self.end) {
            // It still reads.
            (Some(pipe), None | Some(PipeEnd::InputEnded)) => pipe.poll_send(cx, &mut self.unsent),
            (_, end) => Poll::Ready(Err(end.unwrap_or(PipeEnd::Lost))),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some((closing, pipe)) = self.closing.take().zip(self.pipe.take()) {
            // Nobody closes it where the runtime ends.
            _ = closing.send(pipe);
        }
    }
}

struct Handler<F> {
    name: Arc<str>,
    stops: Stops,
    count: Arc<AtomicUsize>,
    handler: F,
}

impl<F, Fut, E> ConnectionHandler for Handler<F>
where
    F: Fn(Connection) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Failure>,
{
    fn run(&self, accepted: Accepted) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (closing, closed) = oneshot::channel();
        let registered = self.stops.register();
        let connection = Connection {
            pipe: Some(accepted.pipe),
            info: accepted.info,
            stopping: registered.stopping.clone(),
            input: BytesMut::new(),
            unsent: VecDeque::new(),
            end: None,
            closing: Some(closing),
        };
        let (name, counted) = (Arc::clone(&self.name), Counted::new(&self.count));
        // A handler that panics before its first await takes nobody along.
        let handled = std::panic::catch_unwind(AssertUnwindSafe(|| (self.handler)(connection)));
        Box::pin(async move {
            match handled {
                Ok(handled) => match AssertUnwindSafe(handled).catch_unwind().await {
                    Ok(outcome) => log(&name, outcome.map_err(Into::into)),
                    Err(_) => tracing::error!(path = %name, "a connection handler panicked"),
                },
                Err(_) => tracing::error!(path = %name, "a connection handler panicked"),
            }
            if let Ok(pipe) = closed.await {
                pipe.close(CloseCode::Normal).await;
            }
            drop((counted, registered));
        })
    }
}

fn log(path: &str, outcome: Result<(), Failure>) {
    let Err(error) = outcome else { return };
    match error.downcast_ref() {
        Some(ConnectionError::Closed(_)) => {
            tracing::debug!(path, %error, "a client has gone in the middle of something");
        }
        _ => tracing::error!(path, %error, "a connection handler failed"),
    }
}

/// One connection more, until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(end) => write!(f, "the connection has ended: {end}"),
            Self::TextOnly => f.write_str(
                "server-sent events carry text, not bytes: send text, or offer other transports at this path",
            ),
        }
    }
}

impl std::error::Error for ConnectionError {}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("info", &self.info).finish_non_exhaustive()
    }
}
