//! Stateful reconnect at the seam: a new pipe takes the place of a lost one.
//!
//! The transport [requests](Resumer::request) to resume a connection when a client brings another WebSocket for it. The
//! connection [accepts](ResumeRequest::accept) once the old pipe is out of the way. Only then the HTTP request is upgraded
//! and the new pipe handed over ([`ResumePermit::finish`]): an HTTP request is answered with a refusal or an upgrade, and
//! neither can be taken back.

use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use crate::Accepted;

/// Both ends of the way by which a connection is resumed.
pub fn resumption() -> (Resumer, Resumable) {
    // One request is answered at a time; the others wait.
    let (send, receive) = mpsc::channel(1);
    (Resumer(send), Resumable(receive))
}

/// The transport's end.
#[derive(Debug, Clone)]
pub struct Resumer(mpsc::Sender<oneshot::Sender<ResumePermit>>);

/// The connection's end. Dropping it refuses all requests from then on.
#[derive(Debug)]
pub struct Resumable(mpsc::Receiver<oneshot::Sender<ResumePermit>>);

/// A request to resume that the connection has not answered. Dropping it refuses the request.
#[derive(Debug)]
pub struct ResumeRequest(oneshot::Sender<ResumePermit>);

/// The right to put a new pipe in the place of the old one. Dropping it gives the right up.
#[derive(Debug)]
pub struct ResumePermit(oneshot::Sender<Option<Accepted>>);

/// Why a connection cannot be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// The client shook hands without stateful reconnect, or the connection is ending.
    #[error("the connection cannot be resumed")]
    NotResumable,
    /// The older pipe was alive, and its end has ended the connection.
    #[error("the connection has ended")]
    Ended,
}

impl Resumer {
    /// Asks to resume the connection. Ready when its older pipe is closed and it waits for the new one.
    ///
    /// # Errors
    /// See [`ResumeError`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the request is withdrawn: a connection that has accepted it waits for another one.
    pub async fn request(&self) -> Result<ResumePermit, ResumeError> {
        let (offer, answer) = oneshot::channel();
        self.0.send(offer).await.map_err(|_| ResumeError::NotResumable)?;
        answer.await.map_err(|_| ResumeError::Ended)
    }

    /// Whether all requests are refused from now on: the connection is over, or goes on without stateful reconnect.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl Resumable {
    /// The next request to resume; `None` if there will be no more.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Option<ResumeRequest>> {
        self.0.poll_recv(cx).map(|request| request.map(ResumeRequest))
    }
}

impl ResumeRequest {
    /// Accepts the request. The receiver gives the new pipe; `None` if the connection has to end instead, an error if the
    /// HTTP request ended before its upgrade.
    pub fn accept(self) -> oneshot::Receiver<Option<Accepted>> {
        let (permit, finished) = oneshot::channel();
        // Who has asked may be gone; then the permit is dropped with the message.
        _ = self.0.send(ResumePermit(permit));
        finished
    }
}

impl ResumePermit {
    /// Hands the new pipe over: the connection goes on with it, and shows its request to the hub.
    pub fn finish(self, accepted: Accepted) {
        // A connection that ended meanwhile drops the pipe.
        _ = self.0.send(Some(accepted));
    }

    /// Ends the connection: the application has refused its new principal.
    pub fn abort(self) {
        // A connection that has ended meanwhile needs no word.
        _ = self.0.send(None);
    }
}
