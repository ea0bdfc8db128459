use std::fmt::Write;

use super::{CROWD, FEW, FEW_RATE, Plan};
use crate::bench::candidate::{Candidate, HUBLINE};
use crate::bench::figures::Measure;
use crate::bench::table::{align, figure, rows, verdict};

const LIMITS: [(&str, Measure, f64); 7] = [
    ("navigation: an idle connection takes at most 6 KB", Measure::NavigationMemory, 6.0),
    ("the same with a user at most 7 KB", Measure::NavigationMemoryOfUser, 7.0),
    ("chat: an idle connection takes at most 6 KB", Measure::ChatMemory, 6.0),
    ("the same with a user at most 7 KB", Measure::ChatMemoryOfUser, 7.0),
    ("calls: an idle connection takes at most 6 KB", Measure::CallsMemory, 6.0),
    ("the same with a user at most 7 KB", Measure::CallsMemoryOfUser, 7.0),
    ("SQLite: a stored message takes at most 150 µs", Measure::StoredCpuCrowded, 150.0),
];

/// The parameters, the figures, and which limits hold.
pub(super) fn render(plan: &Plan, candidates: &[Candidate]) -> String {
    let mut text = parameters(plan);
    for mut row in align(without_ratio(rows(candidates))) {
        row.truncate(row.trim_end().len());
        let _ = writeln!(text, "{row}");
    }
    text.push('\n');
    for (limit, measure, most) in LIMITS {
        let value = figure(candidates, HUBLINE, measure).map(|figure| figure.median);
        let _ =
            writeln!(text, "{}", verdict(limit, value.map(|value| (value <= most, format!("{value:.2}")))));
    }
    text
}

fn parameters(plan: &Plan) -> String {
    let Plan { connections, rate, seconds, rounds } = plan;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "\n{cores} cores, loopback, WebSockets, JSON, a fresh process each\n\
         idle       {connections} connections, just connected; with a user: each has another one; 1 KB is 1024 bytes\n\
         message    from one user to another, for {seconds} s: {CROWD} users and {rate} a second, or {FEW} users and {FEW_RATE} a second, \
         which mostly have a transaction each;\n           \
         its CPU is all of the server's: the call, storing (SQLite with synchronous=FULL), the answer, the events for both users\n           \
         median (least-most) of {rounds} rounds\n\n"
    )
}

/// ASP.NET Core has no such program.
fn without_ratio(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for row in &mut rows {
        row.pop();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::candidate;

    #[test]
    fn limits_say_whether_they_hold() {
        let plan = Plan { connections: 5000, rate: 4000, seconds: 6, rounds: 3 };
        let mut candidates = candidate::absent(&[HUBLINE]);
        for (_, measure, most) in LIMITS {
            candidates[0].figures.add(measure, most);
        }
        let text = render(&plan, &candidates);
        assert_eq!(text.matches("limit holds:").count(), LIMITS.len(), "{text}");
        candidates[0].figures.add(Measure::StoredCpuCrowded, 300.0);
        let text = render(&plan, &candidates);
        assert!(
            text.contains("limit does NOT hold: SQLite: a stored message takes at most 150 µs (225.00)"),
            "{text}"
        );
        assert!(!text.contains("ratio"), "{text}");
    }
}
