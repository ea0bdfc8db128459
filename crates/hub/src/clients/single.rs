//! One client as a target: it may also be asked for a result.

use std::sync::Arc;
use std::time::Duration;

use hubline_backplane::{ClientInvocation, ClientInvocationError, Frames, Subject, Target};
use hubline_pipe::Frame;
use hubline_protocol::ConnectionId;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{ClientArguments, HubClients};
use crate::client_results::PendingResult;
use crate::invocation::InvokePermission;
use crate::outbox::Outbox;
use crate::{InvokeError, SendError};

/// One connection, ready to be sent to or asked.
#[derive(Debug)]
#[must_use = "nothing is sent until `send` or `invoke` is called and awaited"]
pub struct SingleClientProxy<'a> {
    pub(super) clients: &'a HubClients,
    pub(super) id: ConnectionId,
    /// If it is on this instance, it is reached without the backplane.
    pub(super) local: Option<Arc<Outbox>>,
    pub(super) permission: InvokePermission,
    pub(super) timeout: Option<Duration>,
}

impl SingleClientProxy<'_> {
    /// Calls a method of the client without waiting for a result, as [`ClientProxy::send`](crate::ClientProxy::send). A connection of this instance is
    /// reached without the backplane.
    ///
    /// # Errors
    /// As [`ClientProxy::send`](crate::ClientProxy::send).
    ///
    /// # Cancel safety
    /// As [`ClientProxy::send`](crate::ClientProxy::send).
    pub async fn send(self, method: &str, arguments: impl ClientArguments) -> Result<(), SendError> {
        let Some(outbox) = self.local else {
            let target = Target::Subject(Subject::Connection(self.id));
            return self.clients.proxy(vec![target]).send(method, arguments).await;
        };
        let encoded = arguments.invocation(self.clients.context.dialect(outbox.protocol), None, method)?;
        let context = &self.clients.context;
        context.0.router.push(&outbox, Frame::new(encoded, outbox.protocol.transfer_format()));
        if let Some(sender) = &self.clients.sender {
            context.note_sent_to(sender, &Target::Subject(Subject::Connection(self.id)), &Arc::default());
        }
        Ok(())
    }

    /// Bounds how long [`SingleClientProxy::invoke`] waits for the result. Default: as long as the client is connected, and
    /// without end if it is connected to another instance that is killed meanwhile.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Calls a method of the client and waits for its result (ASP.NET Core's `InvokeAsync`). A client whose method returns
    /// nothing sends `null`, which `T = ()` takes.
    ///
    /// A hub method that waits here gives its place back: the next call of its caller may begin.
    ///
    /// # Errors
    /// See [`InvokeError`]. By `?` in a hub method its caller is told the text, as in ASP.NET Core, but where a connection is not there or has
    /// ended ([`InvokeError::NoSuchConnection`], [`InvokeError::Disconnected`]), and where the caller is still connecting.
    ///
    /// # Cancel safety
    /// Dropped early, the client may have been invoked; its result is ignored.
    pub async fn invoke<T: DeserializeOwned + Send + 'static>(
        self,
        method: &str,
        arguments: impl ClientArguments,
    ) -> Result<T, InvokeError> {
        match &self.permission {
            InvokePermission::Allowed => {}
            InvokePermission::Connecting => return Err(InvokeError::Connecting),
            InvokePermission::HoldingSlot(slot) => slot.give_back(),
        }
        let limit = self.timeout;
        let invocation = match &self.local {
            Some(outbox) => self.invoke_here(outbox, method, &arguments)?,
            None => self.invoke_elsewhere(method, &arguments).await?,
        };
        match limit {
            None => invocation.result().await,
            Some(limit) => timeout(limit, invocation.result()).await.unwrap_or(Err(InvokeError::Canceled)),
        }
    }

    fn invoke_here<T: DeserializeOwned + Send + 'static>(
        &self,
        outbox: &Arc<Outbox>,
        method: &str,
        arguments: &impl ClientArguments,
    ) -> Result<PendingResult<T>, InvokeError> {
        let invocation = self.clients.context.0.client_results.begin(outbox, self.clients.context.naming());
        let dialect = self.clients.context.dialect(outbox.protocol);
        let encoded = arguments.invocation(dialect, Some(&invocation.invocation_id), method);
        let frame = Frame::new(encoded.map_err(SendError::from)?, outbox.protocol.transfer_format());
        self.clients.context.0.router.push(outbox, frame);
        if outbox.is_closing() {
            return Err(InvokeError::Disconnected(self.id.clone()));
        }
        Ok(invocation)
    }

    async fn invoke_elsewhere<T: DeserializeOwned + Send + 'static>(
        &self,
        method: &str,
        arguments: &impl ClientArguments,
    ) -> Result<PendingResult<T>, InvokeError> {
        let core = &self.clients.context.0;
        let pending = core.client_results.begin_elsewhere(&self.id, self.clients.context.naming());
        let id = &pending.invocation_id;
        let encoded =
            |protocol| arguments.invocation(self.clients.context.dialect(protocol), Some(id), method);
        let invocation = ClientInvocation {
            connection: self.id.clone(),
            invocation_id: id.clone(),
            frames: Frames::encode(encoded).map_err(SendError::from)?,
        };
        match core.backplane.invoke(invocation).await {
            Ok(()) => Ok(pending),
            Err(ClientInvocationError::NoSuchConnection) => {
                Err(InvokeError::NoSuchConnection(self.id.clone()))
            }
            Err(ClientInvocationError::Refused(error)) => Err(SendError::from(error).into()),
            Err(_) => Err(InvokeError::Unreachable(self.id.clone())),
        }
    }
}
