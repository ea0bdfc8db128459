//! Coming into rooms and leaving them.

use std::collections::BTreeSet;
use std::sync::Arc;

use hubline::directory::{Cursor, Page};
use hubline::{Caller, ConnectionId, Groups, HubContext, HubError, State, UserId};
use hubline_store::StoreError;
use hubline_store::chat::{Conversation, JoinError, JoinLimits, join, leave};

use super::access::Access;
use super::publishing::{events_of_room, events_of_user};
use super::{Chat, bounds, own_id};

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
pub(super) async fn enable_events(caller: Caller, context: HubContext) -> Result<(), HubError> {
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
    bounds::room(&room)?;
    let own = own_id(&caller)?.to_owned();
    let is_open = chat.0.access.is_open(&chat.0.store, &own, &Conversation::room(&*room)).await;
    if !chat.0.counters.told(is_open, "you have not joined the room")? {
        return Err(chat.refuse(Access::refusal()));
    }
    become_member(&chat, own, room.clone()).await?;
    let connection = caller.connection_id();
    chat.0.presence.enter(&room, connection);
    if let Err(error) = groups.add(connection, &*room).await {
        chat.0.presence.exit(&room, connection);
        return Err(error.into());
    }
    let wants_events = caller.items().update(|joined: &mut Joined| {
        Arc::make_mut(&mut joined.rooms).insert(room.clone());
        joined.wants_events
    });
    if wants_events {
        context.groups().add(connection, events_of_room(&room)).await?;
    }
    if caller.aborted().is_cancelled() {
        // It has ended, perhaps before it was in the group: nobody else tells.
        chat.0.presence.exit(&room, connection);
    }
    Ok(())
}

async fn become_member(chat: &Chat, user: String, room: String) -> Result<(), HubError> {
    let limits = JoinLimits {
        rooms_per_user: chat.0.config.maximum_rooms_per_user,
        members_per_room: chat.0.config.maximum_room_members,
    };
    let joined =
        chat.0.store.write(move |db| Box::pin(async move { join(db, &user, &room, limits).await })).await;
    match joined {
        Ok(()) => chat.0.counters.told(Ok(()), ""),
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
    let Some(user) = caller.user_id() else { return Ok(()) };
    if another_device_is_in(&context, user, connection, &room).await {
        return Ok(());
    }
    let left = end_membership(&chat, user.to_string(), room).await;
    chat.0.counters.told(left, "you receive nothing more of the room, but are still one of its members")
}

/// What is left to do for a connection that has ended.
pub(super) async fn disconnected(chat: &Chat, caller: &Caller, is_anonymous: bool) -> Result<(), HubError> {
    let Some(joined) = caller.items().remove::<Joined>() else { return Ok(()) };
    for room in joined.rooms.iter() {
        chat.0.presence.exit(room, caller.connection_id());
        if is_anonymous {
            // Nobody comes back under this id.
            let left = end_membership(chat, own_id(caller)?.to_owned(), room.clone()).await;
            chat.0.counters.told(left, "the membership of an anonymous user has not ended")?;
        }
    }
    Ok(())
}

async fn end_membership(chat: &Chat, user: String, room: String) -> Result<(), StoreError> {
    let left = chat.0.store.write(move |db| Box::pin(async move { leave(db, &user, &room).await })).await;
    left.map(drop)
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
