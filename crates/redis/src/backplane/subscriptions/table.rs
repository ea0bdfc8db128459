//! What is known of each channel, behind the lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hubline_backplane::Target;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::{Addressee, Route};
use crate::backplane::dialect::Dialect;

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) linked: bool,
    pub(super) channels: HashMap<Arc<str>, Interest>,
    /// Each channel at most once.
    pub(super) marked: VecDeque<Arc<str>>,
    /// Channels that the link must have confirmed before it counts as restored.
    pub(super) to_restore: usize,
    /// Commands sent, `PING` included, and how many of them are answered, in their order.
    pub(super) asked: u64,
    pub(super) answered: u64,
    pub(super) ping: Option<Ping>,
    /// When the link last said something, or was asked something after it had answered all.
    pub(super) heard: Option<Instant>,
    /// Nobody waits for a link that has fallen silent.
    pub(super) is_let_go: bool,
    /// Channels that every instance with one of the hubs here is subscribed to.
    pub(super) of_every_instance: Vec<Arc<str>>,
}

#[derive(Debug)]
pub(super) enum Ping {
    ToSend,
    /// It was this command.
    Sent(u64),
}

#[derive(Debug)]
pub(super) struct Interest {
    pub(super) route: Route,
    pub(super) count: u32,
    /// Whether the last command sent was SUBSCRIBE.
    pub(super) asked: bool,
    /// SUBSCRIBE commands without their confirmation. A second one can be on its way: joined, left, joined.
    pub(super) unconfirmed: u32,
    pub(super) marked: bool,
    pub(super) to_restore: bool,
    pub(super) waiting: Vec<oneshot::Sender<()>>,
}

impl Interest {
    fn new(route: Route) -> Self {
        Self {
            route,
            count: 0,
            asked: false,
            unconfirmed: 0,
            marked: false,
            to_restore: false,
            waiting: Vec::new(),
        }
    }

    pub(super) fn confirmed(&self) -> bool {
        self.count > 0 && self.asked && self.unconfirmed == 0
    }

    fn forgettable(&self) -> bool {
        self.count == 0 && !self.asked && self.unconfirmed == 0 && !self.marked
    }

    pub(super) fn is_unsettled(&self) -> bool {
        self.count > 0 && !self.confirmed() && !self.to_restore
    }

    pub(super) fn is_for_all(&self) -> bool {
        matches!(self.route, Route::Hub { to: Addressee::Connections(Target::All), .. })
    }
}

impl Table {
    pub(super) fn is_waited_for(&self) -> bool {
        self.linked && !self.is_let_go
    }

    pub(super) fn interest(&mut self, channel: &str, route: Route) -> &mut Interest {
        let known = self.channels.get_key_value(channel).map(|(known, _)| Arc::clone(known));
        let channel = known.unwrap_or_else(|| {
            let channel = Arc::<str>::from(channel);
            if OF_EVERY_INSTANCE.contains(&rank(&route)) {
                self.of_every_instance.push(Arc::clone(&channel));
            }
            channel
        });
        let interest = self.channels.entry(channel).or_insert_with(|| Interest::new(route.clone()));
        if interest.count == 0 {
            interest.route = route;
        }
        interest
    }

    /// While the link is down marks are not kept: everything is marked when it opens.
    pub(super) fn mark(&mut self, channel: &str) {
        if !self.linked {
            self.forget(channel);
            return;
        }
        if let Some((channel, _)) = self.channels.get_key_value(channel) {
            let channel = Arc::clone(channel);
            if let Some(interest) = self.channels.get_mut(&channel)
                && !std::mem::replace(&mut interest.marked, true)
            {
                self.marked.push_back(channel);
            }
        }
    }

    /// The command that brings Redis to what is wanted, if one is needed.
    pub(super) fn settle(&mut self, channel: &str, dialect: Dialect) -> Option<&'static str> {
        let interest = self.channels.get_mut(channel)?;
        interest.marked = false;
        let wanted = interest.count > 0;
        let command = match (wanted, interest.asked) {
            (true, false) => {
                interest.unconfirmed += 1;
                Some(dialect.subscribe())
            }
            (false, true) => Some(dialect.unsubscribe()),
            _ => None,
        };
        interest.asked = wanted;
        if !wanted && std::mem::take(&mut interest.to_restore) {
            self.to_restore -= 1;
        }
        self.forget(channel);
        command
    }

    pub(super) fn confirm(&mut self, channel: &str) {
        let Some(interest) = self.channels.get_mut(channel) else { return };
        interest.unconfirmed = interest.unconfirmed.saturating_sub(1);
        if interest.confirmed() {
            interest.waiting.drain(..).for_each(|waiting| _ = waiting.send(()));
            if std::mem::take(&mut interest.to_restore) {
                self.to_restore -= 1;
            }
        }
        self.forget(channel);
    }

    fn forget(&mut self, channel: &str) {
        if self.channels.get(channel).is_some_and(Interest::forgettable) {
            self.channels.remove(channel);
            self.of_every_instance.retain(|known| **known != *channel);
        }
    }

    pub(super) fn asked_for_answer(&mut self) {
        if self.asked == self.answered {
            self.heard = Some(Instant::now());
        }
        self.asked += 1;
    }

    pub(super) fn notify_if_restored(&self, restored: &Notify) {
        if self.to_restore == 0 {
            restored.notify_one();
        }
    }
}

/// Ranks of channels that every instance has.
const OF_EVERY_INSTANCE: std::ops::RangeInclusive<u8> = 2..=3;

/// In which order a new link gets them. Others count by a hub's own who is back, and so has the rest.
pub(super) fn rank(route: &Route) -> u8 {
    match route {
        Route::Raw { .. } => 0,
        Route::Hub { to: Addressee::Connections(Target::Subject(_)), .. } => 1,
        Route::Hub { to: Addressee::Connections(Target::All), .. } => 2,
        Route::Hub { to: Addressee::GroupCommands, .. } => 3,
        Route::Hub { to: Addressee::Acks, .. } => 4,
        Route::Hub { to: Addressee::Answers, .. } => 5,
    }
}
