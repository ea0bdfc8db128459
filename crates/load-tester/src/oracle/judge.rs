use std::ops::Range;

use crate::oracle::away::{Away, Cause};
use crate::oracle::origin::{Origin, Origins};
use crate::oracle::proof::Basis;
use crate::oracle::receiver::{Pair, Receiver, Trouble};
use crate::oracle::verdict::{Example, Finding, Verdict};
use crate::oracle::{EXAMPLES_OF_EACH, Rules};

/// Messages of one origin that a receiver never got, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Whose they were.
    pub origin: u32,
    /// Their numbers.
    pub numbers: Range<u64>,
    /// What explains it.
    pub blame: Blame,
}

/// What explains a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The receiver or the sender was away.
    Fault(Cause),
    /// No fault does: the server has lost it.
    Nothing,
    /// There was too much to remember.
    Unclear,
}

/// Judges receivers by what the origins of all processes have sent. `own` are those of this process, which alone count as sent here.
///
/// Call it [`Rules::settle_micros`] after the last send. To judge while the run goes on, or after an early end, give the time as `until_micros`: what
/// was sent in the [`Rules::late_micros`] before, or later, need not have come.
pub fn judge<'a>(
    rules: &Rules,
    receivers: impl IntoIterator<Item = &'a Receiver>,
    origins: &Origins,
    own: &Origins,
    until_micros: Option<u64>,
) -> Verdict {
    let mut verdict =
        Verdict { sent: own.sent(), basis: Basis { stamps: true, ..Basis::default() }, ..Verdict::default() };
    for receiver in receivers {
        receiver.judge(rules, origins, until_micros, &mut verdict);
        if verdict.examples.len() > 100 * EXAMPLES_OF_EACH {
            verdict.keep_first_examples();
        }
    }
    verdict.keep_first_examples();
    verdict.times_within_micros = origins.times_within_micros();
    verdict.expected = verdict.received + verdict.lost;
    verdict.proves = verdict.basis.words(&verdict);
    verdict
}

impl Receiver {
    /// Every message that it has lost, by the rules of [`judge`].
    pub fn losses(&self, rules: &Rules, origins: &Origins, until_micros: Option<u64>) -> Vec<Loss> {
        let mut losses = Vec::new();
        for pair in &self.pairs {
            if let Some(origin) = origins.get(pair.origin) {
                self.losses_of(rules, pair, origin, until_micros, &mut losses);
            }
        }
        losses
    }

    fn judge(&self, rules: &Rules, origins: &Origins, until_micros: Option<u64>, verdict: &mut Verdict) {
        verdict.received += self.received;
        verdict.late += self.late;
        if let Some(trouble) = &self.trouble {
            trouble.add_to(verdict);
        }
        let mut losses = Vec::new();
        for pair in &self.pairs {
            let Some(origin) = origins.get(pair.origin) else {
                self.judge_unknown(pair, verdict);
                continue;
            };
            let invented = self.invented(pair, origin.sent());
            verdict.received -= invented;
            verdict.foreign += invented;
            self.losses_of(rules, pair, origin, until_micros, &mut losses);
            for loss in losses.drain(..) {
                self.count_loss(&loss, origin, verdict);
            }
            if let Some(forgotten) =
                self.trouble.as_ref().and_then(|trouble| trouble.gaps.forgotten(pair.origin))
            {
                verdict.lost += forgotten.numbers;
                verdict.lost_unclear += forgotten.numbers;
            }
        }
    }

    /// Of an origin whose process has said nothing.
    fn judge_unknown(&self, pair: &Pair, verdict: &mut Verdict) {
        verdict.unknown_origins = verdict.unknown_origins.max(1);
        let lost: u64 = self.gaps(pair).map(|gap| gap.end - gap.start).sum();
        verdict.lost += lost;
        verdict.lost_unclear += lost;
    }

    fn count_loss(&self, loss: &Loss, origin: &Origin, verdict: &mut Verdict) {
        let count = loss.numbers.end - loss.numbers.start;
        verdict.lost += count;
        let cause = match loss.blame {
            Blame::Fault(cause) => {
                verdict.lost_in_faults.add(cause, count);
                Some(cause)
            }
            Blame::Nothing => None,
            Blame::Unclear => {
                verdict.lost_unclear += count;
                None
            }
        };
        verdict.examples.push(Example {
            finding: Finding::Lost,
            cause,
            at_micros: origin.timeline.time(loss.numbers.start),
            receiver: self.id(),
            origin: loss.origin,
            first: loss.numbers.start,
            last: loss.numbers.end - 1,
        });
    }

