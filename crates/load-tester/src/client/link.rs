use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::client::carrier::{Carrier, lost};
use crate::client::error::{ConnectError, ConnectPhase, Disconnected, first_line};
use crate::client::message::{self, HubMessage};
use crate::client::negotiate::{Negotiated, negotiate};
use crate::client::network::Network;
use crate::client::options::{ConnectOptions, TransportChoice};
use crate::client::post::Route;
use crate::client::request;
use crate::client::stateful::{Stateful, is_counted};
use crate::measure::PhaseTimes;
use crate::wire::connection::{CLOSE, KEEP_ALIVE};
use crate::wire::framing::push_close;
use crate::wire::http::HttpConnection;
use crate::wire::hub_url::HubUrl;
use crate::wire::messages::Protocol;

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// More than this that the server has not taken, and nothing more is sent.
const OUTBOX_LIMIT_BYTES: usize = 256 * 1024;

/// One SignalR connection as bytes: opened and shaken hands, pinged and acknowledged by whoever owns it.
///
/// Idle it holds no buffer.
#[derive(Debug)]
pub(crate) struct Link {
    carrier: Carrier,
    protocol: Protocol,
    outbox: Vec<u8>,
    /// Came right behind the answer to the handshake.
    early: Vec<(u8, Box<[u8]>)>,
    closed: Option<Box<Disconnected>>,
    resumable: Option<Box<(Stateful, Route)>>,
    id: Option<Box<str>>,
}

impl Link {
    /// Opens a connection.
    ///
    /// # Errors
    /// Says which phase failed, and of a refusal status and first line.
    pub(crate) async fn open(
        network: &Arc<Network>,
        url: &HubUrl,
        options: &Arc<ConnectOptions>,
    ) -> Result<(Self, PhaseTimes), ConnectError> {
        let started = Instant::now();
        let deadline = started + options.timeout;
        let mut times = PhaseTimes::default();
        let negotiated = if options.skip_negotiation {
            None
        } else {
            let negotiating = negotiate(network, url, options);
            let negotiated = within(deadline, options, ConnectPhase::Negotiate, negotiating).await?;
            times.negotiate = Some(started.elapsed());
            Some(negotiated)
        };
        let opening = Self::transport(network, url, options, negotiated, &mut times);
        let (mut link, early) = within(deadline, options, ConnectPhase::Upgrade, opening).await?;
        let shaking = Instant::now();
        let handshake = link.shake_hands(early);
        within(deadline, options, ConnectPhase::Handshake, handshake).await?;
        times.handshake = Some(shaking.elapsed());
        Ok((link, times))
    }

    async fn transport(
        network: &Arc<Network>,
        url: &HubUrl,
        options: &Arc<ConnectOptions>,
        negotiated: Option<Negotiated>,
        times: &mut PhaseTimes,
    ) -> Result<(Self, Vec<u8>), ConnectError> {
        let protocol = options.protocol;
        let (choice, stateful, id, route) = route(network, url, options, negotiated);
        let mut early = Vec::new();
        let mut resumable = None;
        let carrier = match choice {
            TransportChoice::ServerSentEvents => Carrier::events(route, times).await?,
            TransportChoice::LongPolling => Carrier::polls(route, protocol, times).await?,
            TransportChoice::WebSockets | TransportChoice::Automatic => {
                let (carrier, came) = Carrier::web_socket(&route, protocol, false, times).await?;
                early = came;
                resumable = stateful.then(|| Box::new((Stateful::new(), route)));
                carrier
            }
        };
        let link =
            Self { carrier, protocol, outbox: Vec::new(), early: Vec::new(), closed: None, resumable, id };
        Ok((link, early))
    }

    async fn shake_hands(&mut self, early: Vec<u8>) -> Result<(), ConnectError> {
        let failed = |text: String| ConnectError::new(ConnectPhase::Handshake, text);
        let version = if self.resumable.is_some() { 2 } else { 1 };
        let name = match self.protocol {
            Protocol::Json => "json",
            Protocol::MessagePack => "messagepack",
        };
        let request = format!("{{\"protocol\":\"{name}\",\"version\":{version}}}\x1e");
        self.carrier.push(&mut self.outbox, self.protocol, request.as_bytes());
        let Self { carrier, outbox, early: kept, .. } = self;
        let mut answer: Option<Vec<u8>> = None;
        let mut take = |kind: u8, message: &[u8]| match answer {
            None => answer = Some(message.to_vec()),
            Some(_) => kept.push((kind, message.into())),
        };
        let mut is_answered = false;
        let mut received = carrier.take_early(&early, outbox, &mut |kind, message| {
            is_answered = true;
            take(kind, message);
        });
        while !is_answered && received.is_ok() {
            received = poll_fn(|context| {
                if let Poll::Ready(Err(error)) = carrier.poll_send(context, outbox) {
                    return Poll::Ready(Err(error.into()));
                }
                carrier.poll_receive(context, usize::MAX, outbox, &mut |kind, message| {
                    is_answered = true;
                    take(kind, message);
                })
            })
            .await;
        }
        match (answer.as_deref(), received) {
            (Some(b"{}"), _) => Ok(()),
            (Some(answer), _) => {
                Err(failed(format!("the server refused the handshake: {}", first_line(answer))))
            }
            (None, Err(error)) => Err(ConnectError::any(ConnectPhase::Handshake, &error)),
            (None, Ok(())) => Err(failed("no answer".to_owned())),
        }
    }

