//! The directory of a fleet of one.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hubline_backplane::Status;
use hubline_protocol::{ConnectionId, GroupName, UserId};
use hubline_supervision::{Vital, spawn};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::local::{Batch, LocalHub, Notifier};
use crate::{
    Answer, Connected, ConnectionChange, ConnectionEvent, ConnectionObserver, GroupWatch, HubDirectory,
    HubSessions, Listing, Member, Page, SessionDirectory,
};

/// How long observers may take for what is left when the directory is closed.
const CLOSING: Duration = Duration::from_secs(3);

/// The directory of a single instance, in its memory. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct InProcess(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    hubs: Mutex<HashMap<Box<str>, Arc<Attached>>>,
    notifier: Arc<Notifier>,
    observing: Mutex<Vec<AbortOnDropHandle<()>>>,
}

#[derive(Debug)]
struct Attached {
    name: Box<str>,
    local: Arc<LocalHub>,
    notifier: Arc<Notifier>,
}

/// Calls the observers.
#[derive(Debug)]
struct Notifying {
    shared: Weak<Shared>,
    notifier: Arc<Notifier>,
    current: Option<Batch>,
}

impl Vital for Notifying {
    const NAME: &'static str = "observers of the session directory";

    async fn run(&mut self) {
        loop {
            let batch = match self.current.take() {
                Some(batch) => batch,
                None => self.notifier.next().await,
            };
            let Some(shared) = self.shared.upgrade() else { return };
            let hub = shared.hub(&batch.hub);
            drop(shared);
            self.notifier.deliver(&*hub, self.current.insert(batch)).await;
            self.current = None;
            self.notifier.handled();
        }
    }
}

/// Reports a hub's connections to an observer again after each period.
struct Resyncing {
    hub: Arc<Attached>,
    period: Duration,
}

impl Vital for Resyncing {
    const NAME: &'static str = "resync of the session directory";

    async fn run(&mut self) {
        loop {
            sleep_until(Instant::now() + self.period).await;
            self.hub.report_all();
        }
    }
}

impl Shared {
    fn hub(&self, name: &str) -> Arc<Attached> {
        let mut hubs = self.hubs.lock();
        let hub = hubs.entry(name.into()).or_insert_with(|| {
            let instance = format!("process {}", std::process::id());
            let notifier = Arc::clone(&self.notifier);
            Arc::new(Attached {
                name: name.into(),
                local: Arc::new(LocalHub::new(instance.into())),
                notifier,
            })
        });
        Arc::clone(hub)
    }
}

impl SessionDirectory for InProcess {
    fn attach(&self, hub_name: &str) -> Arc<dyn HubSessions> {
        self.0.hub(hub_name) as _
    }

    fn observe(&self, hub_name: &str, observer: Arc<dyn ConnectionObserver>) {
        let hub = self.0.hub(hub_name);
        let mut observing = self.0.observing.lock();
        if observing.is_empty() {
            let notifier = Arc::clone(&self.0.notifier);
            let shared = Arc::downgrade(&self.0);
            observing.push(spawn(Notifying { shared, notifier, current: None }));
        }
        if let Some(period) = observer.resync_period() {
            observing.push(spawn(Resyncing { hub: Arc::clone(&hub), period }));
        }
        self.0.notifier.observe(hub_name, observer);
        hub.report_all();
    }

    fn status(&self) -> watch::Receiver<Status> {
        watch::channel(Status::Alone).1
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            if timeout(CLOSING, self.0.notifier.settled()).await.is_err() {
                tracing::warn!("observers of the session directory have not handled all changes in time");
            }
        }
        .boxed()
    }
}

impl Attached {
    fn report(&self, connection: ConnectionId, user: Option<UserId>, event: ConnectionEvent) {
        self.notifier.add(&self.name, ConnectionChange { connection, user, event });
    }

    fn report_all(&self) {
        let mut last = None;
        while let Some(id) = self.notifier.add_connected(&self.name, &self.local, last.as_ref(), 1000) {
            last = Some(id);
        }
    }
}

impl HubSessions for Attached {
    fn connected(&self, connection: ConnectionId, user: Option<UserId>) {
        self.local.connected(connection.clone(), user.clone());
        self.report(connection, user, ConnectionEvent::Connected);
    }

    fn disconnected(&self, connection: &ConnectionId) {
        if let Some(record) = self.local.disconnected(connection) {
            self.report(connection.clone(), record.user, ConnectionEvent::Disconnected);
        }
    }

    fn joined(&self, connection: &ConnectionId, group: &GroupName) {
        self.local.joined(connection, group);
    }

    fn left(&self, connection: &ConnectionId, group: &GroupName) {
        self.local.left(connection, group);
    }
}

impl HubDirectory for Attached {
    fn connection_count(&self) -> BoxFuture<'_, Answer<u64>> {
        answer(self.local.connection_count())
    }

    fn user_count(&self) -> BoxFuture<'_, Answer<u64>> {
        answer(self.local.user_count())
    }

    fn member_count(&self, group: GroupName) -> BoxFuture<'_, Answer<u64>> {
        answer(self.local.member_count(&group))
    }

    fn find(&self, connection: ConnectionId) -> BoxFuture<'_, Answer<Option<Connected>>> {
        answer(self.local.find(&connection))
    }

    fn connections(&self, page: Page) -> BoxFuture<'_, Answer<Listing<Connected>>> {
        answer(self.local.connections(&page))
    }

    fn users(&self, page: Page) -> BoxFuture<'_, Answer<Listing<UserId>>> {
        answer(self.local.users(&page))
    }

    fn members(&self, group: GroupName, page: Page) -> BoxFuture<'_, Answer<Listing<Member>>> {
        answer(self.local.members(&group, &page))
    }

    fn connections_of(&self, user: UserId) -> BoxFuture<'_, Answer<Vec<ConnectionId>>> {
        answer(self.local.connections_of(&user))
    }

    fn watch_group(&self, group: GroupName) -> BoxFuture<'_, GroupWatch> {
        ready(self.local.watch(group)).boxed()
    }
}

fn answer<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Answer<T>> {
    ready(Answer::of_fleet(value)).boxed()
}

#[cfg(test)]
mod tests {
    use super::InProcess;
    use crate::SessionDirectory;
    use crate::conformance::{Observed, one_instance};

    #[tokio::test]
    async fn conforms() {
        one_instance(&InProcess::default()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_reported_again_after_each_period() {
        let directory = InProcess::default();
        let hub = directory.attach("Chat");
        let mut observed = Observed::of_with(&directory, "Chat", Some(std::time::Duration::from_secs(3600)));
        hub.connected("c".into(), None);
        for _ in 0..3 {
            assert_eq!(observed.next().await, "+c");
        }
    }
}
