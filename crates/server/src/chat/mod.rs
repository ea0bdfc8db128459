//! Consultation chat: from user to user, and in rooms. `docs/chat.md` is its contract.

mod access;
mod bounds;
mod config;
mod counters;
mod guests;
mod outbox;
mod presence;
mod publishing;
mod reading;
mod rooms;
mod sending;
mod wire;

use std::sync::Arc;

use futures_util::stream::SelectAll;
use hubline::{Caller, ConnectionInfo, Hub, HubContext, HubError, HubHandle, Naming, Server, State, UserId};
use hubline_store::chat::Refusal;
use hubline_store::{Store, StoreError};
use hubline_supervision::spawn;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use self::access::Access;
use self::counters::Counters;
use self::guests::{GuestKeeper, Guests};
use self::outbox::{OutboxKeeper, Published, Seen};
use self::presence::{Presence, RoomWatcher};
use crate::consultations::ConsultationRule;
use crate::user_rate::UserRate;

pub use config::ChatConfig;
pub use counters::ChatStatistics;

/// What the hub is called on Redis unless configured otherwise.
pub(crate) const NAME: &str = "ChatHub";

/// The chat of this instance. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Chat(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Store,
    config: ChatConfig,
    access: Access,
    rate: UserRate,
    requests: UserRate,
    guests: Arc<Guests>,
    counters: Arc<Counters>,
    presence: Arc<Presence>,
    published: Arc<Published>,
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
}

impl Chat {
    /// A chat that keeps its messages in this database. The rule says whether
    /// only participants of an open consultation write, join and read.
    pub fn new(store: Store, config: ChatConfig, consultations: ConsultationRule) -> Self {
        let (setting, per_minute) = ("Chat:MessagesPerMinutePerUser", config.messages_per_minute_per_user);
        Self(Arc::new(Shared {
            store,
            access: Access::new(consultations),
            rate: UserRate::new(setting, "messages", per_minute),
            requests: UserRate::new(
                "Chat:RequestsPerMinutePerUser",
                "requests",
                config.requests_per_minute_per_user,
            ),
            guests: Arc::default(),
            config,
            counters: Arc::default(),
            presence: Arc::default(),
            published: Arc::default(),
            tasks: Mutex::default(),
        }))
    }

    /// The hub `/chathub`.
    pub fn hub(&self) -> Hub<Self> {
        Hub::with_state(NAME, self.clone())
            .naming(Naming::DotNet)
            .user_id(user_id)
            .on_connected(connected)
            .on_disconnected(disconnected)
            .method("Send", sending::send)
            .method("SendMessage", sending::send_message)
            .method("SendToRoom", sending::send_to_room)
            .method("UserTyping", sending::user_typing)
            .method("MarkAsRead", reading::mark_as_read)
            .method("MarkRead", reading::mark_read)
            .method("MarkDelivered", reading::mark_delivered)
            .method("JoinRoom", rooms::join_room)
            .method("LeaveRoom", rooms::leave_room)
            .method("EnableEvents", rooms::enable_events)
            .method("GetHistory", reading::get_history)
            .method("GetConversations", reading::get_conversations)
            .method("GetConversationsBefore", reading::get_conversations_before)
            .method("GetSince", reading::get_since)
    }

    /// Begins what the chat does besides calls: the outbox, and who is in rooms. The hub is one that [`Chat::hub`] made, added to the server.
    /// It ends with the last clone of the chat.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(&self, server: &Server, hub: &HubHandle) {
        let context = hub.context().clone();
        let watcher = RoomWatcher {
            presence: Arc::clone(&self.0.presence),
            context: context.clone(),
            watches: SelectAll::new(),
        };
        let keeper = OutboxKeeper {
            store: self.0.store.clone(),
            context,
            server: server.clone(),
            published: Arc::clone(&self.0.published),
            counters: Arc::clone(&self.0.counters),
            patience: self.0.config.publish_again_after,
            seen: Seen::default(),
        };
        let guests = GuestKeeper::new(
            self.0.store.clone(),
            Arc::clone(&self.0.guests),
            Arc::clone(&self.0.counters),
            &self.0.config,
        );
        let tasks = [spawn(watcher), spawn(keeper), spawn(guests)];
        self.0.tasks.lock().extend(tasks);
    }

    /// What the chat has done since it was made.
    pub fn statistics(&self) -> ChatStatistics {
        let mut statistics = self.0.counters.statistics();
        statistics.refused += self.0.rate.refused() + self.0.requests.refused();
        statistics
    }

    /// Removes from the outbox what this instance has published. Call it when the process ends, or other instances publish the messages
    /// of the last quarter of a second once more.
    ///
    /// # Errors
    /// The database cannot be used.
    ///
    /// # Cancel safety
    /// Dropped, some may be published once more.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.0.published.remove(&self.0.store).await
    }

    /// Counts a call that sends nothing.
    fn limit(&self, caller: &Caller) -> Result<(), HubError> {
        caller.user_id().map_or(Ok(()), |user| self.0.requests.take(user))
    }

    /// Counts more for a call that was expensive.
    fn charge(&self, caller: &Caller, requests: usize) {
        if let Some(user) = caller.user_id() {
            self.0.requests.charge(user, requests);
        }
    }

    /// Counts a refusal, and says what the client is told.
    fn deny(&self, refusal: Refusal) -> HubError {
        self.refuse(match refusal {
            Refusal::NoOpenConsultation => Access::refusal(),
            Refusal::NotAMember => rooms::not_joined(),
        })
    }

    /// Counts a refusal.
    fn refuse(&self, error: HubError) -> HubError {
        Counters::count(&self.0.counters.refused);
        error
    }
}

/// Whoever is not signed in is known by the connection's id, or by another name where that is a secret.
fn user_id(connection: &ConnectionInfo) -> Option<UserId> {
    let signed_in = connection.principal.as_ref().and_then(|principal| principal.name_identifier.clone());
    signed_in.or_else(|| Some(connection.public_id().as_str().into()))
}

/// Whether nobody comes back under the caller's id.
fn is_anonymous(caller: &Caller) -> bool {
    caller.principal().is_none_or(|principal| principal.name_identifier.is_none())
}

/// The caller's id, as the database has it.
fn own_id(caller: &Caller) -> Result<&str, HubError> {
    let own = caller.user_id().ok_or_else(|| HubError::new("the connection belongs to no user"))?;
    bounds::user_id("your own id", own.as_str())
}

async fn connected(State(chat): State<Chat>, caller: Caller, context: HubContext) -> Result<(), HubError> {
    if let Some(user) = caller.user_id() {
        tracing::info!("User connected to chat: {user}");
    }
    let wants_events = matches!(caller.info().query_value("events").as_deref(), Some("true" | "1"));
    if wants_events { rooms::enable_events(State(chat), caller, context).await } else { Ok(()) }
}

async fn disconnected(State(chat): State<Chat>, caller: Caller) -> Result<(), HubError> {
    if let Some(user) = caller.user_id() {
        tracing::info!("User disconnected from chat: {user}");
    }
    rooms::disconnected(&chat, &caller).await
}
