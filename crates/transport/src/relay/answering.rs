//! The side of the instance that has the connection.
//!
//! Each question is carried out once, however often it comes; its answer is kept until whoever asked says that
//! he has it. What a poll was given is in doubt until then, and goes back if nobody has got it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use hubline_backplane::{Address, Fleet, Status};
use hubline_pipe::{Accepted, ClaimError, ConnectionInfo};
use hubline_protocol::negotiate::TransportKind;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::asking::Asking;
use super::message::{Answer, AnswerPiece, ExchangeId, InForce, Message, Question, Wish};
use super::tunnel::Tunnels;
use crate::authentication::Expiry;
use crate::connection_manager::{Attached, ConnectionManager, Found, Known, Negotiated, Owner, Resumption};
use crate::inbox::{Inbox, PostError};
use crate::long_polling::{LongPolling, Polled, Receipt};
use crate::reachability::Reachability;
use crate::refusal::Refusal;
use crate::requester::{Purpose, Requester};

/// Questions that are being carried out, or whose answers are kept. More are refused.
const LIMIT_EXCHANGES: usize = 200_000;
/// How long an answer is kept that nobody has acknowledged.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// How long after an answer whoever has it may take to say so, before he is asked by repeating it.
const DOUBT: Duration = Duration::from_secs(2);
/// A question that takes longer gets word that it has been heard.
const UNHEARD: Duration = Duration::from_secs(1);
/// Bytes of an answer in one message: well below what a Redis gives a subscriber to fall behind.
const PIECE_BYTES: usize = 256 * 1024;
/// How long the next piece of a body may take.
const PIECE_PATIENCE: Duration = Duration::from_secs(30);
/// How long whoever asked may be out of reach.
const RETURN_PATIENCE: Duration = Duration::from_secs(30);
const NOBODY_PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(super) struct Answering {
    fleet: Arc<dyn Fleet>,
    asking: Arc<Asking>,
    pub(super) tunnels: Tunnels,
    exchanges: Arc<Mutex<HashMap<ExchangeId, Exchange>>>,
}

struct Exchange {
    next_piece: u32,
    pieces: Option<mpsc::Sender<Piece>>,
    /// The newest answer and the piece that it is for.
    answer: Option<(u32, Bytes)>,
    /// What is given out for good when the answer has arrived.
    given: Option<Arc<LongPolling>>,
    since: Instant,
    stop: CancellationToken,
}

struct Piece {
    is_last: bool,
    data: Bytes,
}

/// A body that comes in pieces from another instance.
struct Pieces(mpsc::Receiver<Bytes>);

impl Answering {
    pub(super) fn new(fleet: Arc<dyn Fleet>, asking: Arc<Asking>) -> Self {
        Self { fleet, asking, tunnels: Tunnels::default(), exchanges: Arc::default() }
    }

