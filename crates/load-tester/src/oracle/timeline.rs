use std::ops::Range;

use serde::{Deserialize, Serialize};

/// When each number of an origin was sent, to within [`Timeline::error_micros`].
///
/// A line through the sends for as long as one is near enough to all of them, then the next: a sender with a steady pace takes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Timeline {
    lines: Vec<Line>,
    sent: u64,
    last_micros: u64,
    error_micros: u64,
}

/// Number `first + n` was sent at about `at + n * pace`. The first one's time is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    first: u64,
    at: u64,
    /// Micros a number, times 2^16: between the lowest and highest that are near enough.
    pace: (u64, u64),
}

impl Line {
    const SHIFT: u32 = 16;

    fn new(first: u64, at: u64) -> Self {
        Self { first, at, pace: (0, u64::MAX) }
    }

    /// Whether the line can be near enough to one more send.
    fn takes(&mut self, number: u64, at: u64, error: u64) -> bool {
        let numbers = u128::from(number - self.first).max(1);
        let micros = u128::from(at.saturating_sub(self.at));
        let error = u128::from(error);
        let least = (micros.saturating_sub(error) << Self::SHIFT).div_ceil(numbers);
        let most = ((micros + error) << Self::SHIFT) / numbers;
        let Ok(least) = u64::try_from(least) else { return false };
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let pace = (self.pace.0.max(least), self.pace.1.min(most));
        let fits = pace.0 <= pace.1;
        if fits {
            self.pace = pace;
        }
        fits
    }

    fn time(&self, number: u64) -> u64 {
        let (low, high) = self.pace;
        let pace = if high == u64::MAX { low } else { low + (high - low) / 2 };
        let micros = (u128::from(number - self.first) * u128::from(pace)) >> Self::SHIFT;
        self.at.saturating_add(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self { lines: Vec::new(), sent: 0, last_micros: 0, error_micros: Self::ERROR_MICROS }
    }
}

impl Timeline {
    /// How far from the truth a time may be, unless there are too many lines.
    pub(super) const ERROR_MICROS: u64 = 10_000;
    /// With more lines the error is doubled.
    pub(super) const MOST_LINES: usize = 512;
    /// What one takes at most.
    pub(super) const MOST_BYTES: usize = Self::MOST_LINES * size_of::<Line>();

