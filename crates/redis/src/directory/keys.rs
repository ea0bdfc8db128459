//! What the keys are called. The table of them is in the documentation of [`super::RedisDirectory`].

use hubline_protocol::{GroupName, UserId};

/// Names of keys under an `InstanceName`.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) instance_name: Box<str>,
}

impl Keys {
    pub(super) fn instances(&self) -> String {
        self.own("instances", "")
    }

    pub(super) fn epoch(&self) -> String {
        self.own("epoch", "")
    }

    pub(super) fn connections(&self, hub: &str) -> String {
        self.own("connections:", hub)
    }

    pub(super) fn users(&self, hub: &str) -> String {
        self.own("users:", hub)
    }

    pub(super) fn groups(&self, hub: &str) -> String {
        self.own("groups:", hub)
    }

    pub(super) fn user(&self, hub: &str, user: &UserId) -> String {
        self.own("user:", &[hub, ":", user.as_str()].concat())
    }

    /// Also the name of the channel that tells of the group's changes.
    pub(super) fn group(&self, hub: &str, group: &GroupName) -> String {
        self.own("group:", &[hub, ":", group.as_str()].concat())
    }

    pub(super) fn call(&self, id: &str) -> String {
        [&self.instance_name, "call:", id].concat()
    }

    fn own(&self, kind: &str, of: &str) -> String {
        [&self.instance_name, "hubline:", kind, of].concat()
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
        let keys = Keys { instance_name: "Tele".into() };
        assert_eq!(hub_part("Clinic.Hubs.ChatHub`1"), "Clinic.Hubs.ChatHub`1");
        assert_eq!(keys.group(&hub_part("a:{b}%"), &"c:d".into()), "Telehubline:group:a%3A%7Bb%7D%25:c:d");
        assert_ne!(keys.user(&hub_part("a"), &"b:c".into()), keys.user(&hub_part("a:b"), &"c".into()));
        assert_eq!(keys.call("x"), "Telecall:x");
    }
}
