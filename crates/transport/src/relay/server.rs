//! Carries out requests of other instances for connections that are here.
//!
//! Each request is carried out once, however often it comes. Its reply is kept until the other instance acknowledges it.
//! Messages that were given to a poll are unconfirmed until then, and go back if the reply did not arrive.

mod body;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hubline_backplane::{Address, Fleet, Status};
use hubline_pipe::{Accepted, ConnectionInfo, ResumeError};
use hubline_protocol::negotiate::TransportKind;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::body::Piece;
use super::client::RelayClient;
use super::message::{ExchangeId, Message, Operation, RefreshedPrincipal, RelayRequest, Reply, ReplyPiece};
use super::tunnel::Tunnels;
use crate::authentication::Expiry;
use crate::connection_manager::{
    Attached, ConnectionManager, ConnectionState, Found, Negotiated, Owner, Resumption,
};
use crate::inbox::PostError;
use crate::long_polling::{DeliveryOutcome, LongPolling, Polled};
use crate::reachability::Reachability;
use crate::refusal::Refusal;
use crate::requester::{Purpose, Requester};

/// Requests that are being carried out, or whose replies are kept. More are refused.
const LIMIT_EXCHANGES: usize = 200_000;
/// How long a reply is kept that is not acknowledged.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// How long the acknowledgement of a reply with messages may take, before the reply is repeated.
const DOUBT: Duration = Duration::from_secs(2);
/// A request that takes longer is reported to be in progress.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);
/// Bytes of a reply in one message: well below what a Redis gives a subscriber to fall behind.
const PIECE_BYTES: usize = 256 * 1024;
/// How long the instance that asked may be out of reach.
const RETURN_PATIENCE: Duration = Duration::from_secs(30);
const LISTENER_PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(super) struct RelayServer {
    fleet: Arc<dyn Fleet>,
    client: Arc<RelayClient>,
    pub(super) tunnels: Tunnels,
    exchanges: Arc<Mutex<HashMap<ExchangeId, ServedExchange>>>,
}

struct ServedExchange {
    next_piece: u32,
    pieces: Option<mpsc::Sender<Piece>>,
    /// The newest reply and the piece that it is for.
    reply: Option<(u32, Bytes)>,
    /// The poll whose messages are confirmed once the reply has arrived.
    unconfirmed: Option<Arc<LongPolling>>,
    since: Instant,
    stop: CancellationToken,
}

impl RelayServer {
    pub(super) fn new(fleet: Arc<dyn Fleet>, client: Arc<RelayClient>) -> Self {
        Self { fleet, client, tunnels: Tunnels::default(), exchanges: Arc::default() }
    }

