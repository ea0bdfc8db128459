//! The side of the instance that a request has come to by chance.
//!
//! A question is repeated until its answer has come, for pub/sub may lose both; whoever answers knows a
//! repeated one by its number. So an answer comes once, or the request learns why not.

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

use super::message::{Answer, AnswerPiece, ExchangeId, Message, Question, Wish};
use crate::requester::Requester;

/// Requests that wait for other instances at once, polls included. More are refused.
const LIMIT_QUESTIONS: usize = 100_000;
/// Connections elsewhere whose place is remembered; the others are looked for again.
const LIMIT_PLACES: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
/// Given up questions that are remembered.
const LIMIT_CANCELLED: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
/// Bytes of one answer.
const LIMIT_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Answers that are acknowledged with the next question to the same instance, or after a while.
const LIMIT_FINISHED: usize = 64;
/// The same of each kind for all instances together. Whoever is not told of one asks about it, and learns it then, or
/// forgets it after a minute.
const LIMIT_FAREWELLS: usize = 50_000;
/// So many are told at once rather than with the next tick.
const MANY_FAREWELLS: usize = 512;
/// An answer that has not come for so long may be lost, with its question or alone.
const REPEAT: Duration = Duration::from_secs(2);
/// The same when the question is known to have been heard.
const REPEAT_HEARD: Duration = Duration::from_secs(30);
/// How long a request waits for a link that is down.
const UNREACHABLE_PATIENCE: Duration = Duration::from_secs(5);
/// The same for a transport, which is served without the others then.
const CONNECT_PATIENCE: Duration = Duration::from_millis(500);
/// How long nobody has to listen at an address before nobody is there: a link comes back in less.
const NOBODY_PATIENCE: Duration = Duration::from_millis(700);
/// Between attempts to send; doubled while nobody listens.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Asking {
    fleet: Arc<dyn Fleet>,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
    room: Arc<Semaphore>,
    places: Mutex<LruCache<Box<str>, InstanceId>>,
    farewells: Mutex<Farewells>,
    /// Questions that were given up lately: if an answer comes all the same, nobody has got it.
    cancelled: Mutex<LruCache<u64, ()>>,
    pub(super) has_farewells: Notify,
}

/// What the other side of an exchange is still to be told.
#[derive(Default)]
struct Farewells {
    /// By who has answered.
    finished: HashMap<InstanceId, Vec<ExchangeId>>,
    finished_count: usize,
    /// With where they were asked.
    cancelled: Vec<(Address, ExchangeId)>,
}

/// An answer on its way here.
struct Waiting {
    answer: oneshot::Sender<(Answer, InstanceId)>,
    bytes: Vec<u8>,
    next_piece: u32,
    heard: Arc<Notify>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskError {
    /// Nobody listens at that address.
    Nobody,
    /// The link to the others is down.
    Unreachable,
    /// Somebody listens, and has not answered in time.
    Silent,
    /// [`LIMIT_QUESTIONS`] is reached.
    Busy,
}

/// A question and what belongs to it. Dropped without an answer it is cancelled where it was asked.
pub(crate) struct Exchange {
    asking: Arc<Asking>,
    pub(super) id: ExchangeId,
    address: Address,
    token: Box<str>,
    requester: Option<Requester>,
    is_open: bool,
    /// How long nobody has to listen before nobody is there.
    pub(super) nobody_patience: Duration,
    _room: OwnedSemaphorePermit,
}

impl Asking {
    pub(super) fn new(fleet: Arc<dyn Fleet>) -> Arc<Self> {
        Arc::new(Self {
            fleet,
            next: AtomicU64::new(0),
            waiting: Mutex::default(),
            room: Arc::new(Semaphore::new(LIMIT_QUESTIONS)),
            places: Mutex::new(LruCache::new(LIMIT_PLACES)),
            farewells: Mutex::default(),
            cancelled: Mutex::new(LruCache::new(LIMIT_CANCELLED)),
            has_farewells: Notify::new(),
        })
    }

    pub(super) fn begin(
        self: &Arc<Self>,
        address: Address,
        token: &str,
        requester: Option<Requester>,
    ) -> Result<Exchange, AskError> {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| AskError::Busy)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(Exchange {
            asking: Arc::clone(self),
            id: ExchangeId { from: self.fleet.instance().into(), number },
            address,
            token: token.into(),
            requester,
            is_open: false,
            nobody_patience: NOBODY_PATIENCE,
            _room: room,
        })
    }

