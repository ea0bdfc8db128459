//! Who belongs to which group.

use hubline_backplane::{Status, Subject};
use hubline_protocol::{ConnectionId, GroupName};

use crate::HubContext;
use crate::router::Membership;

/// A hub's groups. Names are case-sensitive; a connection leaves all its groups when it ends.
#[derive(Debug, Clone)]
pub struct Groups(HubContext);

/// Why a membership could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The connection is not on this instance, and other instances cannot be asked yet.
    #[error("connection '{0}' is not on this instance; only its own instance can change its groups")]
    NotHere(ConnectionId),
}

impl Groups {
    pub(crate) fn new(context: HubContext) -> Self {
        Self(context)
    }

    /// Makes a connection a member; nothing changes if it is one.
    ///
    /// Ready when messages for the group arrive from every instance.
    ///
    /// # Errors
    /// See [`GroupError`]. Without other instances an unknown connection is ignored, as in ASP.NET Core.
    pub async fn add(
        &self,
        connection: &ConnectionId,
        group: impl Into<GroupName>,
    ) -> Result<(), GroupError> {
        let (core, group) = (&self.0.0, group.into());
        match core.router.join(connection, &group) {
            Membership::Changed => core.backplane.subscribe(Subject::Group(group)).await,
            Membership::Unchanged => {}
            Membership::Elsewhere => return self.elsewhere(connection),
        }
        Ok(())
    }

    /// Ends a membership; nothing changes if there is none.
    ///
    /// # Errors
    /// As [`Groups::add`].
    pub async fn remove(
        &self,
        connection: &ConnectionId,
        group: impl Into<GroupName>,
    ) -> Result<(), GroupError> {
        let (core, group) = (&self.0.0, group.into());
        match core.router.leave(connection, &group) {
            Membership::Changed => core.backplane.unsubscribe(Subject::Group(group)).await,
            Membership::Unchanged => {}
            Membership::Elsewhere => return self.elsewhere(connection),
        }
        Ok(())
    }

    fn elsewhere(&self, connection: &ConnectionId) -> Result<(), GroupError> {
        match *self.0.0.status.borrow() {
            Status::Alone => Ok(()),
            Status::Connected | Status::Disconnected(_) => Err(GroupError::NotHere(connection.clone())),
        }
    }
}
