//! What can be set for the chat.

use std::time::Duration;

use hubline_store::chat::JoinLimits;

use crate::config::{Key, Reader, Section};

const MAXIMUM_MESSAGE_LENGTH: Key = Key::new(
    "Chat:MaximumMessageLength",
    "longest message; SignalR:MaximumMessageSize bounds the call around it",
)
.unit("characters");
const MESSAGES_PER_MINUTE: Key = Key::new(
    "Chat:MessagesPerMinutePerUser",
    "messages one user may send in a minute on one instance; more are refused. 0: no limit",
)
.unit("messages");
const REQUESTS_PER_MINUTE: Key = Key::new(
    "Chat:RequestsPerMinutePerUser",
    "calls besides sending that one user may make in a minute on one instance; reads that return much count as several. 0: no limit",
)
.unit("calls");
const ROOMS_PER_USER: Key =
    Key::new("Chat:MaximumRoomsPerUser", "rooms one user may be a member of").unit("rooms");
const ROOM_MEMBERS: Key = Key::new("Chat:MaximumRoomMembers", "members one room may have").unit("users");

/// The chat's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatConfig {
    /// `Chat:MaximumMessageLength`: characters of a message at most. Default: 32,768. `SignalR:MaximumMessageSize` bounds the bytes of
    /// the call that brings it.
    pub maximum_message_length: usize,
    /// `Chat:MessagesPerMinutePerUser`: messages that a user may send in a minute on one instance. Default: 3,000. 0: no limit.
    pub messages_per_minute_per_user: u32,
    /// `Chat:RequestsPerMinutePerUser`: calls besides sending that a user may make in a minute on one instance. A read counts as one more
    /// for each 16 KiB of text, 5 conversations listed, or 100 conversations looked at. Default: 6,000. 0: no limit.
    pub requests_per_minute_per_user: u32,
    /// `Chat:MaximumRoomsPerUser`: rooms that a user may be a member of. Default: 1,000.
    pub maximum_rooms_per_user: usize,
    /// `Chat:MaximumRoomMembers`: members that a room may have. Default: 10,000.
    pub maximum_room_members: usize,
    /// How long a stored message may stay unpublished until any instance publishes it: 5 s; not to be set.
    pub publish_again_after: Duration,
    /// How long an instance with anonymous members may be silent until others end their memberships: 20 s; not to be set.
    pub guests_lost_after: Duration,
}

impl ChatConfig {
    pub(super) fn join_limits(&self) -> JoinLimits {
        JoinLimits {
            rooms_per_user: self.maximum_rooms_per_user,
            members_per_room: self.maximum_room_members,
        }
    }
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            maximum_message_length: 32_768,
            messages_per_minute_per_user: 3_000,
            requests_per_minute_per_user: 6_000,
            maximum_rooms_per_user: 1_000,
            maximum_room_members: 10_000,
            publish_again_after: Duration::from_secs(5),
            guests_lost_after: Duration::from_secs(20),
        }
    }
}

impl Section for ChatConfig {
    const TITLE: &'static str = "Chat";

    fn read(reader: &mut Reader) -> Self {
        let Self {
            maximum_message_length,
            messages_per_minute_per_user,
            requests_per_minute_per_user,
            maximum_rooms_per_user,
            maximum_room_members,
            publish_again_after,
            guests_lost_after,
        } = Self::default();
        Self {
            maximum_message_length: reader.count(MAXIMUM_MESSAGE_LENGTH, maximum_message_length),
            messages_per_minute_per_user: reader.limit(MESSAGES_PER_MINUTE, messages_per_minute_per_user),
            requests_per_minute_per_user: reader.limit(REQUESTS_PER_MINUTE, requests_per_minute_per_user),
            maximum_rooms_per_user: reader.count(ROOMS_PER_USER, maximum_rooms_per_user),
            maximum_room_members: reader.count(ROOM_MEMBERS, maximum_room_members),
            publish_again_after,
            guests_lost_after,
        }
    }
}