    /// Where a connection was found last.
    pub(super) fn place_of(&self, token: &str) -> Option<InstanceId> {
        lock(&self.places).get(token).copied()
    }

    pub(super) fn forget_place(&self, token: &str) {
        lock(&self.places).pop(token);
    }

    /// A piece of an answer has come.
    pub(super) fn answered(&self, piece: AnswerPiece) {
        let mut waiting = lock(&self.waiting);
        let number = piece.exchange.number;
        let Some(answer) = waiting.get_mut(&number) else {
            drop(waiting);
            return self.answered_late(&piece);
        };
        if piece.piece == 0 {
            answer.bytes.clear();
        } else if piece.piece != answer.next_piece {
            return;
        }
        answer.next_piece = piece.piece + 1;
        answer.bytes.extend_from_slice(&piece.data);
        let is_whole = answer.next_piece == piece.pieces;
        let is_too_long = answer.bytes.len() > LIMIT_ANSWER_BYTES;
        if (is_whole || is_too_long)
            && let Some(Waiting { answer, bytes, .. }) = waiting.remove(&number)
        {
            let whole = Answer::from_bytes(&bytes).filter(|_| !is_too_long).unwrap_or(Answer::Busy);
            // The request may have gone.
            _ = answer.send((whole, piece.by.into()));
        }
    }

    /// It has come before, or too late; whoever answers shall know which.
    fn answered_late(&self, piece: &AnswerPiece) {
        if piece.piece + 1 < piece.pieces {
            return;
        }
        let is_cancelled = lock(&self.cancelled).contains(&piece.exchange.number);
        let (by, mut farewells) = (InstanceId::from(piece.by), lock(&self.farewells));
        match is_cancelled {
            true => farewells.cancelled(Address::Instance(by), piece.exchange),
            false => farewells.finished(by, [piece.exchange]),
        }
        drop(farewells);
        self.has_farewells.notify_one();
    }

    /// A question has been heard and takes its time.
    pub(super) fn heard(&self, exchange: ExchangeId) {
        if let Some(waiting) = lock(&self.waiting).get(&exchange.number) {
            waiting.heard.notify_one();
        }
    }

    /// Tells what is still to be told, as far as the link allows.
    pub(super) async fn say_farewells(&self) {
        let Farewells { finished, cancelled, .. } = std::mem::take(&mut *lock(&self.farewells));
        for (instance, exchanges) in finished {
            let message = Message::Finished { exchanges: exchanges.clone() };
            if self.fleet.send(&Address::Instance(instance), message.to_bytes()).await.is_err() {
                lock(&self.farewells).finished(instance, exchanges);
            }
        }
        for (address, exchange) in cancelled {
            let message = Message::Cancelled { exchange };
            if self.fleet.send(&address, message.to_bytes()).await.is_err() {
                lock(&self.farewells).cancelled(address, exchange);
            }
        }
    }

    /// Some of what this instance is to be told.
    fn take_finished(&self, address: &Address) -> Vec<ExchangeId> {
        let Address::Instance(instance) = address else { return Vec::new() };
        let mut farewells = lock(&self.farewells);
        let Some(finished) = farewells.finished.get_mut(instance) else { return Vec::new() };
        let rest = finished.len().saturating_sub(LIMIT_FINISHED);
        let taken = finished.split_off(rest);
        if finished.is_empty() {
            farewells.finished.remove(instance);
        }
        farewells.finished_count -= taken.len();
        taken
    }
}

impl Farewells {
    fn finished(&mut self, by: InstanceId, exchanges: impl IntoIterator<Item = ExchangeId>) {
        for exchange in exchanges {
            if self.finished_count < LIMIT_FAREWELLS {
                self.finished_count += 1;
                self.finished.entry(by).or_default().push(exchange);
            }
        }
    }

    fn cancelled(&mut self, asked_at: Address, exchange: ExchangeId) {
        if self.cancelled.len() < LIMIT_FAREWELLS {
            self.cancelled.push((asked_at, exchange));
        }
    }

    fn are_many(&self) -> bool {
        self.finished_count >= MANY_FAREWELLS
    }
}

