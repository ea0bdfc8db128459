//! Telling clients of a stored message.

use futures_util::future::join3;
use hubline::{HubClients, Reach, SendError};
use hubline_store::chat::Message;

use super::bounds::RESERVED;
use super::wire::{MessageView, time};

/// The group of a user's connections that want `MessageReceived`.
pub(super) fn events_of_user(user: &str) -> String {
    format!("{RESERVED}events:user:{user}")
}

/// The group of those in a room.
pub(super) fn events_of_room(room: &str) -> String {
    format!("{RESERVED}events:room:{room}")
}

/// Sends a message to everybody whom it is for. Returns how far it got; what cannot be sent is logged.
pub(super) async fn publish(clients: &HubClients, message: &Message) -> Reach {
    let (from, text, sent_at) = (&message.from, &message.text, time(message.sent_at));
    let view = (MessageView::from(message.clone()),);
    let reaches = match message.conversation.room_name() {
        Some(room) => {
            let all = clients.group(room).send_with_reach("ReceiveRoomMessage", (from, text, sent_at));
            let events = clients.group(events_of_room(room)).send_with_reach("MessageReceived", view);
            join3(all, events, async { Ok(Reach::Fleet) }).await
        }
        None => {
            let to = message.conversation.partner_of(from).unwrap_or(from);
            let receive = clients.user(to).send_with_reach("ReceiveMessage", (from, text));
            let sent = clients.user(from.as_str()).send_with_reach("MessageSent", (to, text, sent_at));
            let mut groups = vec![events_of_user(to)];
            if to != from {
                groups.push(events_of_user(from));
            }
            let events = clients.groups(groups).send_with_reach("MessageReceived", view);
            join3(receive, sent, events).await
        }
    };
    let (one, two, three) = reaches;
    [one, two, three].into_iter().map(reach).max().unwrap_or(Reach::Fleet)
}

fn reach(sent: Result<Reach, SendError>) -> Reach {
    sent.unwrap_or_else(|error| {
        tracing::warn!(%error, "A stored message could not be sent to clients; they find it by GetSince and GetHistory");
        Reach::Fleet
    })
}
