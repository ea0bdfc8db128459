use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;
use tokio::time::timeout;

use crate::wire::event_stream::EventStream;
use crate::wire::long_polling::LongPolling;
use crate::wire::messages::Protocol;
use crate::wire::target::Target;
use crate::wire::web_socket::WebSocket;

pub(crate) const INVOCATION: u8 = 1;
pub(crate) const COMPLETION: u8 = 3;
pub(crate) const KEEP_ALIVE: u8 = 6;
pub(crate) const CLOSE: u8 = 7;

/// How often official clients ping.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(15);

const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// A WebSocket without negotiation.
    #[value(name = "ws")]
    WebSockets,
    /// A WebSocket after a negotiation on a socket of its own, as browsers do it.
    #[value(name = "negotiated-ws")]
    NegotiatedWebSockets,
    /// A response that does not end, and a POST on a socket of its own for what the client sends.
    #[value(name = "sse")]
    ServerSentEvents,
    /// One request after the other on one socket. Not pinged, as with official clients.
    #[value(name = "lp")]
    LongPolling,
}

/// Where hub messages come from.
pub(crate) trait Receive: Send {
    /// Hands over the type (0: none) and text of each hub message of the next bytes.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        on_message: &mut dyn FnMut(u8, &[u8]),
    ) -> Poll<anyhow::Result<()>>;

    /// Waits for the next bytes and hands over the type (0: none) and text of each hub message.
    ///
    /// # Errors
    /// The connection is over.
    ///
    /// # Cancel safety
    /// Safe: what was read has been handed over.
    fn receive(
        &mut self,
        mut on_message: impl FnMut(u8, &[u8]) + Send,
    ) -> impl Future<Output = anyhow::Result<()>> + Send {
        poll_fn(move |context| self.poll_receive(context, &mut on_message))
    }
}

/// Waits for the answer to the handshake, in the time that opening a connection may take.
pub(crate) async fn opened<C: Receive>(
    connecting: impl Future<Output = anyhow::Result<C>>,
) -> anyhow::Result<C> {
    let shake_hands = async {
        let mut connection = connecting.await?;
        let mut answer = None;
        while answer.is_none() {
            // What others send may come with it, behind it.
            connection.receive(|_, message| _ = answer.get_or_insert_with(|| message.to_vec())).await?;
        }
        let answer = answer.unwrap_or_default();
        ensure!(answer == b"{}", "handshake refused: {}", String::from_utf8_lossy(&answer));
        Ok(connection)
    };
    timeout(OPEN_TIMEOUT, shake_hands)
        .await
        .with_context(|| format!("no connection within {OPEN_TIMEOUT:?}"))?
}

/// One SignalR connection over any transport.
#[derive(Debug)]
pub(crate) enum Connection {
    WebSockets(WebSocket),
    ServerSentEvents(EventStream),
    LongPolling(LongPolling),
}

impl Connection {
    /// Connects and shakes hands. Only WebSockets take another protocol than JSON.
    pub(crate) async fn open(
        target: &Target,
        transport: Transport,
        protocol: Protocol,
    ) -> anyhow::Result<Self> {
        Ok(match transport {
            Transport::WebSockets => Self::WebSockets(WebSocket::open(target, protocol).await?),
            Transport::NegotiatedWebSockets => {
                Self::WebSockets(WebSocket::open_negotiated(target, protocol).await?)
            }
            Transport::ServerSentEvents => {
                Self::ServerSentEvents(opened(EventStream::connect(target)).await?)
            }
            Transport::LongPolling => Self::LongPolling(opened(LongPolling::connect(target)).await?),
        })
    }

    /// Pings if official clients do on this transport.
    pub(crate) async fn ping(&mut self) -> anyhow::Result<()> {
        match self {
            Self::WebSockets(connection) => connection.ping().await,
            Self::ServerSentEvents(connection) => connection.ping().await,
            Self::LongPolling(_) => Ok(()),
        }
    }

    /// Says goodbye where that takes no request; does not wait for the answer.
    pub(crate) fn close(self) {
        if let Self::WebSockets(connection) = self {
            connection.close();
        }
    }
}

impl Receive for Connection {
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        on_message: &mut dyn FnMut(u8, &[u8]),
    ) -> Poll<anyhow::Result<()>> {
        match self {
            Self::WebSockets(connection) => connection.poll_receive(context, on_message),
            Self::ServerSentEvents(connection) => connection.poll_receive(context, on_message),
            Self::LongPolling(connection) => connection.poll_receive(context, on_message),
        }
    }
}

/// # Errors
/// The server says that the connection is over.
pub(crate) fn ensure_open(kind: u8, message: &[u8]) -> anyhow::Result<()> {
    if kind == CLOSE {
        bail!("the server closed, saying {}", String::from_utf8_lossy(message));
    }
    Ok(())
}
