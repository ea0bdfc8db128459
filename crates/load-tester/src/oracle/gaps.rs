use std::ops::Range;

use crate::oracle::MOST_REMEMBERED;

/// Numbers of an origin that have not come though later ones have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    origin: u32,
    start: u64,
    end: u64,
}

/// All gaps of one receiver: [`MOST_REMEMBERED`] exactly, of the others only how many numbers they were.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// By origin and start.
    list: Vec<Gap>,
    forgotten: Vec<Forgotten>,
}

/// What is known of gaps that were too many to remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) origin: u32,
    /// They are below that number.
    pub(super) below: u64,
    pub(super) numbers: u64,
}

/// What becomes of a number below one that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// It had not come.
    Gap,
    /// It had.
    Nothing,
    /// Nobody knows: it is where gaps were forgotten.
    Unclear,
}

impl Gaps {
    pub(super) fn add(&mut self, origin: u32, numbers: Range<u64>) {
        if numbers.is_empty() {
            return;
        }
        let mut index = self.index(origin, numbers.start);
        if self.list.len() == MOST_REMEMBERED {
            let own = self.index(origin, 0);
            // The oldest one of the same origin, for what comes late is rarely of long ago.
            let oldest = if self.list.get(own).is_some_and(|gap| gap.origin == origin) { own } else { 0 };
            let gap = self.list.remove(oldest);
            self.forget(gap);
            index -= usize::from(oldest < index);
        }
        self.list.insert(index, Gap { origin, start: numbers.start, end: numbers.end });
    }

    pub(super) fn fill(&mut self, origin: u32, number: u64) -> Filled {
        let index = self.index(origin, number + 1);
        let found = index.checked_sub(1).and_then(|index| Some((index, self.list.get_mut(index)?)));
        let Some((index, gap)) = found.filter(|(_, gap)| gap.origin == origin && number < gap.end) else {
            let is_unclear = |old: &Forgotten| old.origin == origin && number < old.below;
            return if self.forgotten.iter().any(is_unclear) { Filled::Unclear } else { Filled::Nothing };
        };
        let rest = number + 1..gap.end;
        gap.end = number;
        if gap.start == gap.end {
            self.list.remove(index);
        }
        self.add(origin, rest);
        Filled::Gap
    }

    /// The gaps of one origin, in order.
    pub(super) fn of(&self, origin: u32) -> impl Iterator<Item = Range<u64>> {
        let from = self.index(origin, 0);
        self.list[from..].iter().take_while(move |gap| gap.origin == origin).map(|gap| gap.start..gap.end)
    }

    pub(super) fn forgotten(&self, origin: u32) -> Option<&Forgotten> {
        self.forgotten.iter().find(|old| old.origin == origin)
    }

    /// How many numbers are missing for now.
    pub(super) fn numbers(&self) -> u64 {
        let forgotten = self.forgotten.iter().map(|old| old.numbers);
        self.list.iter().map(|gap| gap.end - gap.start).chain(forgotten).sum()
    }

    /// Where a gap that starts there is, or belongs.
    fn index(&self, origin: u32, start: u64) -> usize {
        self.list.partition_point(|gap| (gap.origin, gap.start) < (origin, start))
    }

    fn forget(&mut self, gap: Gap) {
        let numbers = gap.end - gap.start;
        match self.forgotten.iter_mut().find(|old| old.origin == gap.origin) {
            Some(old) => {
                old.below = old.below.max(gap.end);
                old.numbers += numbers;
            }
            None => self.forgotten.push(Forgotten { origin: gap.origin, below: gap.end, numbers }),
        }
    }
}
