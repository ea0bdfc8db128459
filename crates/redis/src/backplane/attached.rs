//! One hub's side of the backplane.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_backplane::{
    ClientInvocation, ClientInvocationError, GroupChange, GroupError, HubBackplane, Inbox, Publication,
    PublishError, Published, Reach, ReturnAddress, Subject, Target,
};
use hubline_protocol::{Encoded, HubProtocol};
use hubline_supervision::spawn;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::channels::Channels;
use super::commands::{self, Commands};
use super::hub::{Hub, InOrder};
use super::outgoing::{Confirmation, Content, Fate, Message, Number, Outgoing, shut_down};
use super::shared::{Shared, Tasks};
use super::subscriptions::{Addressee, Route};
use super::wire;
use crate::client::names::new_server_name;

/// A hub's side.
pub(super) struct Attached {
    hub: Arc<Hub>,
    shared: Arc<Shared>,
    _worker: AbortOnDropHandle<()>,
    _tasks: Arc<Tasks>,
}

impl HubBackplane for Attached {
    /// # Cancel safety
    /// Dropped early, it may or may not have been published.
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Published, PublishError>> {
        async move {
            let (publication, payload) = self.encode(publication)?;
            self.publish_and_wait(publication, payload).await
        }
        .boxed()
    }

    fn post(&self, publication: Publication) -> BoxFuture<'_, Result<(), PublishError>> {
        async move {
            let (mut publication, payload) = self.encode(publication)?;
            for target in std::mem::take(&mut publication.targets) {
                let confirmation = Confirmation::NotAwaited { _ticket: self.hub.posted.begin() };
                self.put(target, &publication, confirmation, &payload).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.hub.posted.flushed().boxed()
    }

    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, ()> {
        async move {
            let target = Target::Subject(subject);
            let channel = self.hub.channels.of(&target);
            let route = Route::Hub { hub: Arc::clone(&self.hub), to: Addressee::Connections(target) };
            self.shared.subscribe(&channel, route).await;
        }
        .boxed()
    }

    fn change_group(&self, change: GroupChange) -> BoxFuture<'_, Result<(), GroupError>> {
        commands::ask(&self.hub, &self.shared, change).boxed()
    }

    fn invoke(&self, invocation: ClientInvocation) -> BoxFuture<'_, Result<(), ClientInvocationError>> {
        async move {
            let ClientInvocation { connection, invocation_id, frames } = invocation;
            let return_channel = self.hub.channels.return_address();
            let answer_to = wire::AnswerTo { invocation_id: &invocation_id, channel: &return_channel };
            let payload = wire::publication(&[], &frames, Some(answer_to)).into();
            let payload = self.shared.limited(self.hub.channels.hub(), payload)?;
            let channel = self.hub.channels.of(&Target::Subject(Subject::Connection(connection)));
            match self.shared.send_internal(&channel, payload, Number::Due).await? {
                Fate::Taken { receivers: 0 } => Err(ClientInvocationError::NoSuchConnection),
                Fate::Taken { .. } => Ok(()),
                Fate::Unanswered | Fate::NotSent | Fate::Refused(_) => {
                    Err(ClientInvocationError::Unreachable)
                }
            }
        }
        .boxed()
    }

    fn complete(&self, to: ReturnAddress, protocol: HubProtocol, completion: Encoded) -> BoxFuture<'_, ()> {
        async move {
            let completion = wire::Completion { protocol: protocol.name(), message: completion.payload() };
            let channel = self.hub.channels.named(&to.0);
            _ = self.shared.send_internal(&channel, completion.encode(), Number::None).await;
        }
        .boxed()
    }

    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, ()> {
        async move {
            let channel = self.hub.channels.of(&Target::Subject(subject));
            self.shared.nodes.at_node_of(&channel, |at| at.remove(&channel));
        }
        .boxed()
    }
}

