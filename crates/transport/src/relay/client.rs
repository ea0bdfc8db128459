//! Sends requests to the instances with their connections, and waits for the replies.
//!
//! Pub/sub may lose a request or its reply, so a request is repeated until its reply has come. The other side knows a
//! repeated request by its number and carries it out once.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hubline_backplane::{Address, Fleet, InstanceId, Status};
use lru::LruCache;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::message::{ExchangeId, Message, Operation, RelayRequest, Reply, ReplyPiece};
use crate::requester::Requester;

/// Requests that wait for other instances at once, polls included. More are refused.
const LIMIT_REQUESTS: usize = 100_000;
/// Connections of other instances whose instance is remembered; the others are looked for again.
const LIMIT_PLACES: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
/// Number of requests that were given up and are remembered, to tell a late reply from a repeated one.
const LIMIT_CANCELLED: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
/// Bytes of one reply.
const LIMIT_REPLY_BYTES: usize = 64 * 1024 * 1024;
/// Replies that are acknowledged with the next request to the same instance, or after a while.
const LIMIT_ACKNOWLEDGED: usize = 64;
/// Acknowledgements, and cancellations, that wait to be sent to all instances together. An instance that is not told of one
/// repeats its reply and is told then, or drops the exchange after a minute.
const LIMIT_ACKNOWLEDGEMENTS: usize = 50_000;
/// So many acknowledgements are sent at once rather than with the next tick.
const MANY_ACKNOWLEDGEMENTS: usize = 512;
/// A reply that has not come for so long may be lost, with its request or alone.
const REPEAT: Duration = Duration::from_secs(2);
/// The same when the request is known to be carried out.
const REPEAT_IN_PROGRESS: Duration = Duration::from_secs(30);
/// How long a request waits for a link that is down.
const UNREACHABLE_PATIENCE: Duration = Duration::from_secs(5);
/// The same for a transport, which is served without the others then.
const CONNECT_PATIENCE: Duration = Duration::from_millis(500);
/// How long an address has to be without a listener before its instance counts as gone: a link comes back in less.
const LISTENER_PATIENCE: Duration = Duration::from_millis(700);
/// Between attempts to send; doubled while nobody listens.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct RelayClient {
    fleet: Arc<dyn Fleet>,
    next: AtomicU64,
    pending: Mutex<HashMap<u64, PendingReply>>,
    room: Arc<Semaphore>,
    places: Mutex<LruCache<Box<str>, InstanceId>>,
    acknowledgements: Mutex<Acknowledgements>,
    /// Requests that were given up lately: if a reply comes all the same, nobody has got it.
    cancelled: Mutex<LruCache<u64, ()>>,
    pub(super) acknowledgements_due: Notify,
}

/// Acknowledgements and cancellations that are still to be sent.
#[derive(Default)]
struct Acknowledgements {
    /// By the instance that has replied.
    acknowledged: HashMap<InstanceId, Vec<ExchangeId>>,
    acknowledged_count: usize,
    /// With where they were asked.
    cancelled: Vec<(Address, ExchangeId)>,
}

/// A reply that has not come whole.
struct PendingReply {
    reply: oneshot::Sender<(Reply, InstanceId)>,
    bytes: Vec<u8>,
    next_piece: u32,
    in_progress: Arc<Notify>,
}

/// Why a request has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayError {
    /// Nobody listens at the address.
    NoListener,
    /// The link to the others is down.
    Unreachable,
    /// An instance listens at the address, and has not replied in time.
    TimedOut,
    /// [`LIMIT_REQUESTS`] is reached.
    Busy,
}

/// A request and its reply. Dropped without a reply, it is cancelled at the other instance.
pub(crate) struct Exchange {
    client: Arc<RelayClient>,
    pub(super) id: ExchangeId,
    address: Address,
    token: Box<str>,
    requester: Option<Requester>,
    is_open: bool,
    /// How long the address has to be without a listener before its instance counts as gone.
    pub(super) listener_patience: Duration,
    _room: OwnedSemaphorePermit,
}

