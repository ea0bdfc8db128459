//! A fleet of several instances within one process, for tests of what they do together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_protocol::{Encoded, HubProtocol};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::fleet::memory_fleet_of;
use crate::in_process::without_repeated_users_and_connections;
use crate::{
    Backplane, ClientInvocation, ClientInvocationError, Fleet, GroupChange, GroupError, HubBackplane, Inbox,
    MemoryFleet, Publication, PublishError, Published, Reach, ReturnAddress, Status, Subject, Target,
};

/// How long the Redis backplane waits for the instance that has a connection. Here it is known at once that there is none.
const NO_ANSWER_AFTER: Duration = Duration::from_secs(30);

/// `N` backplanes that are one fleet: one for each server.
pub fn memory_backplanes<const N: usize>() -> [MemoryBackplane; N] {
    let hubs = Hubs::default();
    memory_fleet_of().map(|fleet| MemoryBackplane { fleet, hubs: Arc::clone(&hubs) })
}

/// One of the [`memory_backplanes`].
#[derive(Debug)]
pub struct MemoryBackplane {
    fleet: Arc<MemoryFleet>,
    hubs: Hubs,
}

/// By their names.
type Hubs = Arc<Mutex<HashMap<Box<str>, Arc<Hub>>>>;

/// One hub on all instances.
#[derive(Debug, Default)]
struct Hub {
    members: Mutex<Vec<Arc<Member>>>,
    /// Held while one publication is delivered, so that all connections of the fleet see the same order.
    order: tokio::sync::Mutex<()>,
}

/// A hub on one instance.
struct Member {
    return_address: ReturnAddress,
    inbox: Arc<dyn Inbox>,
    interests: Mutex<HashMap<Subject, usize>>,
}

impl Backplane for MemoryBackplane {
    fn attach(&self, hub_name: &str, inbox: Arc<dyn Inbox>) -> Arc<dyn HubBackplane> {
        let hub = Arc::clone(self.hubs.lock().entry(hub_name.into()).or_default());
        let return_address = ReturnAddress(self.fleet.instance().to_string().into());
        let member = Arc::new(Member { return_address, inbox, interests: Mutex::default() });
        hub.members.lock().push(Arc::clone(&member));
        Arc::new(Attached { hub, member })
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.fleet.status()
    }

    fn fleet(&self) -> Option<Arc<dyn Fleet>> {
        Some(Arc::clone(&self.fleet) as _)
    }
}

#[derive(Debug)]
struct Attached {
    hub: Arc<Hub>,
    member: Arc<Member>,
}

impl Attached {
    fn members(&self) -> Vec<Arc<Member>> {
        self.hub.members.lock().clone()
    }
}

impl HubBackplane for Attached {
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Published, PublishError>> {
        async move {
            let Publication { targets, excluded, frames } = publication;
            let mut receivers = 0;
            let _in_order = self.hub.order.lock().await;
            for target in without_repeated_users_and_connections(targets) {
                for member in self.members().iter().filter(|member| member.listens_for(&target)) {
                    let (target, excluded) = (target.clone(), Arc::clone(&excluded));
                    member.inbox.deliver(target, excluded, frames.clone()).await;
                    receivers += 1;
                }
            }
            Ok(Published { receivers, reach: Reach::Fleet })
        }
        .boxed()
    }

    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, ()> {
        *self.member.interests.lock().entry(subject).or_default() += 1;
        std::future::ready(()).boxed()
    }

    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, ()> {
        let mut interests = self.member.interests.lock();
        if let Some(count) = interests.get_mut(&subject) {
            *count -= 1;
            if *count == 0 {
                interests.remove(&subject);
            }
        }
        std::future::ready(()).boxed()
    }

    fn change_group(&self, change: GroupChange) -> BoxFuture<'_, Result<(), GroupError>> {
        async move {
            for member in self.members() {
                if member.inbox.change_group(change.clone()).await {
                    return Ok(());
                }
            }
            Err(GroupError::NoAnswer(NO_ANSWER_AFTER))
        }
        .boxed()
    }

    fn invoke(&self, invocation: ClientInvocation) -> BoxFuture<'_, Result<(), ClientInvocationError>> {
        async move {
            let target = Target::Subject(Subject::Connection(invocation.connection.clone()));
            let _in_order = self.hub.order.lock().await;
            let holder = self.members().into_iter().find(|member| member.listens_for(&target));
            let holder = holder.ok_or(ClientInvocationError::NoSuchConnection)?;
            holder.inbox.invoke(invocation, self.member.return_address.clone()).await;
            Ok(())
        }
        .boxed()
    }

    fn complete(&self, to: ReturnAddress, protocol: HubProtocol, completion: Encoded) -> BoxFuture<'_, ()> {
        let invoker = self.members().into_iter().find(|member| member.return_address == to);
        if let Some(invoker) = invoker {
            let completed = invoker.inbox.completed(protocol, completion.payload());
            debug_assert!(completed.is_ok(), "a hub completes with a Completion");
        }
        std::future::ready(()).boxed()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.hub.members.lock().retain(|member| !Arc::ptr_eq(member, &self.member));
    }
}

impl Member {
    fn listens_for(&self, target: &Target) -> bool {
        match target {
            Target::All => true,
            Target::Subject(subject) => self.interests.lock().contains_key(subject),
        }
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("return_address", &self.return_address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Targets, one_instance, two_instances};

    #[tokio::test]
    async fn conforms() {
        let [one] = memory_backplanes();
        one_instance(&one, Targets::OnOneNode).await;
        let [one, other] = memory_backplanes();
        two_instances(&one, &other).await;
    }
}
