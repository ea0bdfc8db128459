//! Stateful reconnect at the seam: a new pipe takes the place of a lost one.
//!
//! The transport, asked for a connection that has one already, [claims](Resumer::claim) its place. The
//! connection offers it once the old pipe is out of the way, and only then the new one is made: a request is
//! answered with a refusal or an upgrade, and cannot take either back.

use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use crate::Accepted;

/// Both ends of a connection's place.
pub fn resumption() -> (Resumer, Resumable) {
    // One claim is answered at a time; the others wait with their requests.
    let (send, receive) = mpsc::channel(1);
    (Resumer(send), Resumable(receive))
}

/// The transport's end.
#[derive(Debug, Clone)]
pub struct Resumer(mpsc::Sender<oneshot::Sender<Seat>>);

/// The connection's end. Dropping it refuses everybody from then on.
#[derive(Debug)]
pub struct Resumable(mpsc::Receiver<oneshot::Sender<Seat>>);

/// A claim that the connection has not answered yet. Dropping it refuses.
#[derive(Debug)]
pub struct SeatOffer(oneshot::Sender<Seat>);

/// The right to put a new pipe in the place of the old one. Dropping it gives the right up.
#[derive(Debug)]
pub struct Seat(oneshot::Sender<Option<Accepted>>);

/// Why a connection's place cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The client shook hands without stateful reconnect, or the connection is ending.
    #[error("the connection cannot be resumed")]
    NotResumable,
    /// The older pipe was alive, and its end has ended the connection.
    #[error("the connection has ended")]
    Ended,
}

impl Resumer {
    /// Asks for the connection's place.
    ///
    /// # Errors
    /// See [`ClaimError`].
    pub async fn claim(&self) -> Result<Seat, ClaimError> {
        let (offer, answer) = oneshot::channel();
        self.0.send(offer).await.map_err(|_| ClaimError::NotResumable)?;
        answer.await.map_err(|_| ClaimError::Ended)
    }

    /// Whether nobody can claim any more: the connection is over, or goes on without stateful reconnect.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl Resumable {
    /// The next claim; `None` if there will be no more.
    pub fn poll_claim(&mut self, cx: &mut Context<'_>) -> Poll<Option<SeatOffer>> {
        self.0.poll_recv(cx).map(|claim| claim.map(SeatOffer))
    }
}

impl SeatOffer {
    /// Lets the claim have it. What is returned gives the new pipe; `None` if the connection has to end instead, an
    /// error if the request ended.
    pub fn grant(self) -> oneshot::Receiver<Option<Accepted>> {
        let (seat, taken) = oneshot::channel();
        // Whoever claimed may be gone; then the seat is dropped with the answer.
        _ = self.0.send(Seat(seat));
        taken
    }
}

impl Seat {
    /// Sits down. The connection goes on with this pipe, and shows this request to its hub.
    pub fn take(self, accepted: Accepted) {
        // A connection that ended meanwhile drops the pipe.
        _ = self.0.send(Some(accepted));
    }

    /// Ends the connection: the application has refused its new principal.
    pub fn end(self) {
        // A connection that has ended meanwhile needs no word.
        _ = self.0.send(None);
    }
}
