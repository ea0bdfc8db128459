//! A fleet within one process, for testing what stands above the seam.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hubline_protocol::ConnectionId;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Address, Fleet, FleetInbox, InstanceId, Unreachable};
use crate::Status;

/// So many instances that reach each other.
pub fn memory_fleet(instances: usize) -> Vec<Arc<MemoryFleet>> {
    let network = Arc::default();
    (0..instances).map(|_| MemoryFleet::joining(&network)).collect()
}

/// `N` instances that reach each other.
pub(crate) fn memory_fleet_of<const N: usize>() -> [Arc<MemoryFleet>; N] {
    let network = Arc::default();
    std::array::from_fn(|_| MemoryFleet::joining(&network))
}

/// One instance of a [`memory_fleet`].
#[derive(Debug)]
pub struct MemoryFleet {
    id: InstanceId,
    network: Arc<Mutex<Network>>,
    inbox: OnceLock<Inbox>,
    status: watch::Sender<Status>,
}

struct Inbox(Arc<dyn FleetInbox>);

#[derive(Debug, Default)]
struct Network {
    members: Vec<Arc<MemoryFleet>>,
    listening: Vec<(ConnectionId, InstanceId)>,
    notes: HashMap<String, (Vec<u8>, Option<Instant>)>,
    /// Messages to be lost from now on.
    losing: usize,
    sent: u64,
    notes_read: u64,
}

impl MemoryFleet {
    fn joining(network: &Arc<Mutex<Network>>) -> Arc<Self> {
        let id = InstanceId::random();
        let status = watch::Sender::new(Status::Connected);
        let member = Arc::new(Self { id, network: Arc::clone(network), inbox: OnceLock::new(), status });
        lock(network).members.push(Arc::clone(&member));
        member
    }

    /// Cuts this instance off from the others, or joins it again. Messages to it are lost meanwhile.
    pub fn set_connected(&self, connected: bool) {
        self.status.send_replace(match connected {
            true => Status::Connected,
            false => Status::Disconnected("cut off by the test".to_owned()),
        });
    }

    /// Takes this instance away for good, as if it was killed.
    pub fn kill(&self) {
        let mut network = lock(&self.network);
        network.members.retain(|member| member.id != self.id);
        network.listening.retain(|(_, instance)| *instance != self.id);
    }

    /// Loses the next messages of the fleet, though somebody listens.
    pub fn lose(&self, messages: usize) {
        lock(&self.network).losing = messages;
    }

    /// Forgets all notes.
    pub fn forget_notes(&self) {
        lock(&self.network).notes.clear();
    }

    /// Messages that the fleet has sent so far.
    pub fn sent(&self) -> u64 {
        lock(&self.network).sent
    }

    /// Questions for notes that the fleet has asked so far.
    pub fn notes_read(&self) -> u64 {
        lock(&self.network).notes_read
    }

    fn is_connected(&self) -> bool {
        *self.status.borrow() == Status::Connected
    }

    fn reachable(&self) -> Result<MutexGuard<'_, Network>, Unreachable> {
        match &*self.status.borrow() {
            Status::Disconnected(reason) => Err(Unreachable(reason.clone())),
            Status::Connected | Status::Alone => Ok(lock(&self.network)),
        }
    }

    fn deliver(&self, to: &Address, message: &[u8]) -> Result<u64, Unreachable> {
        let mut network = self.reachable()?;
        network.sent += 1;
        let listens = |member: &MemoryFleet, network: &Network| match to {
            Address::Instance(id) => member.id == *id,
            Address::Connection(id) => network.listening.contains(&(id.clone(), member.id)),
        };
        let is_listener = |member: &&Arc<MemoryFleet>| member.is_connected() && listens(member, &network);
        let listeners: Vec<_> = network.members.iter().filter(is_listener).map(Arc::clone).collect();
        let is_lost = network.losing > 0;
        network.losing = network.losing.saturating_sub(1);
        drop(network);
        for inbox in listeners.iter().filter(|_| !is_lost).filter_map(|listener| listener.inbox.get()) {
            _ = inbox.0.received(message);
        }
        Ok(listeners.len() as u64)
    }
}

impl Fleet for MemoryFleet {
    fn instance(&self) -> InstanceId {
        self.id
    }

    fn join(&self, inbox: Arc<dyn FleetInbox>) {
        assert!(self.inbox.set(Inbox(inbox)).is_ok(), "joined once");
    }

    fn send<'a>(&'a self, to: &'a Address, message: Vec<u8>) -> BoxFuture<'a, Result<u64, Unreachable>> {
        async move {
            // As over a network, others may be faster.
            tokio::task::yield_now().await;
            self.deliver(to, &message)
        }
        .boxed()
    }

    fn listen<'a>(&'a self, connection: &'a ConnectionId) -> BoxFuture<'a, ()> {
        lock(&self.network).listening.push((connection.clone(), self.id));
        ready(()).boxed()
    }

    fn stop_listening(&self, connection: &ConnectionId) {
        let mut network = lock(&self.network);
        let listener = network.listening.iter().position(|(id, at)| id == connection && *at == self.id);
        if let Some(listener) = listener {
            network.listening.swap_remove(listener);
        }
    }

    fn put_if_absent<'a>(
        &'a self,
        name: &'a str,
        value: Vec<u8>,
        lifetime: Option<Duration>,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, Unreachable>> {
        let put = self.reachable().map(|mut network| {
            let now = Instant::now();
            let present = network.notes.get(name).filter(|(_, until)| until.is_none_or(|until| until > now));
            let present = present.map(|(value, _)| value.clone());
            if present.is_none() {
                network.notes.insert(name.to_owned(), (value, lifetime.map(|lifetime| now + lifetime)));
            }
            present
        });
        ready(put).boxed()
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Unreachable>> {
        let got = self.reachable().map(|mut network| {
            network.notes_read += 1;
            let note = network.notes.get(name);
            let note = note.filter(|(_, until)| until.is_none_or(|until| until > Instant::now()));
            note.map(|(value, _)| value.clone())
        });
        ready(got).boxed()
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inbox")
    }
}

fn lock(network: &Mutex<Network>) -> MutexGuard<'_, Network> {
    network.lock()
}
