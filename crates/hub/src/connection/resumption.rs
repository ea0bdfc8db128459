//! A client with stateful reconnect: away, coming back, or here.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hubline_pipe::{Accepted, CloseCode, CloseOutcome, Frame, Pipe, Resumable, ResumeRequest};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::CloseReason;
use super::sequencing::Sequencing;
use crate::outbox::Outbox;

/// How long a client may be away (ASP.NET Core's `DisconnectTimeout`).
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// What a connection with stateful reconnect has more than others.
pub(super) struct Stateful {
    pub(super) sequencing: Sequencing,
    /// Counted messages that may not be sent before the client acknowledges others.
    held: VecDeque<Frame>,
    /// Is told whether the client can read.
    outbox: Arc<Outbox>,
    resumable: Option<Resumable>,
    presence: Presence,
}

/// Where the client is.
enum Presence {
    Here,
    Away {
        until: Instant,
    },
    /// Somebody wants the place of a pipe that seems to be alive, which is being closed.
    Leaving {
        closing: Pin<Box<dyn Future<Output = CloseOutcome> + Send>>,
        request: ResumeRequest,
    },
    /// The place is promised to a request that is still being answered.
    Coming {
        until: Instant,
        taken: oneshot::Receiver<Option<Accepted>>,
    },
}

/// How an attempt to come back went.
pub(super) enum Resumed {
    With(Accepted),
    /// The older pipe was alive and has answered the good-bye.
    GivenUp,
    /// The application has refused the principal of the request that was to resume the connection.
    Refused,
}

impl Stateful {
    pub(super) fn new(resumable: Resumable, limit_bytes: usize, outbox: Arc<Outbox>) -> Self {
        Self {
            sequencing: Sequencing::new(limit_bytes),
            held: VecDeque::new(),
            outbox,
            resumable: Some(resumable),
            presence: Presence::Here,
        }
    }

    pub(super) fn held(&mut self) -> &mut VecDeque<Frame> {
        &mut self.held
    }

    /// Lets as many messages go as the client's acknowledgements allow; true if more have to wait.
    pub(super) fn release(&mut self, sending: &mut VecDeque<Frame>) -> bool {
        while let Some(next) = self.held.front() {
            if next.is_counted() {
                if !self.sequencing.has_room() {
                    return true;
                }
                self.sequencing.sending(next);
            }
            sending.extend(self.held.pop_front());
        }
        false
    }

    pub(super) fn detached(&mut self) {
        self.presence = Presence::Away { until: Instant::now() + DISCONNECT_TIMEOUT };
        self.outbox.client_left();
    }

    pub(super) fn refuse(&mut self) {
        self.resumable = None;
        self.presence = Presence::Here;
    }

    /// When [`Stateful::act`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.presence {
            Presence::Here | Presence::Leaving { .. } => self.sequencing.ack_due(),
            Presence::Away { until } | Presence::Coming { until, .. } => Some(until),
        }
    }

    /// Returns the acknowledgement that is due, if one is.
    ///
    /// # Errors
    /// The client has been away for too long.
    pub(super) fn act(&mut self, now: Instant) -> Result<Option<u64>, CloseReason> {
        match self.presence {
            Presence::Away { until } | Presence::Coming { until, .. } if until <= now => {
                Err(CloseReason::NotResumed)
            }
            Presence::Here if self.sequencing.ack_due().is_some_and(|due| due <= now) => {
                Ok(self.sequencing.ack())
            }
            _ => Ok(None),
        }
    }

    /// Ready when a newer pipe is there, or the older one has been given up for it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, pipe: &mut Option<Box<dyn Pipe>>) -> Poll<Resumed> {
        loop {
            match &mut self.presence {
                Presence::Here => {
                    let request = ready!(self.poll_request(cx));
                    let Some(pipe) = pipe.take() else { return Poll::Pending };
                    self.outbox.client_left();
                    let closing = pipe.close(CloseCode::Normal);
                    self.presence = Presence::Leaving { closing, request };
                }
                Presence::Away { until } => {
                    let until = *until;
                    let taken = ready!(self.poll_request(cx)).accept();
                    self.presence = Presence::Coming { until, taken };
                }
                Presence::Leaving { closing, .. } => {
                    let closing = ready!(closing.as_mut().poll(cx));
                    let until = Instant::now() + DISCONNECT_TIMEOUT;
                    let Presence::Leaving { request, .. } =
                        std::mem::replace(&mut self.presence, Presence::Away { until })
                    else {
                        continue;
                    };
                    match closing {
                        // As ASP.NET Core has it: a client that is alive and answers has ended the connection.
                        CloseOutcome::Answered => return Poll::Ready(Resumed::GivenUp),
                        CloseOutcome::Lost | CloseOutcome::Silent => {
                            self.presence = Presence::Coming { until, taken: request.accept() };
                        }
                    }
                }
                Presence::Coming { until, taken } => {
                    let until = *until;
                    match ready!(Pin::new(taken).poll(cx)) {
                        Ok(Some(accepted)) => {
                            self.presence = Presence::Here;
                            self.outbox.client_is_back();
                            return Poll::Ready(Resumed::With(accepted));
                        }
                        Ok(None) => return Poll::Ready(Resumed::Refused),
                        // The request ended before its answer was out.
                        Err(_) => self.presence = Presence::Away { until },
                    }
                }
            }
        }
    }

    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<ResumeRequest> {
        let Some(resumable) = &mut self.resumable else { return Poll::Pending };
        match ready!(resumable.poll_request(cx)) {
            Some(request) => Poll::Ready(request),
            // Nobody is left who could ask.
            None => Poll::Pending,
        }
    }
}
