//! Coming into rooms and leaving them.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use hubline::directory::{Cursor, Page};
use hubline::{Caller, ConnectionId, Groups, HubContext, HubError, State, UserId};
use hubline_store::StoreError;
use hubline_store::chat::{Conversation, JoinError, Refusal, guests, join, leave};

use super::access::is_open;
use super::publishing::{events_of_room, events_of_user};
use super::{Chat, bounds, is_anonymous, own_id};

/// Other connections of a user that are asked whether they are in a room too.
const MOST_ASKED: usize = 16;

/// What a connection has joined and asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Joined {
    rooms: Arc<BTreeSet<String>>,
    wants_events: bool,
}

impl Joined {
    /// Whether the connection has joined a room.
    pub(super) fn has(caller: &Caller, room: &str) -> bool {
        caller.items().get::<Self>().is_some_and(|joined| joined.rooms.contains(room))
    }
}

/// The error of who is in no room of that name, whether there is one or not.
pub(super) fn not_joined() -> HubError {
    HubError::new("you have not joined this room: call JoinRoom first")
}

/// `EnableEvents()`: this connection gets `MessageReceived` from now on.
pub(super) async fn enable_events(
    State(chat): State<Chat>,
    caller: Caller,
    context: HubContext,
) -> Result<(), HubError> {
    chat.limit(&caller)?;
    let own = own_id(&caller)?;
    let rooms = caller.items().update(|joined: &mut Joined| {
        joined.wants_events = true;
        Arc::clone(&joined.rooms)
    });
    let groups = context.groups();
    groups.add(caller.connection_id(), events_of_user(own)).await?;
    for room in rooms.iter() {
        groups.add(caller.connection_id(), events_of_room(room)).await?;
    }
    Ok(())
}

/// `JoinRoom(room)`.
pub(super) async fn join_room(
    State(chat): State<Chat>,
    caller: Caller,
    groups: Groups,
    context: HubContext,
    room: String,
) -> Result<(), HubError> {
    chat.limit(&caller)?;
    bounds::room(&room)?;
    let is_new = become_member(&chat, &caller, &room).await?;
    let connection = caller.connection_id();
    chat.0.presence.enter(&room, connection);
    if let Err(error) = enter(&caller, &groups, &context, &room).await {
        chat.0.presence.exit(&room, connection);
        if is_new {
            take_back(&chat, &caller, &context, &room).await;
        }
        return Err(error);
    }
    if caller.aborted().is_cancelled() {
        // It has ended, perhaps before it was in the group: nobody else tells.
        chat.0.presence.exit(&room, connection);
        depart(&chat, &caller).await?;
    }
    Ok(())
}

/// Has the connection receive what is sent to a room.
async fn enter(caller: &Caller, groups: &Groups, context: &HubContext, room: &str) -> Result<(), HubError> {
    let connection = caller.connection_id();
    groups.add(connection, room).await?;
    let wants_events = caller.items().update(|joined: &mut Joined| {
        Arc::make_mut(&mut joined.rooms).insert(room.to_owned());
        joined.wants_events
    });
    if wants_events && let Err(error) = context.groups().add(connection, events_of_room(room)).await {
        caller.items().update(|joined: &mut Joined| Arc::make_mut(&mut joined.rooms).remove(room));
        groups.remove(connection, room).await?;
        return Err(error.into());
    }
    Ok(())
}

/// Ends a membership that has just begun, for no device receives: it was refused a place in the group.
async fn take_back(chat: &Chat, caller: &Caller, context: &HubContext, room: &str) {
    let ended = end_membership(chat, caller, context, room).await;
    _ = chat.0.counters.told(ended, "the membership of a room that could not be joined has not ended");
}

