//! Requests for an event stream.

use std::sync::Arc;

use http::Response;
use http::request::Parts;
use hubline_pipe::Accepted;
use hubline_protocol::negotiate::TransportKind;

use super::transport::{Decision, NotDecided};
use super::{Shared, never_resumed};
use crate::Body;
use crate::address_limits::OverLimit;
use crate::connection_manager::Attached;
use crate::inbox::Inbox;
use crate::refusal::Refusal;
use crate::relay::{Operation, Reply};
use crate::request::token_of;
use crate::requester::Purpose;
use crate::response::{events, id_required, refused, too_many_connections, unreachable_now};
use crate::server_sent_events;

const PURPOSE: Purpose = Purpose::Transport(TransportKind::ServerSentEvents);

impl Shared {
    pub(super) async fn server_sent_events(&self, parts: &Parts) -> Response<Body> {
        let Some(token) = token_of(parts) else { return id_required() };
        let transport = TransportKind::ServerSentEvents;
        match self.decide(parts, transport, &token, Operation::Connect, None).await {
            Ok(Decision::Attach) => {}
            Ok(Decision::Resume(..)) => return refused(Refusal::Attached, PURPOSE),
            Ok(Decision::Remote(_, _, Reply::Resumable)) => {
                return refused(Refusal::TransportChanged, PURPOSE);
            }
            Ok(Decision::Remote(..)) | Err(NotDecided::Unreachable) => return unreachable_now(),
            Err(NotDecided::Refused(refusal)) => return refused(refusal, PURPOSE),
        }
        if let Err(refusal) = self.may_open(parts) {
            return refused(refusal, PURPOSE);
        }
        let counted = match self.count(parts) {
            Ok(counted) => counted,
            Err(OverLimit) => return too_many_connections(),
        };
        let attached = self.connections.attach(&token, |negotiated| {
            let inbox = Arc::new(Inbox::new(self.options.application_max_buffer_size));
            (Attached::ServerSentEvents(Arc::clone(&inbox)), (negotiated, inbox))
        });
        let ((negotiated, inbox), mut place) = match attached {
            Ok(attached) => attached,
            Err(error) => return refused(error.refusal(TransportKind::ServerSentEvents), PURPOSE),
        };
        let (pipe, stream) = server_sent_events::open(
            inbox,
            self.options.transport_max_buffer_size,
            self.options.web_sockets_close_timeout,
            self.expires(parts),
            self.connections.reachability().cloned(),
        );
        let accepted = Accepted {
            pipe: Box::new(pipe),
            info: self.info(parts, negotiated.id, &token, TransportKind::ServerSentEvents),
            resumable: negotiated.is_stateful.then(never_resumed),
        };
        let accepted = negotiated.owner.open(accepted);
        place.count(counted);
        place.be_found().await;
        self.start(accepted, place);
        events(stream)
    }
}
