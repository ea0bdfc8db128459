//! What a key is: its name, what it is for, and how its value may be shown.

/// A key of the configuration, declared once, where it is read. The unit and the default follow from how it is read.
///
/// ```text
/// const RING_TIMEOUT: Key = Key::new("Calls:RingTimeout", "how long a call rings until it counts as not answered");
/// const ICE_SECRET: Key = Key::new("Calls:Turn:Secret", "shared secret of coturn (static-auth-secret)").secret();
/// const STUN_URLS: Key = Key::new("Calls:Stun:Urls", "STUN servers").list().url();
/// const HUB_NAME: Key = Key::new("SignalR:HubNames:{hub}", "what other servers call a hub on Redis");
/// ```
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) unit: Option<&'static str>,
    pub(super) unset: Option<&'static str>,
    pub(super) content: Content,
    pub(super) is_list: bool,
}

/// How a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Plain,
    Url,
    Secret,
    RedisConnectionString,
    DatabaseConnectionString,
}

impl Key {
    /// A key by its name, `:` between sections and spelt as .NET does (compared without case), and what it is for: words for
    /// operators, without the default, which is known from how the key is read. A part of the name in braces stands for any text.
    pub(crate) const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, unit: None, unset: None, content: Content::Plain, is_list: false }
    }

    /// Its value is shown nowhere.
    pub(crate) const fn secret(self) -> Self {
        Self { content: Content::Secret, ..self }
    }

    /// Its value is one URL or several, shown without user, password and query.
    pub(crate) const fn url(self) -> Self {
        Self { content: Content::Url, ..self }
    }

    /// It may also be a section with one element for each key in it (`__0`, `__1`), as lists are in JSON.
    pub(crate) const fn list(self) -> Self {
        Self { is_list: true, ..self }
    }

    /// What a number counts, such as `messages`.
    pub(crate) const fn unit(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }

    /// What holds while it is not set, where no single value says so.
    pub(crate) const fn unset(self, what_holds: &'static str) -> Self {
        Self { unset: Some(what_holds), ..self }
    }

    pub(super) const fn redis_connection_string(self) -> Self {
        Self { content: Content::RedisConnectionString, ..self }
    }

    pub(super) const fn database_connection_string(self) -> Self {
        Self { content: Content::DatabaseConnectionString, ..self }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.name
    }

    /// The environment variable that sets it.
    pub(crate) fn variable(self) -> String {
        self.name.replace(':', "__")
    }

    /// Whether this is its name, or one that the braces in it stand for, or the name of an element of its list.
    pub(super) fn covers(self, name: &str) -> bool {
        self.captures(name).is_some() || self.element_of(name).is_some()
    }

    /// What the parts in braces stand for in this name; `None` if it is another key's.
    pub(super) fn captures(self, name: &str) -> Option<Vec<&str>> {
        let mut captured = Vec::new();
        let (mut mine, mut theirs) = (self.name.split(':'), name.split(':'));
        loop {
            match (mine.next(), theirs.next()) {
                (None, None) => return Some(captured),
                (Some(mine), Some(theirs)) if mine.starts_with('{') && !theirs.is_empty() => {
                    captured.push(theirs)
                }
                (Some(mine), Some(theirs)) if mine.eq_ignore_ascii_case(theirs) => {}
                _ => return None,
            }
        }
    }

    /// The name of the list's element, usually a number, if this key is a list and the name one of its elements.
    pub(super) fn element_of(self, name: &str) -> Option<&str> {
        let (list, element) = name.rsplit_once(':').filter(|_| self.is_list)?;
        (!element.is_empty() && self.captures(list).is_some()).then_some(element)
    }

    /// What its value is, if the way it is read says no more than that it is a text.
    pub(super) fn kind(self) -> &'static str {
        match self.content {
            Content::Plain => "text",
            Content::Url => "URL",
            Content::Secret => "secret",
            Content::RedisConnectionString | Content::DatabaseConnectionString => "connection string or URL",
        }
    }

    /// The first part of its name.
    pub(super) fn section(self) -> &'static str {
        self.name.split(':').next().unwrap_or(self.name)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(other.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_elements_and_braces() {
        let list = Key::new("Cors:AllowedOrigins", "").list();
        assert!(list.covers("cors:allowedorigins") && list.covers("Cors:AllowedOrigins:0"));
        assert!(!list.covers("Cors:AllowedOrigins:0:x") && !list.covers("Cors:AllowedOrigins:"));
        let named = Key::new("SignalR:HubNames:{hub}", "");
        assert_eq!(named.captures("signalr:hubnames:Chat"), Some(vec!["Chat"]));
        assert_eq!(named.captures("SignalR:HubNames"), None);
        assert!(!named.covers("SignalR:HubNames:Chat:0"));
        let inner = Key::new("Bearer:SigningKeys:{N}:Value", "");
        assert_eq!(inner.captures("Bearer:SigningKeys:7:value"), Some(vec!["7"]));
    }
}