    /// Notes one more send and returns its number. A clock that goes back is taken to stand still.
    pub(super) fn push(&mut self, at_micros: u64) -> u64 {
        let number = self.sent;
        self.sent += 1;
        self.last_micros = self.last_micros.max(at_micros);
        let at = self.last_micros;
        if !self.lines.last_mut().is_some_and(|line| line.takes(number, at, self.error_micros)) {
            if self.lines.len() == Self::MOST_LINES {
                self.thin();
            }
            self.lines.push(Line::new(number, at));
        }
        number
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn error_micros(&self) -> u64 {
        self.error_micros
    }

    /// About when a number that was sent was sent.
    pub(super) fn time(&self, number: u64) -> u64 {
        let index = self.lines.partition_point(|line| line.first <= number);
        self.lines[..index].last().map_or(0, |line| line.time(number).min(self.last_micros))
    }

    /// The first number that was certainly not sent before.
    pub(super) fn first_surely_from(&self, at_micros: u64) -> u64 {
        // The first of each line is exact.
        let line = self.lines.partition_point(|line| line.at < at_micros);
        let exact = self.lines.get(line).map_or(self.sent, |line| line.first);
        exact.min(self.first_with(|time| time >= at_micros.saturating_add(self.error_micros)))
    }

    /// The first number that may have been sent at that time or after.
    pub(super) fn first_maybe_from(&self, at_micros: u64) -> u64 {
        self.first_with(|time| time.saturating_add(self.error_micros) >= at_micros)
    }

    /// The numbers that may have been sent in a span of time, its bounds in it.
    pub(super) fn maybe_within(&self, from_micros: u64, to_micros: u64) -> Range<u64> {
        let end = self.first_with(|time| time > to_micros.saturating_add(self.error_micros));
        self.first_maybe_from(from_micros).min(end)..end
    }

    fn first_with(&self, is_after: impl Fn(u64) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.sent);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_after(self.time(middle)) { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// Allows twice the error, again and again, until there are at most half as many lines.
    fn thin(&mut self) {
        while self.lines.len() > Self::MOST_LINES / 2 {
            // Two for what is rounded.
            let more = self.error_micros;
            self.error_micros = more.saturating_mul(2).saturating_add(2);
            let old = std::mem::take(&mut self.lines);
            let ends = old[1..].iter().map(|next| next.first).chain([self.sent - 1]);
            for (line, end) in old.iter().zip(ends) {
                // Where both ends of an old line are near enough to a new one, all of it is.
                let last = (end - 1, line.time(end - 1));
                let mut longer = self.lines.last().copied().unwrap_or(Line::new(line.first, line.at));
                if longer.takes(line.first, line.at, more) && longer.takes(last.0, last.1, more) {
                    self.lines.pop();
                    self.lines.push(longer);
                } else {
                    let mut begun = Line::new(line.first, line.at);
                    begun.takes(last.0, last.1, more);
                    self.lines.push(begun);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timeline(times: &[u64]) -> Timeline {
        let mut timeline = Timeline::default();
        for (number, at) in (0..).zip(times) {
            assert_eq!(timeline.push(*at), number);
        }
        timeline
    }

    fn assert_near(timeline: &Timeline, times: &[u64]) {
        for (number, at) in (0..).zip(times) {
            let off = timeline.time(number).abs_diff(*at);
            assert!(off <= timeline.error_micros(), "{number}: {off} from {at}");
        }
    }

    #[test]
    fn a_steady_pace_takes_one_line_for_ever() {
        let times: Vec<u64> =
            (0..100_000_u64).map(|n| 1_796_000_000_000_000 + n * 10_000 + n % 7 * 900).collect();
        let steady = timeline(&times);
        assert_eq!(steady.lines.len(), 1);
        assert_near(&steady, &times);
    }

    #[test]
    fn an_unsteady_one_takes_no_more_than_it_may() {
        // Ever longer pauses between bursts, so that no line is near enough to many.
        let mut at = 0;
        let times: Vec<u64> = (0..20_000_u64)
            .map(|n| {
                at += if n % 5 == 0 { 50_000 + n * n % 999_983 } else { 10 };
                at
            })
            .collect();
        let unsteady = timeline(&times);
        assert!(unsteady.lines.len() <= Timeline::MOST_LINES);
        assert!(unsteady.error_micros() > Timeline::ERROR_MICROS);
        assert_near(&unsteady, &times);
    }

    #[test]
    fn a_clock_that_jumps_ends_nothing() {
        let times: Vec<u64> = (0..5_000_u64).map(|n| if n % 2 == 0 { n } else { u64::MAX / 2 + n }).collect();
        let mut highest = 0;
        let taken: Vec<u64> = times
            .iter()
            .map(|at| {
                highest = highest.max(*at);
                highest
            })
            .collect();
        assert_near(&timeline(&times), &taken);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn each_time_is_within_the_error(gaps in prop::collection::vec(prop_oneof![0..300_u64, 0..300_000_u64], 1..1500),
            at in 0..400_000_000_u64) {
            let times: Vec<u64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let timeline = timeline(&times);
            assert_near(&timeline, &times);
            let from = |at: u64| times.partition_point(|time| *time < at) as u64;
            prop_assert!(timeline.first_maybe_from(at) <= from(at));
            prop_assert!(timeline.first_surely_from(at) >= from(at));
            let within = timeline.maybe_within(at, at + 100_000);
            prop_assert!(within.start <= from(at) && within.end >= from(at + 100_001));
        }
    }
}
