//! Calls between two users: WebRTC signalling, the hub `/videocallhub`. The contract is `docs/calls.md`.
//!
//! A call is a state machine ([`session`]) that lives in Redis ([`fleet`]), and in the memory of the instances that have to do with it
//! ([`held`]); [`sessions`] has one API for both. Whoever changes the status tells the clients ([`events`]). A call is looked at when
//! one of its deadlines has passed, or when it was left in the middle, by any instance ([`deadlines`]): so nothing depends on the
//! instance that began it.

mod call;
mod clock;
mod config;
mod counters;
mod deadlines;
mod error;
mod events;
mod fleet;
mod held;
mod history;
mod hub;
mod ice;
mod info;
mod initiate;
mod late;
mod observer;
mod session;
mod sessions;
mod timers;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use hubline::{Caller, ConnectionId, HubContext, SessionDirectory, Status, UserId};
use hubline_redis::RedisClient;
use hubline_store::Store;
use hubline_supervision::spawn;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

pub use call::{Call, CallId, CallStatus};
use clock::Millis;
use config::{CALLS_PER_MINUTE, SIGNALS_PER_MINUTE};
pub use config::{CallsOptions, IceServer, TurnSecret};
pub use counters::CallStatistics;
use counters::Counters;
use deadlines::{FleetDeadlines, OwnDeadlines, Writing, later};
pub use error::CallError;
use events::Events;
use fleet::{Fleet, PATIENCE};
use history::{LIMIT_WAITING, Recording};
pub use hub::NAME;
use late::Late;
use observer::Departures;
use session::{Role, Session};
use sessions::{Change, Sessions};
use timers::{Reason, Timers};

use crate::consultations::ConsultationRule;
use crate::user_rate::UserRate;

/// What calls need of the rest of the program.
pub struct CallsParts {
    /// The options.
    pub options: CallsOptions,
    /// Redis, and the status of the session directory on it, which notices when Redis has lost data. Without, this instance is alone.
    pub redis: Option<(RedisClient, watch::Receiver<Status>)>,
    /// Where the history is kept.
    pub store: Option<Store>,
    /// Who may call whom. Without a store it does not matter.
    pub consultations: ConsultationRule,
}

/// The calls of the fleet, as the hub uses them. Cloning shares them.
#[derive(Clone)]
pub struct Calls {
    shared: Arc<Shared>,
    _tasks: Arc<Vec<AbortOnDropHandle<()>>>,
}

struct Shared {
    options: CallsOptions,
    /// Bounds the calls that a user begins.
    rate: UserRate,
    /// Bounds all that a user does.
    pace: UserRate,
    sessions: Sessions,
    timers: Timers,
    counters: Counters,
    consultations: ConsultationRule,
    store: Option<Store>,
    /// To be written into the history.
    records: Option<mpsc::Sender<Session>>,
    /// The connections of this instance that have a call.
    carried: Mutex<HashMap<ConnectionId, CallId>>,
    /// The users of this instance, and how many connections each has: whom one reaches without Redis.
    present: Mutex<HashMap<UserId, u32>>,
    /// Devices that may have to ring.
    late: Late,
    hub: OnceLock<HubContext>,
}

