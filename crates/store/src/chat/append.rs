//! Storing a message.

use super::{Conversation, Message, MessageKey, find, is_member, new_number};
use crate::clinic::consultations::{self, Hold};
use crate::{Connection, Store, StoreError, Timestamp};

/// How often storing begins anew because two conversations were given one number, or a message was stored twice at once.
const ATTEMPTS: usize = 5;

/// A message to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Where it belongs.
    pub conversation: Conversation,
    /// Who writes it.
    pub from: String,
    /// What is written. PostgreSQL stores no NUL.
    pub text: String,
    /// What the sender calls it: of several with one name the first is stored.
    pub client_message_id: Option<String>,
    /// When it is stored. It is made later than the message before if it is not.
    pub at: Timestamp,
}

/// What has to hold in the transaction that stores a message. `Default` is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requirements {
    /// The sender takes part in an open consultation: with the other user, or in the room.
    pub open_consultation: bool,
    /// The sender is a member of the room, if it is one.
    pub membership: bool,
}

/// Which of the [`Requirements`] does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no open consultation.
    NoOpenConsultation,
    /// The user is no member of the room, or there is no such room.
    NotAMember,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is stored, and in the outbox.
    New(Message),
    /// It was before, as this; nothing has changed.
    Before(Message),
    /// It is not stored, and was not before.
    Refused(Refusal),
}

