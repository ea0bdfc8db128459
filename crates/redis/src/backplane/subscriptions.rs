//! Which channels this instance wants, and how far Redis knows.
//!
//! Interest is counted per channel. The table holds no commands: a channel whose count has changed is marked,
//! and the subscribing link sends what the state of its marked channels asks for. So whoever joins and leaves
//! a thousand times while Redis is slow costs one mark, and after an outage the whole table is marked again.

mod table;

use std::sync::Arc;
use std::time::Duration;

use hubline_backplane::Target;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use self::table::{Ping, Table, rank};
use super::dialect::Dialect;
use super::hub::Hub;
use super::raw::RawInbox;
use crate::client::link::LinkLost;

/// Where the messages of a channel go.
#[derive(Debug, Clone)]
pub(super) enum Route {
    Hub { hub: Arc<Hub>, to: Addressee },
    Raw { name: Arc<str>, inbox: RawInbox },
}

/// What a hub's channel carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Addressee {
    /// Invocations for these connections.
    Connections(Target),
    /// Group commands.
    GroupCommands,
    /// Acks of group commands from here.
    Acks,
    /// Answers of clients asked from here.
    Answers,
}

/// A channel on its way from one node to another.
#[derive(Debug)]
pub(super) struct MovedChannel {
    pub(super) name: Arc<str>,
    route: Route,
    count: u32,
    waiting: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    dialect: Dialect,
    in_doubt: Arc<Notify>,
    table: Mutex<Table>,
    marked: Notify,
    restored: Notify,
    pong: Notify,
}

