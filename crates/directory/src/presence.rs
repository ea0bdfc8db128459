//! Who comes to a group and who goes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use hubline_protocol::GroupName;
use parking_lot::{Mutex, MutexGuard};

use crate::Member;
use crate::local::LocalHub;

/// Changes that may wait for one watcher; past it they are dropped and it gets a snapshot instead.
const LIMIT_EVENTS: usize = 256;

/// What happened to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// All members, in the order of their connections' ids: at first, and again whenever the watcher was more than
    /// 256 changes behind. What was known before is void.
    Snapshot(Vec<Member>),
    /// One more.
    Joined(Member),
    /// One less.
    Left(Member),
}

/// A group that is watched, until this is dropped: first a snapshot, then each change, once.
///
/// A change that is undone before others learn of it may be left out. If their instance dies, its members leave
/// within 30 s. An endless [`Stream`].
#[derive(Debug)]
pub struct GroupWatch {
    hub: Arc<LocalHub>,
    group: GroupName,
    watcher: Arc<Watcher>,
}

#[derive(Debug, Default)]
pub(crate) struct Watcher {
    queue: Mutex<Queue>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<GroupEvent>,
    is_current: bool,
}

impl GroupWatch {
    pub(crate) fn new(hub: Arc<LocalHub>, group: GroupName, watcher: Arc<Watcher>) -> Self {
        Self { hub, group, watcher }
    }

    /// The next event.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn next(&mut self) -> GroupEvent {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<GroupEvent> {
        self.watcher.waker.register(cx.waker());
        {
            let mut queue = self.watcher.queue();
            if queue.is_current {
                return queue.events.pop_front().map_or(Poll::Pending, Poll::Ready);
            }
        }
        Poll::Ready(GroupEvent::Snapshot(self.hub.snapshot_for(&self.group, &self.watcher)))
    }
}

impl Stream for GroupWatch {
    type Item = GroupEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<GroupEvent>> {
        self.poll_event(cx).map(Some)
    }
}

impl Drop for GroupWatch {
    fn drop(&mut self) {
        self.hub.unwatch(&self.group, &self.watcher);
    }
}

impl Watcher {
    /// Called with the hub locked, so that events and snapshots have one order.
    pub(crate) fn push(&self, event: &GroupEvent) {
        let mut queue = self.queue();
        if !queue.is_current {
            return;
        }
        if queue.events.len() < LIMIT_EVENTS {
            queue.events.push_back(event.clone());
        } else {
            *queue = Queue::default();
        }
        drop(queue);
        self.waker.wake();
    }

    /// Lets it get changes again, because it has a snapshot. Called with the hub locked.
    pub(crate) fn resume_after_snapshot(&self) {
        self.queue().is_current = true;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }
}
