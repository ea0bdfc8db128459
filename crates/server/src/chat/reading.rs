//! What clients read: histories, conversations, what they missed; and how far they have read.

use futures_util::FutureExt;
use hubline::{Caller, Clients, HubError, State};
use hubline_store::StoreError;
use hubline_store::chat::{
    After, Conversation, ConversationsPage, Cursor, Mark, Message, Refusal, SinceError, conversations,
    history, is_member, mark, since,
};
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry};

use super::access::is_open;
use super::wire::{
    ConversationView, ConversationsRequest, HistoryRequest, MarkRequest, MessageView, SincePage,
    SinceRequest, now,
};
use super::{Chat, bounds, own_id};

/// What `after` is to get a cursor of now.
const NOW: &str = "now";
/// How the audit calls it.
const READ: &str = "history.read";
/// What is read for the price of one more call: bytes of text; conversations in a list, with what is unread in each; conversations in which
/// something may have been missed.
const TEXT_BYTES: usize = 16 * 1024;
const CONVERSATIONS_LISTED: usize = 5;
const CONVERSATIONS_LOOKED_AT: usize = 100;
/// What the client is told whose read failed.
const NOT_READ: &str = "nothing was read";

/// `GetHistory({ with | room, before, limit })`.
pub(super) async fn get_history(
    State(chat): State<Chat>,
    caller: Caller,
    request: HistoryRequest,
) -> Result<Vec<MessageView>, HubError> {
    chat.limit(&caller)?;
    let own = own_id(&caller)?.to_owned();
    let conversation = bounds::conversation(&own, "with", request.with.as_deref(), request.room.as_deref())?;
    let before = request.before.map(|id| bounds::message_id("before", id)).transpose()?;
    let limit = bounds::limit(request.limit)?;
    let requires_consultation = chat.0.access.requires_consultation();
    let read = chat.0.store.write(move |db| {
        async move {
            if !is_open(db, requires_consultation, &own, &conversation).await? {
                return Ok(Err(Refusal::NoOpenConsultation));
            }
            if conversation.room_name().is_some() && !is_member(db, &own, &conversation).await? {
                return Ok(Err(Refusal::NotAMember));
            }
            let messages = history(db, &conversation, before, limit).await?;
            audit::record(db, &read_entry(&own, &conversation, &ids(&messages))).await?;
            Ok::<_, StoreError>(Ok(messages))
        }
        .boxed()
    });
    let messages = chat.0.counters.told(read.await, NOT_READ)?;
    let messages = messages.map_err(|refusal| chat.deny(refusal))?;
    chat.charge(&caller, cost(&messages));
    Ok(messages.into_iter().map(MessageView::from).collect())
}

/// `GetSince({ after, limit })`.
pub(super) async fn get_since(
    State(chat): State<Chat>,
    caller: Caller,
    request: Option<SinceRequest>,
) -> Result<SincePage, HubError> {
    chat.limit(&caller)?;
    let request = request.unwrap_or_default();
    let own = own_id(&caller)?.to_owned();
    let limit = bounds::limit(request.limit)?;
    let after = after(request.after.as_deref(), &own)?;
    let only_open_at = chat.0.access.only_open_at();
    let user = own.clone();
    let read = chat.0.store.write(move |db| {
        async move {
            let page = since(db, &user, &after, limit, only_open_at).await?;
            audit::record_all(db, &entries(&user, &page.messages)).await?;
            Ok::<_, SinceError>(page)
        }
        .boxed()
    });
    let page = match read.await {
        Ok(page) => chat.0.counters.told(Ok(page), "")?,
        Err(SinceError::Store(error)) => chat.0.counters.told(Err(error), NOT_READ)?,
        Err(error) => return Err(HubError::new(format!("after: {error}; begin without it"))),
    };
    chat.charge(&caller, cost(&page.messages) + page.conversations / CONVERSATIONS_LOOKED_AT);
    Ok(SincePage {
        messages: page.messages.into_iter().map(MessageView::from).collect(),
        next: page.next.to_text(&own),
        has_more: page.has_more,
    })
}

/// `GetConversations()`.
pub(super) async fn get_conversations(
    State(chat): State<Chat>,
    caller: Caller,
) -> Result<Vec<ConversationView>, HubError> {
    list(&chat, &caller, ConversationsPage::default(), bounds::limit(None)?).await
}

/// `GetConversationsBefore({ before, limit })`.
pub(super) async fn get_conversations_before(
    State(chat): State<Chat>,
    caller: Caller,
    request: ConversationsRequest,
) -> Result<Vec<ConversationView>, HubError> {
    let before = request.place();
    if request.before.is_some() && before.is_none() {
        return Err(HubError::new("before is the `cursor` of a conversation"));
    }
    list(&chat, &caller, ConversationsPage { before }, bounds::limit(request.limit)?).await
}

