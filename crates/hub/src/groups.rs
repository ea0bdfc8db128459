//! Who belongs to which group.

use hubline_backplane::{GroupAction, GroupChange, GroupError, HubBackplane, Subject};
use hubline_protocol::{ConnectionId, GroupName};

use crate::HubContext;
use crate::router::Membership;

/// A hub's groups. Names are case-sensitive; a connection leaves all its groups when it ends.
#[derive(Debug, Clone)]
pub struct Groups(HubContext);

impl Groups {
    pub(crate) fn new(context: HubContext) -> Self {
        Self(context)
    }

    /// Makes a connection, of whichever instance, a member; nothing changes if it is one.
    ///
    /// Ready when messages for the group arrive from every instance.
    ///
    /// # Errors
    /// See [`GroupError`]: with other instances an unknown connection is one that none of them answers for.
    /// Without others it is ignored. ASP.NET Core has the same two manners.
    pub async fn add(
        &self,
        connection: &ConnectionId,
        group: impl Into<GroupName>,
    ) -> Result<(), GroupError> {
        self.change(GroupAction::Add, connection, group.into()).await
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
        self.change(GroupAction::Remove, connection, group.into()).await
    }

    async fn change(
        &self,
        action: GroupAction,
        connection: &ConnectionId,
        group: GroupName,
    ) -> Result<(), GroupError> {
        let core = &self.0.0;
        core.backplane.flush().await;
        let change = GroupChange { action, group, connection: connection.clone() };
        match core.router.change(&change) {
            Membership::Elsewhere => core.backplane.change_group(change).await,
            membership => {
                settle(&*core.backplane, membership, change.group).await;
                Ok(())
            }
        }
    }
}

/// Tells the backplane what a change here means for it. The interest is counted when this is first polled.
pub(crate) async fn settle(backplane: &dyn HubBackplane, membership: Membership, group: GroupName) {
    match membership {
        Membership::Joined => backplane.subscribe(Subject::Group(group)).await,
        Membership::Left => backplane.unsubscribe(Subject::Group(group)).await,
        Membership::Unchanged | Membership::Elsewhere => {}
    }
}
