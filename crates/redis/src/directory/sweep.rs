//! Removing what an instance has left in Redis: one that is dead, this one when it ends, or under an earlier name.

use std::sync::Arc;

use hubline_directory::ConnectionEvent;

use super::departures::LIMIT_WAITING;
use super::scripts::SWEEP;
use super::writer::Writer;
use crate::CommandError;

/// Where the script goes on when only departures are left.
const DEPARTED: &str = "departed";

/// An instance whose lease has ended, and how far it is removed.
pub(super) struct Sweep {
    pub(super) name: Arc<str>,
    cursor: String,
    event: ConnectionEvent,
}

impl Sweep {
    pub(super) fn of(name: impl Into<Arc<str>>, event: ConnectionEvent) -> Self {
        Self { name: name.into(), cursor: "0".to_owned(), event }
    }
}

impl Writer {
    /// Whether the sweep can go on: the observers have handled enough of what it found.
    pub(super) fn can_sweep(&self) -> bool {
        let Some(Sweep { name, cursor, .. }) = &self.sweep else { return false };
        let limit = if cursor == DEPARTED { 1 } else { LIMIT_WAITING / 2 };
        self.shared.departures.waiting(name) < limit
    }

    /// Goes on with a sweep, if there is one.
    pub(super) async fn sweep(&mut self) -> Result<(), CommandError> {
        if !self.can_sweep() {
            return Ok(());
        }
        let Some(Sweep { name, cursor, event }) = &self.sweep else { return Ok(()) };
        let arguments = [cursor.clone(), LIMIT_WAITING.to_string()];
        let (next, departures): (String, Vec<String>) = self.invoke_as(&SWEEP, name, &arguments).await?;
        self.learn_departures(name, departures, *event).await?;
        match &mut self.sweep {
            Some(sweep) if !next.is_empty() => sweep.cursor = next,
            _ => self.sweep = None,
        }
        Ok(())
    }

    /// Reads departures of this instance that it may not have been told of.
    pub(super) async fn read_departures(&self) -> Result<(), CommandError> {
        let departures = &self.shared.departures;
        departures.begin_reading();
        let limit = isize::try_from(LIMIT_WAITING).unwrap_or(isize::MAX);
        let key = self.shared.keys.departed(&self.name);
        let command = redis::Cmd::zrangebylex_limit(key, "-", "+", 0, limit);
        let read: Result<Vec<String>, CommandError> = self.shared.client.query(command).await;
        let read = read.inspect_err(|_| departures.doubt())?;
        if read.len() >= LIMIT_WAITING {
            departures.doubt();
        }
        self.learn_departures(&self.name, read, ConnectionEvent::Disconnected).await
    }

    pub(super) async fn learn_departures(
        &self,
        name: &str,
        departures: Vec<String>,
        event: ConnectionEvent,
    ) -> Result<(), CommandError> {
        let shared = &self.shared;
        let unobserved = shared.departures.learn(&shared.notifier, name, departures, event);
        if unobserved.is_empty() {
            return Ok(());
        }
        shared.client.query(redis::Cmd::zrem(shared.keys.departed(name), unobserved)).await
    }
}