async fn list(
    chat: &Chat,
    caller: &Caller,
    page: ConversationsPage,
    limit: u32,
) -> Result<Vec<ConversationView>, HubError> {
    chat.limit(caller)?;
    let own = own_id(caller)?.to_owned();
    let (user, only_open_at) = (own.clone(), chat.0.access.only_open_at());
    let read = chat.0.store.write(move |db| {
        async move {
            let found = conversations(db, &user, page, limit, only_open_at).await?;
            let own = Party::user(&user);
            let details = format!("the last messages of {} conversations", found.len());
            audit::record(db, &AuditEntry::now(own.clone(), READ, own).details(details)).await?;
            Ok::<_, StoreError>(found)
        }
        .boxed()
    });
    let found = chat.0.counters.told(read.await, NOT_READ)?;
    chat.charge(caller, found.len() / CONVERSATIONS_LISTED);
    Ok(found.into_iter().map(|overview| ConversationView::new(&own, overview)).collect())
}

/// `MarkAsRead(sender)`: everything that the two have written.
pub(super) async fn mark_as_read(
    State(chat): State<Chat>,
    clients: Clients,
    caller: Caller,
    sender: String,
) -> Result<(), HubError> {
    let conversation = Conversation::between(own_id(&caller)?, bounds::user_id("sender", &sender)?);
    move_mark(&chat, &clients, &caller, conversation, Mark::Read, None).await.map(drop)
}

/// `MarkRead({ with | room, id })`.
pub(super) async fn mark_read(
    State(chat): State<Chat>,
    clients: Clients,
    caller: Caller,
    request: MarkRequest,
) -> Result<i64, HubError> {
    mark_named(&chat, &clients, &caller, Mark::Read, request).await
}

/// `MarkDelivered({ with | room, id })`.
pub(super) async fn mark_delivered(
    State(chat): State<Chat>,
    clients: Clients,
    caller: Caller,
    request: MarkRequest,
) -> Result<i64, HubError> {
    mark_named(&chat, &clients, &caller, Mark::Delivered, request).await
}

async fn mark_named(
    chat: &Chat,
    clients: &Clients,
    caller: &Caller,
    what: Mark,
    request: MarkRequest,
) -> Result<i64, HubError> {
    let (with, room) = (request.with.as_deref(), request.room.as_deref());
    let conversation = bounds::conversation(own_id(caller)?, "with", with, room)?;
    let up_to = request.id.map(|id| bounds::message_id("id", id)).transpose()?;
    move_mark(chat, clients, caller, conversation, what, up_to).await
}

/// Moves the caller's mark, and tells the other one of a pair what is read. Returns where the mark was moved to; 0 if nothing was written.
async fn move_mark(
    chat: &Chat,
    clients: &Clients,
    caller: &Caller,
    conversation: Conversation,
    what: Mark,
    up_to: Option<i64>,
) -> Result<i64, HubError> {
    chat.limit(caller)?;
    let own = own_id(caller)?.to_owned();
    let requires_consultation = chat.0.access.requires_consultation();
    let (user, marked) = (own.clone(), conversation.clone());
    let moved = chat.0.store.write(move |db| {
        async move {
            if !is_open(db, requires_consultation, &user, &marked).await? {
                return Ok(Err(Refusal::NoOpenConsultation));
            }
            Ok::<_, StoreError>(Ok(mark(db, user, marked, what, up_to).await?))
        }
        .boxed()
    });
    let moved = chat.0.counters.told(moved.await, "the mark was not moved")?;
    let moved = moved.map_err(|refusal| chat.deny(refusal))?;
    match conversation.partner_of(&own) {
        Some(partner) if what == Mark::Read => {
            clients.user(partner).send("MessagesRead", (own.as_str(), now())).await?;
        }
        Some(_) => {}
        None if moved.is_none() => return Err(chat.deny(Refusal::NotAMember)),
        None => {}
    }
    Ok(moved.unwrap_or(0))
}

/// For how many more calls a page of messages counts.
fn cost(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.text.len()).sum::<usize>() / TEXT_BYTES
}

fn after(text: Option<&str>, own: &str) -> Result<After, HubError> {
    match text {
        None => Ok(After::Beginning),
        Some(NOW) => Ok(After::Now),
        Some(text) => Cursor::from_text(text, own).map(After::Cursor).map_err(|_| {
            HubError::new(
                "after is what `next` of a page was for the same user, or `now`; without it reading begins at the beginning",
            )
        }),
    }
}

/// An entry for each conversation of which messages were read.
fn entries(own: &str, messages: &[Message]) -> Vec<AuditEntry> {
    let mut by_conversation: Vec<&Message> = messages.iter().collect();
    by_conversation.sort_by_key(|message| message.key);
    let chunks = by_conversation.chunk_by(|one, other| one.key.conversation == other.key.conversation);
    let entry = |chunk: &[&Message]| {
        let (first, last) = (chunk.first()?, chunk.last()?);
        Some(read_entry(own, &first.conversation, &format!("{} to {}", first.key.id, last.key.id)))
    };
    chunks.filter_map(entry).collect()
}

fn read_entry(own: &str, conversation: &Conversation, ids: &str) -> AuditEntry {
    let subject = match (conversation.room_name(), conversation.partner_of(own)) {
        (Some(room), _) => Party::room(room),
        (None, partner) => Party::user(partner.unwrap_or(own)),
    };
    AuditEntry::now(Party::user(own), READ, subject).details(format!("messages {ids}"))
}

/// Of a page that is newest first.
fn ids(messages: &[Message]) -> String {
    match (messages.last(), messages.first()) {
        (Some(first), Some(last)) => format!("{} to {}", first.key.id, last.key.id),
        _ => "none".to_owned(),
    }
}