/// What rolls the transaction back.
enum Setback {
    Store(StoreError),
    Refused(Refusal),
    /// The sender has used the message's own name before.
    Repeated,
    /// Another conversation has the number that was chosen.
    NumberTaken,
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Setback {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Stores a message, with its row in the outbox, in a transaction of its own.
///
/// # Errors
/// The database cannot be used; whether the message is stored is then not known, unless it has a
/// [`client_message_id`](NewMessage::client_message_id) and is sent again.
///
/// # Cancel safety
/// Dropped, the message may be stored or not.
pub async fn append(store: &Store, message: NewMessage) -> Result<Appended, StoreError> {
    append_if(store, message, Requirements::default()).await
}

/// As [`append`], if the requirements hold until the message is stored: whoever closes the consultation or ends the membership
/// meanwhile waits, so nothing is stored once that has been confirmed. A message that was stored before is found in any case.
///
/// # Errors
/// As [`append`]'s.
///
/// # Cancel safety
/// As [`append`]'s.
pub async fn append_if(
    store: &Store,
    message: NewMessage,
    requirements: Requirements,
) -> Result<Appended, StoreError> {
    for _ in 0..ATTEMPTS {
        let new = message.clone();
        let stored = store.write(move |db| Box::pin(insert(db, new, requirements))).await;
        match stored {
            Ok(message) => return Ok(Appended::New(message)),
            Err(Setback::Store(error)) => return Err(error),
            Err(Setback::NumberTaken) => {}
            Err(Setback::Repeated) => {
                if let Some(before) = stored_before(store, &message).await? {
                    return Ok(Appended::Before(before));
                }
            }
            Err(Setback::Refused(refusal)) => {
                let before = stored_before(store, &message).await?;
                return Ok(before.map_or(Appended::Refused(refusal), Appended::Before));
            }
        }
    }
    Err(StoreError::Unavailable("the message met others each time it was stored".to_owned()))
}

async fn stored_before(store: &Store, message: &NewMessage) -> Result<Option<Message>, StoreError> {
    let Some(name) = message.client_message_id.clone() else { return Ok(None) };
    let from = message.from.clone();
    store.read(|db| Box::pin(by_client_message_id(db, from, name))).await
}

async fn insert(
    db: &mut Connection,
    new: NewMessage,
    requirements: Requirements,
) -> Result<Message, Setback> {
    let NewMessage { conversation, from, text, client_message_id, at } = new;
    if requirements.open_consultation
        && !has_open_consultation(db, &from, &conversation, Hold::UntilEnd).await?
    {
        return Err(Setback::Refused(Refusal::NoOpenConsultation));
    }
    let (key, sent_at) = next(db, &conversation, at).await?;
    // Whoever leaves locks the same row first.
    if requirements.membership
        && conversation.room_name().is_some()
        && !is_member(db, &from, &conversation).await?
    {
        return Err(Setback::Refused(Refusal::NotAMember));
    }
    let insert = "INSERT INTO chat_messages (conversation, id, sender, text, sent_at, client_message_id)
                  VALUES ($1, $2, $3, $4, $5, $6)
                  ON CONFLICT (sender, client_message_id) WHERE client_message_id IS NOT NULL DO NOTHING";
    let query = sqlx::query(insert).bind(key.conversation).bind(key.id).bind(&from).bind(&text);
    let query = query.bind(sent_at.0).bind(client_message_id);
    if query.execute(&mut *db).await?.rows_affected() == 0 {
        return Err(Setback::Repeated);
    }
    let insert = "INSERT INTO chat_outbox (sent_at, conversation, id, claim) VALUES ($1, $2, $3, 0)";
    sqlx::query(insert).bind(sent_at.0).bind(key.conversation).bind(key.id).execute(&mut *db).await?;
    Ok(Message { conversation, key, from, text, sent_at })
}

/// Whether the user takes part in a consultation that the conversation belongs to and that is open now.
///
/// # Errors
/// The database cannot be used.
pub async fn has_open_consultation(
    db: &mut Connection,
    user: &str,
    conversation: &Conversation,
    hold: Hold,
) -> Result<bool, StoreError> {
    let now = Timestamp::now();
    match (conversation.room_name(), conversation.partner_of(user)) {
        (Some(room), _) => consultations::in_room(db, user, room, now, hold).await,
        (None, partner) => consultations::between(db, user, partner.unwrap_or_default(), now, hold).await,
    }
}

/// Raises the conversation's counter, and makes the conversation if there is none.
async fn next(
    db: &mut Connection,
    conversation: &Conversation,
    at: Timestamp,
) -> Result<(MessageKey, Timestamp), Setback> {
    let update = "UPDATE chat_conversations SET last_id = last_id + 1,
                      last_sent_at = CASE WHEN last_sent_at < $4 THEN $4 ELSE last_sent_at + 1 END
                  WHERE room = $1 AND first_user = $2 AND second_user = $3
                  RETURNING id, last_id, last_sent_at";
    let query = sqlx::query_as(update).bind(&conversation.room).bind(&conversation.first_user);
    let query = query.bind(&conversation.second_user).bind(at.0);
    let found: Option<(i64, i64, i64)> = query.fetch_optional(&mut *db).await?;
    let (number, id, sent_at) = match found {
        Some(found) => found,
        None => create(db, conversation, at, 1).await?,
    };
    Ok((MessageKey { conversation: number, id }, Timestamp(sent_at)))
}

/// Makes a conversation whose counter has `raised_by`, or raises the counter of one that another transaction has made meanwhile. Returns
/// its number, counter and time.
async fn create(
    db: &mut Connection,
    conversation: &Conversation,
    at: Timestamp,
    raised_by: i64,
) -> Result<(i64, i64, i64), Setback> {
    let number = new_number()?;
    let insert = "INSERT INTO chat_conversations (id, room, first_user, second_user, last_id, last_sent_at)
                  VALUES ($1, $2, $3, $4, $5, $6)
                  ON CONFLICT (room, first_user, second_user) DO UPDATE SET
                      last_id = chat_conversations.last_id + $5,
                      last_sent_at = CASE WHEN chat_conversations.last_sent_at < $6 THEN $6
                                     ELSE chat_conversations.last_sent_at + $5 END
                  RETURNING id, last_id, last_sent_at";
    let query = sqlx::query_as(insert).bind(number).bind(&conversation.room).bind(&conversation.first_user);
    let query = query.bind(&conversation.second_user).bind(raised_by).bind(at.0);
    let found: (i64, i64, i64) = query.fetch_one(&mut *db).await.map_err(number_taken)?;
    for user in conversation.users() {
        let insert = "INSERT INTO chat_members (user_id, conversation, first_id, delivered_id, read_id)
                      VALUES ($1, $2, 0, 0, 0) ON CONFLICT (user_id, conversation) DO NOTHING";
        sqlx::query(insert).bind(user).bind(found.0).execute(&mut *db).await?;
    }
    Ok(found)
}

fn number_taken(error: sqlx::Error) -> Setback {
    match error.as_database_error() {
        Some(refused) if refused.is_unique_violation() => Setback::NumberTaken,
        _ => error.into(),
    }
}

/// Finds or makes the conversation of a room, and holds it locked until the transaction ends. Returns its number and the id of its last
/// message.
pub(super) async fn room(
    db: &mut Connection,
    conversation: &Conversation,
    at: Timestamp,
) -> Result<(i64, i64), StoreError> {
    if let Some(found) = find(db, conversation).await? {
        let lock = "UPDATE chat_conversations SET last_id = last_id WHERE id = $1 RETURNING last_id";
        let locked: Option<i64> =
            sqlx::query_scalar(lock).bind(found.number).fetch_optional(&mut *db).await?;
        if let Some(last_id) = locked {
            return Ok((found.number, last_id));
        }
    }
    match create(db, conversation, at, 0).await {
        Ok((number, last_id, _)) => Ok((number, last_id)),
        Err(Setback::Store(error)) => Err(error),
        Err(Setback::NumberTaken | Setback::Repeated | Setback::Refused(_)) => {
            Err(StoreError::Unavailable("the number of a new room was taken; try again".to_owned()))
        }
    }
}

async fn by_client_message_id(
    db: &mut Connection,
    from: String,
    name: String,
) -> Result<Option<Message>, StoreError> {
    let select =
        "SELECT m.conversation, m.id, m.sender, m.text, m.sent_at, c.room, c.first_user, c.second_user
                  FROM chat_messages m JOIN chat_conversations c ON c.id = m.conversation
                  WHERE m.sender = $1 AND m.client_message_id = $2";
    let row = sqlx::query(select).bind(from).bind(name).fetch_optional(&mut *db).await?;
    row.as_ref().map(super::history::message_with_conversation).transpose()
}