    /// The connection's id, unless it was not negotiated.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether clients ping on this transport, and expect something from the server within the server timeout.
    pub(crate) fn is_pinged(&self) -> bool {
        !matches!(self.carrier, Carrier::Polls { .. })
    }

    pub(crate) fn is_stateful(&self) -> bool {
        self.resumable.is_some()
    }

    /// Whether the server does not take what is sent, so that nothing more should be.
    pub(crate) fn is_held_up(&self) -> bool {
        let is_full = self.resumable.as_ref().is_some_and(|parts| parts.0.is_full());
        is_full || self.outbox.len() > OUTBOX_LIMIT_BYTES
    }

    /// Gives a hub message, with its framing of the hub protocol, to be sent by [`Link::receive`] or [`Link::flush`].
    pub(crate) fn push(&mut self, kind: u8, message: &[u8]) {
        if let Some(parts) = &mut self.resumable {
            parts.0.sends(kind, message);
        }
        self.carrier.push(&mut self.outbox, self.protocol, message);
    }

    /// Gives a ping to be sent, if clients ping on this transport.
    pub(crate) fn push_ping(&mut self) {
        if self.is_pinged() {
            self.push(KEEP_ALIVE, self.protocol.ping());
        }
    }

    /// Gives an Ack to be sent if one is due, which is once a second at most.
    pub(crate) fn push_ack(&mut self) {
        let mut ack = Vec::new();
        if let Some(parts) = &mut self.resumable {
            parts.0.push_ack(&mut ack, self.protocol);
        }
        if !ack.is_empty() {
            self.carrier.push(&mut self.outbox, self.protocol, &ack);
        }
    }

    /// Sends what waits and hands over kind and bytes of each message that comes with the next bytes, `limit` of them at most.
    ///
    /// # Errors
    /// The connection is over.
    ///
    /// # Cancel safety
    /// Safe: what was read has been handed over.
    pub(crate) async fn receive(
        &mut self,
        limit: usize,
        on_message: &mut (dyn FnMut(u8, &[u8]) + Send),
    ) -> Result<(), Disconnected> {
        poll_fn(|context| self.poll_receive(context, limit, on_message)).await
    }

    /// As [`Link::receive`]; without a limit it only sends, and does not end but with an error.
    ///
    /// # Errors
    /// The connection is over.
    ///
    /// # Cancel safety
    /// Safe: what was read has been handed over.
    pub(crate) async fn exchange(
        &mut self,
        limit: Option<usize>,
        on_message: &mut (dyn FnMut(u8, &[u8]) + Send),
    ) -> Result<(), Disconnected> {
        match limit {
            Some(limit) => self.receive(limit, on_message).await,
            None => {
                self.flush().await?;
                std::future::pending().await
            }
        }
    }