impl Exchange {
    /// Asks, and waits for the answer; longer than `patience` only where a part of it has come.
    pub(crate) async fn ask(&mut self, wish: Wish, patience: Option<Duration>) -> Result<Answer, AskError> {
        let asking = Arc::clone(&self.asking);
        let deadline = patience.map(|patience| Instant::now() + patience);
        let heard = Arc::new(Notify::new());
        let link_patience = if wish == Wish::Connect { CONNECT_PATIENCE } else { UNREACHABLE_PATIENCE };
        let question = Question {
            exchange: self.id,
            token: self.token.to_string(),
            requester: self.requester.clone(),
            wish,
            finished: asking.take_finished(&self.address),
        };
        let question = Message::Question(question).to_bytes();
        let (send, mut answer) = oneshot::channel();
        let waiting = Waiting { answer: send, bytes: Vec::new(), next_piece: 0, heard: Arc::clone(&heard) };
        lock(&asking.waiting).insert(self.id.number, waiting);
        self.is_open = true;
        let asked = async {
            let mut status = asking.fleet.status();
            let (mut nobody_since, mut pause) = (None, PAUSE);
            loop {
                status.mark_unchanged();
                match asking.fleet.send(&self.address, question.clone()).await {
                    Ok(0) => {
                        let since = *nobody_since.get_or_insert_with(Instant::now);
                        if since.elapsed() >= self.nobody_patience {
                            return Err(AskError::Nobody);
                        }
                        sleep(pause).await;
                        pause *= 2;
                    }
                    Ok(_) => {
                        (nobody_since, pause) = (None, PAUSE);
                        let again = async {
                            if timeout(REPEAT, heard.notified()).await.is_ok() {
                                sleep(REPEAT_HEARD).await;
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
                answered = &mut answer => answered.map_err(|_| AskError::Silent),
                failed = asked => failed,
            }
        };
        let outcome = match deadline {
            Some(deadline) => timeout_at(deadline, outcome).await.unwrap_or(Err(AskError::Silent)),
            None => outcome.await,
        };
        if outcome.as_ref().err() == Some(&AskError::Nobody) {
            // Nor is there anybody to be told that the answer is not wanted any more.
            self.is_open = false;
        }
        let (answer, by) = outcome?;
        self.learn(&answer, by).await;
        Ok(answer)
    }

    /// What an answer tells beside what was asked.
    async fn learn(&mut self, answer: &Answer, by: InstanceId) {
        match answer {
            Answer::PieceTaken => {}
            Answer::Unknown | Answer::HandedOver { .. } | Answer::Taken | Answer::Busy => {
                self.is_open = false
            }
            _ => {
                self.is_open = false;
                lock(&self.asking.places).put(self.token.clone(), by);
            }
        }
        if self.is_open {
            // The rest goes to whoever has taken the beginning.
            self.address = Address::Instance(by);
            return;
        }
        let are_many = {
            let mut farewells = lock(&self.asking.farewells);
            farewells.finished(by, [self.id]);
            farewells.are_many()
        };
        if are_many {
            self.asking.has_farewells.notify_one();
        }
        // Until this is known the connection gives out nothing more.
        if matches!(answer, Answer::Found(_)) {
            self.asking.say_farewells().await;
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        lock(&self.asking.waiting).remove(&self.id.number);
        if self.is_open {
            lock(&self.asking.cancelled).put(self.id.number, ());
            lock(&self.asking.farewells).cancelled(self.address.clone(), self.id);
            self.asking.has_farewells.notify_one();
        }
    }
}

/// Waits for a link that is down.
async fn connected(status: &mut watch::Receiver<Status>, patience: Duration) -> Result<(), AskError> {
    let up = status.wait_for(|status| *status == Status::Connected);
    match timeout(patience, up).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(AskError::Unreachable),
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
        let asking = Asking::new(Arc::clone(&fleet[0]) as _);
        let there = fleet[1].instance();
        let exchange = |number| ExchangeId { from: fleet[0].instance().into(), number };
        fleet[0].set_connected(false);
        for number in 0..70_000 {
            let mut farewells = lock(&asking.farewells);
            farewells.finished(there, [exchange(number)]);
            farewells.cancelled(Address::Instance(there), exchange(number));
        }
        asking.say_farewells().await;
        let counts = || {
            let farewells = lock(&asking.farewells);
            let finished: usize = farewells.finished.values().map(Vec::len).sum();
            (finished, farewells.finished_count, farewells.cancelled.len())
        };
        assert_eq!(counts(), (LIMIT_FAREWELLS, LIMIT_FAREWELLS, LIMIT_FAREWELLS));
        assert_eq!(asking.take_finished(&Address::Instance(there)).len(), LIMIT_FINISHED);
        assert_eq!(counts().1, LIMIT_FAREWELLS - LIMIT_FINISHED);
        fleet[0].set_connected(true);
        asking.say_farewells().await;
        assert_eq!(counts(), (0, 0, 0));
    }
}
