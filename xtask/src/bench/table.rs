use std::collections::BTreeSet;
use std::fmt::Write;

use super::candidate::{Candidate, FLOOR, HUBLINE, Origin, PEER};
use super::figures::{Figure, Measure};
use super::{Plan, SATURATED_RATE, SATURATED_RECEIVERS};

/// Hubline's part of another's, at most.
const RATIO_LIMITS: [(&str, Measure, &str, f64); 10] = [
    ("CPU per delivery, 100 connections", Measure::FastDeliveryCpu, FLOOR, 1.15),
    ("CPU per delivery, 1,000 connections", Measure::DeliveryCpu, FLOOR, 1.25),
    ("CPU per delivery, 10 connections", Measure::FewDeliveryCpu, FLOOR, 1.4),
    ("CPU per echo, 1 in flight", Measure::EchoCpuAlone, FLOOR, 1.35),
    ("CPU per echo, 16 in flight", Measure::EchoCpuCrowded, FLOOR, 1.35),
    ("CPU per delivery, saturated", Measure::SaturatedCpu, PEER, 0.35),
    ("p99, saturated", Measure::SaturatedLatencyHigh, PEER, 1.0),
    ("CPU per connection made", Measure::ConnectCpu, PEER, 0.17),
    ("CPU per echo, 1 in flight", Measure::EchoCpuAlone, PEER, 1.0 / 3.0),
    ("CPU per echo, 16 in flight", Measure::EchoCpuCrowded, PEER, 1.0 / 3.0),
];
/// Kilobytes of an idle connection, at most.
const MEMORY_LIMITS: [(&str, [Measure; 2], f64); 3] = [
    ("memory per idle connection", [Measure::IdleMemoryAtFirst, Measure::IdleMemoryHeld], 4.6),
    (
        "server-sent events: the same",
        [Measure::EventStreamMemoryAtFirst, Measure::EventStreamMemoryHeld],
        10.0,
    ),
    ("long polling: the same", [Measure::LongPollingMemoryAtFirst, Measure::LongPollingMemoryHeld], 12.0),
];

/// The parameters, the figures, and which limits hold.
pub(super) fn render(plan: &Plan, candidates: &[Candidate]) -> String {
    let mut text = parameters(plan);
    for row in align(rows(candidates)) {
        let _ = writeln!(text, "{row}");
    }
    text.push('\n');
    for (what, measures, most) in MEMORY_LIMITS {
        let _ = writeln!(text, "{}", memory_limit(candidates, what, measures, most));
    }
    for (what, measure, base, most) in RATIO_LIMITS {
        let limit = format!("{what} is at most {most:.2} of that of {base}");
        let _ = writeln!(text, "{}", ratio_limit_to(candidates, &limit, (measure, base), most));
    }
    text
}

fn parameters(plan: &Plan) -> String {
    let Plan { connections, http_connections, hold_seconds, receivers, rate, seconds, .. } = plan;
    let Plan { warm_up_seconds, rounds, protocol, .. } = plan;
    let half_seconds = plan.half_seconds();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let recipients = receivers + 1;
    let saturated_recipients = SATURATED_RECEIVERS + 1;
    format!(
        "\n{cores} cores, loopback, payloads of 100 bytes, WebSockets unless it says otherwise, a fresh process each\n\
         idle       {connections} connections; {http_connections} over TLS, server-sent events and long polling each; held {hold_seconds} s, JSON\n\
         broadcast  to {recipients} connections (one is the sender), {rate} a second for {seconds} s\n\
         saturated  the same to {saturated_recipients} connections, {SATURATED_RATE} a second for {half_seconds} s\n\
         echo       on one connection, {half_seconds} times 1 s a round, a new client each\n\
         median (least-most) of {rounds} rounds of broadcasts and echoes, {protocol}, each after {warm_up_seconds} s of warm-up; 1 KB is 1024 bytes\n\
         ratio      Hubline's part of what ASP.NET Core 10 takes, the column ASP.NET Core\n\
         to floor   Hubline's part of what a program of one thread takes that makes the system calls of broadcasts and echoes alone\n\n"
    )
}

pub(super) fn rows(candidates: &[Candidate]) -> Vec<Vec<String>> {
    let measures: BTreeSet<Measure> =
        candidates.iter().flat_map(|candidate| candidate.figures.measures()).collect();
    let mut head = vec!["measure".to_owned()];
    head.extend(candidates.iter().map(|candidate| candidate.name.clone()));
    head.push("ratio".to_owned());
    let has_floor = candidates.iter().any(|candidate| candidate.name == FLOOR);
    if has_floor {
        head.push("to floor".to_owned());
    }
    let mut rows = vec![head];
    for measure in measures {
        let mut row = vec![measure.label().to_owned()];
        row.extend(candidates.iter().map(|candidate| cell(candidate, measure)));
        let bases = if has_floor { &[PEER, FLOOR][..] } else { &[PEER] };
        let part = |base: &&str| {
            ratio(candidates, measure, base).map_or("-".to_owned(), |part| format!("{part:.2}"))
        };
        row.extend(bases.iter().map(part));
        rows.push(row);
    }
    rows
}

fn cell(candidate: &Candidate, measure: Measure) -> String {
    match (candidate.figures.get(measure), &candidate.origin) {
        (Some(figure), _) => figure.to_string(),
        (None, Origin::Absent(why)) => (*why).to_owned(),
        (None, Origin::Command(_)) if candidate.failed => "failed".to_owned(),
        (None, Origin::Command(_)) => "-".to_owned(),
    }
}