/// For the hubs.
impl Subscriptions {
    /// `in_doubt` is told when Redis ends a subscription by itself.
    pub(super) fn new(dialect: Dialect, in_doubt: Arc<Notify>) -> Self {
        Self { dialect, in_doubt, ..Self::default() }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Takes one interest back. Messages of a channel without interest are dropped from now on; Redis hears of
    /// it with the next commands.
    pub(super) fn remove(&self, channel: &str) {
        let mut table = self.lock();
        let Some(interest) = table.channels.get_mut(channel) else { return };
        interest.count = interest.count.saturating_sub(1);
        if interest.count == 0 {
            table.mark(channel);
            self.marked.notify_one();
        }
    }

    /// Takes back whatever a hub wants.
    pub(super) fn remove_hub(&self, hub: &Arc<Hub>) {
        let mut table = self.lock();
        let mut of_hub = Vec::new();
        for (channel, interest) in &mut table.channels {
            if matches!(&interest.route, Route::Hub { hub: of, .. } if Arc::ptr_eq(of, hub)) {
                interest.count = 0;
                of_hub.push(Arc::clone(channel));
            }
        }
        of_hub.iter().for_each(|channel| table.mark(channel));
        self.marked.notify_one();
    }

    /// Takes out all interest in channels that belong to another node now.
    pub(super) fn take_moved(&self, has_moved: impl Fn(&str) -> bool) -> Vec<MovedChannel> {
        let mut table = self.lock();
        let wanted = table.channels.iter_mut().filter(|(_, interest)| interest.count > 0);
        let moved: Vec<_> = wanted
            .filter(|(name, _)| has_moved(name))
            .map(|(name, interest)| MovedChannel {
                name: Arc::clone(name),
                route: interest.route.clone(),
                count: std::mem::take(&mut interest.count),
                waiting: std::mem::take(&mut interest.waiting),
            })
            .collect();
        moved.iter().for_each(|channel| table.mark(&channel.name));
        self.marked.notify_one();
        moved
    }

    /// Puts it in here. Who waits for it goes on waiting, if the link is up.
    pub(super) fn put_moved(&self, moved: MovedChannel) {
        let mut table = self.lock();
        let is_waited_for = table.is_waited_for();
        let interest = table.interest(&moved.name, moved.route);
        interest.count += moved.count;
        if is_waited_for && !interest.confirmed() {
            interest.waiting.extend(moved.waiting);
        }
        table.mark(&moved.name);
        self.marked.notify_one();
    }

    /// Whether anything here wants the channel.
    pub(super) fn wants(&self, channel: &str) -> bool {
        self.lock().channels.get(channel).is_some_and(|interest| interest.count > 0)
    }

    /// Ready when nothing is on its way that makes this instance hear the channel: it has just been attached to,
    /// or has come from another node. Or when the link is lost.
    pub(super) async fn settled(&self, channel: &str) {
        let confirmed = {
            let mut table = self.lock();
            let is_waited_for = table.is_waited_for();
            table.channels.get_mut(channel).filter(|interest| is_waited_for && interest.is_unsettled()).map(
                |interest| {
                    let (confirm, confirmed) = oneshot::channel();
                    interest.waiting.push(confirm);
                    confirmed
                },
            )
        };
        if let Some(confirmed) = confirmed {
            let _ = confirmed.await;
        }
    }

    /// Whether what is published on this channel comes back to a hub that relies on it. One that has just been
    /// attached does not hear its own channel yet.
    pub(super) fn brings_back(&self, channel: &str) -> bool {
        let table = self.lock();
        let interest = table.channels.get(channel);
        interest.is_none_or(|interest| !interest.is_for_all() || interest.confirmed())
    }

    /// Whether Redis should count this instance among those that have heard a message of this channel: it is wanted,
    /// and no SUBSCRIBE is on its way.
    pub(super) fn should_be_heard(&self, channel: &str) -> bool {
        self.lock()
            .channels
            .get(channel)
            .is_some_and(|interest| interest.count > 0 && interest.unconfirmed == 0)
    }

    /// Channels that every instance with one of the hubs here is subscribed to.
    pub(super) fn of_every_instance(&self) -> Vec<Arc<str>> {
        self.lock().of_every_instance.clone()
    }

    /// Counts one more interest. What is returned is ready when Redis has confirmed the channel; `None` if it has
    /// already, or the link is down.
    pub(super) fn count_up(&self, channel: &str, route: Route) -> Option<oneshot::Receiver<()>> {
        let mut table = self.lock();
        let is_waited_for = table.is_waited_for();
        let interest = table.interest(channel, route);
        interest.count += 1;
        let waiting = (is_waited_for && !interest.confirmed()).then(oneshot::channel);
        let first = interest.count == 1;
        let waiting = waiting.map(|(confirm, confirmed)| {
            interest.waiting.push(confirm);
            confirmed
        });
        if first {
            table.mark(channel);
            self.marked.notify_one();
        }
        waiting
    }
}

/// For the subscribing link.
impl Subscriptions {
    /// A new link knows nothing yet: marks every channel that is wanted, those of the hubs themselves last.
    pub(super) fn link_opened(&self) {
        let mut table = self.lock();
        table.linked = true;
        let mut marked: Vec<_> = Vec::with_capacity(table.channels.len());
        for (channel, interest) in &mut table.channels {
            (interest.marked, interest.to_restore) = (true, true);
            marked.push((rank(&interest.route), Arc::clone(channel)));
        }
        marked.sort_unstable_by_key(|(rank, _)| *rank);
        table.to_restore = marked.len();
        table.marked = marked.into_iter().map(|(_, channel)| channel).collect();
        self.marked.notify_one();
        table.notify_if_restored(&self.restored);
    }

    /// Nobody waits for a link that is gone, and nobody publishes through it.
    pub(super) fn link_lost(&self) {
        let mut table = self.lock();
        table.linked = false;
        table.channels.retain(|_, interest| interest.count > 0);
        for interest in table.channels.values_mut() {
            interest.waiting.clear();
            (interest.asked, interest.unconfirmed) = (false, 0);
            (interest.marked, interest.to_restore) = (false, false);
        }
        table.marked.clear();
        (table.to_restore, table.asked, table.answered, table.ping, table.heard) = (0, 0, 0, None, None);
        table.is_let_go = false;
        let Table { channels, of_every_instance, .. } = &mut *table;
        of_every_instance.retain(|channel| channels.contains_key(channel));
    }

    /// Ready when every channel that was wanted as the link opened is confirmed. How many are known now.
    pub(super) async fn restored(&self) -> usize {
        loop {
            let notified = self.restored.notified();
            {
                let table = self.lock();
                if table.linked && table.to_restore == 0 {
                    return table.channels.len();
                }
            }
            notified.await;
        }
    }