/// Makes the caller a member of a room, if he may be. Returns whether he was none before.
async fn become_member(chat: &Chat, caller: &Caller, room: &str) -> Result<bool, HubError> {
    let own = own_id(caller)?;
    let limits = chat.0.config.join_limits();
    let requires_consultation = chat.0.access.requires_consultation();
    let instance = is_anonymous(caller).then(|| Arc::clone(&chat.0.guests.instance));
    if instance.is_some() {
        chat.0.guests.enter(own, room);
    }
    let (user, name) = (own.to_owned(), room.to_owned());
    let joined = chat.0.store.write(move |db| {
        async move {
            if !is_open(db, requires_consultation, &user, &Conversation::room(&*name)).await? {
                return Ok(None);
            }
            let is_new = join(db, &user, &name, limits).await?;
            if let Some(instance) = instance.filter(|_| is_new) {
                guests::arrive(db, &user, &instance).await?;
            }
            Ok(Some(is_new))
        }
        .boxed()
    });
    match joined.await {
        Ok(Some(is_new)) => chat.0.counters.told(Ok(is_new), ""),
        Ok(None) => Err(chat.deny(Refusal::NoOpenConsultation)),
        Err(JoinError::Store(error)) => chat.0.counters.told(Err(error), "you have not joined the room"),
        Err(error @ JoinError::RoomIsFull(_)) => {
            Err(chat.refuse(HubError::new(format!("{error} (Chat:MaximumRoomMembers)"))))
        }
        Err(error) => Err(chat.refuse(HubError::new(format!("{error} (Chat:MaximumRoomsPerUser)")))),
    }
}

/// `LeaveRoom(room)`. The user stays a member while another device of his is in the room.
pub(super) async fn leave_room(
    State(chat): State<Chat>,
    caller: Caller,
    groups: Groups,
    context: HubContext,
    room: String,
) -> Result<(), HubError> {
    chat.limit(&caller)?;
    bounds::room(&room)?;
    let connection = caller.connection_id();
    let wants_events = caller.items().update(|joined: &mut Joined| {
        Arc::make_mut(&mut joined.rooms).remove(&room);
        joined.wants_events
    });
    chat.0.presence.exit(&room, connection);
    groups.remove(connection, &*room).await?;
    if wants_events {
        context.groups().remove(connection, events_of_room(&room)).await?;
    }
    let left = end_membership(&chat, &caller, &context, &room).await;
    chat.0.counters.told(left, "you receive nothing more of the room, but are still one of its members")
}

/// What is left to do for a connection that has ended.
pub(super) async fn disconnected(chat: &Chat, caller: &Caller) -> Result<(), HubError> {
    if let Some(joined) = caller.items().remove::<Joined>() {
        for room in joined.rooms.iter() {
            chat.0.presence.exit(room, caller.connection_id());
        }
    }
    depart(chat, caller).await
}

/// Ends what an anonymous user was a member of: nobody comes back under this id.
async fn depart(chat: &Chat, caller: &Caller) -> Result<(), HubError> {
    if !is_anonymous(caller) {
        return Ok(());
    }
    let departed = chat.0.guests.depart(&chat.0.store, own_id(caller)?).await;
    chat.0.counters.told(departed, "the memberships of an anonymous user have not ended yet")
}

/// Ends the membership of a user whose connection is not in a room any more, unless another device is in.
async fn end_membership(
    chat: &Chat,
    caller: &Caller,
    context: &HubContext,
    room: &str,
) -> Result<(), StoreError> {
    let Some(user) = caller.user_id() else { return Ok(()) };
    let connection = caller.connection_id();
    if another_device_is_in(context, user, connection, room).await {
        return Ok(());
    }
    let (member, name) = (user.to_string(), room.to_owned());
    chat.0.store.write(move |db| async move { leave(db, &member, &name).await }.boxed()).await?;
    if is_anonymous(caller) {
        chat.0.guests.exit(user.as_str(), room);
    } else if another_device_is_in(context, user, connection, room).await {
        // It came in meanwhile, and found the membership still there.
        let (member, name, limits) = (user.to_string(), room.to_owned(), chat.0.config.join_limits());
        let again =
            chat.0.store.write(move |db| async move { join(db, &member, &name, limits).await }.boxed());
        match again.await {
            Err(JoinError::Store(error)) => return Err(error),
            Err(error) => tracing::debug!(%error, "a device stays in a room of which its user is no member"),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Whether another connection of the user is in the room, on any instance that can be asked.
async fn another_device_is_in(
    context: &HubContext,
    user: &UserId,
    leaving: &ConnectionId,
    room: &str,
) -> bool {
    let Some(directory) = context.directory() else { return false };
    let connections = directory.connections_of(user.clone()).await.value;
    for other in connections.iter().filter(|other| *other != leaving).take(MOST_ASKED) {
        // The page that begins behind the longest text before the id.
        let mut before = other.to_string();
        before.pop();
        let page = Page::after(Cursor::from(before), 8);
        let members = directory.members(room.into(), page).await.value;
        if members.items.iter().any(|member| member.connection == *other) {
            return true;
        }
    }
    false
}
