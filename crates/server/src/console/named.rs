//! Who has most connections.

use std::collections::HashMap;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

/// Users and addresses that an instance names by itself.
const MOST_NAMED: usize = 20;

/// Users, or addresses, with their connections, the most first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Named {
    /// Those with most, and those that were asked for.
    pub(super) counts: Vec<(String, u64)>,
    pub(super) is_more: bool,
}

impl Named {
    /// The first of all that are counted, and those that were asked for by name.
    pub(super) fn of<K: Hash + Eq + AsRef<str>>(counts: HashMap<K, u64>, asked: &[String]) -> Self {
        let mut all: Vec<_> = counts.into_iter().collect();
        all.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.as_ref().cmp(b.as_ref())));
        let is_more = all.len() > MOST_NAMED;
        let asked = &asked[..asked.len().min(MOST_NAMED)];
        let named = |(place, (name, _)): &(usize, (K, u64))| {
            *place < MOST_NAMED || asked.iter().any(|asked| asked == name.as_ref())
        };
        let counts = all.into_iter().enumerate().filter(named);
        Self { counts: counts.map(|(_, (name, count))| (name.as_ref().to_owned(), count)).collect(), is_more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_named_and_those_that_are_asked_for() {
        let counts = (0..30_u64).map(|user| (format!("u{user:02}"), user.min(25))).collect();
        let named = Named::of(counts, &["u03".to_owned(), "nobody".to_owned()]);
        assert_eq!((named.counts.len(), named.is_more), (21, true));
        assert_eq!(named.counts[0], ("u25".to_owned(), 25), "the same count is in order of the names");
        assert_eq!(named.counts[20], ("u03".to_owned(), 3));
    }
}
