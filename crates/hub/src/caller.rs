//! The connection that calls a hub method.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use http::Extensions;
use hubline_identity::Principal;
use hubline_pipe::ConnectionInfo;
use hubline_protocol::{ConnectionId, HubProtocol, UserId};
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use crate::outbox::Outbox;
use crate::{Cancellation, CloseReason, Items};

/// Of calls that their client does not wait for, each so many-th one waits for what it sends: a client that sends more
/// than the backplane takes is not read on, instead of filling the queue of all.
const CALLS_ON_THEIR_WAY: u32 = 32;

/// The connection that calls a hub method. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Caller(pub(crate) Arc<CallerState>);

#[derive(Debug)]
pub(crate) struct CallerState {
    /// Of the newest request, where stateful reconnect brings several.
    info: RwLock<Arc<ConnectionInfo>>,
    pub(crate) user_id: Option<UserId>,
    pub(crate) outbox: Arc<Outbox>,
    /// Slots that running calls gave back early and the connection has not counted yet.
    pub(crate) slots_given_back: AtomicUsize,
    unawaited_calls: AtomicU32,
    /// Sent by such calls since one of them waited.
    posted_bytes: AtomicU32,
    pub(crate) failed_calls: AtomicU32,
    /// What an observer was told between the connection's beginning and its end.
    pub(crate) events_between: AtomicU32,
    on_demand: OnceLock<Box<OnDemand>>,
}

/// What most connections never need before they end.
#[derive(Debug, Default)]
struct OnDemand {
    aborted: CancellationToken,
    items: Mutex<Extensions>,
}

impl CallerState {
    pub(crate) fn new(info: ConnectionInfo, user_id: Option<UserId>, outbox: Arc<Outbox>) -> Self {
        Self {
            info: RwLock::new(Arc::new(info)),
            user_id,
            outbox,
            slots_given_back: AtomicUsize::new(0),
            unawaited_calls: AtomicU32::new(0),
            posted_bytes: AtomicU32::new(0),
            failed_calls: AtomicU32::new(0),
            events_between: AtomicU32::new(0),
            on_demand: OnceLock::new(),
        }
    }

    /// Cancelled when the connection has ended.
    pub(crate) fn aborted(&self) -> &CancellationToken {
        &self.on_demand.get_or_init(Box::default).aborted
    }

    /// The application's values for the connection, by their types.
    pub(crate) fn items(&self) -> &Mutex<Extensions> {
        &self.on_demand.get_or_init(Box::default).items
    }

    /// Counts a call that the client does not wait for; returns whether this one has to wait for what it sends.
    pub(crate) fn count_unawaited_call(&self) -> bool {
        self.unawaited_calls.fetch_add(1, Ordering::Relaxed) % CALLS_ON_THEIR_WAY == CALLS_ON_THEIR_WAY - 1
    }

    /// Counts the bytes of a message for the backplane. Returns whether it may be posted, because no more than `limit` bytes
    /// have been since a send waited; otherwise this one has to wait, and the count begins anew.
    pub(crate) fn count_posted(&self, size: usize, limit: usize) -> bool {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let posted = self.posted_bytes.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        let may_post = posted as usize <= limit;
        if !may_post {
            self.posted_bytes.store(0, Ordering::Relaxed);
        }
        may_post
    }

    /// For later invocations: the same user with newer claims.
    pub(crate) fn replace_principal(&self, principal: Option<Arc<Principal>>) {
        let mut info = self.info.write();
        *info = Arc::new(ConnectionInfo { principal, ..ConnectionInfo::clone(&info) });
    }

    /// Shows a newer request. Who the connection belongs to stays, and so do the kept parts of the older request if the
    /// newer one, which came in at another instance, brings none.
    pub(crate) fn replace_info(&self, newer: ConnectionInfo) {
        let mut info = self.info.write();
        let request = newer.request.clone().or_else(|| info.request.clone());
        *info = Arc::new(ConnectionInfo { principal: info.principal.clone(), request, ..newer });
    }
}

impl Caller {
    /// Its id. Where others shall see who calls, show them the [`public_id`](Self::public_id): clients that negotiate with
    /// version 0 (`@aspnet/signalr` 1.x) or not at all have no other secret than this.
    pub fn connection_id(&self) -> &ConnectionId {
        &self.0.outbox.connection_id
    }

    /// What others may be shown in the place of its id: the id itself, unless that is a secret, else a name that is derived
    /// from it. See [`ConnectionInfo::public_id`].
    pub fn public_id(&self) -> ConnectionId {
        self.info().public_id()
    }

    /// The user whom the connection belongs to, by [`Hub::user_id`](crate::Hub::user_id) when it connected; `None` for an
    /// anonymous one.
    pub fn user_id(&self) -> Option<&UserId> {
        self.0.user_id.as_ref()
    }

    /// Its hub protocol.
    pub fn protocol(&self) -> HubProtocol {
        self.0.outbox.protocol
    }

    /// What the HTTP request said that opened the connection; with stateful reconnect the newest one.
    pub fn info(&self) -> Arc<ConnectionInfo> {
        Arc::clone(&self.0.info.read())
    }

    /// The principal of the request that opened the connection, or of the last refresh of its authentication.
    pub fn principal(&self) -> Option<Arc<Principal>> {
        self.info().principal.clone()
    }

    /// Values that the application keeps for the connection (ASP.NET Core's `Context.Items`).
    pub fn items(&self) -> Items {
        Items::of(self.clone())
    }

    /// Cancelled when the connection has ended (ASP.NET Core's `ConnectionAborted`).
    pub fn aborted(&self) -> Cancellation {
        Cancellation::new(self.0.aborted().clone())
    }

    /// Closes the connection, and tells the client not to reconnect automatically.
    pub fn abort(&self) {
        self.0.outbox.close(CloseReason::Aborted);
    }
}
