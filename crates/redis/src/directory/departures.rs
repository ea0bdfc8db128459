//! Departures of connections, which stay in Redis until the observers have handled them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use hubline_directory::local::{Batch, Notifier};
use hubline_directory::{ConnectionChange, ConnectionEvent};
use parking_lot::Mutex;

/// Departures of one instance that may wait here for the observers. More stay in Redis alone until there is room.
pub(super) const LIMIT_WAITING: usize = 1000;

/// The departures that wait for the observers, by the instance whose record they come from.
#[derive(Debug, Default)]
pub(super) struct Departures {
    waiting: Mutex<HashMap<Box<str>, HashSet<String>>>,
    /// Whether Redis may have departures of this instance that do not wait here.
    in_doubt: AtomicBool,
}

impl Departures {
    /// Has the observers told of departures of an instance. Returns those of hubs that nobody here observes.
    pub(super) fn learn(
        &self,
        notifier: &Notifier,
        instance: &str,
        departures: Vec<String>,
        event: ConnectionEvent,
    ) -> Vec<String> {
        let mut waiting = self.waiting.lock();
        let of_instance = waiting.entry(instance.into()).or_default();
        let mut unobserved = Vec::new();
        for departure in departures {
            let Some((hub, change)) = read(&departure, event) else {
                unobserved.push(departure);
                continue;
            };
            if !notifier.is_observed(hub) {
                unobserved.push(departure);
            } else if of_instance.len() >= LIMIT_WAITING {
                self.doubt();
            } else if !of_instance.contains(&departure) {
                notifier.add(hub, change);
                of_instance.insert(departure);
            }
        }
        waiting.retain(|_, of_instance| !of_instance.is_empty());
        unobserved
    }

    /// How many of an instance wait.
    pub(super) fn waiting(&self, instance: &str) -> usize {
        self.waiting.lock().get(instance).map_or(0, HashSet::len)
    }

    /// Those of a batch that has been handled, by instance. They wait no longer.
    pub(super) fn handled(&self, batch: &Batch) -> Vec<(Box<str>, Vec<String>)> {
        let written: Vec<String> = batch.changes.iter().map(|change| write(&batch.hub, change)).collect();
        let mut waiting = self.waiting.lock();
        let mut handled = Vec::new();
        for (instance, departures) in waiting.iter_mut() {
            let of_batch: Vec<String> =
                written.iter().filter(|departure| departures.remove(*departure)).cloned().collect();
            if !of_batch.is_empty() {
                handled.push((instance.clone(), of_batch));
            }
        }
        waiting.retain(|_, departures| !departures.is_empty());
        handled
    }

    /// Redis may have departures that this instance has not been told of, or has failed to remove.
    pub(super) fn doubt(&self) {
        self.in_doubt.store(true, Ordering::Release);
    }

    /// Whether departures of this instance are to be read from Redis.
    pub(super) fn are_to_be_read(&self, instance: &str) -> bool {
        self.in_doubt.load(Ordering::Acquire) && self.waiting(instance) == 0
    }

    pub(super) fn begin_reading(&self) {
        self.in_doubt.store(false, Ordering::Release);
    }
}

/// Hub, connection and user, with zero bytes between.
fn write(hub: &str, change: &ConnectionChange) -> String {
    match &change.user {
        Some(user) => [hub, "\0", change.connection.as_str(), "\0", user.as_str()].concat(),
        None => [hub, "\0", change.connection.as_str()].concat(),
    }
}

fn read(departure: &str, event: ConnectionEvent) -> Option<(&str, ConnectionChange)> {
    let mut parts = departure.splitn(3, '\0');
    let (hub, connection) = (parts.next()?, parts.next()?);
    let (connection, user) = (connection.into(), parts.next().map(Into::into));
    Some((hub, ConnectionChange { connection, user, event }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use hubline_directory::{ConnectionObserver, HubDirectory, ObserverError};

    use super::*;

    #[derive(Debug)]
    struct Observer;

    impl ConnectionObserver for Observer {
        fn changed<'a>(
            &'a self,
            _: &'a dyn HubDirectory,
            _: &'a [ConnectionChange],
        ) -> BoxFuture<'a, Result<(), ObserverError>> {
            async { Ok(()) }.boxed()
        }
    }

    #[tokio::test]
    async fn a_departure_waits_once_and_until_it_is_handled() {
        let (departures, notifier) = (Departures::default(), Notifier::default());
        notifier.observe("Chat", Arc::new(Observer));
        let both = vec!["Chat\0c\0ada: \0é".to_owned(), "Chat\0d".to_owned(), "Other\0e".to_owned()];
        let learn = |all| departures.learn(&notifier, "dead.1", all, ConnectionEvent::InstanceDied);
        assert_eq!(learn(both.clone()), ["Other\0e"]);
        assert_eq!(learn(both.clone()), ["Other\0e"]);
        assert_eq!(departures.waiting("dead.1"), 2);
        let batch = notifier.next().await;
        assert_eq!(batch.changes.len(), 2);
        assert_eq!(batch.changes[0].user.as_ref().unwrap().as_str(), "ada: \0é");
        assert_eq!(departures.handled(&batch), [("dead.1".into(), both[..2].to_vec())]);
        assert_eq!(departures.waiting("dead.1"), 0);
    }

    #[test]
    fn what_there_is_no_room_for_is_read_again_later() {
        let (departures, notifier) = (Departures::default(), Notifier::default());
        notifier.observe("Chat", Arc::new(Observer));
        let many = (0..LIMIT_WAITING + 1).map(|n| format!("Chat\0{n}")).collect();
        departures.learn(&notifier, "here.1", many, ConnectionEvent::Disconnected);
        assert_eq!(departures.waiting("here.1"), LIMIT_WAITING);
        assert!(!departures.are_to_be_read("here.1"), "the others come first");
        let handled = async {
            while departures.waiting("here.1") > 0 {
                departures.handled(&notifier.next().await);
            }
        };
        handled.now_or_never().unwrap();
        assert!(departures.are_to_be_read("here.1"));
    }
}
