//! How many instances listen, so that nothing is sent after an outage before those that were there are there again:
//! each comes back in its own time, and what is published first would be heard by nobody.
//!
//! Counted are the channels that every instance has, those of all and of the group commands, of the hubs that are
//! attached here: when a node opens, once a second while messages are published and once after the last, and 20 times a
//! second while others are waited for. An instance that publishes nothing asks Redis nothing.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use redis::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// How long the others are waited for where this instance has been before.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// At another server, which each has to learn of, and may try the old one until then.
const PATIENCE_ELSEWHERE: Duration = Duration::from_secs(5);
/// How long it counts that more have listened than do now. When a server fails each leaves it in its own time,
/// and those that are left are not the whole fleet.
const MEMORY: Duration = Duration::from_secs(10);
const BETWEEN_COUNTS_WAITING: Duration = Duration::from_millis(50);
pub(super) const BETWEEN_COUNTS: Duration = Duration::from_secs(1);
/// How long after a count it is believed that no more have come: who publishes nothing does not count.
const TRUSTED: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Listeners {
    counted: Mutex<Vec<Counted>>,
    wanted: Notify,
    changed: Notify,
}

#[derive(Debug)]
struct Counted {
    channel: Vec<u8>,
    /// The most while the fleet was whole, and when that was last counted.
    before: Option<(u64, Instant)>,
    now: Option<u64>,
}

impl Counted {
    fn is_back(&self) -> bool {
        self.now >= self.before.map(|(count, _)| count)
    }

    fn whole(&mut self, count: u64) {
        if self.before.is_none_or(|(most, at)| count >= most || at.elapsed() > MEMORY) {
            self.before = Some((count, Instant::now()));
        }
    }
}

impl Listeners {
    /// Ready when as many listen as before, or the patience is at its end; `elsewhere` there is more of it.
    ///
    /// If nobody knows how many that were, they are waited for if some are expected.
    pub(super) async fn assembled(&self, expected: bool, elsewhere: bool) {
        self.lock().iter_mut().for_each(|counted| counted.now = None);
        if !expected && self.lock().iter().all(|counted| counted.before.is_none()) {
            return;
        }
        let back = async {
            loop {
                self.wanted.notify_one();
                self.changed.notified().await;
                if self.is_back() {
                    return;
                }
                sleep(BETWEEN_COUNTS_WAITING).await;
            }
        };
        _ = timeout(if elsewhere { PATIENCE_ELSEWHERE } else { PATIENCE }, back).await;
    }

    /// The node is not open any more: what was counted too long before says nothing about who will listen again.
    pub(super) fn forget_outdated(&self) {
        for counted in &mut *self.lock() {
            counted.before = counted.before.filter(|(_, at)| at.elapsed() <= TRUSTED);
        }
    }

    /// Has the fleet counted.
    pub(super) fn count(&self) {
        self.wanted.notify_one();
    }

    /// Ready when the fleet is to be counted.
    ///
    /// # Cancel safety
    /// Safe, but a count may fall out.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The reply to `PUBSUB NUMSUB`. `is_whole`: the fleet is what it is, and this is what it will have to be
    /// after an outage.
    pub(super) fn counted(&self, reply: Value, is_whole: bool) {
        let Value::Array(items) = reply else { return };
        let mut items = items.into_iter();
        let mut counted = self.lock();
        let mut before = std::mem::take(&mut *counted);
        while let (Some(Value::BulkString(channel)), Some(Value::Int(count))) = (items.next(), items.next()) {
            let now = u64::try_from(count).ok();
            let known = before.iter().position(|one| one.channel == channel);
            let before = known.and_then(|known| before.swap_remove(known).before);
            let mut one = Counted { channel, before, now };
            if let (true, Some(now)) = (is_whole, now) {
                one.whole(now);
            }
            counted.push(one);
        }
        self.changed.notify_one();
    }

    /// So many have received a message on a channel: if it is one that is counted, that is a count too.
    pub(super) fn received(&self, channel: &str, receivers: u64) {
        let mut counted = self.lock();
        if let Some(one) = counted.iter_mut().find(|one| one.channel == channel.as_bytes()) {
            one.whole(receivers);
        }
    }

    fn is_back(&self) -> bool {
        let counted = self.lock();
        let mut known = counted.iter().filter(|one| one.before.is_some()).peekable();
        known.peek().is_some() && known.all(Counted::is_back)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Counted>> {
        self.counted.lock()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn reply(count: i64) -> Value {
        Value::Array(vec![Value::BulkString(b"all".to_vec()), Value::Int(count)])
    }

    fn listeners_of(before: i64) -> Listeners {
        let listeners = Listeners::default();
        listeners.counted(reply(before), true);
        listeners
    }

    async fn counts(listeners: &Listeners, counts: impl IntoIterator<Item = i64>) {
        for count in counts {
            listeners.wanted().await;
            listeners.counted(reply(count), false);
        }
        std::future::pending::<()>().await;
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_as_before_are_waited_for() {
        let listeners = listeners_of(3);
        let since = Instant::now();
        tokio::select! {
            () = listeners.assembled(true, false) => {}
            () = counts(&listeners, [1, 2, 3]) => {}
        }
        assert!(since.elapsed() < Duration::from_millis(500));
        assert!(listeners.is_back());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_do_not_come_are_not_waited_for_long() {
        let listeners = listeners_of(3);
        let since = Instant::now();
        tokio::select! {
            () = listeners.assembled(true, false) => {}
            () = counts(&listeners, std::iter::repeat(2)) => {}
        }
        assert_eq!(since.elapsed(), PATIENCE);
        listeners.assembled(true, true).await;
        assert_eq!(since.elapsed(), PATIENCE + PATIENCE_ELSEWHERE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_left_may_be_on_the_way_to_another_server() {
        let listeners = listeners_of(3);
        listeners.counted(reply(2), true);
        listeners.counted(reply(2), false);
        assert!(!listeners.is_back());
        tokio::time::advance(MEMORY + Duration::from_secs(1)).await;
        listeners.counted(reply(2), true);
        assert!(listeners.is_back());
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_count_does_not_say_that_all_are_back() {
        let listeners = listeners_of(1);
        tokio::time::advance(TRUSTED).await;
        listeners.forget_outdated();
        tokio::select! {
            () = listeners.assembled(true, false) => {}
            () = counts(&listeners, [1]) => {}
        }
        tokio::time::advance(TRUSTED).await;
        listeners.forget_outdated();
        let since = Instant::now();
        tokio::select! {
            () = listeners.assembled(true, false) => {}
            () = counts(&listeners, std::iter::repeat(1)) => {}
        }
        assert_eq!(since.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_fleet_is_waited_for_if_there_may_be_one() {
        let listeners = Listeners::default();
        let since = Instant::now();
        listeners.assembled(false, false).await;
        assert_eq!(since.elapsed(), Duration::ZERO);
        listeners.assembled(true, false).await;
        assert_eq!(since.elapsed(), PATIENCE);
    }
}
