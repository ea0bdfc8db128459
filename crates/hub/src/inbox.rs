//! What the backplane brings to a hub.

use std::sync::{Arc, OnceLock, Weak};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hubline_backplane::{
    Frames, GroupChange, HubBackplane, Inbox, NoCompletion, ReturnAddress, Subject, Target,
};
use hubline_protocol::{ConnectionId, HubMessage, HubProtocol, framing};
use tokio_util::task::TaskTracker;

use crate::client_results::ClientResults;
use crate::outbox::Outbox;
use crate::router::{Membership, Router, settle};

/// One hub's inbox on this instance.
pub(crate) struct HubInbox {
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

    /// The connection's answer to a question of another instance goes back there. Returns the connection if it
    /// is here.
    fn expect_answer(&self, connection: &ConnectionId, to: ReturnAddress) -> Option<Arc<Outbox>> {
        let (outbox, backplane) = (self.router.find(connection)?, self.backplane()?);
        let (protocol, tasks) = (outbox.protocol, self.tasks.clone());
        let id = to.invocation_id.clone();
        self.client_results.forward(&outbox, id, move |completion| {
            Some(tasks.spawn(async move { backplane.answer(to, protocol, completion).await }))
        });
        Some(outbox)
    }
}

impl Inbox for HubInbox {
    fn deliver(
        &self,
        target: Target,
        excluded: Arc<[ConnectionId]>,
        frames: Frames,
        answer_to: Option<ReturnAddress>,
    ) -> BoxFuture<'_, ()> {
        let (Target::Subject(Subject::Connection(id)), Some(to)) = (&target, answer_to) else {
            return self.router.deliver(target, excluded, frames).boxed();
        };
        let asked = self.expect_answer(id, to);
        async move {
            self.router.deliver(target, excluded, frames).await;
            // Who ends from now on finds the question; who has ended, and may be forgotten already, has missed it.
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

    fn answered(&self, protocol: HubProtocol, completion: &[u8]) -> Result<(), NoCompletion> {
        let framed = framing::split(protocol, completion, usize::MAX).ok().flatten().ok_or(NoCompletion)?;
        match HubMessage::read(protocol, framed.message) {
            Ok(HubMessage::Completion(completion)) => {
                self.client_results.answer_from_afar(&completion.invocation_id, completion.result);
                Ok(())
            }
            _ => Err(NoCompletion),
        }
    }
}
