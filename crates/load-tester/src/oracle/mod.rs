//! Proves what arrived: of stamped messages each one, of navigation states their versions, of other events their number.
//!
//! There is no I/O here and no clock: times are handed in, in microseconds since the Unix epoch.
//!
//! ```
//! use hubline_load_tester::oracle::{Arrival, Origin, Origins, Receiver, Rules, judge};
//!
//! let rules = Rules::new(0x0bad_cafe);
//! let mut origin = Origin::new(0);
//! let mut receiver = Receiver::new(7, 1);
//! receiver.expects(0, 1_000);
//! let first = origin.stamp(rules.run, 2_000);
//! let second = origin.stamp(rules.run, 3_000);
//! assert_eq!(receiver.arrived(&rules, &second, 3_500), Arrival::New { is_late: false });
//! assert_eq!(receiver.arrived(&rules, &second, 3_600), Arrival::Doubled);
//! let origins: Origins = [origin].into_iter().collect();
//! let verdict = judge(&rules, [&receiver], &origins, &origins, None);
//! assert_eq!(verdict.to_string(), "1 lost, 1 doubled, 0 late");
//! assert_eq!((verdict.examples[0].first, verdict.lost_to_nothing()), (first.number, 1));
//! ```

mod away;
mod counted;
mod gaps;
mod judge;
mod origin;
mod proof;
mod receiver;
mod stamp;
mod states;
#[cfg(test)]
mod tests;
mod timeline;
mod verdict;

pub use away::{Away, Cause};
pub use counted::{Counted, judge_counts};
pub use judge::{Blame, Loss, judge};
pub use origin::{Origin, Origins};
pub use proof::Basis;
pub use receiver::{Arrival, Receiver, SoFar};
pub use stamp::{Stamp, TooSmall};
pub use states::{KnownStates, StateReceiver, States, judge_states};
pub use verdict::{Example, Finding, StateVerdict, Tally, Verdict};

/// How many gaps, times away and subscriptions one receiver remembers, each; of more it knows only how many there were, and the verdict says so.
pub const MOST_REMEMBERED: usize = 1024;

/// How many examples of each finding a verdict has.
pub const EXAMPLES_OF_EACH: usize = 5;

/// What is too late, and whose messages count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The mark of the run, which all its processes share.
    pub run: u32,
    /// A message that is older when it comes is late. So long before a fault a message may have been on its way. Default: 1 s.
    pub late_micros: u64,
    /// A message that has not come so long after the last send is lost. Default: 5 s.
    pub settle_micros: u64,
}

impl Rules {
    /// The defaults for a run.
    pub fn new(run: u32) -> Self {
        Self { run, late_micros: 1_000_000, settle_micros: 5_000_000 }
    }
}

/// What the oracle takes at least, in bytes: each receiver expects that many origins, and there are so many of them in all. What is lost or away
/// comes on top: up to [`MOST_REMEMBERED`] gaps of 24 bytes for a receiver.
pub fn memory_bytes(receivers: usize, origins_of_each: usize, origins: usize) -> usize {
    let pairs = receivers.saturating_mul(origins_of_each).saturating_mul(Receiver::BYTES_PER_ORIGIN);
    let receivers = receivers.saturating_mul(Receiver::BYTES);
    pairs.saturating_add(receivers).saturating_add(origins.saturating_mul(Origin::BYTES))
}
