//! What the keys are called. The table of them is in the documentation of [`super::RedisDirectory`].

use hubline_protocol::{GroupName, UserId};

/// Names of keys. All have the same hash tag, `{hubline}` unless what stands in front has one, so that a cluster has them
/// in one slot.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) prefix: Box<str>,
}

impl Keys {
    /// Keys behind an instance name or a channel prefix.
    pub(super) fn behind(name: &str) -> Self {
        Self { prefix: [name, "{hubline}:"].concat().into() }
    }

    pub(super) fn instances(&self) -> String {
        self.key("instances", "")
    }

    pub(super) fn epoch(&self) -> String {
        self.key("epoch", "")
    }

    pub(super) fn connections(&self, hub: &str) -> String {
        self.key("connections:", hub)
    }

    pub(super) fn users(&self, hub: &str) -> String {
        self.key("users:", hub)
    }

    pub(super) fn groups(&self, hub: &str) -> String {
        self.key("groups:", hub)
    }

    pub(super) fn departed(&self, instance: &str) -> String {
        self.key("departed:", instance)
    }

    pub(super) fn user(&self, hub: &str, user: &UserId) -> String {
        self.key("user:", &[hub, ":", user.as_str()].concat())
    }

    /// Also the name of the channel that tells of the group's changes.
    pub(super) fn group(&self, hub: &str, group: &GroupName) -> String {
        self.key("group:", &[hub, ":", group.as_str()].concat())
    }

    fn key(&self, kind: &str, of: &str) -> String {
        [&self.prefix, kind, of].concat()
    }
}

/// A hub's name as a part of keys: without colons, which end it, and without braces, which would make a hash tag.
pub(super) fn hub_part(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '%' | ':' | '{' | '}' | '\0' => part.push_str(&format!("%{:02X}", u32::from(character))),
            other => part.push(other),
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_things_have_one_key() {
        let keys = Keys::behind("Tele");
        assert_eq!(hub_part("Clinic.Hubs.ChatHub`1"), "Clinic.Hubs.ChatHub`1");
        assert_eq!(keys.group(&hub_part("a:{b}%"), &"c:d".into()), "Tele{hubline}:group:a%3A%7Bb%7D%25:c:d");
        assert_ne!(keys.user(&hub_part("a"), &"b:c".into()), keys.user(&hub_part("a:b"), &"c".into()));
    }
}
