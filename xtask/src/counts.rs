//! How many tests passed, read from what test programs print.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed, failed, or were not judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    /// From a summary of cargo test or of the conformance runner; other lines count nothing.
    pub(crate) fn summary(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
        let before = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at.checked_sub(1)?)?.parse().ok()
        };
        if !line.starts_with("test result: ") && !line.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            passed: before("passed")?,
            failed: before("failed")?,
            skipped: before("skipped").or_else(|| before("ignored"))?,
        })
    }

    /// From one of the lines that end a run of Node's test runner, such as `ℹ pass 12`.
    pub(crate) fn node(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix('ℹ')?.split_whitespace();
        let (name, number) = (words.next()?, words.next()?.parse().ok()?);
        let none = Self::default();
        match name {
            "pass" => Some(Self { passed: number, ..none }),
            "fail" | "cancelled" => Some(Self { failed: number, ..none }),
            "skipped" | "todo" => Some(Self { skipped: number, ..none }),
            _ => None,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(out, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_summaries_of_the_test_programs() {
        let counts = |passed, failed, skipped| Some(Counts { passed, failed, skipped });
        let cargo = "test result: FAILED. 4 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out";
        assert_eq!(Counts::summary(cargo), counts(4, 1, 2));
        assert_eq!(Counts::summary("933 passed, 0 failed, 12 skipped"), counts(933, 0, 12));
        assert_eq!(Counts::summary("FAIL limits/one: 1 passed, 1 failed, 1 skipped"), None);
        assert_eq!(Counts::node("ℹ pass 109"), counts(109, 0, 0));
        assert_eq!(Counts::node("ℹ cancelled 2"), counts(0, 2, 0));
        assert_eq!(Counts::node("ℹ duration_ms 10869.9"), None);
    }
}