impl Calls {
    /// Starts the calls of an instance; [`hub`](Self::hub) has their hub, and [`serve`](Self::serve) has to follow.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(parts: CallsParts) -> Self {
        let CallsParts { options, redis, store, consultations } = parts;
        let (records, waiting) = mpsc::channel(LIMIT_WAITING);
        let (client, status) = redis.unzip();
        let CallsOptions { calls_per_minute_per_user, signals_per_minute_per_user, .. } = options;
        let shared = Arc::new(Shared {
            rate: UserRate::new(CALLS_PER_MINUTE.name(), "calls", calls_per_minute_per_user),
            pace: UserRate::new(SIGNALS_PER_MINUTE.name(), "messages of calls", signals_per_minute_per_user),
            options,
            sessions: Sessions::new(client.map(Fleet::new)),
            timers: Timers::default(),
            counters: Counters::default(),
            consultations,
            records: store.is_some().then_some(records),
            store: store.clone(),
            carried: Mutex::default(),
            present: Mutex::default(),
            late: Late::default(),
            hub: OnceLock::new(),
        });
        let mut tasks =
            vec![spawn(OwnDeadlines(Arc::clone(&shared))), spawn(FleetDeadlines(Arc::clone(&shared)))];
        if let Some(status) = status {
            tasks.push(spawn(Writing { shared: Arc::clone(&shared), status }));
        }
        if let Some(store) = store {
            let shared = Arc::clone(&shared);
            tasks.push(spawn(Recording { shared, store, sessions: waiting, is_failing: false }));
        }
        Self { shared, _tasks: Arc::new(tasks) }
    }

    /// Serves the hub, which was added to a server, on the session directory of that server: connections that an instance has taken
    /// with it are noticed there.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve(&self, hub: &HubContext, directory: Option<&dyn SessionDirectory>) {
        _ = self.shared.hub.set(hub.clone());
        if let Some(directory) = directory {
            directory.observe(hub.name(), Arc::new(Departures(Arc::clone(&self.shared))));
        }
    }

    /// A snapshot of the counters of this instance.
    pub fn statistics(&self) -> CallStatistics {
        let mut statistics = self.shared.counters.read();
        statistics.refused = self.shared.rate.refused() + self.shared.pace.refused();
        let carried = self.shared.carried.lock();
        self.shared.sessions.held.for_each(|session| {
            let is_here = session.state.caller.connection.as_ref().is_some_and(|id| carried.contains_key(id));
            match session.call.status {
                CallStatus::Ringing if is_here => statistics.ringing += 1,
                CallStatus::Active if is_here => statistics.active += 1,
                _ => {}
            }
        });
        statistics
    }
}

impl Shared {
    fn now(&self) -> Millis {
        self.sessions.clock.now()
    }

    /// The clients, as participants. Nobody connects before [`Calls::serve`].
    fn events(&self) -> Option<Events> {
        self.hub.get().map(|hub| Events(hub.clients()))
    }

    /// Changes the status, and tells the clients. If this instance dies in between, another one tells them.
    async fn change_status(
        &self,
        id: &CallId,
        decide: impl Fn(&Session) -> Result<Change, CallError> + Send + Sync,
    ) -> Result<Session, CallError> {
        // Whoever has nothing to do with the call, or comes too late, changes nothing at all.
        decide(&self.sessions.get(id).await?.ok_or(CallError::Unknown)?)?;
        let look_at = self.now() + later();
        self.sessions.schedule(id, look_at).await;
        let (session, taken) = self.sessions.change(id, &decide).await?;
        let next = self.announce(&session, &taken).await;
        self.sessions.settle(id, look_at, next).await;
        Ok(session)
    }

