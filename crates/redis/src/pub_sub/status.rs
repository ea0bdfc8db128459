//! Whether the nodes can be reached, and what that means for all of them together.

use std::sync::{Arc, Mutex, PoisonError};

use hubline_backplane::Status;
use tokio::sync::watch;

/// Of all nodes together: connected if every one is.
#[derive(Debug)]
pub(super) struct Statuses {
    of_nodes: Mutex<Vec<Status>>,
    combined: watch::Sender<Status>,
}

/// One node's part of it.
#[derive(Debug)]
pub(super) struct NodeStatus {
    of_all: Arc<Statuses>,
    node: usize,
}

impl Statuses {
    pub(super) fn new(nodes: usize) -> Arc<Self> {
        let connecting = Status::Disconnected("connecting".to_owned());
        Arc::new(Self {
            of_nodes: Mutex::new(vec![connecting.clone(); nodes]),
            combined: watch::Sender::new(connecting),
        })
    }

    pub(super) fn of_node(self: &Arc<Self>, node: usize) -> NodeStatus {
        NodeStatus { of_all: Arc::clone(self), node }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Status> {
        self.combined.subscribe()
    }
}

impl NodeStatus {
    pub(super) fn set(&self, now: Status) {
        let mut of_nodes = self.of_all.of_nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = of_nodes.get_mut(self.node) {
            *status = now;
        }
        let lost = of_nodes.iter().find(|status| matches!(status, Status::Disconnected(_)));
        let now = lost.unwrap_or(&Status::Connected);
        self.of_all.combined.send_if_modified(|combined| {
            let changed = combined != now;
            combined.clone_from(now);
            changed
        });
    }

    /// Why the node cannot be reached, if it cannot.
    pub(super) fn why_disconnected(&self) -> Option<String> {
        let of_nodes = self.of_all.of_nodes.lock().unwrap_or_else(PoisonError::into_inner);
        match of_nodes.get(self.node) {
            Some(Status::Disconnected(reason)) => Some(reason.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_connected_when_each_is() {
        let statuses = Statuses::new(2);
        let combined = statuses.subscribe();
        let [first, second] = [0, 1].map(|node| statuses.of_node(node));
        first.set(Status::Connected);
        assert_eq!(*combined.borrow(), Status::Disconnected("connecting".to_owned()));
        second.set(Status::Connected);
        assert_eq!(*combined.borrow(), Status::Connected);
        first.set(Status::Disconnected("gone".to_owned()));
        assert_eq!(*combined.borrow(), Status::Disconnected("gone".to_owned()));
        assert_eq!((first.why_disconnected().as_deref(), second.why_disconnected()), (Some("gone"), None));
    }
}