    fn losses_of(
        &self,
        rules: &Rules,
        pair: &Pair,
        origin: &Origin,
        until_micros: Option<u64>,
        losses: &mut Vec<Loss>,
    ) {
        let times = &origin.timeline;
        if pair.low == 0 && pair.next == times.sent() && self.trouble.is_none() {
            return;
        }
        let end = until_micros
            .map_or(times.sent(), |until| times.first_maybe_from(until.saturating_sub(rules.late_micros)));
        let certain = times.first_surely_from(pair.since_micros)..end;
        let missing = subtract(self.missing(pair, &certain), &self.exempt(rules, pair, origin), |_, ()| {});
        if missing.is_empty() {
            return;
        }
        let mut blame = |numbers: Range<u64>, blame: Blame| {
            losses.push(Loss { origin: origin.id, numbers, blame });
        };
        let aways = self.trouble.iter().flat_map(|trouble| trouble.aways.iter());
        let left = subtract(missing, &spans(rules, aways, origin), |numbers, cause| {
            blame(numbers, Blame::Fault(cause));
        });
        let left = subtract(left, &spans(rules, origin.aways(), origin), |numbers, cause| {
            blame(numbers, Blame::Fault(cause));
        });
        let aways = self.trouble.iter().map(|trouble| &trouble.aways).chain([&origin.aways]);
        let forgotten = aways.filter_map(|aways| aways.forgotten_until).max();
        let unclear = forgotten.map(|until| (times.maybe_within(0, until), ()));
        let left = subtract(left, unclear.as_slice(), |numbers, ()| blame(numbers, Blame::Unclear));
        for numbers in left {
            blame(numbers, Blame::Nothing);
        }
    }

    /// What has not come of the numbers that it had to get, in order.
    fn missing(&self, pair: &Pair, certain: &Range<u64>) -> Vec<Range<u64>> {
        let (before, after) = match pair.low == pair.next {
            true => (certain.clone(), 0..0),
            false => (certain.start..pair.low, pair.next..certain.end),
        };
        let all = [before].into_iter().chain(self.gaps(pair)).chain([after]);
        all.map(|range| range.start.max(certain.start)..range.end.min(certain.end))
            .filter(|range| !range.is_empty())
            .collect()
    }

    fn gaps(&self, pair: &Pair) -> impl Iterator<Item = Range<u64>> {
        let origin = pair.origin;
        self.trouble.iter().flat_map(move |trouble| trouble.gaps.of(origin))
    }

    /// What it need not get: sent while it had left, or not sent at all.
    fn exempt(&self, rules: &Rules, pair: &Pair, origin: &Origin) -> Vec<(Range<u64>, ())> {
        let times = &origin.timeline;
        let lefts = self.trouble.iter().flat_map(|trouble| &trouble.lefts);
        let mut exempt: Vec<Range<u64>> = lefts
            .filter(|left| left.origin == pair.origin)
            .map(|left| {
                let from = times.first_maybe_from(left.leaving_micros.saturating_sub(rules.late_micros));
                from..times.first_surely_from(left.again_micros)
            })
            .chain(origin.unsent_ranges().iter().cloned())
            .collect();
        exempt.sort_unstable_by_key(|range| range.start);
        exempt.into_iter().map(|range| (range, ())).collect()
    }

    /// Numbers that came though the origin has never sent them.
    fn invented(&self, pair: &Pair, sent: u64) -> u64 {
        let from = pair.low.max(sent);
        if pair.next <= from {
            return 0;
        }
        let missing = self.gaps(pair).map(|gap| gap.end.saturating_sub(gap.start.max(from)));
        pair.next - from - missing.sum::<u64>()
    }
}

impl Trouble {
    fn add_to(&self, verdict: &mut Verdict) {
        verdict.doubled += self.doubled;
        verdict.out_of_order += self.out_of_order;
        verdict.foreign += self.foreign;
        verdict.other_runs += self.other_runs;
        verdict.unclear += self.unclear;
        verdict.unjudged += self.unjudged;
        for (cause, count) in &self.late_in_faults.0 {
            verdict.late_in_faults.add(*cause, *count);
        }
        verdict.examples.extend_from_slice(&self.examples);
    }
}

/// The numbers that may have been lost because somebody was away: sent meanwhile, or on their way when it began.
fn spans<'a>(
    rules: &Rules,
    aways: impl Iterator<Item = &'a Away>,
    origin: &Origin,
) -> Vec<(Range<u64>, Cause)> {
    let numbers = |away: &Away| {
        origin.timeline.maybe_within(away.from_micros.saturating_sub(rules.late_micros), away.to_micros)
    };
    aways.map(|away| (numbers(away), away.cause)).collect()
}

/// Takes the cuts, in order, out of the ranges, in order; hands over what each takes.
fn subtract<C: Copy>(
    ranges: Vec<Range<u64>>,
    cuts: &[(Range<u64>, C)],
    mut on_taken: impl FnMut(Range<u64>, C),
) -> Vec<Range<u64>> {
    if cuts.is_empty() {
        return ranges;
    }
    let mut left = Vec::new();
    let mut first = 0;
    for mut range in ranges {
        // No later range begins before this one.
        while cuts.get(first).is_some_and(|(cut, _)| cut.end <= range.start) {
            first += 1;
        }
        for (cut, what) in cuts[first..].iter().take_while(|(cut, _)| cut.start < range.end) {
            let taken = cut.start.max(range.start)..cut.end.min(range.end);
            if taken.is_empty() {
                continue;
            }
            if range.start < taken.start {
                left.push(range.start..taken.start);
            }
            range.start = taken.end;
            on_taken(taken, *what);
        }
        if !range.is_empty() {
            left.push(range);
        }
    }
    left
}
