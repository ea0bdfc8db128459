use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Errors that have one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorGroup {
    /// The reason, without what differs from error to error, such as ids.
    pub cause: String,
    /// How many errors had it.
    pub count: u64,
    /// The first of them in full.
    pub first_example: String,
    /// What helps, if that can be said: a limit to raise, a setting of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// Groups errors by their reason: up to 100 reasons, the rest in one group.
#[derive(Debug, Clone, Default)]
pub struct Errors {
    groups: HashMap<String, ErrorGroup>,
    count: u64,
}

impl Errors {
    const MOST_GROUPS: usize = 100;
    const REST: &str = "other reasons";
    const LONGEST: usize = 500;

    /// Counts one error. The example and the cure are made only for the first of its reason.
    pub fn add(
        &mut self,
        cause: &str,
        example: impl FnOnce() -> String,
        cure: impl FnOnce() -> Option<String>,
    ) {
        let cause = shortened(cause);
        self.count += 1;
        let is_known = self.groups.contains_key(cause.as_ref());
        let cause =
            if is_known || self.groups.len() < Self::MOST_GROUPS { cause.as_ref() } else { Self::REST };
        if let Some(group) = self.groups.get_mut(cause) {
            group.count += 1;
            return;
        }
        let first_example = shortened(&example()).into_owned();
        let group = ErrorGroup { cause: cause.to_owned(), count: 1, first_example, cure: cure() };
        self.groups.insert(cause.to_owned(), group);
    }

    /// Adds what another thread or process counted.
    pub fn merge(&mut self, groups: impl IntoIterator<Item = ErrorGroup>) {
        for group in groups {
            let count = group.count;
            let ErrorGroup { cause, first_example, cure, .. } = group;
            self.add(&cause, || first_example, || cure);
            let cause = shortened(&cause);
            let is_known = self.groups.contains_key(cause.as_ref());
            let cause = if is_known { cause.as_ref() } else { Self::REST };
            if let Some(known) = self.groups.get_mut(cause) {
                known.count += count.saturating_sub(1);
                self.count += count.saturating_sub(1);
            }
        }
    }

    /// All of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The groups, the largest first.
    #[must_use]
    pub fn groups(&self) -> Vec<ErrorGroup> {
        let mut groups: Vec<_> = self.groups.values().cloned().collect();
        groups.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.cause.cmp(&other.cause)));
        groups
    }
}

/// Up to so many characters, on one line: what a server says may be of any length.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= Errors::LONGEST && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(Errors::LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_grouped_by_reason_with_the_first_example() {
        let mut errors = Errors::default();
        for number in 0..3 {
            errors.add("refused", || format!("refused {number}"), || Some("raise it".to_owned()));
        }
        errors.add("lost", || "lost\u{1b}[31m\n9".to_owned(), || None);
        let groups = errors.groups();
        assert_eq!(groups[0].first_example, "refused 0");
        assert_eq!((groups[0].count, groups[0].cure.as_deref()), (3, Some("raise it")));
        assert_eq!(groups[1].first_example, "lost [31m 9", "no control character reaches a terminal");
        let mut merged = Errors::default();
        merged.merge(groups.clone());
        merged.merge(groups);
        assert_eq!((merged.count(), merged.groups()[0].count, merged.groups()[1].count), (8, 6, 2));
    }

    #[test]
    fn a_server_that_always_says_something_else_fills_no_memory() {
        let mut errors = Errors::default();
        for number in 0..1_000 {
            errors.add(&format!("reason {number}"), || "x".repeat(10_000), || None);
        }
        let groups = errors.groups();
        assert_eq!((groups.len(), groups[0].count, groups[0].cause.as_str()), (101, 900, "other reasons"));
        assert!(groups.iter().all(|group| group.first_example.len() <= 500));
        let mut merged = Errors::default();
        merged.merge(groups.clone());
        merged.merge(groups);
        assert_eq!(merged.count(), 2_000);
        assert_eq!(merged.groups().iter().map(|group| group.count).sum::<u64>(), 2_000);
    }
}