    /// Sends what waits, without reading.
    ///
    /// # Errors
    /// The connection is over.
    ///
    /// # Cancel safety
    /// Safe: what was not sent stays.
    pub(crate) async fn flush(&mut self) -> Result<(), Disconnected> {
        let Self { carrier, outbox, .. } = self;
        poll_fn(|context| carrier.poll_send(context, outbox)).await
    }

    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        limit: usize,
        on_message: &mut (dyn FnMut(u8, &[u8]) + Send),
    ) -> Poll<Result<(), Disconnected>> {
        let Self { carrier, protocol, outbox, early, closed, resumable, .. } = self;
        let protocol = *protocol;
        let mut broken = None;
        let mut take = |kind: u8, message: &[u8]| {
            let is_new = match resumable {
                Some(parts) if is_counted(kind) || kind > CLOSE => {
                    parts.0.receives(protocol, kind, message).unwrap_or_else(|error| {
                        broken.get_or_insert(error);
                        false
                    })
                }
                _ => true,
            };
            if kind == CLOSE
                && let HubMessage::Close { error, allow_reconnect } = message::read(protocol, message)
            {
                *closed = Some(Box::new(Disconnected::ByServer { error, allow_reconnect }));
            }
            if is_new {
                on_message(kind, message);
            }
        };
        if !early.is_empty() {
            for (kind, message) in std::mem::take(early) {
                take(kind, &message);
            }
            return Poll::Ready(broken.or_else(|| closed.take().map(|c| *c)).map_or(Ok(()), Err));
        }
        if let Poll::Ready(Err(error)) = carrier.poll_send(context, outbox) {
            return Poll::Ready(Err(closed.take().map_or(error, |closed| *closed)));
        }
        let received = ready!(carrier.poll_receive(context, limit, outbox, &mut take));
        if !outbox.is_empty() {
            // Pongs. If they cannot leave now they do so with the next read.
            let _ = carrier.poll_send(context, outbox);
        }
        let ended = match (broken, received) {
            (Some(broken), _) => Some(broken),
            (None, Err(error)) => {
                Some(closed.take().map_or_else(|| lost(&format_args!("{error:#}")), |c| *c))
            }
            // A Close message is the end, whatever the socket does.
            (None, Ok(())) => closed.take().map(|closed| *closed),
        };
        Poll::Ready(ended.map_or(Ok(()), Err))
    }

    /// Opens a new socket for the same connection, after the old one was lost, and sends again what the server may not have.
    ///
    /// # Errors
    /// The connection is not stateful, or the server does not have it any more.
    pub(crate) async fn resume(&mut self) -> Result<PhaseTimes, ConnectError> {
        let started = Instant::now();
        let Some(parts) = &mut self.resumable else {
            return Err(ConnectError::new(ConnectPhase::Upgrade, "the connection is not stateful"));
        };
        let (stateful, route) = &mut **parts;
        let mut times = PhaseTimes::default();
        let deadline = started + route.options.timeout;
        let opening = Carrier::web_socket(route, self.protocol, true, &mut times);
        let (carrier, early) = within(deadline, &route.options, ConnectPhase::Upgrade, opening).await?;
        self.carrier = carrier;
        self.outbox = Vec::new();
        self.carrier.push(&mut self.outbox, self.protocol, &stateful.replay(self.protocol));
        let Self { carrier, outbox, early: kept, .. } = self;
        carrier
            .take_early(&early, outbox, &mut |kind, message| kept.push((kind, message.into())))
            .map_err(|error| ConnectError::any(ConnectPhase::Upgrade, &error))?;
        Ok(times)
    }

    /// Says goodbye as official clients do, and waits up to 2 s until the server has taken it.
    pub(crate) async fn close(mut self) {
        let mut goodbye = Vec::new();
        message::push_close(&mut goodbye, self.protocol);
        self.carrier.push(&mut self.outbox, self.protocol, &goodbye);
        if let Carrier::WebSocket { .. } = self.carrier {
            push_close(&mut self.outbox);
        }
        let saying = async {
            let is_said = self.flush().await.is_ok();
            match &self.carrier {
                Carrier::WebSocket { .. } => {
                    while is_said && self.receive(usize::MAX, &mut |_, _| ()).await.is_ok() {}
                }
                Carrier::Polls { post, .. } => end_polls(&post.route).await,
                Carrier::Events { .. } | Carrier::Cut => {}
            }
        };
        // A server that is gone needs no goodbye.
        let _ = timeout(GOODBYE, saying).await;
    }

    /// Resets the socket without a goodbye, as when a network or a program goes away.
    pub(crate) fn cut(&mut self) {
        self.carrier.cut();
    }
}

fn route(
    network: &Arc<Network>,
    url: &HubUrl,
    options: &Arc<ConnectOptions>,
    negotiated: Option<Negotiated>,
) -> (TransportChoice, bool, Option<Box<str>>, Route) {
    let to = |url: HubUrl, token: Option<String>, parameters: &[(&str, &str)]| {
        let target = url.request_target("", parameters);
        Route { network: Arc::clone(network), options: Arc::clone(options), url, target, token }
    };
    match negotiated {
        None => {
            let route = to(url.clone(), options.token.clone(), &[]);
            (TransportChoice::WebSockets, false, None, route)
        }
        Some(Negotiated { url, token, transport, connection_token, connection_id, stateful }) => {
            let route = to(url, token, &[("id", &connection_token)]);
            (transport, stateful, Some(connection_id.into()), route)
        }
    }
}

async fn end_polls(route: &Route) {
    let Route { network, options, url, target, token } = route;
    if let Ok(opened) = network.open(url).await {
        let request = request::delete(url, target, token.as_deref(), options);
        // Without it the server forgets the connection after 15 s.
        let _ = HttpConnection::over(opened.socket).ask(&request).await;
    }
}

async fn within<T>(
    deadline: Instant,
    options: &ConnectOptions,
    phase: ConnectPhase,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let seconds = options.timeout.as_secs_f64();
    timeout_at(deadline, work).await.unwrap_or_else(|_| {
        Err(ConnectError::new(phase, format!("no answer within {seconds} s of connecting")))
    })
}
