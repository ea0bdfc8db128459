//! The backplane of a fleet of one.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hubline_protocol::{Encoded, HubProtocol};
use tokio::sync::{Mutex, watch};

use crate::{
    Backplane, ClientInvocation, ClientInvocationError, GroupChange, GroupError, HubBackplane, Inbox,
    Publication, PublishError, Published, Reach, ReturnAddress, Status, Subject, Target,
};

/// Connects nothing with nothing: a publication goes straight to the hub's own connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Backplane for InProcess {
    fn attach(&self, hub_name: &str, inbox: Arc<dyn Inbox>) -> Arc<dyn HubBackplane> {
        Arc::new(Attached { hub_name: hub_name.into(), inbox, order: Mutex::new(()) })
    }

    fn status(&self) -> watch::Receiver<Status> {
        watch::channel(Status::Alone).1
    }
}

struct Attached {
    hub_name: Box<str>,
    inbox: Arc<dyn Inbox>,
    /// Held while one publication is delivered, so that all connections see the same order.
    order: Mutex<()>,
}

impl HubBackplane for Attached {
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Published, PublishError>> {
        async move {
            let Publication { targets, excluded, frames } = publication;
            let targets = without_repeated_users_and_connections(targets);
            let receivers = targets.len() as u64;
            let _in_order = self.order.lock().await;
            for target in targets {
                self.inbox.deliver(target, Arc::clone(&excluded), frames.clone()).await;
            }
            Ok(Published { receivers, reach: Reach::Fleet })
        }
        .boxed()
    }

    fn subscribe(&self, _: Subject) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    fn unsubscribe(&self, _: Subject) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    /// A connection that is not here is nowhere, and ASP.NET Core ignores it.
    fn change_group(&self, _: GroupChange) -> BoxFuture<'_, Result<(), GroupError>> {
        ready(Ok(())).boxed()
    }

    /// A connection that is not here is nowhere.
    fn invoke(&self, _: ClientInvocation) -> BoxFuture<'_, Result<(), ClientInvocationError>> {
        ready(Err(ClientInvocationError::NoSuchConnection)).boxed()
    }

    /// No other instance can have invoked a client of this one.
    fn complete(&self, _: ReturnAddress, _: HubProtocol, _: Encoded) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// In ASP.NET Core without a backplane a user or connection named twice receives once, a group named twice
/// receives twice.
pub(crate) fn without_repeated_users_and_connections(mut targets: Vec<Target>) -> Vec<Target> {
    if targets.len() > 1 {
        let mut seen = HashSet::new();
        targets.retain(|target| {
            matches!(target, Target::Subject(Subject::Group(_))) || seen.insert(target.clone())
        });
    }
    targets
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").field("hub_name", &self.hub_name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::{Targets, one_instance};

    #[tokio::test]
    async fn conforms() {
        one_instance(&super::InProcess, Targets::OnOneNode).await;
    }
}
