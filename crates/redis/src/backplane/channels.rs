//! Names of the channels of one hub. Raw: nothing is escaped, the prefix stands directly in front.

use hubline_backplane::{Subject, Target};

/// The channels of a hub as one instance sees them.
#[derive(Debug)]
pub(super) struct Channels {
    /// `{prefix}{hub}`
    root: Box<str>,
    /// How much of it is the prefix.
    prefix: usize,
    server_name: Box<str>,
}

impl Channels {
    pub(super) fn new(prefix: &str, hub_name: &str, server_name: String) -> Self {
        let root = format!("{prefix}{hub_name}").into();
        Self { root, prefix: prefix.len(), server_name: server_name.into() }
    }

    /// The hub's name.
    pub(super) fn hub(&self) -> &str {
        &self.root[self.prefix..]
    }

    pub(super) fn of(&self, target: &Target) -> String {
        match target {
            Target::All => self.name("all", ""),
            Target::Subject(Subject::Group(group)) => self.name("group:", group.as_str()),
            Target::Subject(Subject::User(user)) => self.name("user:", user.as_str()),
            Target::Subject(Subject::Connection(id)) => self.name("connection:", id.as_str()),
        }
    }

    pub(super) fn group_commands(&self) -> String {
        self.name("internal:groups", "")
    }

    /// This instance's name in group commands.
    pub(super) fn server_name(&self) -> &str {
        &self.server_name
    }

    pub(super) fn acks(&self) -> String {
        self.acks_of(&self.server_name)
    }

    pub(super) fn acks_of(&self, server_name: &str) -> String {
        self.name("internal:ack:", server_name)
    }

    pub(super) fn answers(&self) -> String {
        self.name("internal:return:", &self.server_name)
    }

    /// The name of [`Channels::answers`] inside payloads, which has no prefix.
    pub(super) fn return_address(&self) -> String {
        self.answers().split_off(self.prefix)
    }

    /// The channel that a payload names.
    pub(super) fn named(&self, return_address: &str) -> String {
        [&self.root[..self.prefix], return_address].concat()
    }

    fn name(&self, kind: &str, of: &str) -> String {
        [&self.root, ":", kind, of].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_raw() {
        let channels = Channels::new("conf:", "Chat.Hub", "node_0".to_owned());
        let group = Target::Subject(Subject::Group("é😀 *?[x]:a/b".into()));
        assert_eq!(channels.of(&group), "conf:Chat.Hub:group:é😀 *?[x]:a/b");
        assert_eq!(channels.of(&Target::All), "conf:Chat.Hub:all");
        assert_eq!(channels.of(&Target::Subject(Subject::User("u".into()))), "conf:Chat.Hub:user:u");
        assert_eq!(
            channels.of(&Target::Subject(Subject::Connection("c".into()))),
            "conf:Chat.Hub:connection:c"
        );
        assert_eq!(channels.group_commands(), "conf:Chat.Hub:internal:groups");
        assert_eq!(channels.acks(), "conf:Chat.Hub:internal:ack:node_0");
        assert_eq!(channels.answers(), "conf:Chat.Hub:internal:return:node_0");
        assert_eq!(channels.return_address(), "Chat.Hub:internal:return:node_0");
        assert_eq!(channels.named("Chat.Hub:internal:return:node_0"), channels.answers());
    }
}
