use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use crate::oracle::proof::Basis;
use crate::oracle::verdict::Verdict;

/// Events without anything of the tester's: how many came to each receiver is all that there is to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Connections that may have got some.
    pub receivers: u64,
    /// Events that came, to all of them.
    pub events: u64,
    /// To the one that got the fewest.
    pub fewest: u64,
    /// To the one that got the most.
    pub most: u64,
}

impl Counted {
    pub(super) fn merge(&mut self, other: &Self) {
        let (fewest, most) = match (self.receivers, other.receivers) {
            (0, _) => (other.fewest, other.most),
            (_, 0) => (self.fewest, self.most),
            _ => (self.fewest.min(other.fewest), self.most.max(other.most)),
        };
        let (receivers, events) = (self.receivers + other.receivers, self.events + other.events);
        *self = Self { receivers, events, fewest, most };
    }
}

impl Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receivers, events, fewest, most } = self;
        write!(f, "{events} events counted at {receivers} receivers, ")?;
        if fewest == most { write!(f, "{most} at each") } else { write!(f, "{fewest} to {most} at each") }
    }
}

/// The verdict on events that were only counted, from each receiver's count.
pub fn judge_counts(counts: impl IntoIterator<Item = u64>) -> Verdict {
    let mut counted = Counted::default();
    for count in counts {
        counted.merge(&Counted { receivers: 1, events: count, fewest: count, most: count });
    }
    let basis = Basis { counts: counted.receivers > 0, ..Basis::default() };
    let mut verdict = Verdict { counted: Some(counted), basis, ..Verdict::default() };
    verdict.proves = basis.words(&verdict);
    verdict
}
