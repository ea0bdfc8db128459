//! Group changes for connections of other instances: commands, and acks that they have been carried out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use hubline_backplane::{GroupAction, GroupChange, GroupError, Inbox};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::hub::Hub;
use super::outgoing::{Fate, Number};
use super::shared::Shared;
use super::wire::{self, Ack, GroupCommand, WireError};

/// ASP.NET Core gives up after 30 to 35 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// Commands that wait for Redis, to confirm a subscription or to take the ack. What comes on top is carried
/// out and not acknowledged: whoever asked gives up after a while, and asks no more meanwhile.
const LIMIT_UNACKNOWLEDGED: usize = 16 * 1024;

/// The acks that one hub waits for.
#[derive(Debug, Default)]
pub(super) struct Acks {
    commands: AtomicI32,
    awaited: Mutex<HashMap<i32, oneshot::Sender<()>>>,
}

/// One of them; dropping it means that it is not waited for any more.
struct Awaited<'a> {
    acks: &'a Acks,
    id: i32,
    ack: oneshot::Receiver<()>,
}

impl Acks {
    fn wait_for_next(&self) -> Awaited<'_> {
        let id = self.commands.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let (send, ack) = oneshot::channel();
        self.lock().insert(id, send);
        Awaited { acks: self, id, ack }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, oneshot::Sender<()>>> {
        self.awaited.lock()
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.acks.lock().remove(&self.id);
    }
}

/// Asks the instance that has the connection, and waits until it has made the change.
pub(super) async fn ask(hub: &Arc<Hub>, shared: &Shared, change: GroupChange) -> Result<(), GroupError> {
    let mut awaited = hub.acks.wait_for_next();
    let command = GroupCommand {
        id: awaited.id,
        server_name: hub.channels.server_name(),
        action: match change.action {
            GroupAction::Add => wire::GroupAction::Add,
            GroupAction::Remove => wire::GroupAction::Remove,
            GroupAction::Unknown => wire::GroupAction::Other(0),
        },
        group: change.group.as_str(),
        connection_id: change.connection.as_str(),
    };
    let asked = async {
        let channel = hub.channels.group_commands();
        let node = shared.node_of(&channel);
        match shared.send_internal(&channel, command.encode(), Number::None).await {
            Ok(Fate::Taken { .. }) => {}
            Ok(Fate::Refused(answer)) => return Err(GroupError::Unreachable(answer)),
            Ok(Fate::NotSent | Fate::Unanswered) => {
                return Err(GroupError::Unreachable(node.why_unreachable()));
            }
            Err(error) => return Err(GroupError::Unreachable(error.to_string())),
        }
        // The sender goes only with this.
        _ = (&mut awaited.ack).await;
        Ok(())
    };
    timeout(PATIENCE, asked).await.unwrap_or(Err(GroupError::NoAnswer(PATIENCE)))
}

/// Carries out what other instances ask for, one after the other.
pub(super) struct Commands {
    hub: Arc<Hub>,
    shared: Arc<Shared>,
    /// They wait for Redis, and the inbox must not: Redis' answers may be stuck behind it.
    unacknowledged: JoinSet<()>,
}

impl Commands {
    pub(super) fn new(hub: &Arc<Hub>, shared: &Arc<Shared>) -> Self {
        Self { hub: Arc::clone(hub), shared: Arc::clone(shared), unacknowledged: JoinSet::new() }
    }

    pub(super) fn carry_out(&mut self, inbox: &dyn Inbox, payload: &[u8]) -> Result<(), WireError> {
        let command = GroupCommand::decode(payload)?;
        let mut change = inbox.change_group(GroupChange {
            action: match command.action {
                wire::GroupAction::Add => GroupAction::Add,
                wire::GroupAction::Remove => GroupAction::Remove,
                wire::GroupAction::Other(_) => GroupAction::Unknown,
            },
            group: command.group.into(),
            connection: command.connection_id.into(),
        });
        // The first poll keeps changes in order.
        let at_once = (&mut change).now_or_never();
        while self.unacknowledged.try_join_next().is_some() {}
        if at_once == Some(false) || self.unacknowledged.len() >= LIMIT_UNACKNOWLEDGED {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let channel = self.hub.channels.acks_of(command.server_name);
        let ack = Ack { id: command.id }.encode();
        self.unacknowledged.spawn(async move {
            if at_once.is_some() || change.await {
                // Whoever asked learns of a link that is down by itself.
                _ = shared.send_internal(&channel, ack, Number::None).await;
            }
        });
        Ok(())
    }

    pub(super) fn acknowledged(&self, payload: &[u8]) -> Result<(), WireError> {
        let Ack { id } = Ack::decode(payload)?;
        if let Some(awaited) = self.hub.acks.lock().remove(&id) {
            _ = awaited.send(());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_that_is_not_waited_for_any_more_is_forgotten() {
        let acks = Acks::default();
        let (first, second) = (acks.wait_for_next(), acks.wait_for_next());
        assert_eq!((first.id, second.id), (1, 2));
        drop(first);
        assert_eq!(acks.lock().keys().copied().collect::<Vec<_>>(), [2]);
    }
}
