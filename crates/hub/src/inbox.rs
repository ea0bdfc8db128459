//! What the backplane brings to a hub.

use std::sync::{Arc, OnceLock, Weak};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hubline_backplane::{
    ClientInvocation, Frames, GroupChange, HubBackplane, Inbox, NoCompletion, ReturnAddress, Subject, Target,
};
use hubline_protocol::{ConnectionId, HubMessage, HubProtocol, framing};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::activity;
use crate::client_results::ClientResults;
use crate::outbox::Outbox;
use crate::router::{Membership, Router, settle};

/// One hub's inbox on this instance.
pub(crate) struct HubInbox {
    pub(crate) hub_name: Arc<str>,
    pub(crate) router: Arc<Router>,
    pub(crate) client_results: Arc<ClientResults>,
    /// Answers of clients run to their end here.
    pub(crate) tasks: TaskTracker,
    /// Set once the hub is attached; before that it has no connections.
    pub(crate) backplane: OnceLock<Weak<dyn HubBackplane>>,
}

impl HubInbox {
    fn backplane(&self) -> Option<Arc<dyn HubBackplane>> {
        self.backplane.get()?.upgrade()
    }

    /// Has the connection's Completion sent to the instance that invokes it. Returns the connection if it is here.
    fn expect_completion(
        &self,
        connection: &ConnectionId,
        invocation_id: Box<str>,
        to: ReturnAddress,
    ) -> Option<Arc<Outbox>> {
        let (outbox, backplane) = (self.router.find(connection)?, self.backplane()?);
        let (protocol, tasks) = (outbox.protocol, self.tasks.clone());
        self.client_results.forward(&outbox, invocation_id, move |completion| {
            Some(tasks.spawn(async move { backplane.complete(to, protocol, completion).await }))
        });
        Some(outbox)
    }
}

impl Inbox for HubInbox {
    fn deliver(&self, target: Target, excluded: Arc<[ConnectionId]>, frames: Frames) -> BoxFuture<'_, ()> {
        match frames.trace_parent() {
            None => self.router.deliver(target, excluded, frames).boxed(),
            Some(trace_parent) => {
                let span = activity::delivery(&self.hub_name, trace_parent);
                self.router.deliver(target, excluded, frames).instrument(span).boxed()
            }
        }
    }

    fn invoke(&self, invocation: ClientInvocation, return_to: ReturnAddress) -> BoxFuture<'_, ()> {
        let ClientInvocation { connection, invocation_id, frames } = invocation;
        let asked = self.expect_completion(&connection, invocation_id, return_to);
        async move {
            let target = Target::Subject(Subject::Connection(connection));
            self.router.deliver(target, Arc::default(), frames).await;
            // A connection that ends from now on finds the invocation pending; one that has ended may have missed it.
            if let Some(outbox) = asked
                && outbox.is_closing()
            {
                self.client_results.connection_ended(&outbox);
            }
        }
        .boxed()
    }

    fn change_group(&self, change: GroupChange) -> BoxFuture<'static, bool> {
        let Some(backplane) = self.backplane() else { return ready(false).boxed() };
        match self.router.change(&change) {
            Membership::Elsewhere => ready(false).boxed(),
            membership => async move {
                settle(&*backplane, membership, change.group).await;
                true
            }
            .boxed(),
        }
    }

    fn completed(&self, protocol: HubProtocol, completion: &[u8]) -> Result<(), NoCompletion> {
        let framed = framing::split(protocol, completion, usize::MAX).ok().flatten().ok_or(NoCompletion)?;
        match HubMessage::read(protocol, framed.message) {
            Ok(HubMessage::Completion(completion)) => {
                self.client_results.complete_from_elsewhere(&completion.invocation_id, completion.result);
                Ok(())
            }
            _ => Err(NoCompletion),
        }
    }
}
