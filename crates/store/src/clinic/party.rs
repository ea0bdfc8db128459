use std::fmt;

/// Longest id in bytes that is kept whole; an index of PostgreSQL holds 2.7 KB.
const LONGEST_ID: usize = 1_000;

/// Who acts, or what is acted on, as the audit writes it: a kind, a colon, an id, like `user:ada` or `room:ward-3`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Party(String);

impl Party {
    /// A user, by the id that the hubs know.
    pub fn user(id: &str) -> Self {
        Self::new("user", id)
    }

    /// Who holds an admin key, by the key's name.
    pub fn admin(key_name: &str) -> Self {
        Self::new("admin", key_name)
    }

    /// A room of the chat.
    pub fn room(name: &str) -> Self {
        Self::new("room", name)
    }

    /// A call.
    pub fn call(id: &str) -> Self {
        Self::new("call", id)
    }

    /// A consultation.
    pub fn consultation(id: &str) -> Self {
        Self::new("consultation", id)
    }

    /// The server itself, for what it does by its settings.
    pub fn server() -> Self {
        Self::new("server", "")
    }

    /// Anything else: `kind` is a word in lower case, like `mapping`. An id that no database holds is changed the same way each
    /// time: NUL becomes U+FFFD, and what is behind 1,000 bytes is left out.
    pub fn new(kind: &str, id: &str) -> Self {
        let id = id.replace('\0', "\u{fffd}");
        let end = (0..=LONGEST_ID.min(id.len())).rev().find(|&end| id.is_char_boundary(end)).unwrap_or(0);
        Self(format!("{kind}:{}", &id[..end]))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_keep_equal_ids_apart_and_ids_fit_an_index() {
        assert_eq!(Party::user("ada").as_str(), "user:ada");
        assert_ne!(Party::user("ada"), Party::admin("ada"));
        assert_eq!(Party::user("a\0b").as_str(), "user:a\u{fffd}b");
        let long = "ä".repeat(501);
        assert_eq!(Party::room(&long).as_str(), format!("room:{}", "ä".repeat(500)));
        assert_eq!(Party::room(&format!("x{long}")).as_str(), format!("room:x{}", "ä".repeat(499)));
    }
}