impl RelayClient {
    pub(super) fn new(fleet: Arc<dyn Fleet>) -> Arc<Self> {
        Arc::new(Self {
            fleet,
            next: AtomicU64::new(0),
            pending: Mutex::default(),
            room: Arc::new(Semaphore::new(LIMIT_REQUESTS)),
            places: Mutex::new(LruCache::new(LIMIT_PLACES)),
            acknowledgements: Mutex::default(),
            cancelled: Mutex::new(LruCache::new(LIMIT_CANCELLED)),
            acknowledgements_due: Notify::new(),
        })
    }

    pub(super) fn begin(
        self: &Arc<Self>,
        address: Address,
        token: &str,
        requester: Option<Requester>,
    ) -> Result<Exchange, RelayError> {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| RelayError::Busy)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(Exchange {
            client: Arc::clone(self),
            id: ExchangeId { from: self.fleet.instance().into(), number },
            address,
            token: token.into(),
            requester,
            is_open: false,
            listener_patience: LISTENER_PATIENCE,
            _room: room,
        })
    }

    /// The instance where a connection was found last.
    pub(super) fn place_of(&self, token: &str) -> Option<InstanceId> {
        lock(&self.places).get(token).copied()
    }

    pub(super) fn forget_place(&self, token: &str) {
        lock(&self.places).pop(token);
    }

    /// A piece of a reply has come.
    pub(super) fn receive_reply(&self, piece: ReplyPiece) {
        let mut pending = lock(&self.pending);
        let number = piece.exchange.number;
        let Some(reply) = pending.get_mut(&number) else {
            drop(pending);
            return self.receive_late_reply(&piece);
        };
        if piece.piece == 0 {
            reply.bytes.clear();
        } else if piece.piece != reply.next_piece {
            return;
        }
        reply.next_piece = piece.piece + 1;
        reply.bytes.extend_from_slice(&piece.data);
        let is_whole = reply.next_piece == piece.pieces;
        let is_too_long = reply.bytes.len() > LIMIT_REPLY_BYTES;
        if (is_whole || is_too_long)
            && let Some(PendingReply { reply, bytes, .. }) = pending.remove(&number)
        {
            let whole = Reply::from_bytes(&bytes).filter(|_| !is_too_long).unwrap_or(Reply::Busy);
            // The request may have gone.
            _ = reply.send((whole, piece.by.into()));
        }
    }

    /// A reply has come that is no longer waited for: the other instance is told whether it had come before or is too late.
    fn receive_late_reply(&self, piece: &ReplyPiece) {
        if piece.piece + 1 < piece.pieces {
            return;
        }
        let is_cancelled = lock(&self.cancelled).contains(&piece.exchange.number);
        let (by, mut acknowledgements) = (InstanceId::from(piece.by), lock(&self.acknowledgements));
        match is_cancelled {
            true => acknowledgements.cancelled(Address::Instance(by), piece.exchange),
            false => acknowledgements.acknowledged(by, [piece.exchange]),
        }
        drop(acknowledgements);
        self.acknowledgements_due.notify_one();
    }

    /// A request has been heard and takes its time.
    pub(super) fn receive_progress(&self, exchange: ExchangeId) {
        if let Some(pending) = lock(&self.pending).get(&exchange.number) {
            pending.in_progress.notify_one();
        }
    }

    /// Sends all acknowledgements and cancellations, and keeps those that the link does not take.
    ///
    /// # Cancel safety
    /// Not safe: those that were taken for sending are lost, and their exchanges end after a minute.
    pub(super) async fn send_acknowledgements(&self) {
        let Acknowledgements { acknowledged, cancelled, .. } =
            std::mem::take(&mut *lock(&self.acknowledgements));
        for (instance, exchanges) in acknowledged {
            let message = Message::Acknowledged { exchanges: exchanges.clone() };
            if self.fleet.send(&Address::Instance(instance), message.to_bytes()).await.is_err() {
                lock(&self.acknowledgements).acknowledged(instance, exchanges);
            }
        }
        for (address, exchange) in cancelled {
            let message = Message::Cancelled { exchange };
            if self.fleet.send(&address, message.to_bytes()).await.is_err() {
                lock(&self.acknowledgements).cancelled(address, exchange);
            }
        }
    }

    /// Takes acknowledgements for this instance, up to [`LIMIT_ACKNOWLEDGED`].
    fn take_acknowledged(&self, address: &Address) -> Vec<ExchangeId> {
        let Address::Instance(instance) = address else { return Vec::new() };
        let mut acknowledgements = lock(&self.acknowledgements);
        let Some(acknowledged) = acknowledgements.acknowledged.get_mut(instance) else { return Vec::new() };
        let rest = acknowledged.len().saturating_sub(LIMIT_ACKNOWLEDGED);
        let taken = acknowledged.split_off(rest);
        if acknowledged.is_empty() {
            acknowledgements.acknowledged.remove(instance);
        }
        acknowledgements.acknowledged_count -= taken.len();
        taken
    }
}

