//! Polls, and the DELETE that ends them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};
use hubline_pipe::Accepted;
use hubline_protocol::negotiate::TransportKind;

use super::transport::{Decision, NotDecided};
use super::{Admitted, Shared, never_resumed};
use crate::Body;
use crate::address_limits::OverLimit;
use crate::authentication::Expiry;
use crate::connection_manager::{Attached, ConnectionState, Found};
use crate::inbox::Inbox;
use crate::long_polling::{LongPolling, LongPollingPipe, Polled};
use crate::refusal::Refusal;
use crate::relay::{Operation, RelayOutcome, Reply, milliseconds};
use crate::request::token_of;
use crate::requester::Purpose;
use crate::response::{found, id_required, refused, text, too_many_connections, unreachable_now};

const PURPOSE: Purpose = Purpose::Transport(TransportKind::LongPolling);
/// How much longer than a poll, or than a DELETE, its answer may take.
const GRACE: Duration = Duration::from_secs(10);

/// A poll that waits for messages; nothing of its request is kept meanwhile.
pub(super) struct WaitingPoll {
    polling: Arc<LongPolling>,
    timeout: Duration,
    expiry: Expiry,
}

impl WaitingPoll {
    pub(super) async fn answer(self) -> Response<Body> {
        answer(self.polling.poll(self.timeout, self.expiry).await)
    }
}

impl Shared {
    /// # Errors
    /// The poll waits.
    pub(super) async fn poll(&self, parts: &Parts) -> Result<Response<Body>, WaitingPoll> {
        let Some(token) = token_of(parts) else { return Ok(id_required()) };
        let timeout = self.options.long_polling_poll_timeout;
        let operation =
            Operation::Poll { timeout_ms: milliseconds(timeout), expires_ms: self.expires_ms(parts) };
        let transport = TransportKind::LongPolling;
        let decision = self.decide(parts, transport, &token, operation, Some(timeout + GRACE)).await;
        Ok(match decision {
            Ok(Decision::Attach) => {
                let begun = self.begin_polling(parts, &token).await;
                begun.unwrap_or_else(|refusal| refused(refusal, PURPOSE))
            }
            Ok(Decision::Resume(Attached::LongPolling(polling), _)) => {
                return Err(WaitingPoll { polling, timeout, expiry: self.expiry(parts) });
            }
            Ok(Decision::Resume(..)) => refused(Refusal::TransportChanged, PURPOSE),
            Ok(Decision::Remote(_, _, reply)) => match reply {
                Reply::Found(bytes) => found([bytes.into()].into()),
                Reply::TimedOut => answer(Polled::TimedOut),
                Reply::NoMore => answer(Polled::NoMore),
                Reply::Conflict => answer(Polled::Conflict),
                _ => unreachable_now(),
            },
            // The client polls again.
            Err(NotDecided::Unreachable) => text(StatusCode::OK, ""),
            Err(NotDecided::Refused(refusal)) => refused(refusal, PURPOSE),
        })
    }

    /// The first poll starts the connection and is answered at once.
    async fn begin_polling(&self, parts: &Parts, token: &str) -> Result<Response<Body>, Refusal> {
        self.may_open(parts)?;
        let counted = match self.count(parts) {
            Ok(counted) => counted,
            Err(OverLimit) => return Ok(too_many_connections()),
        };
        let attached = self.connections.attach(token, |negotiated| {
            let inbox = Arc::new(Inbox::new(self.options.application_max_buffer_size));
            let buffer_size = self.options.transport_max_buffer_size;
            let polling = Arc::new(LongPolling::new(
                inbox,
                buffer_size,
                self.expires(parts),
                self.connections.reachability().cloned(),
            ));
            (Attached::LongPolling(Arc::clone(&polling)), (negotiated, polling))
        });
        let ((negotiated, polling), mut place) =
            attached.map_err(|error| error.refusal(TransportKind::LongPolling))?;
        let accepted = Accepted {
            pipe: Box::new(LongPollingPipe::new(polling)),
            info: self.info(parts, negotiated.id, token, TransportKind::LongPolling),
            resumable: negotiated.is_stateful.then(never_resumed),
        };
        let accepted = negotiated.owner.open(accepted);
        place.count(counted);
        place.be_found().await;
        self.start(accepted, place);
        Ok(found(VecDeque::new()))
    }

    pub(super) async fn delete(&self, parts: &Parts) -> Response<Body> {
        let Some(token) = token_of(parts) else { return id_required() };
        let unknown = || refused(Refusal::Unknown, Purpose::Delete);
        match self.admit(parts, Purpose::Delete, &token).await {
            Ok(Admitted::Here(Found {
                state: ConnectionState::Attached(Attached::LongPolling(polling)),
                ..
            })) => {
                if polling.delete() {
                    text(StatusCode::ACCEPTED, "")
                } else {
                    unknown()
                }
            }
            Ok(Admitted::Here(_)) => refused(Refusal::NoDelete, Purpose::Delete),
            Ok(Admitted::Remote(relay, remote)) => {
                match Box::pin(relay.request(&remote, Operation::Delete, Some(GRACE))).await.0 {
                    RelayOutcome::Replied(Reply::Deleted) => text(StatusCode::ACCEPTED, ""),
                    RelayOutcome::Refused(refusal) => refused(refusal, Purpose::Delete),
                    RelayOutcome::Unknown => unknown(),
                    RelayOutcome::Replied(_) | RelayOutcome::HandedOver(_) | RelayOutcome::Unreachable => {
                        unreachable_now()
                    }
                }
            }
            Err(refusal) => refused(refusal, Purpose::Delete),
        }
    }
}

fn answer(polled: Polled) -> Response<Body> {
    match polled {
        Polled::Found(pieces) => found(pieces),
        Polled::TimedOut => text(StatusCode::OK, ""),
        Polled::NoMore => text(StatusCode::NO_CONTENT, ""),
        Polled::Conflict => text(StatusCode::CONFLICT, ""),
        Polled::Gone => refused(Refusal::Unknown, PURPOSE),
    }
}
