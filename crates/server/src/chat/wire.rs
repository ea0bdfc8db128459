//! What travels between clients and the chat. Members are camelCase in JSON, and in MessagePack as .NET names them, with a capital.

use hubline::value::DateTime;
use hubline_store::Timestamp;
use hubline_store::chat::{Message, Overview};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The argument of `Send`.
#[derive(Debug, Deserialize)]
pub(super) struct SendRequest {
    pub(super) to: Option<String>,
    pub(super) room: Option<String>,
    pub(super) text: String,
    pub(super) client_message_id: Option<String>,
}

/// What `Send`, `SendMessage` and `SendToRoom` return.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    id: i64,
    sent_at: DateTime,
}

/// The argument of `GetHistory`.
#[derive(Debug, Deserialize)]
pub(super) struct HistoryRequest {
    pub(super) with: Option<String>,
    pub(super) room: Option<String>,
    pub(super) before: Option<i64>,
    pub(super) limit: Option<i64>,
}

/// The argument of `GetSince`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SinceRequest {
    pub(super) after: Option<String>,
    pub(super) limit: Option<i64>,
}

/// What `GetSince` returns.
#[derive(Debug, Serialize)]
pub(super) struct SincePage {
    pub(super) messages: Vec<MessageView>,
    pub(super) next: String,
    pub(super) has_more: bool,
}

/// The argument of `GetConversationsBefore`.
#[derive(Debug, Deserialize)]
pub(super) struct ConversationsRequest {
    pub(super) before: Option<String>,
    pub(super) limit: Option<i64>,
}

/// The argument of `MarkRead` and `MarkDelivered`.
#[derive(Debug, Deserialize)]
pub(super) struct MarkRequest {
    pub(super) with: Option<String>,
    pub(super) room: Option<String>,
    pub(super) id: Option<i64>,
}

/// A message, in pages and as the event `MessageReceived`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MessageView {
    id: i64,
    from: String,
    to: Option<String>,
    room: Option<String>,
    text: String,
    sent_at: DateTime,
}

/// A conversation as its member sees it.
#[derive(Debug, Serialize)]
pub(super) struct ConversationView {
    with: Option<String>,
    room: Option<String>,
    last_message: Option<MessageView>,
    unread_count: i64,
    read_id: i64,
    delivered_id: i64,
    partner_read_id: Option<i64>,
    partner_delivered_id: Option<i64>,
    cursor: String,
}

impl From<&Message> for Sent {
    fn from(message: &Message) -> Self {
        Self { id: message.key.id, sent_at: time(message.sent_at) }
    }
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        Self {
            id: message.key.id,
            to: message.conversation.partner_of(&message.from).map(str::to_owned),
            room: message.conversation.room_name().map(str::to_owned),
            from: message.from,
            text: message.text,
            sent_at: time(message.sent_at),
        }
    }
}

impl ConversationView {
    pub(super) fn new(own: &str, overview: Overview) -> Self {
        let (time, number) = overview.place;
        let (partner_delivered_id, partner_read_id) = overview.partner.unzip();
        Self {
            with: overview.conversation.partner_of(own).map(str::to_owned),
            room: overview.conversation.room_name().map(str::to_owned),
            last_message: overview.last_message.map(MessageView::from),
            unread_count: overview.unread,
            read_id: overview.read_id,
            delivered_id: overview.delivered_id,
            partner_read_id,
            partner_delivered_id,
            cursor: format!("{time}.{number}"),
        }
    }
}

impl ConversationsRequest {
    /// Where the page before ended; `None` for a text that no conversation had as its `cursor`.
    pub(super) fn place(&self) -> Option<(i64, i64)> {
        let (time, number) = self.before.as_deref()?.split_once('.')?;
        Some((time.parse().ok()?, number.parse().ok()?))
    }
}

/// The time that it is, as it travels.
pub(super) fn now() -> DateTime {
    OffsetDateTime::now_utc().into()
}

/// A stored time, as it travels.
pub(super) fn time(at: Timestamp) -> DateTime {
    OffsetDateTime::from(at).into()
}
