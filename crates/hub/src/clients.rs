//! Clients of a hub as targets of messages, and sending to them.

mod arguments;
mod single;

use std::ops::Deref;
use std::sync::Arc;

use hubline_backplane::{Frames, Publication, Reach, Status, Subject, Target};
use hubline_protocol::{ConnectionId, GroupName, UserId};

use crate::invocation::InvokePermission;
use crate::outbox::Outbox;
use crate::{BackplaneFailureMode, Caller, HubContext, SendError};

pub use arguments::ClientArguments;
pub use single::SingleClientProxy;

/// The clients of a hub on all instances, to choose targets of a message from.
#[derive(Debug, Clone)]
pub struct HubClients {
    context: HubContext,
    /// Whether a send waits until the backplane has the message, as long as nobody asks how far it got.
    waits: bool,
    /// Whose invocation sends.
    sender: Option<Caller>,
}

impl HubClients {
    pub(crate) fn new(context: HubContext) -> Self {
        Self { context, waits: true, sender: None }
    }

    /// Every connection of the hub.
    pub fn all(&self) -> ClientProxy<'_> {
        self.proxy(vec![Target::All])
    }

    /// Every connection but these.
    pub fn all_except<I: Into<ConnectionId>>(
        &self,
        excluded: impl IntoIterator<Item = I>,
    ) -> ClientProxy<'_> {
        self.all().except(excluded)
    }

    /// The connection with this id. A send to an id that no connection has reaches nobody and is no error;
    /// [`SingleClientProxy::invoke`] fails with [`InvokeError::NoSuchConnection`](crate::InvokeError::NoSuchConnection).
    pub fn client(&self, id: impl Into<ConnectionId>) -> SingleClientProxy<'_> {
        let id = id.into();
        let local = self.context.0.router.find(&id);
        self.single(id, local, InvokePermission::Allowed)
    }

    /// The connections with these ids. Ids that no connection has are skipped.
    pub fn clients<I: Into<ConnectionId>>(&self, ids: impl IntoIterator<Item = I>) -> ClientProxy<'_> {
        self.subjects(ids, Subject::Connection)
    }

    /// The members of a group.
    pub fn group(&self, name: impl Into<GroupName>) -> ClientProxy<'_> {
        self.subjects([name], Subject::Group)
    }

    /// The members of several groups. A connection that is in two of them receives the message twice.
    ///
    /// With a backplane to other instances an empty name is skipped. Without one, sending fails with
    /// [`SendError::EmptyGroupName`], and the groups behind the empty name get nothing. ASP.NET Core does the same.
    pub fn groups<G: Into<GroupName>>(&self, names: impl IntoIterator<Item = G>) -> ClientProxy<'_> {
        let mut names: Vec<GroupName> = names.into_iter().map(Into::into).collect();
        let nameless = names.iter().position(|name| name.as_str().is_empty());
        let mut refused = None;
        match nameless {
            Some(first) if *self.context.0.status.borrow() == Status::Alone => {
                names.truncate(first);
                refused = Some(SendError::EmptyGroupName);
            }
            Some(_) => names.retain(|name| !name.as_str().is_empty()),
            None => {}
        }
        ClientProxy { refused, ..self.subjects(names, Subject::Group) }
    }

    /// The members of a group but these connections.
    pub fn group_except<I: Into<ConnectionId>>(
        &self,
        name: impl Into<GroupName>,
        excluded: impl IntoIterator<Item = I>,
    ) -> ClientProxy<'_> {
        self.group(name).except(excluded)
    }

    /// All connections of a user.
    pub fn user(&self, id: impl Into<UserId>) -> ClientProxy<'_> {
        self.subjects([id], Subject::User)
    }

    /// All connections of a user but these. ASP.NET Core has no such target: its servers in a mixed fleet send to all of the
    /// user's connections.
    pub fn user_except<I: Into<ConnectionId>>(
        &self,
        id: impl Into<UserId>,
        excluded: impl IntoIterator<Item = I>,
    ) -> ClientProxy<'_> {
        self.user(id).except(excluded)
    }

    /// All connections of several users.
    pub fn users<U: Into<UserId>>(&self, ids: impl IntoIterator<Item = U>) -> ClientProxy<'_> {
        self.subjects(ids, Subject::User)
    }

    fn subjects<T: Into<N>, N>(
        &self,
        names: impl IntoIterator<Item = T>,
        subject: fn(N) -> Subject,
    ) -> ClientProxy<'_> {
        self.proxy(names.into_iter().map(|name| Target::Subject(subject(name.into()))).collect())
    }

    fn proxy(&self, targets: Vec<Target>) -> ClientProxy<'_> {
        ClientProxy {
            context: &self.context,
            targets,
            excluded: Vec::new(),
            refused: None,
            waits: self.waits,
            sender: self.sender.as_ref(),
        }
    }

    fn single(
        &self,
        id: ConnectionId,
        local: Option<Arc<Outbox>>,
        permission: InvokePermission,
    ) -> SingleClientProxy<'_> {
        SingleClientProxy { clients: self, id, local, permission, timeout: None }
    }
}

