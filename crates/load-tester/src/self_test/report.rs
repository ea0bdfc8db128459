use std::fmt::{self, Display};

use serde::Serialize;

use crate::self_test::faults::{Place, Wrong};
use crate::self_test::found::Compared;

/// How many places are named where planted and found differ.
const NAMED: usize = 5;

/// What was planted and what was found.
#[derive(Debug, Clone, Serialize)]
pub struct SelfTestReport {
    /// Where the faults were.
    pub seed: u64,
    /// Each way, without faults and with them.
    pub parts: Vec<Part>,
}

/// Messages one way.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Over sockets or not.
    pub way: &'static str,
    /// Faults at one of so many messages; 0 for none.
    pub one_in: u64,
    /// Messages that arrived.
    pub messages: u64,
    /// By kind.
    pub kinds: Vec<Kind>,
    /// Late messages that nobody planted, while this program stood still: the machine's doing.
    pub late_by_stalls: u64,
    /// Whether each planted fault was found at its place, and nothing else was.
    pub is_equal: bool,
    /// What taking a message cost the oracle, in nanoseconds.
    pub nanos_each: Option<f64>,
    /// The oracle's own line.
    pub verdict: String,
}

/// One kind of finding.
#[derive(Debug, Clone, Serialize)]
pub struct Kind {
    /// As the verdict has it.
    pub name: &'static str,
    /// What the server did.
    pub planted: u64,
    /// What the oracle found.
    pub found: u64,
    /// The first places, as receiver, origin and number, that only one of both has.
    pub differ: Vec<Place>,
}

impl SelfTestReport {
    /// Whether the oracle found everything that was planted, and nothing else.
    pub fn is_good(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(|part| part.is_equal)
    }
}

impl Part {
    pub(super) fn new(way: &'static str, one_in: u64, compared: &Compared, nanos_each: Option<f64>) -> Self {
        let each = compared.planted.kinds().into_iter().zip(compared.found.kinds()).zip(Wrong::NAMES);
        let kinds = each.map(|((planted, found), name)| Kind::new(name, planted, found)).collect();
        Self {
            way,
            one_in,
            messages: compared.arrived,
            kinds,
            late_by_stalls: compared.late_by_stalls,
            is_equal: compared.is_equal(),
            nanos_each,
            verdict: compared.verdict.to_string(),
        }
    }
}

impl Kind {
    fn new(name: &'static str, planted: &[Place], found: &[Place]) -> Self {
        let only = |of: &[Place], other: &[Place]| {
            let missing = of.iter().filter(|place| other.binary_search(place).is_err());
            missing.take(NAMED).copied().collect::<Vec<_>>()
        };
        let differ = [only(planted, found), only(found, planted)].concat();
        Self { name, planted: planted.len() as u64, found: found.len() as u64, differ }
    }
}

impl Display for SelfTestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            writeln!(f, "{part}")?;
        }
        let seed = self.seed;
        match self.is_good() {
            true => {
                write!(f, "The oracle found every fault that was planted, and nothing else (seed {seed}).")
            }
            false => write!(
                f,
                "THE ORACLE IS WRONG: it did not find what was planted (seed {seed}). Please report it."
            ),
        }
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, one_in, messages, kinds, late_by_stalls, nanos_each, .. } = self;
        match one_in {
            0 => write!(f, "{way}, without faults: {} messages", grouped(*messages))?,
            one_in => {
                write!(f, "{way}, faults at 1 in {}: {} messages", grouped(*one_in), grouped(*messages))?
            }
        }
        if let Some(nanos) = nanos_each {
            write!(f, ", {nanos:.1} ns each")?;
        }
        let found: u64 = kinds.iter().map(|kind| kind.found).sum();
        if *one_in == 0 {
            write!(f, ", {found} false alarms")?;
        }
        if *one_in > 0 || found > 0 {
            write!(f, "\n    {:<14}{:>10}{:>10}", "", "planted", "found")?;
            for Kind { name, planted, found, differ } in kinds {
                write!(f, "\n    {name:<14}{:>10}{:>10}", grouped(*planted), grouped(*found))?;
                for (receiver, origin, number) in differ {
                    write!(
                        f,
                        "\n        differs: number {number} of origin {origin} at receiver {receiver}"
                    )?;
                }
            }
        }
        if *late_by_stalls > 0 {
            write!(
                f,
                "\n    {late_by_stalls} more were late because this program stood still: the machine is too busy"
            )?;
        }
        Ok(())
    }
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