    /// A call is due: does what is to be done. Returns when it is due again. `is_own`: this instance has set the status just now.
    async fn look(&self, id: &CallId, is_own: bool) -> Option<Millis> {
        let now = self.now();
        let expired = self.sessions.change(id, &|session| session.expired(now).map(Change::from)).await;
        if let Ok((session, taken)) = expired {
            tracing::info!(call = %id, outcome = session.outcome().as_str(), "Call has ended by itself");
            return self.announce(&session, &taken).await;
        }
        let session = match self.sessions.get(id).await {
            Ok(Some(session)) => session,
            Ok(None) => return None,
            Err(_) => return Some(now + later()),
        };
        let since = session.call.ended.or(session.call.accepted).unwrap_or(session.call.started);
        let since = i64::try_from(since.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        if session.state.is_announced {
            return self.finish(&session);
        }
        // Whoever has set the status is about to tell the clients.
        match is_own || now >= since + later() {
            true => self.announce(&session, &[]).await,
            false => Some(since + later()),
        }
    }

    /// Tells the clients of a status. Returns when the call is due again.
    async fn announce(&self, session: &Session, taken: &[sessions::Kept]) -> Option<Millis> {
        let events = self.events()?;
        let id = &session.call.id;
        if session.is_over() {
            events.over(session).await;
            self.counters.over(session.outcome());
            self.sessions.release_slots(session).await;
            self.let_go(session);
        } else {
            // Without an answer it is over by now, which is told by whoever has ended it.
            if let [_, Some(answer)] = self.sessions.descriptions(id).await {
                events.accepted(session, &answer).await;
            }
            self.give(&events, session, taken).await;
            if session.state.caller.lost_until.is_some() {
                // Told again when the caller comes back.
                return session.deadline();
            }
        }
        let status = session.call.status;
        let announced = |session: &Session| match session.call.status == status {
            true => Ok(session.announced().into()),
            false => Err(CallError::NotPossible(session.call.status)),
        };
        match self.sessions.change(id, &announced).await {
            Ok((session, _)) => self.finish(&session),
            Err(_) => Some(self.now() + later()),
        }
    }

    /// What remains when the clients know. Returns when the call is due again.
    fn finish(&self, session: &Session) -> Option<Millis> {
        if !session.is_over() {
            return session.deadline();
        }
        self.records.as_ref()?;
        // Until it was written, it stays due.
        self.record(session);
        Some(self.now() + later())
    }

    /// Has a call written into the history, if there is room among what waits to be written.
    fn record(&self, session: &Session) {
        if let Some(records) = &self.records
            && records.try_send(session.clone()).is_err()
        {
            Counters::count(&self.counters.unrecorded);
        }
    }

    /// The history has the call.
    async fn recorded(&self, session: &Session) {
        if session.is_over() {
            self.sessions.unschedule(&session.call.id).await;
        }
    }

    /// Gives candidates that have waited to whom they are for.
    async fn give(&self, events: &Events, session: &Session, taken: &[sessions::Kept]) {
        for kept in taken {
            let from = &session.side(kept.role.other()).connection;
            let to = &session.side(kept.role).connection;
            // Of the recipient's devices only the one that has answered has candidates that matter.
            if kept.role == Role::Caller && from.as_ref() != Some(&kept.from) {
                continue;
            }
            if let Some(to) = to
                && let Err(error) = events.candidate(session, to, &kept.candidate).await
            {
                tracing::debug!(call = %session.call.id, %error, "a candidate could not be sent");
            }
        }
    }

    /// A connection has ended; if the call went on by it, its user has some time to come back.
    async fn lost(&self, id: &CallId, connection: &ConnectionId) -> Result<(), CallError> {
        let grace = i64::try_from(self.options.rejoin_timeout.as_millis()).unwrap_or_default();
        let until = self.now() + grace;
        let Some(session) = self.sessions.get(id).await? else { return Ok(()) };
        if session.lost(connection, until).is_err() {
            return Ok(());
        }
        self.sessions.schedule(id, session.deadline().unwrap_or(until).min(until)).await;
        match self.sessions.change(id, &|session| session.lost(connection, until).map(Change::from)).await {
            Ok((session, _)) => {
                tracing::info!(call = %id, seconds = grace / 1000, "Call waits for a participant to come back");
                if let Some(deadline) = session.deadline() {
                    self.timers.set(id, deadline, Reason::Deadline);
                }
                Ok(())
            }
            Err(CallError::Unavailable) => Err(CallError::Unavailable),
            Err(_) => Ok(()),
        }
    }

    /// The call goes on by a connection of this instance.
    async fn carry(&self, caller: &Caller, id: &CallId) {
        self.carried.lock().insert(caller.connection_id().clone(), id.clone());
        // It may have ended while its call was made.
        if caller.aborted().is_cancelled() {
            self.disconnected(caller.connection_id()).await;
        }
    }

    /// A connection of this instance has ended.
    async fn disconnected(&self, connection: &ConnectionId) {
        self.late.forget(connection);
        let call = self.carried.lock().remove(connection);
        if let Some(call) = call
            && let Err(error) = self.lost(&call, connection).await
        {
            tracing::debug!(%call, %error, "the session directory tells again that a connection has ended");
        }
    }

    /// A connection of this user has come to this instance.
    fn arrived(&self, user: &UserId) {
        *self.present.lock().entry(user.clone()).or_default() += 1;
    }

    /// Waits until the session directory has a connection: before that nobody would notice that it ends with this instance, and its call
    /// would go on. While Redis cannot be asked, it is not waited for.
    async fn is_noticed(&self, connection: &ConnectionId) {
        if let Some(directory) = self.hub.get().and_then(HubContext::directory) {
            _ = timeout(PATIENCE, directory.find(connection.clone())).await;
        }
    }

    /// A connection of this user has gone from this instance.
    fn departed(&self, user: &UserId) {
        let mut present = self.present.lock();
        if let Some(count) = present.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                present.remove(user);
            }
        }
    }

    fn let_go(&self, session: &Session) {
        let mut carried = self.carried.lock();
        for role in [Role::Caller, Role::Recipient] {
            if let Some(connection) = &session.side(role).connection
                && carried.get(connection) == Some(&session.call.id)
            {
                carried.remove(connection);
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("options", &self.options).finish_non_exhaustive()
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl fmt::Debug for CallsParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallsParts").field("options", &self.options).finish_non_exhaustive()
    }
}