    /// A question has come, perhaps again.
    pub(super) fn asked(&self, question: Question, connections: ConnectionManager) {
        self.finished(&question.finished);
        let id = question.exchange;
        let piece = question.wish.piece();
        let mut exchanges = self.lock();
        let is_full = exchanges.len() >= LIMIT_EXCHANGES;
        match exchanges.entry(id) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                if let Some((of, answer)) = &known.answer
                    && *of == piece
                {
                    self.send(id, answer.clone());
                } else if piece == known.next_piece
                    && let (Some(pieces), Wish::Post { is_last, data, .. }) = (&known.pieces, question.wish)
                    && pieces.try_send(Piece { is_last, data: data.into() }).is_ok()
                {
                    known.next_piece += 1;
                }
            }
            Entry::Vacant(_) if is_full => self.send(id, Answer::Busy.to_bytes()),
            Entry::Vacant(_) if piece > 0 => self.send(id, Answer::Unknown.to_bytes()),
            Entry::Vacant(new) => {
                let stop = CancellationToken::new();
                let (send, pieces) = mpsc::channel(1);
                new.insert(Exchange {
                    next_piece: 1,
                    pieces: matches!(question.wish, Wish::Post { is_last: false, .. }).then_some(send),
                    answer: None,
                    given: None,
                    since: Instant::now(),
                    stop: stop.clone(),
                });
                let answering = self.clone();
                tokio::spawn(stop.run_until_cancelled_owned(async move {
                    answering.carry_out(question, pieces, connections).await;
                }));
            }
        }
    }

    /// These answers have arrived.
    pub(super) fn finished(&self, ids: &[ExchangeId]) {
        let mut exchanges = self.lock();
        for id in ids {
            if let Some(polling) = exchanges.remove(id).and_then(|exchange| exchange.given) {
                polling.settle(Receipt::Arrived);
            }
        }
    }

    /// Nobody waits for this answer, and nobody has it.
    pub(super) fn cancelled(&self, id: ExchangeId) {
        let Some(exchange) = self.lock().remove(&id) else { return };
        exchange.stop.cancel();
        exchange.take_back();
    }

    /// Forgets what nobody asks about any more.
    pub(super) fn sweep(&self, reach: &Reachability) {
        let now = Instant::now();
        self.lock().retain(|id, exchange| {
            let (Some((_, answer)), Some(since)) = (&exchange.answer, reach.counted_from(exchange.since))
            else {
                return true;
            };
            if exchange.given.is_some() && now >= since + DOUBT {
                exchange.since = now;
                self.send(*id, answer.clone());
            }
            exchange.given.is_some() || now < since + KEPT_FOR
        });
    }

    async fn carry_out(
        &self,
        question: Question,
        pieces: mpsc::Receiver<Piece>,
        connections: ConnectionManager,
    ) {
        let Question { exchange, token, requester, wish, .. } = question;
        if let Wish::Tunnel { id, load } = wish {
            let taken = self.tunnels.take(id, load).await;
            return self.answer(exchange, 0, taken, None);
        }
        let Some(requester) = requester else { return self.answer(exchange, 0, Answer::Unknown, None) };
        if let Some(answer) = unclaimed(&token, &requester, &wish, &connections).await {
            return self.answer(exchange, 0, answer, None);
        }
        let Some(found) = connections.find(&token) else {
            return self.answer(exchange, 0, Answer::Unknown, None);
        };
        let admitted = admit(&found, &requester, &wish);
        if let Err(refusal) = self.heard_after_a_while(exchange, admitted).await {
            return self.answer(exchange, 0, Answer::Refused(refusal), None);
        }
        let answer = match (wish, found.known) {
            (Wish::Connect | Wish::Poll { .. }, Known::Negotiated) => match connections.hand_over(&token) {
                Some(Negotiated { is_stateful, owner, .. }) => {
                    let refreshed = owner.authentication.and_then(|authentication| authentication.in_force());
                    Answer::HandedOver { is_stateful, refreshed: refreshed.map(InForce) }
                }
                // Another transport was faster.
                None => Answer::Refused(Refusal::Attached),
            },
            (Wish::Connect, Known::Attached(_)) => Answer::Resumable,
            (Wish::Poll { timeout_ms, expires_ms }, Known::Attached(Attached::LongPolling(polling))) => {
                return self.poll(exchange, polling, timeout_ms, requester.expiry(expires_ms)).await;
            }
            (
                Wish::Resume { path, query, expires_ms },
                Known::Attached(Attached::WebSocket(Some(resumption))),
            ) => {
                let expires = resumption.expires(requester.expiry(expires_ms));
                let request = (&*token, path, query);
                self.resume(exchange, &resumption, request, expires, found.owner).await
            }
            (Wish::Post { is_last, data, .. }, Known::Attached(attached)) => {
                let Some(inbox) = attached.inbox() else {
                    return self.answer(exchange, 0, Answer::Unknown, None);
                };
                let first = Piece { is_last, data: data.into() };
                let (piece, answer) = self.take_body(exchange, &inbox, first, pieces).await;
                return self.answer(exchange, piece, answer, None);
            }
            (Wish::Delete, Known::Attached(Attached::LongPolling(polling))) if polling.delete() => {
                Answer::Deleted
            }
            (Wish::Refresh, _) => Answer::Refreshed,
            _ => Answer::Unknown,
        };
        self.answer(exchange, 0, answer, None);
    }

    async fn poll(&self, exchange: ExchangeId, polling: Arc<LongPolling>, timeout_ms: u64, expiry: Expiry) {
        let poll = polling.poll_from_afar(Duration::from_millis(timeout_ms), expiry);
        let answer = Answer::from(self.heard_after_a_while(exchange, poll).await);
        let given = matches!(answer, Answer::Found(_)).then_some(polling);
        self.answer(exchange, 0, answer, given);
    }

    /// Puts a WebSocket of the instance that asks in the place of a lost one.
    async fn resume(
        &self,
        id: ExchangeId,
        resumption: &Resumption,
        (token, path, query): (&str, String, String),
        expires: Option<Instant>,
        owner: Owner,
    ) -> Answer {
        let seat = match resumption.resumer.claim().await {
            Ok(seat) => seat,
            Err(ClaimError::NotResumable) => return Answer::Refused(Refusal::Attached),
            Err(ClaimError::Ended) => return Answer::EndedMeanwhile,
        };
        let info = ConnectionInfo {
            is_id_secret: resumption.id.as_str() == token,
            path: path.into(),
            query: query.into(),
            ..ConnectionInfo::new(resumption.id.clone(), TransportKind::WebSockets)
        };
        let end = self.tunnels.open(id, &self.asking, Address::Instance(id.from.into()));
        let accepted = Accepted { pipe: end.into_pipe(expires), info, resumable: None };
        seat.take(match owner.authentication {
            Some(authentication) => authentication.over(accepted),
            None => accepted,
        });
        Answer::Resumed
    }

    async fn heard_after_a_while<T>(&self, exchange: ExchangeId, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Ok(done) = timeout(UNHEARD, work.as_mut()).await {
            return done;
        }
        let heard = Message::Heard { exchange }.to_bytes();
        // If it is lost the question comes again.
        _ = self.fleet.send(&Address::Instance(exchange.from.into()), heard).await;
        work.await
    }

    /// Puts a body in, piece by piece. The last piece and what became of it.
    async fn take_body(
        &self,
        id: ExchangeId,
        inbox: &Inbox,
        first: Piece,
        mut pieces: mpsc::Receiver<Piece>,
    ) -> (u32, Answer) {
        let (feed, body) = mpsc::channel(1);
        let mut posted = pin!(inbox.post(Pieces(body)));
        let (mut number, mut piece) = (0, first);
        loop {
            let fed = async { feed.send(piece.data).await.is_ok() };
            tokio::select! {
                biased;
                outcome = posted.as_mut() => return (number, outcome.into()),
                _ = fed => {}
            }
            if piece.is_last {
                drop(feed);
                return (number, posted.await.into());
            }
            tokio::select! {
                biased;
                outcome = posted.as_mut() => return (number, outcome.into()),
                _ = feed.reserve() => {}
            }
            self.answer(id, number, Answer::PieceTaken, None);
            number += 1;
            piece = tokio::select! {
                outcome = posted.as_mut() => return (number, outcome.into()),
                next = timeout(PIECE_PATIENCE, pieces.recv()) => match next {
                    Ok(Some(next)) => next,
                    Ok(None) | Err(_) => return (number, Answer::NotPosted(PostError::Unreadable)),
                },
            };
        }
    }

    fn answer(&self, id: ExchangeId, piece: u32, answer: Answer, given: Option<Arc<LongPolling>>) {
        let answer = answer.to_bytes();
        match self.lock().get_mut(&id) {
            Some(exchange) => {
                exchange.answer = Some((piece, answer.clone()));
                exchange.given = given;
                exchange.since = Instant::now();
            }
            // Cancelled in this instant.
            None => {
                if let Some(polling) = given {
                    polling.settle(Receipt::Lost);
                }
                return;
            }
        }
        self.send(id, answer);
    }

    fn send(&self, id: ExchangeId, answer: Bytes) {
        let answering = self.clone();
        tokio::spawn(async move {
            if !answering.deliver(id, &answer).await {
                answering.cancelled(id);
            }
        });
    }

    /// Whether whoever asked was there to get it, as far as can be known.
    async fn deliver(&self, id: ExchangeId, answer: &Bytes) -> bool {
        let by = self.fleet.instance().into();
        let address = Address::Instance(id.from.into());
        let pieces = answer.len().div_ceil(PIECE_BYTES).max(1);
        let mut status = self.fleet.status();
        let mut nobody_since = None;
        let mut piece = 0;
        while piece < pieces {
            let end = answer.len().min((piece + 1) * PIECE_BYTES);
            let message = Message::Answer(AnswerPiece {
                exchange: id,
                by,
                piece: u32::try_from(piece).unwrap_or(u32::MAX),
                pieces: u32::try_from(pieces).unwrap_or(u32::MAX),
                data: answer[piece * PIECE_BYTES..end].to_vec(),
            });
            match self.fleet.send(&address, message.to_bytes()).await {
                Ok(0) => {
                    let since = *nobody_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= NOBODY_PATIENCE {
                        return false;
                    }
                    sleep(PAUSE).await;
                }
                Ok(_) => piece += 1,
                Err(_) => {
                    sleep(PAUSE).await;
                    let up = status.wait_for(|status| *status == Status::Connected);
                    // Whoever asked repeats the question, if he still waits.
                    if timeout(RETURN_PATIENCE, up).await.is_err() {
                        return true;
                    }
                    piece = 0;
                }
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ExchangeId, Exchange>> {
        self.exchanges.lock()
    }
}

impl Exchange {
    fn take_back(&self) {
        if let Some(polling) = &self.given {
            polling.settle(Receipt::Lost);
        }
    }
}

impl Wish {
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
    wish: &Wish,
    connections: &ConnectionManager,
) -> Option<Answer> {
    if connections.find(token).is_some() {
        return None;
    }
    let verified = connections.read(token, requester).await?;
    if !connections.is_unclaimed(&verified.ticket) {
        return None;
    }
    if let Err(refusal) = requester.judged_unclaimed(verified.resemblance) {
        return Some(Answer::Refused(refusal));
    }
    let claimed = match wish {
        Wish::Connect | Wish::Poll { .. } => connections
            .claim_for_another(&verified.ticket)
            .map(|()| Some(Answer::HandedOver { is_stateful: verified.ticket.is_stateful, refreshed: None })),
        Wish::Refresh => connections.claim_for_refresh(token, &verified.ticket, requester).map(|()| None),
        _ => Ok(Some(Answer::Unknown)),
    };
    claimed.unwrap_or_else(|refusal| Some(Answer::Refused(refusal)))
}

/// Lets a request of another instance through the gate. A transport that finds a WebSocket to be resumed asks again for
/// that, and is judged then.
async fn admit(found: &Found, requester: &Requester, wish: &Wish) -> Result<(), Refusal> {
    match (wish, &found.known) {
        (Wish::Connect, Known::Attached(Attached::WebSocket(Some(_))))
            if requester.purpose == Purpose::Transport(TransportKind::WebSockets)
                && requester.endpoint == found.owner.endpoint =>
        {
            Ok(())
        }
        _ => requester.judged_by(found).await,
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

impl From<Polled> for Answer {
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

impl From<Result<(), PostError>> for Answer {
    fn from(posted: Result<(), PostError>) -> Self {
        match posted {
            Ok(()) => Self::Posted,
            Err(error) => Self::NotPosted(error),
        }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|data| Ok(Frame::data(data))))
    }
}
