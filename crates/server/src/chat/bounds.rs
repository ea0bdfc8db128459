//! What clients may ask for.

use hubline::HubError;
use hubline_store::chat::Conversation;

use crate::user_ids::LONGEST_USER_ID;

/// Bytes of a room's name at most.
const LONGEST_ROOM: usize = 256;
/// Bytes of the name that a client gives a message.
const LONGEST_CLIENT_MESSAGE_ID: usize = 128;
/// Messages or conversations on a page.
const LARGEST_PAGE: u32 = 200;
const USUAL_PAGE: u32 = 50;
/// What names of groups begin with that are no rooms.
pub(super) const RESERVED: &str = "hubline:";

/// A user's id that may stand in the database.
pub(super) fn user_id<'a>(name: &str, id: &'a str) -> Result<&'a str, HubError> {
    text(name, id, LONGEST_USER_ID)
}

/// A room's name.
pub(super) fn room(name: &str) -> Result<&str, HubError> {
    if name.starts_with(RESERVED) {
        return Err(HubError::new(format!("a room's name does not begin with `{RESERVED}`")));
    }
    text("room", name, LONGEST_ROOM)
}

/// The name that a client gives a message.
pub(super) fn client_message_id(id: &str) -> Result<&str, HubError> {
    text("clientMessageId", id, LONGEST_CLIENT_MESSAGE_ID)
}

/// A message.
pub(super) fn message(text: &str, longest: usize) -> Result<(), HubError> {
    if text.is_empty() {
        return Err(HubError::new("a message must have a text"));
    }
    if text.contains('\0') {
        return Err(HubError::new("a message must not contain U+0000"));
    }
    // No character has less than a byte.
    if text.len() > longest && text.chars().count() > longest {
        return Err(HubError::new(format!(
            "a message has {longest} characters at most (Chat:MaximumMessageLength)"
        )));
    }
    Ok(())
}

/// A page's size.
pub(super) fn limit(limit: Option<i64>) -> Result<u32, HubError> {
    let Some(limit) = limit else { return Ok(USUAL_PAGE) };
    u32::try_from(limit)
        .ok()
        .filter(|limit| (1..=LARGEST_PAGE).contains(limit))
        .ok_or_else(|| HubError::new(format!("limit is from 1 to {LARGEST_PAGE}")))
}

/// A message's id.
pub(super) fn message_id(name: &str, id: i64) -> Result<i64, HubError> {
    match id {
        1.. => Ok(id),
        _ => Err(HubError::new(format!("{name} is the id of a message, 1 or more"))),
    }
}

/// The conversation that a request names by one of two members, of which the first is called `user_member`.
pub(super) fn conversation(
    own: &str,
    user_member: &str,
    user: Option<&str>,
    room_name: Option<&str>,
) -> Result<Conversation, HubError> {
    match (user, room_name) {
        (Some(user), None) => Ok(Conversation::between(own, user_id(user_member, user)?)),
        (None, Some(name)) => Ok(Conversation::room(room(name)?)),
        _ => Err(HubError::new(format!(
            "either `{user_member}` or `room` is given (in MessagePack as .NET names them, with a capital)"
        ))),
    }
}

fn text<'a>(name: &str, text: &'a str, longest: usize) -> Result<&'a str, HubError> {
    match text {
        "" => Err(HubError::new(format!("{name} must not be empty"))),
        _ if text.len() > longest => Err(HubError::new(format!("{name} has {longest} bytes at most"))),
        _ if text.contains('\0') => Err(HubError::new(format!("{name} must not contain U+0000"))),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_in_words() {
        let refused = |result: Result<(), HubError>| result.unwrap_err().message().to_owned();
        assert!(message(&"ä".repeat(10), 10).is_ok() && message("x", 10).is_ok());
        assert_eq!(
            refused(message(&"ä".repeat(11), 10)),
            "a message has 10 characters at most (Chat:MaximumMessageLength)"
        );
        for wrong in ["", "a\0b"] {
            assert!(message(wrong, 10).is_err() && room(wrong).is_err() && user_id("to", wrong).is_err());
        }
        assert_eq!(
            refused(room("hubline:events:user:ada").map(drop)),
            "a room's name does not begin with `hubline:`"
        );
        assert!(room(&"r".repeat(256)).is_ok() && room(&"r".repeat(257)).is_err());
        assert_eq!((limit(None).unwrap(), limit(Some(200)).unwrap()), (50, 200));
        for wrong in [0, -1, 201, i64::MAX] {
            assert_eq!(refused(limit(Some(wrong)).map(drop)), "limit is from 1 to 200");
        }
        for wrong in [(None, None), (Some("bob"), Some("ward"))] {
            let named = conversation("ada", "to", wrong.0, wrong.1);
            assert!(refused(named.map(drop)).starts_with("either `to` or `room` is given"));
        }
    }
}