    /// Appends commands for marked channels until `out` has `limit_bytes`. Waits for a mark.
    ///
    /// # Cancel safety
    /// Not: commands that are lost with it are not sent again.
    pub(super) async fn commands(&self, out: &mut Vec<u8>, limit_bytes: usize) {
        loop {
            let marked = self.marked.notified();
            self.take_commands(out, limit_bytes);
            if !out.is_empty() {
                return;
            }
            marked.await;
        }
    }

    fn take_commands(&self, out: &mut Vec<u8>, limit_bytes: usize) {
        let mut table = self.lock();
        if let Some(Ping::ToSend) = table.ping {
            redis::cmd("PING").write_packed_command(out);
            table.asked_for_answer();
            table.ping = Some(Ping::Sent(table.asked));
        }
        while out.len() < limit_bytes {
            let Some(channel) = table.marked.pop_front() else { return };
            if let Some(command) = table.settle(&channel, self.dialect) {
                redis::cmd(command).arg(&*channel).write_packed_command(out);
                table.asked_for_answer();
            }
            table.notify_if_restored(&self.restored);
        }
        // More marks are left than fit.
        self.marked.notify_one();
    }

    /// Has a `PING` sent with the next commands.
    pub(super) fn ping(&self) {
        self.lock().ping = Some(Ping::ToSend);
        self.marked.notify_one();
    }

    /// Ready when the last `PING` is answered, and so whatever Redis had sent before is in the inboxes.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn caught_up(&self) {
        while self.lock().ping.is_some() {
            self.pong.notified().await;
        }
    }

    /// Redis has said something: a message, or the answer to a command.
    pub(super) fn heard(&self, answer: Reply<'_>) {
        let mut table = self.lock();
        table.heard = Some(Instant::now());
        table.is_let_go = false;
        if !matches!(answer, Reply::None) {
            table.answered += 1;
            if matches!(table.ping, Some(Ping::Sent(ping)) if ping <= table.answered) {
                table.ping = None;
                self.pong.notify_one();
            }
        }
        if let Reply::Subscribed(channel) = answer {
            table.confirm(channel);
            table.notify_if_restored(&self.restored);
        }
    }

    /// Redis has ended a subscription. Whether that was not asked for: the slot of a sharded channel has moved.
    pub(super) fn ended(&self, channel: &str) -> bool {
        let mut table = self.lock();
        let Some(interest) = table.channels.get_mut(channel) else { return false };
        let by_redis = interest.confirmed();
        if by_redis {
            interest.asked = false;
            self.in_doubt.notify_one();
        }
        by_redis
    }

    /// Asks again for what Redis has ended and has not moved away.
    pub(super) fn ask_again(&self) {
        let mut table = self.lock();
        let ended = table.channels.iter().filter(|(_, interest)| interest.count > 0 && !interest.asked);
        let ended: Vec<_> = ended.map(|(channel, _)| Arc::clone(channel)).collect();
        ended.iter().for_each(|channel| table.mark(channel));
        self.marked.notify_one();
    }

    /// Ready when nothing at all was heard for so long while commands have been waiting; noticed up to a quarter
    /// later.
    pub(super) async fn fall_silent(&self, patience: Duration) -> LinkLost {
        while !self.is_silent(patience) {
            sleep(patience / 4).await;
        }
        LinkLost::Silent(patience)
    }

    /// Nobody waits for confirmations any more, until something is heard again.
    pub(super) fn let_go(&self) {
        let mut table = self.lock();
        table.is_let_go = true;
        table.channels.values_mut().for_each(|interest| interest.waiting.clear());
    }

    /// Whether nothing at all was heard for so long while commands have been waiting.
    pub(super) fn is_silent(&self, patience: Duration) -> bool {
        let table = self.lock();
        table.asked > table.answered && table.heard.is_some_and(|since| since.elapsed() > patience)
    }

    /// Where a message of this channel goes; `None` if nobody wants it any more.
    pub(super) fn route(&self, channel: &str) -> Option<(Arc<str>, Route)> {
        let table = self.lock();
        let (channel, interest) = table.channels.get_key_value(channel)?;
        (interest.count > 0).then(|| (Arc::clone(channel), interest.route.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

/// What a value from the link answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply<'a> {
    /// Nothing: it is a message.
    None,
    /// SUBSCRIBE of this channel.
    Subscribed(&'a str),
    /// UNSUBSCRIBE or PING.
    Other,
}

#[cfg(test)]
mod tests;