impl Acknowledgements {
    fn acknowledged(&mut self, by: InstanceId, exchanges: impl IntoIterator<Item = ExchangeId>) {
        for exchange in exchanges {
            if self.acknowledged_count < LIMIT_ACKNOWLEDGEMENTS {
                self.acknowledged_count += 1;
                self.acknowledged.entry(by).or_default().push(exchange);
            }
        }
    }

    fn cancelled(&mut self, asked_at: Address, exchange: ExchangeId) {
        if self.cancelled.len() < LIMIT_ACKNOWLEDGEMENTS {
            self.cancelled.push((asked_at, exchange));
        }
    }

    fn are_many(&self) -> bool {
        self.acknowledged_count >= MANY_ACKNOWLEDGEMENTS
    }
}

impl Exchange {
    /// Sends the request and waits for its reply, `patience` at most.
    ///
    /// # Cancel safety
    /// Dropped without a reply, the exchange is cancelled at the other instance when it is dropped itself.
    pub(crate) async fn request(
        &mut self,
        operation: Operation,
        patience: Option<Duration>,
    ) -> Result<Reply, RelayError> {
        let client = Arc::clone(&self.client);
        let deadline = patience.map(|patience| Instant::now() + patience);
        let in_progress = Arc::new(Notify::new());
        let link_patience =
            if operation == Operation::Connect { CONNECT_PATIENCE } else { UNREACHABLE_PATIENCE };
        let request = RelayRequest {
            exchange: self.id,
            token: self.token.to_string(),
            requester: self.requester.clone(),
            operation,
            acknowledged: client.take_acknowledged(&self.address),
        };
        let request = Message::Request(request).to_bytes();
        let (send, mut reply) = oneshot::channel();
        let pending = PendingReply {
            reply: send,
            bytes: Vec::new(),
            next_piece: 0,
            in_progress: Arc::clone(&in_progress),
        };
        lock(&client.pending).insert(self.id.number, pending);
        self.is_open = true;
        let asked = async {
            let mut status = client.fleet.status();
            let (mut no_listener_since, mut pause) = (None, PAUSE);
            loop {
                status.mark_unchanged();
                match client.fleet.send(&self.address, request.clone()).await {
                    Ok(0) => {
                        let since = *no_listener_since.get_or_insert_with(Instant::now);
                        if since.elapsed() >= self.listener_patience {
                            return Err(RelayError::NoListener);
                        }
                        sleep(pause).await;
                        pause *= 2;
                    }
                    Ok(_) => {
                        (no_listener_since, pause) = (None, PAUSE);
                        let again = async {
                            if timeout(REPEAT, in_progress.notified()).await.is_ok() {
                                sleep(REPEAT_IN_PROGRESS).await;
                            }
                        };
                        tokio::select! {
                            () = again => {}
                            _ = status.changed() => connected(&mut status, link_patience).await?,
                        }
                    }
                    Err(_) => {
                        // The link may have come back already.
                        sleep(PAUSE).await;
                        connected(&mut status, link_patience).await?;
                    }
                }
            }
        };
        let outcome = async {
            tokio::select! {
                biased;
                replied = &mut reply => replied.map_err(|_| RelayError::TimedOut),
                failed = asked => failed,
            }
        };
        let outcome = match deadline {
            Some(deadline) => timeout_at(deadline, outcome).await.unwrap_or(Err(RelayError::TimedOut)),
            None => outcome.await,
        };
        if outcome.as_ref().err() == Some(&RelayError::NoListener) {
            // No instance is there to be told of a cancellation.
            self.is_open = false;
        }
        let (reply, by) = outcome?;
        self.learn(&reply, by).await;
        Ok(reply)
    }

