//! Consultation chat: from user to user, and in rooms.

use hubline::value::DateTime;
use hubline::{Caller, Clients, ConnectionInfo, GroupError, Groups, Hub, SendError, UserId};
use time::OffsetDateTime;

/// What the hub is called on Redis unless configured otherwise.
pub(crate) const NAME: &str = "ChatHub";

/// The hub `/chathub`.
///
/// From clients: `SendMessage(recipientUserId, message)`, `JoinRoom(roomId)`, `LeaveRoom(roomId)`,
/// `SendToRoom(roomId, message)`. To clients: `ReceiveMessage(senderId, message)`,
/// `ReceiveRoomMessage(senderId, message, sentAt)`, the last one a text like `2026-01-02T03:04:05.1234567Z`.
pub(crate) fn hub() -> Hub {
    Hub::new(NAME)
        .user_id(user_id)
        .method("SendMessage", send_message)
        .method("JoinRoom", join_room)
        .method("LeaveRoom", leave_room)
        .method("SendToRoom", send_to_room)
}

/// Whoever is not signed in is known by the connection's id, or by another name where that is a secret.
fn user_id(connection: &ConnectionInfo) -> Option<UserId> {
    let signed_in = connection.principal.as_ref().and_then(|principal| principal.name_identifier.clone());
    signed_in.or_else(|| Some(connection.public_id().as_str().into()))
}

async fn send_message(
    clients: Clients,
    caller: Caller,
    recipient: UserId,
    message: String,
) -> Result<(), SendError> {
    clients.user(&recipient).send("ReceiveMessage", (caller.user_id(), message)).await
}

async fn join_room(groups: Groups, caller: Caller, room: String) -> Result<(), GroupError> {
    groups.add(caller.connection_id(), room).await
}

async fn leave_room(groups: Groups, caller: Caller, room: String) -> Result<(), GroupError> {
    groups.remove(caller.connection_id(), room).await
}

async fn send_to_room(
    clients: Clients,
    caller: Caller,
    room: String,
    message: String,
) -> Result<(), SendError> {
    let sent_at = DateTime::from(OffsetDateTime::now_utc()).to_string();
    clients.group(room).send("ReceiveRoomMessage", (caller.user_id(), message, sent_at)).await
}
