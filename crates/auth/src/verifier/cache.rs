//! Tokens that were verified a moment ago: a client shows the same one with each of its requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use hubline_identity::Principal;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

/// Tokens of one generation. Two generations are kept: 2,048 tokens, about 2 MB, and 40 MB if every token is as long as
/// [`LONGEST_TOKEN`] and holds nothing but claims.
const GENERATION: usize = 1024;

/// Longer tokens are verified each time.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Verified tokens by their digests. What is not asked for goes first.
pub(super) struct Cache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    /// Number of the key set that verified these.
    keys: u64,
    young: HashMap<Digest, Verified>,
    old: HashMap<Digest, Verified>,
}

/// Digest of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 32]);

/// The outcome of verifying a token, except for its lifetime.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) principal: Arc<Principal>,
    pub(super) not_before: Option<SystemTime>,
}

impl Digest {
    /// `None` for a token that is not kept.
    pub(super) fn of(token: &str) -> Option<Self> {
        if token.len() > LONGEST_TOKEN {
            return None;
        }
        digest(&SHA256, token.as_bytes()).as_ref().try_into().ok().map(Self)
    }
}

impl Cache {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// The claims of a token, if it was verified by the key set of this number.
    pub(super) fn get(&self, token: &Digest, keys: u64) -> Option<Verified> {
        let mut generations = self.0.lock();
        if generations.keys != keys {
            return None;
        }
        if let Some(verified) = generations.young.get(token) {
            return Some(verified.clone());
        }
        let verified = generations.old.remove(token)?;
        generations.insert(*token, verified.clone());
        Some(verified)
    }

    /// Keeps a token that the key set of this number has verified, and drops those of other key sets.
    pub(super) fn insert(&self, token: Digest, keys: u64, verified: Verified) {
        let mut generations = self.0.lock();
        if generations.keys < keys {
            *generations = Generations { keys, ..Generations::default() };
        }
        if generations.keys == keys {
            generations.insert(token, verified);
        }
    }

    /// Removes a token.
    pub(super) fn remove(&self, token: &Digest) {
        let mut generations = self.0.lock();
        generations.young.remove(token);
        generations.old.remove(token);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let generations = self.0.lock();
        generations.young.len() + generations.old.len()
    }
}

impl Generations {
    fn insert(&mut self, token: Digest, verified: Verified) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, verified);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> Digest {
        Digest::of(&number.to_string()).unwrap()
    }

    fn somebody() -> Verified {
        Verified { principal: Arc::new(Principal::of_user("ada")), not_before: None }
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let cache = Cache::new();
        for number in 0..10 * GENERATION {
            cache.insert(token(number), 0, somebody());
            assert!(cache.get(&token(0), 0).is_some(), "{number}");
        }
        assert!(cache.len() <= 2 * GENERATION, "{}", cache.len());
        assert!(cache.get(&token(1), 0).is_none());
        assert!(Digest::of(&"x".repeat(LONGEST_TOKEN + 1)).is_none());
    }

    #[test]
    fn what_other_keys_have_verified_is_nothing() {
        let cache = Cache::new();
        cache.insert(token(1), 0, somebody());
        assert!(cache.get(&token(1), 1).is_none());
        cache.insert(token(2), 1, somebody());
        assert_eq!(cache.len(), 1);
        cache.insert(token(3), 0, somebody());
        assert!(cache.get(&token(3), 0).is_none(), "verified by keys that were exchanged meanwhile");
        cache.remove(&token(2));
        assert_eq!(cache.len(), 0);
    }
}