    /// A request has come, perhaps again.
    pub(super) fn receive_request(&self, request: RelayRequest, connections: ConnectionManager) {
        self.acknowledged(&request.acknowledged);
        let id = request.exchange;
        let piece = request.operation.piece();
        let mut exchanges = self.lock();
        let is_full = exchanges.len() >= LIMIT_EXCHANGES;
        match exchanges.entry(id) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                if let Some((of, reply)) = &known.reply
                    && *of == piece
                {
                    self.send(id, reply.clone());
                } else if piece == known.next_piece
                    && let (Some(pieces), Operation::Post { is_last, data, .. }) =
                        (&known.pieces, request.operation)
                    && pieces.try_send(Piece { is_last, data: data.into() }).is_ok()
                {
                    known.next_piece += 1;
                }
            }
            Entry::Vacant(_) if is_full => self.send(id, Reply::Busy.to_bytes()),
            Entry::Vacant(_) if piece > 0 => self.send(id, Reply::Unknown.to_bytes()),
            Entry::Vacant(new) => {
                let stop = CancellationToken::new();
                let (send, pieces) = mpsc::channel(1);
                new.insert(ServedExchange {
                    next_piece: 1,
                    pieces: matches!(request.operation, Operation::Post { is_last: false, .. })
                        .then_some(send),
                    reply: None,
                    unconfirmed: None,
                    since: Instant::now(),
                    stop: stop.clone(),
                });
                let server = self.clone();
                tokio::spawn(stop.run_until_cancelled_owned(async move {
                    server.carry_out(request, pieces, connections).await;
                }));
            }
        }
    }

    /// The other instance has these replies.
    pub(super) fn acknowledged(&self, ids: &[ExchangeId]) {
        let mut exchanges = self.lock();
        for id in ids {
            if let Some(polling) = exchanges.remove(id).and_then(|exchange| exchange.unconfirmed) {
                polling.confirm(DeliveryOutcome::Arrived);
            }
        }
    }

    /// The request was given up without its reply.
    pub(super) fn cancelled(&self, id: ExchangeId) {
        let Some(exchange) = self.lock().remove(&id) else { return };
        exchange.stop.cancel();
        exchange.take_back();
    }

    /// Drops exchanges that are over, and repeats replies that are not confirmed.
    pub(super) fn sweep(&self, reach: &Reachability) {
        let now = Instant::now();
        self.lock().retain(|id, exchange| {
            let (Some((_, reply)), Some(since)) = (&exchange.reply, reach.counted_from(exchange.since))
            else {
                return true;
            };
            if exchange.unconfirmed.is_some() && now >= since + DOUBT {
                exchange.since = now;
                self.send(*id, reply.clone());
            }
            exchange.unconfirmed.is_some() || now < since + KEPT_FOR
        });
    }

    async fn carry_out(
        &self,
        request: RelayRequest,
        pieces: mpsc::Receiver<Piece>,
        connections: ConnectionManager,
    ) {
        let RelayRequest { exchange, token, requester, operation, .. } = request;
        if let Operation::Tunnel { id, message } = operation {
            let taken = self.tunnels.take(id, message).await;
            return self.reply(exchange, 0, taken, None);
        }
        let Some(requester) = requester else { return self.reply(exchange, 0, Reply::Unknown, None) };
        if let Some(reply) = unclaimed(&token, &requester, &operation, &connections).await {
            return self.reply(exchange, 0, reply, None);
        }
        let Some(found) = connections.find(&token) else {
            return self.reply(exchange, 0, Reply::Unknown, None);
        };
        let admitted = admit(&found, &requester, &operation);
        if let Err(refusal) = self.report_progress(exchange, admitted).await {
            return self.reply(exchange, 0, Reply::Refused(refusal), None);
        }
        let reply = match (operation, found.state) {
            (Operation::Connect | Operation::Poll { .. }, ConnectionState::Negotiated) => match connections
                .hand_over(&token)
            {
                Some(Negotiated { is_stateful, owner, .. }) => {
                    let refreshed = owner.authentication.and_then(|authentication| authentication.in_force());
                    Reply::HandedOver { is_stateful, refreshed: refreshed.map(RefreshedPrincipal) }
                }
                // Another transport was faster.
                None => Reply::Refused(Refusal::Attached),
            },
            (Operation::Connect, ConnectionState::Attached(_)) => Reply::Resumable,
            (
                Operation::Poll { timeout_ms, expires_ms },
                ConnectionState::Attached(Attached::LongPolling(polling)),
            ) => {
                return self.poll(exchange, polling, timeout_ms, requester.expiry(expires_ms)).await;
            }
            (
                Operation::Resume { path, query, expires_ms },
                ConnectionState::Attached(Attached::WebSocket(Some(resumption))),
            ) => {
                let expires = resumption.expires(requester.expiry(expires_ms));
                let request = (&*token, path, query);
                self.resume(exchange, &resumption, request, expires, found.owner).await
            }
            (Operation::Post { is_last, data, .. }, ConnectionState::Attached(attached)) => {
                let Some(inbox) = attached.inbox() else {
                    return self.reply(exchange, 0, Reply::Unknown, None);
                };
                let first = Piece { is_last, data: data.into() };
                let (piece, reply) = self.take_body(exchange, &inbox, first, pieces).await;
                return self.reply(exchange, piece, reply, None);
            }
            (Operation::Delete, ConnectionState::Attached(Attached::LongPolling(polling)))
                if polling.delete() =>
            {
                Reply::Deleted
            }
            (Operation::Refresh, _) => Reply::Refreshed,
            _ => Reply::Unknown,
        };
        self.reply(exchange, 0, reply, None);
    }

    async fn poll(&self, exchange: ExchangeId, polling: Arc<LongPolling>, timeout_ms: u64, expiry: Expiry) {
        let poll = polling.poll_remotely(Duration::from_millis(timeout_ms), expiry);
        let reply = Reply::from(self.report_progress(exchange, poll).await);
        let unconfirmed = matches!(reply, Reply::Found(_)).then_some(polling);
        self.reply(exchange, 0, reply, unconfirmed);
    }

    /// Puts a WebSocket of the instance that asks in the place of a lost one.
    async fn resume(
        &self,
        id: ExchangeId,
        resumption: &Resumption,
        (token, path, query): (&str, String, String),
        expires: Option<Instant>,
        owner: Owner,
    ) -> Reply {
        let permit = match resumption.resumer.request().await {
            Ok(permit) => permit,
            Err(ResumeError::NotResumable) => return Reply::Refused(Refusal::Attached),
            Err(ResumeError::Ended) => return Reply::EndedMeanwhile,
        };
        let info = ConnectionInfo {
            is_id_secret: resumption.id.as_str() == token,
            path: path.into(),
            query: query.into(),
            ..ConnectionInfo::new(resumption.id.clone(), TransportKind::WebSockets)
        };
        let end = self.tunnels.open(id, &self.client, Address::Instance(id.from.into()));
        let accepted = Accepted { pipe: end.into_pipe(expires), info, resumable: None };
        permit.finish(match owner.authentication {
            Some(authentication) => authentication.wrap(accepted),
            None => accepted,
        });
        Reply::Resumed
    }

    async fn report_progress<T>(&self, exchange: ExchangeId, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Ok(done) = timeout(PROGRESS_AFTER, work.as_mut()).await {
            return done;
        }
        let in_progress = Message::InProgress { exchange }.to_bytes();
        // If it is lost the request comes again.
        _ = self.fleet.send(&Address::Instance(exchange.from.into()), in_progress).await;
        work.await
    }

    fn reply(&self, id: ExchangeId, piece: u32, reply: Reply, unconfirmed: Option<Arc<LongPolling>>) {
        let reply = reply.to_bytes();
        match self.lock().get_mut(&id) {
            Some(exchange) => {
                exchange.reply = Some((piece, reply.clone()));
                exchange.unconfirmed = unconfirmed;
                exchange.since = Instant::now();
            }
            // Cancelled in this instant.
            None => {
                if let Some(polling) = unconfirmed {
                    polling.confirm(DeliveryOutcome::Lost);
                }
                return;
            }
        }
        self.send(id, reply);
    }

    fn send(&self, id: ExchangeId, reply: Bytes) {
        let server = self.clone();
        tokio::spawn(async move {
            if !server.deliver(id, &reply).await {
                server.cancelled(id);
            }
        });
    }

    /// Sends a reply in pieces; `false` if nobody listens for it any more.
    async fn deliver(&self, id: ExchangeId, reply: &Bytes) -> bool {
        let by = self.fleet.instance().into();
        let address = Address::Instance(id.from.into());
        let pieces = reply.len().div_ceil(PIECE_BYTES).max(1);
        let mut status = self.fleet.status();
        let mut no_listener_since = None;
        let mut piece = 0;
        while piece < pieces {
            let end = reply.len().min((piece + 1) * PIECE_BYTES);
            let message = Message::Reply(ReplyPiece {
                exchange: id,
                by,
                piece: u32::try_from(piece).unwrap_or(u32::MAX),
                pieces: u32::try_from(pieces).unwrap_or(u32::MAX),
                data: reply[piece * PIECE_BYTES..end].to_vec(),
            });
            match self.fleet.send(&address, message.to_bytes()).await {
                Ok(0) => {
                    let since = *no_listener_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= LISTENER_PATIENCE {
                        return false;
                    }
                    sleep(PAUSE).await;
                }
                Ok(_) => piece += 1,
                Err(_) => {
                    sleep(PAUSE).await;
                    let up = status.wait_for(|status| *status == Status::Connected);
                    // The other instance repeats the request if it still waits.
                    if timeout(RETURN_PATIENCE, up).await.is_err() {
                        return true;
                    }
                    piece = 0;
                }
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ExchangeId, ServedExchange>> {
        self.exchanges.lock()
    }
}

impl ServedExchange {
    fn take_back(&self) {
        if let Some(polling) = &self.unconfirmed {
            polling.confirm(DeliveryOutcome::Lost);
        }
    }
}

impl Operation {
    fn piece(&self) -> u32 {
        match self {
            Self::Post { piece, .. } => *piece,
            _ => 0,
        }
    }
}

/// What becomes of a request for a connection that was negotiated here and that nobody has claimed. `None`: it has been
/// claimed, or is by this.
async fn unclaimed(
    token: &str,
    requester: &Requester,
    operation: &Operation,
    connections: &ConnectionManager,
) -> Option<Reply> {
    if connections.find(token).is_some() {
        return None;
    }
    let verified = connections.read(token, requester).await?;
    if !connections.is_unclaimed(&verified.ticket) {
        return None;
    }
    if let Err(refusal) = requester.check_unclaimed(verified.user_match) {
        return Some(Reply::Refused(refusal));
    }
    let claimed = match operation {
        Operation::Connect | Operation::Poll { .. } => connections
            .claim_for_another(&verified.ticket)
            .map(|()| Some(Reply::HandedOver { is_stateful: verified.ticket.is_stateful, refreshed: None })),
        Operation::Refresh => {
            connections.claim_for_refresh(token, &verified.ticket, requester).map(|()| None)
        }
        _ => Ok(Some(Reply::Unknown)),
    };
    claimed.unwrap_or_else(|refusal| Some(Reply::Refused(refusal)))
}

/// Lets a request of another instance through the gate. A transport that finds a WebSocket to be resumed asks again for
/// that, and is judged then.
async fn admit(found: &Found, requester: &Requester, operation: &Operation) -> Result<(), Refusal> {
    match (operation, &found.state) {
        (Operation::Connect, ConnectionState::Attached(Attached::WebSocket(Some(_))))
            if requester.purpose == Purpose::Transport(TransportKind::WebSockets)
                && requester.endpoint == found.owner.endpoint =>
        {
            Ok(())
        }
        _ => requester.check(found).await,
    }
}

impl Requester {
    /// What this request makes of its connection's end, which comes so many milliseconds from now.
    fn expiry(&self, expires_ms: Option<u64>) -> Expiry {
        if self.is_expired { Expiry::Unchanged } else { Expiry::At(instant(expires_ms)) }
    }
}

/// So many milliseconds from now.
fn instant(milliseconds: Option<u64>) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(milliseconds?))
}

impl From<Polled> for Reply {
    fn from(polled: Polled) -> Self {
        match polled {
            Polled::Found(pieces) => {
                let size = pieces.iter().map(Bytes::len).sum();
                let mut whole = Vec::with_capacity(size);
                pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
                Self::Found(whole)
            }
            Polled::TimedOut => Self::TimedOut,
            Polled::NoMore => Self::NoMore,
            Polled::Conflict => Self::Conflict,
            Polled::Gone => Self::Unknown,
        }
    }
}

impl From<Result<(), PostError>> for Reply {
    fn from(posted: Result<(), PostError>) -> Self {
        match posted {
            Ok(()) => Self::Posted,
            Err(error) => Self::NotPosted(error),
        }
    }
}