    /// Notes which instance has replied, and acknowledges the reply.
    async fn learn(&mut self, reply: &Reply, by: InstanceId) {
        match reply {
            Reply::PieceTaken => {}
            Reply::Unknown | Reply::HandedOver { .. } | Reply::TunnelDelivered | Reply::Busy => {
                self.is_open = false
            }
            _ => {
                self.is_open = false;
                lock(&self.client.places).put(self.token.clone(), by);
            }
        }
        if self.is_open {
            // The rest goes to the instance that has taken the beginning.
            self.address = Address::Instance(by);
            return;
        }
        let are_many = {
            let mut acknowledgements = lock(&self.client.acknowledgements);
            acknowledgements.acknowledged(by, [self.id]);
            acknowledgements.are_many()
        };
        if are_many {
            self.client.acknowledgements_due.notify_one();
        }
        // Until this is known the connection gives out nothing more.
        if matches!(reply, Reply::Found(_)) {
            self.client.send_acknowledgements().await;
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        lock(&self.client.pending).remove(&self.id.number);
        if self.is_open {
            lock(&self.client.cancelled).put(self.id.number, ());
            lock(&self.client.acknowledgements).cancelled(self.address.clone(), self.id);
            self.client.acknowledgements_due.notify_one();
        }
    }
}

/// Waits for a link that is down.
async fn connected(status: &mut watch::Receiver<Status>, patience: Duration) -> Result<(), RelayError> {
    let up = status.wait_for(|status| *status == Status::Connected);
    match timeout(patience, up).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(RelayError::Unreachable),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

#[cfg(test)]
mod tests {
    use hubline_backplane::memory_fleet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_told_is_bounded_and_told_when_it_can() {
        let fleet = memory_fleet(2);
        let client = RelayClient::new(Arc::clone(&fleet[0]) as _);
        let there = fleet[1].instance();
        let exchange = |number| ExchangeId { from: fleet[0].instance().into(), number };
        fleet[0].set_connected(false);
        for number in 0..70_000 {
            let mut acknowledgements = lock(&client.acknowledgements);
            acknowledgements.acknowledged(there, [exchange(number)]);
            acknowledgements.cancelled(Address::Instance(there), exchange(number));
        }
        client.send_acknowledgements().await;
        let counts = || {
            let acknowledgements = lock(&client.acknowledgements);
            let acknowledged: usize = acknowledgements.acknowledged.values().map(Vec::len).sum();
            (acknowledged, acknowledgements.acknowledged_count, acknowledgements.cancelled.len())
        };
        assert_eq!(counts(), (LIMIT_ACKNOWLEDGEMENTS, LIMIT_ACKNOWLEDGEMENTS, LIMIT_ACKNOWLEDGEMENTS));
        assert_eq!(client.take_acknowledged(&Address::Instance(there)).len(), LIMIT_ACKNOWLEDGED);
        assert_eq!(counts().1, LIMIT_ACKNOWLEDGEMENTS - LIMIT_ACKNOWLEDGED);
        fleet[0].set_connected(true);
        client.send_acknowledgements().await;
        assert_eq!(counts(), (0, 0, 0));
    }
}
