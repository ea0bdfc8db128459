//! Messages from clients.

use hubline::{Caller, Clients, HubError, State};
use hubline_store::Timestamp;
use hubline_store::chat::{Appended, Conversation, NewMessage, Requirements, append_if};

use super::access::Access;
use super::counters::Counters;
use super::publishing::publish;
use super::rooms::Joined;
use super::wire::{SendRequest, Sent};
use super::{Chat, bounds, own_id};

/// `Send({ to | room, text, clientMessageId })`.
pub(super) async fn send(
    State(chat): State<Chat>,
    clients: Clients,
    caller: Caller,
    request: SendRequest,
) -> Result<Sent, HubError> {
    let SendRequest { to, room, text, client_message_id } = request;
    let own = own_id(&caller)?;
    let conversation = bounds::conversation(own, "to", to.as_deref(), room.as_deref())?;
    if let Some(id) = &client_message_id {
        bounds::client_message_id(id)?;
    }
    store_and_publish(&chat, &clients, &caller, conversation, text, client_message_id).await
}

/// `SendMessage(recipient, message)`.
pub(super) async fn send_message(
    State(chat): State<Chat>,
    clients: Clients,
    caller: Caller,
    recipient: String,
    message: String,
) -> Result<Sent, HubError> {
    let conversation = Conversation::between(own_id(&caller)?, bounds::user_id("recipient", &recipient)?);
    store_and_publish(&chat, &clients, &caller, conversation, message, None).await
}

/// `SendToRoom(room, message)`.
pub(super) async fn send_to_room(
    State(chat): State<Chat>,
    clients: Clients,
    caller: Caller,
    room: String,
    message: String,
) -> Result<Sent, HubError> {
    let conversation = Conversation::room(bounds::room(&room)?);
    store_and_publish(&chat, &clients, &caller, conversation, message, None).await
}

async fn store_and_publish(
    chat: &Chat,
    clients: &Clients,
    caller: &Caller,
    conversation: Conversation,
    text: String,
    client_message_id: Option<String>,
) -> Result<Sent, HubError> {
    bounds::message(&text, chat.0.config.maximum_message_length)?;
    if let Some(user) = caller.user_id() {
        chat.0.rate.take(user)?;
    }
    let requirements = Requirements {
        open_consultation: chat.0.access.requires_consultation(),
        membership: conversation.room_name().is_some_and(|room| !Joined::has(caller, room)),
    };
    let from = own_id(caller)?.to_owned();
    let new = NewMessage { conversation, from, text, client_message_id, at: Timestamp::now() };
    let appended = append_if(&chat.0.store, new, requirements).await;
    match chat.0.counters.told(appended, "the message may not be stored")? {
        Appended::New(message) => {
            Counters::count(&chat.0.counters.stored);
            let reach = publish(clients, &message).await;
            chat.0.published.sent(&message, reach);
            Ok(Sent::from(&message))
        }
        Appended::Before(message) => {
            Counters::count(&chat.0.counters.repeated);
            Ok(Sent::from(&message))
        }
        Appended::Refused(refusal) => Err(chat.deny(refusal)),
    }
}

/// `UserTyping(recipient)`.
pub(super) async fn user_typing(
    State(chat): State<Chat>,
    clients: Clients,
    caller: Caller,
    recipient: String,
) -> Result<(), HubError> {
    chat.limit(&caller)?;
    let own = own_id(&caller)?;
    let conversation = Conversation::between(own, bounds::user_id("recipient", &recipient)?);
    let was_open = chat.0.access.was_open(&chat.0.store, own, &conversation).await;
    if !chat.0.counters.told(was_open, "nobody is told")? {
        return Err(chat.refuse(Access::refusal()));
    }
    Ok(clients.user(recipient).send("UserTyping", (own,)).await?)
}
