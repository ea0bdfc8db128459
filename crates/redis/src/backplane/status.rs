//! Whether the nodes can be reached, and what that means for all of them together.

use std::fmt;
use std::sync::Arc;

use hubline_backplane::Status;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::RedisEndpoint;

/// Of all nodes together: connected if every one is, besides those that are not needed any more.
#[derive(Debug)]
pub(super) struct Statuses {
    of_nodes: Mutex<Vec<Option<Status>>>,
    combined: watch::Sender<Status>,
}

/// One node's part of it.
#[derive(Debug)]
pub(super) struct NodeStatus {
    of_all: Arc<Statuses>,
    node: usize,
    /// The server that was reached last.
    at: Mutex<Option<RedisEndpoint>>,
}

impl Statuses {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { of_nodes: Mutex::default(), combined: watch::Sender::new(connecting()) })
    }

    /// Of one node more, which is not connected yet.
    pub(super) fn add(self: &Arc<Self>) -> NodeStatus {
        let mut of_nodes = self.lock();
        of_nodes.push(Some(connecting()));
        let status = NodeStatus { of_all: Arc::clone(self), node: of_nodes.len() - 1, at: Mutex::default() };
        self.combine(&of_nodes);
        status
    }

    fn combine(&self, of_nodes: &[Option<Status>]) {
        let lost = of_nodes.iter().flatten().find(|status| matches!(status, Status::Disconnected(_)));
        let now = lost.unwrap_or(&Status::Connected);
        self.combined.send_if_modified(|combined| {
            let changed = combined != now;
            combined.clone_from(now);
            changed
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Status>>> {
        self.of_nodes.lock()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Status> {
        self.combined.subscribe()
    }
}

impl NodeStatus {
    pub(super) fn set(&self, now: Status) {
        let mut of_nodes = self.of_all.lock();
        if let Some(Some(status)) = of_nodes.get_mut(self.node) {
            *status = now;
        }
        self.of_all.combine(&of_nodes);
    }

    /// What is told from now on is told of this server.
    pub(super) fn reached(&self, server: &RedisEndpoint) {
        *self.at() = Some(server.clone());
    }

    /// The server that was reached cannot be used, for this reason. Returns what is told.
    pub(super) fn disconnected(&self, reason: &dyn fmt::Display) -> String {
        let reason = match &*self.at() {
            Some(server) => format!("{server}: {reason}"),
            None => reason.to_string(),
        };
        self.set(Status::Disconnected(reason.clone()));
        reason
    }

    fn at(&self) -> MutexGuard<'_, Option<RedisEndpoint>> {
        self.at.lock()
    }

    /// From now on it does not matter what becomes of the node.
    pub(super) fn retire(&self) {
        let mut of_nodes = self.of_all.lock();
        if let Some(status) = of_nodes.get_mut(self.node) {
            *status = None;
        }
        self.of_all.combine(&of_nodes);
    }

    pub(super) fn is_retired(&self) -> bool {
        matches!(self.of_all.lock().get(self.node), Some(None))
    }

    /// Why the node cannot be reached, if it cannot.
    pub(super) fn why_disconnected(&self) -> Option<String> {
        match self.of_all.lock().get(self.node) {
            Some(Some(Status::Disconnected(reason))) => Some(reason.clone()),
            _ => None,
        }
    }
}

fn connecting() -> Status {
    Status::Disconnected("connecting".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_connected_when_each_is() {
        let statuses = Statuses::new();
        let combined = statuses.subscribe();
        let (first, second) = (statuses.add(), statuses.add());
        first.set(Status::Connected);
        assert_eq!(*combined.borrow(), Status::Disconnected("connecting".to_owned()));
        second.set(Status::Connected);
        assert_eq!(*combined.borrow(), Status::Connected);
        first.set(Status::Disconnected("gone".to_owned()));
        assert_eq!(*combined.borrow(), Status::Disconnected("gone".to_owned()));
        assert_eq!((first.why_disconnected().as_deref(), second.why_disconnected()), (Some("gone"), None));
        let third = statuses.add();
        third.set(Status::Connected);
        assert!(!first.is_retired());
        first.retire();
        assert!(first.is_retired() && !second.is_retired());
        first.set(Status::Disconnected("still gone".to_owned()));
        assert_eq!(*combined.borrow(), Status::Connected);
    }
}