/// The clients of a hub as a method sees them: [`HubClients`] and the caller's own targets.
#[derive(Debug, Clone)]
pub struct Clients {
    hub: HubClients,
    caller: Caller,
    permission: InvokePermission,
}

impl Clients {
    pub(crate) fn new(
        context: HubContext,
        caller: Caller,
        permission: InvokePermission,
        waits: bool,
    ) -> Self {
        let sender = Some(caller.clone());
        Self { hub: HubClients { context, waits, sender }, caller, permission }
    }

    /// The connection that calls.
    pub fn caller(&self) -> SingleClientProxy<'_> {
        let local = Some(Arc::clone(&self.caller.0.outbox));
        self.hub.single(self.caller.connection_id().clone(), local, self.permission.clone())
    }

    /// The connection with this id, as [`HubClients::client`]. While a method waits for the result of
    /// [`SingleClientProxy::invoke`], the next call of its own caller may begin.
    pub fn client(&self, id: impl Into<ConnectionId>) -> SingleClientProxy<'_> {
        SingleClientProxy { permission: self.permission.clone(), ..self.hub.client(id) }
    }

    /// Every connection but the one that calls.
    pub fn others(&self) -> ClientProxy<'_> {
        self.hub.all_except([self.caller.connection_id()])
    }

    /// The members of a group but the one that calls.
    pub fn others_in_group(&self, name: impl Into<GroupName>) -> ClientProxy<'_> {
        self.hub.group_except(name, [self.caller.connection_id()])
    }
}

impl Deref for Clients {
    type Target = HubClients;

    fn deref(&self) -> &HubClients {
        &self.hub
    }
}

/// Some of a hub's clients, ready to be sent to.
#[derive(Debug)]
#[must_use = "nothing is sent until `send` is called and awaited"]
pub struct ClientProxy<'a> {
    context: &'a HubContext,
    targets: Vec<Target>,
    excluded: Vec<ConnectionId>,
    /// What to report once the targets have been served.
    refused: Option<SendError>,
    waits: bool,
    sender: Option<&'a Caller>,
}

