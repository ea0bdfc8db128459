//! Adding connections to groups and removing them.

use hubline_backplane::{GroupAction, GroupChange, GroupError};
use hubline_protocol::{ConnectionId, GroupName};

use crate::router::{Membership, settle};
use crate::statistics::Limit;
use crate::{Caller, HubContext};

/// A hub's groups. Names are case-sensitive; a connection leaves all its groups when it ends.
#[derive(Debug, Clone)]
pub struct Groups {
    context: HubContext,
    /// Whose invocation changes them.
    caller: Option<Caller>,
}

impl Groups {
    pub(crate) fn new(context: HubContext) -> Self {
        Self { context, caller: None }
    }

    /// What the caller is added to counts against its [`crate::HubLimits`].
    pub(crate) fn of_invocation(context: HubContext, caller: Caller) -> Self {
        Self { context, caller: Some(caller) }
    }

    /// Adds a connection of any instance to a group. Nothing changes if it is a member.
    ///
    /// The future is ready when messages to the group reach the connection from every instance.
    ///
    /// # Errors
    /// See [`GroupError`]. With other instances, an id that no connection has is an error; without them it is ignored.
    /// ASP.NET Core does the same. An invocation that adds its own caller may meet
    /// [`HubOptions::limits`](crate::HubOptions::limits).
    ///
    /// # Cancel safety
    /// Dropped early, the connection may have been added or not.
    pub async fn add(
        &self,
        connection: impl Into<ConnectionId>,
        group: impl Into<GroupName>,
    ) -> Result<(), GroupError> {
        self.change(GroupAction::Add, connection.into(), group.into()).await
    }

    /// Removes a connection of any instance from a group. Nothing changes if it is no member.
    ///
    /// # Errors
    /// As [`Groups::add`].
    ///
    /// # Cancel safety
    /// Dropped early, the connection may have been removed or not.
    pub async fn remove(
        &self,
        connection: impl Into<ConnectionId>,
        group: impl Into<GroupName>,
    ) -> Result<(), GroupError> {
        self.change(GroupAction::Remove, connection.into(), group.into()).await
    }

    async fn change(
        &self,
        action: GroupAction,
        connection: ConnectionId,
        group: GroupName,
    ) -> Result<(), GroupError> {
        let core = &self.context.0;
        let asked_by = self.caller.as_ref().filter(|caller| *caller.connection_id() == connection);
        let most = match asked_by {
            Some(caller) if action == GroupAction::Add => self.most(caller, &group)?,
            _ => None,
        };
        core.backplane.flush().await;
        let change = GroupChange { action, group, connection };
        match core.router.change_within(&change, most) {
            Membership::OverLimit => {
                asked_by.inspect(|caller| self.context.limited(caller, Limit::GroupsPerConnection));
                Err(GroupError::TooManyGroups(most.unwrap_or_default()))
            }
            Membership::Elsewhere => core.backplane.change_group(change).await,
            membership => {
                settle(&*core.backplane, membership, change.group).await;
                Ok(())
            }
        }
    }

    /// How many groups the caller may be in, if there is a limit.
    ///
    /// # Errors
    /// The group's name is too long.
    fn most(&self, caller: &Caller, group: &GroupName) -> Result<Option<usize>, GroupError> {
        let limits = &self.context.0.options.limits;
        if (1..group.as_str().len()).contains(&limits.group_name_bytes) {
            self.context.limited(caller, Limit::GroupNameBytes);
            return Err(GroupError::NameTooLong(limits.group_name_bytes));
        }
        Ok(Some(limits.groups_per_connection).filter(|most| *most > 0))
    }
}