impl Attached {
    /// Subscribes the channels that every hub has and starts its deliveries.
    ///
    /// # Panics
    /// If a hub of that name is attached already.
    pub(super) fn new(
        hub_name: &str,
        inbox: Arc<dyn Inbox>,
        shared: &Arc<Shared>,
        tasks: &Arc<Tasks>,
    ) -> Self {
        let server_name = new_server_name();
        tracing::debug!(hub_name, server_name, "hub attached to Redis");
        let (hub, waiting) = Hub::new(Channels::new(shared.prefix(), hub_name, server_name));
        let all = hub.channels.of(&Target::All);
        assert!(
            !shared.nodes.at_node_of(&all, |at| at.wants(&all)),
            "a hub named {hub_name} is attached already"
        );
        for (channel, to) in [
            (all, Addressee::Connections(Target::All)),
            (hub.channels.group_commands(), Addressee::GroupCommands),
            (hub.channels.acks(), Addressee::Acks),
            (hub.channels.answers(), Addressee::Answers),
        ] {
            let route = Route::Hub { hub: Arc::clone(&hub), to };
            let _ = shared.nodes.at_node_of(&channel, |at| at.count_up(&channel, route));
        }
        let (commands, garbage) = (Commands::new(&hub, shared), Arc::clone(&shared.garbage));
        let counters = Arc::clone(&shared.counters);
        let worker = spawn(InOrder { waiting, inbox, commands, garbage, counters });
        Self { hub, shared: Arc::clone(shared), _worker: worker, _tasks: Arc::clone(tasks) }
    }

    /// The publication with the targets that count, and its payload.
    fn encode(&self, mut publication: Publication) -> Result<(Publication, Bytes), PublishError> {
        if publication.targets.len() > 1 {
            publication.targets.retain(|target| !is_nameless_group(target));
        }
        let payload = wire::publication(&publication.excluded, &publication.frames, None);
        let payload = self.shared.limited(self.hub.channels.hub(), payload.into())?;
        Ok((publication, payload))
    }

    /// Puts it into the queue of the target's node.
    async fn put(
        &self,
        target: Target,
        publication: &Publication,
        confirmation: Confirmation,
        payload: &Bytes,
    ) -> Result<(), PublishError> {
        let channel: Arc<str> = self.hub.channels.of(&target).into();
        let node = self.shared.node_of(&channel);
        let measured_from = node.measure(&channel);
        let room = node.queue.room(&channel, payload).await?;
        let message = Message {
            hub: Arc::clone(&self.hub),
            target,
            excluded: Arc::clone(&publication.excluded),
            frames: publication.frames.clone(),
            confirmation,
            redirections: 0,
            measured_from,
        };
        let content = Content::Message(message);
        let outgoing = Outgoing { channel, payload: payload.clone(), number: Number::Due, content, room };
        self.shared.nodes.put(Box::new(outgoing)).await
    }

    /// Each target's channel gets it, from its own node.
    async fn publish_and_wait(
        &self,
        mut publication: Publication,
        payload: Bytes,
    ) -> Result<Published, PublishError> {
        let mut each = Vec::new();
        for target in std::mem::take(&mut publication.targets) {
            let (call, published) = oneshot::channel();
            self.put(target, &publication, Confirmation::Awaited(call), &payload).await?;
            each.push(published);
        }
        let mut all = Published { receivers: 0, reach: Reach::Fleet };
        for published in each {
            let published = published.await.map_err(|_| shut_down())?;
            all.receivers += published.receivers;
            all.reach = all.reach.max(published.reach);
        }
        Ok(all)
    }
}

/// ASP.NET Core skips it among several and publishes to it alone.
fn is_nameless_group(target: &Target) -> bool {
    matches!(target, Target::Subject(Subject::Group(group)) if group.as_str().is_empty())
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.shared.nodes.for_each(|node| node.subscriptions.remove_hub(&self.hub));
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackplane").field("channels", &self.hub.channels).finish_non_exhaustive()
    }
}