pub(super) fn align(rows: Vec<Vec<String>>) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let pad = |(column, cell): (usize, &String)| match column {
        0 => format!("{cell:<width$}", width = widths[0]),
        _ => format!("{cell:>width$}", width = widths[column]),
    };
    rows.iter().map(|row| row.iter().enumerate().map(pad).collect::<Vec<_>>().join("  ")).collect()
}

pub(super) fn figure(candidates: &[Candidate], name: &str, measure: Measure) -> Option<Figure> {
    candidates.iter().find(|candidate| candidate.name == name)?.figures.get(measure)
}

/// Hubline's part of another's.
fn ratio(candidates: &[Candidate], measure: Measure, base: &str) -> Option<f64> {
    let part = figure(candidates, HUBLINE, measure)?.median;
    Some(part / figure(candidates, base, measure)?.median)
}

fn memory_limit(candidates: &[Candidate], what: &str, measures: [Measure; 2], limit: f64) -> String {
    let [first, held] =
        measures.map(|measure| figure(candidates, HUBLINE, measure).map(|figure| figure.most));
    let when = if held.is_some() { "at most" } else { "just connected, not held" };
    let most = first.into_iter().chain(held).reduce(f64::max);
    verdict(
        &format!("{what} is at most {limit} KB"),
        most.map(|most| (most <= limit, format!("{most:.2} KB {when}"))),
    )
}

pub(super) fn ratio_limit(candidates: &[Candidate], limit: &str, measure: Measure, most: f64) -> String {
    ratio_limit_to(candidates, limit, (measure, PEER), most)
}

fn ratio_limit_to(
    candidates: &[Candidate],
    limit: &str,
    (measure, base): (Measure, &str),
    most: f64,
) -> String {
    verdict(limit, ratio(candidates, measure, base).map(|ratio| (ratio <= most, format!("{ratio:.2} of it"))))
}

pub(super) fn ratio_limit_at_least(
    candidates: &[Candidate],
    limit: &str,
    measure: Measure,
    least: f64,
) -> String {
    verdict(
        limit,
        ratio(candidates, measure, PEER).map(|ratio| (ratio >= least, format!("{ratio:.2} times"))),
    )
}

pub(super) fn verdict(limit: &str, outcome: Option<(bool, String)>) -> String {
    match outcome {
        Some((true, value)) => format!("limit holds:         {limit} ({value})"),
        Some((false, value)) => format!("limit does NOT hold: {limit} ({value})"),
        None => format!("limit not measured:  {limit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::candidate::{self, PEER_11};

    #[test]
    fn limits_say_whether_they_hold() {
        for (what, [first, held], most) in MEMORY_LIMITS {
            let mut candidates = candidate::absent(&[HUBLINE]);
            let text = |candidates: &[Candidate]| memory_limit(candidates, what, [first, held], most);
            assert!(text(&candidates).starts_with("limit not measured"), "{what}");
            candidates[0].figures.add(first, most);
            assert!(text(&candidates).starts_with("limit holds"), "{what}");
            candidates[0].figures.add(held, most + 0.1);
            assert!(text(&candidates).starts_with("limit does NOT hold"), "{what}");
        }
        for (what, measure, base, most) in RATIO_LIMITS {
            let mut candidates = candidate::absent(&[HUBLINE, base]);
            let text = |candidates: &[Candidate]| ratio_limit_to(candidates, what, (measure, base), most);
            candidates[1].figures.add(measure, 30.0);
            assert!(text(&candidates).starts_with("limit not measured"), "{what}");
            candidates[0].figures.add(measure, 29.9 * most);
            assert!(text(&candidates).starts_with("limit holds"), "{what}");
            candidates[0].figures.add(measure, 31.0 * most);
            assert!(text(&candidates).starts_with("limit does NOT hold"), "{what}");
        }
    }

    #[test]
    fn an_absent_server_has_a_column_that_says_so() {
        let mut candidates = candidate::absent(&[HUBLINE, PEER]);
        candidates[1].figures.add(Measure::ConnectCpu, 600.0);
        let rows = align(rows(&candidates));
        assert_eq!(rows[1], "CPU per connection made (µs)  not built         600.0      -");
    }

    #[test]
    fn a_floor_has_a_ratio_of_its_own() {
        let mut candidates = candidate::absent(&[HUBLINE, PEER, FLOOR]);
        for (candidate, value) in candidates.iter_mut().zip([15.0, 60.0, 12.0]) {
            candidate.figures.add(Measure::DeliveryCpu, value);
        }
        let rows = rows(&candidates);
        assert_eq!(rows[0][3..], ["floor", "ratio", "to floor"]);
        assert_eq!(rows[1][1..], ["15.00", "60.00", "12.00", "0.25", "1.25"]);
    }

    #[test]
    fn the_ratio_is_against_release_10_whatever_11_needs() {
        let mut candidates = candidate::absent(&[HUBLINE, PEER, PEER_11]);
        for (candidate, value) in candidates.iter_mut().zip([150.0, 600.0, 900.0]) {
            candidate.figures.add(Measure::ConnectCpu, value);
        }
        let rows = rows(&candidates);
        assert_eq!(rows[0], ["measure", "Hubline", "ASP.NET Core", "ASP.NET Core 11", "ratio"]);
        assert_eq!(rows[1][1..], ["150.0", "600.0", "900.0", "0.25"]);
    }
}