impl ClientProxy<'_> {
    /// Calls a method of the clients without waiting for a result (ASP.NET Core's `SendAsync`).
    ///
    /// The future is ready when the message is in the queues of this instance's clients and, with other instances, the
    /// backplane has it; clients may not have read it yet. Sends that are awaited one after the other arrive at one target
    /// in this order.
    ///
    /// In a call whose client does not wait for its end (JavaScript's `send`), the future is ready once the message is on its
    /// way to the backplane; each 32nd call of a client waits for the backplane. [`Groups`](crate::Groups) change after
    /// what was sent before.
    ///
    /// # Errors
    /// See [`SendError`]. Clients that are gone, or that do not know the method, are no error; nor is a
    /// backplane that is down, when the clients of this instance alone are reached, unless
    /// [`HubOptions::backplane_failure_mode`](crate::HubOptions::backplane_failure_mode) makes it one.
    ///
    /// # Cancel safety
    /// Dropped early, the message may have been sent or not.
    pub async fn send(self, method: &str, arguments: impl ClientArguments) -> Result<(), SendError> {
        match self.context.0.options.backplane_failure_mode {
            BackplaneFailureMode::DeliverLocally if self.waits => {
                self.send_with_reach(method, arguments).await.map(drop)
            }
            BackplaneFailureMode::DeliverLocally => {
                let (context, sender) = (self.context, self.sender);
                let (publication, refused) = self.publication(method, arguments)?;
                let backplane = &context.0.backplane;
                match publication {
                    Some(publication) if context.count_posted(sender, &publication) => {
                        backplane.post(publication).await?;
                    }
                    Some(publication) => _ = backplane.publish(publication).await?,
                    None => {}
                }
                refused.map_or(Ok(()), Err)
            }
            BackplaneFailureMode::Fail => match self.send_with_reach(method, arguments).await? {
                Reach::Fleet => Ok(()),
                reach => Err(SendError::NotEverywhere(reach)),
            },
        }
    }

    /// As [`ClientProxy::send`], and returns whether the other instances have the message. It waits for the backplane in every
    /// call, and does not depend on [`HubOptions::backplane_failure_mode`](crate::HubOptions::backplane_failure_mode).
    ///
    /// # Errors
    /// See [`SendError`]; never [`SendError::NotEverywhere`].
    ///
    /// # Cancel safety
    /// As [`ClientProxy::send`].
    pub async fn send_with_reach(
        self,
        method: &str,
        arguments: impl ClientArguments,
    ) -> Result<Reach, SendError> {
        let backplane = &self.context.0.backplane;
        let (publication, refused) = self.publication(method, arguments)?;
        let reach = match publication {
            Some(publication) => backplane.publish(publication).await?.reach,
            None => Reach::Fleet,
        };
        refused.map_or(Ok(reach), Err)
    }

    /// Whether this instance has one of these connections.
    pub fn any_here(&self) -> bool {
        self.targets.iter().any(|target| self.context.0.router.has(target, &self.excluded))
    }

    /// As [`ClientProxy::send`], to those of these connections alone that this instance has: for an application whose instances
    /// each tell their own clients. The backplane has no part in it, so there is no order between this and what is sent through
    /// the backplane. If there is no such connection, nothing is encoded.
    ///
    /// # Errors
    /// [`SendError::Encode`], [`SendError::EmptyGroupName`].
    ///
    /// # Cancel safety
    /// As [`ClientProxy::send`].
    pub async fn send_here(self, method: &str, arguments: impl ClientArguments) -> Result<(), SendError> {
        if !self.any_here() {
            return self.refused.map_or(Ok(()), Err);
        }
        let router = &self.context.0.router;
        let (publication, refused) = self.publication(method, arguments)?;
        if let Some(Publication { targets, excluded, frames }) = publication {
            for target in targets {
                router.deliver(target, Arc::clone(&excluded), frames.clone()).await;
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// `None` if there is nobody to send to; and what to report in any case.
    fn publication(
        self,
        method: &str,
        arguments: impl ClientArguments,
    ) -> Result<(Option<Publication>, Option<SendError>), SendError> {
        let Self { context, targets, excluded, refused, sender, .. } = self;
        if targets.is_empty() {
            return Ok((None, refused));
        }
        let dialect = |protocol| context.dialect(protocol);
        let mut frames = Frames::encode(|protocol| arguments.invocation(dialect(protocol), None, method))?;
        frames.set_trace_parent(context.0.options.trace_parent.and_then(|current| current()));
        let publication = Publication { targets, excluded: excluded.into(), frames };
        if let Some(sender) = sender {
            context.note_sent(sender, &publication);
        }
        Ok((Some(publication), refused))
    }

    fn except<I: Into<ConnectionId>>(mut self, excluded: impl IntoIterator<Item = I>) -> Self {
        self.excluded.extend(excluded.into_iter().map(Into::into));
        self
    }
}
