//! Which tokens have been claimed, for as long as they could be claimed again.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::tickets::Seal;

/// Most that are remembered: about 30 MB. Past it nobody can claim until some are forgotten.
const LIMIT: usize = 500_000;

#[derive(Debug)]
pub(super) struct Claims {
    kept_for: Duration,
    seals: HashSet<Seal>,
    /// With when they are forgotten, first ones first.
    ends: VecDeque<(Instant, Seal)>,
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    Granted,
    /// Somebody else was faster.
    Taken,
    /// [`LIMIT`] is reached.
    Full,
}

impl Claims {
    pub(super) fn kept_for(kept_for: Duration) -> Self {
        Self { kept_for, seals: HashSet::new(), ends: VecDeque::new() }
    }

    pub(super) fn contains(&self, seal: Seal) -> bool {
        self.seals.contains(&seal)
    }

    pub(super) fn claim(&mut self, seal: Seal, now: Instant) -> Claim {
        self.sweep(now);
        if self.seals.contains(&seal) {
            return Claim::Taken;
        }
        if self.seals.len() >= LIMIT {
            return Claim::Full;
        }
        self.seals.insert(seal);
        self.ends.push_back((now + self.kept_for, seal));
        Claim::Granted
    }

    /// Forgets those that are over.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some((_, seal)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            self.seals.remove(&seal);
        }
        if self.ends.is_empty() {
            (self.seals, self.ends) = (HashSet::new(), VecDeque::new());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}
