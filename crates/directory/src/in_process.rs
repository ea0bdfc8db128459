//! The directory of a fleet of one.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hubline_protocol::{ConnectionId, GroupName, UserId};
use parking_lot::Mutex;

use crate::local::{LocalCalls, LocalHub};
use crate::{
    Answer, Call, CallDirectory, CallError, CallId, CallStatus, Connected, GroupWatch, HubDirectory,
    HubSessions, Listing, Member, Page, SessionDirectory,
};

/// Keeps everything in this process. Calls: 65,536 at most, those that are over give way. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct InProcess {
    hubs: Arc<Mutex<HashMap<Box<str>, Arc<Attached>>>>,
    calls: Arc<Calls>,
}

#[derive(Debug, Default)]
struct Calls(LocalCalls);

#[derive(Debug)]
struct Attached(Arc<LocalHub>);

impl SessionDirectory for InProcess {
    fn attach(&self, hub_name: &str) -> Arc<dyn HubSessions> {
        let mut hubs = self.hubs.lock();
        let hub = hubs.entry(hub_name.into()).or_insert_with(|| {
            let instance = format!("process {}", std::process::id());
            Arc::new(Attached(Arc::new(LocalHub::new(instance.into()))))
        });
        Arc::clone(hub) as _
    }

    fn calls(&self) -> Arc<dyn CallDirectory> {
        Arc::clone(&self.calls) as _
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

impl HubSessions for Attached {
    fn connected(&self, connection: ConnectionId, user: Option<UserId>) {
        self.0.connected(connection, user);
    }

    fn disconnected(&self, connection: &ConnectionId) {
        self.0.disconnected(connection);
    }

    fn joined(&self, connection: &ConnectionId, group: &GroupName) {
        self.0.joined(connection, group);
    }

    fn left(&self, connection: &ConnectionId, group: &GroupName) {
        self.0.left(connection, group);
    }
}

impl HubDirectory for Attached {
    fn connection_count(&self) -> BoxFuture<'_, Answer<u64>> {
        answer(self.0.connection_count())
    }

    fn user_count(&self) -> BoxFuture<'_, Answer<u64>> {
        answer(self.0.user_count())
    }

    fn member_count(&self, group: GroupName) -> BoxFuture<'_, Answer<u64>> {
        answer(self.0.member_count(&group))
    }

    fn find(&self, connection: ConnectionId) -> BoxFuture<'_, Answer<Option<Connected>>> {
        answer(self.0.find(&connection))
    }

    fn connections(&self, page: Page) -> BoxFuture<'_, Answer<Listing<Connected>>> {
        answer(self.0.connections(&page))
    }

    fn users(&self, page: Page) -> BoxFuture<'_, Answer<Listing<UserId>>> {
        answer(self.0.users(&page))
    }

    fn members(&self, group: GroupName, page: Page) -> BoxFuture<'_, Answer<Listing<Member>>> {
        answer(self.0.members(&group, &page))
    }

    fn connections_of(&self, user: UserId) -> BoxFuture<'_, Answer<Vec<ConnectionId>>> {
        answer(self.0.connections_of(&user))
    }

    fn watch_group(&self, group: GroupName) -> BoxFuture<'_, GroupWatch> {
        ready(self.0.watch(group)).boxed()
    }
}

impl CallDirectory for Calls {
    fn create(&self, call: Call) -> BoxFuture<'_, Result<(), CallError>> {
        ready(self.0.create(call)).boxed()
    }

    fn get(&self, id: CallId) -> BoxFuture<'_, Result<Option<Call>, CallError>> {
        ready(Ok(self.0.get(&id))).boxed()
    }

    fn advance(&self, id: CallId, by: UserId, to: CallStatus) -> BoxFuture<'_, Result<Call, CallError>> {
        ready(self.0.advance(&id, &by, to)).boxed()
    }
}

fn answer<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Answer<T>> {
    ready(Answer::of_fleet(value)).boxed()
}

#[cfg(test)]
mod tests {
    use super::InProcess;

    #[tokio::test]
    async fn conforms() {
        crate::conformance::one_instance(&InProcess::default()).await;
    }
}
