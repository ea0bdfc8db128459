use std::collections::BTreeSet;
use std::fmt::Write;

use super::candidate::{Candidate, HUBLINE, Origin, PEER};
use super::figures::{Figure, Measure};
use super::{Plan, SATURATED_RATE, SATURATED_RECEIVERS};

const IDLE_LIMIT_KILOBYTES: f64 = 8.0;
/// Hubline's part of the peer's, at most.
const RATIO_LIMITS: [(&str, Measure, f64); 5] = [
    ("CPU per delivery is at most half of ASP.NET Core's", Measure::DeliveryCpu, 0.5),
    ("CPU per delivery, saturated, is at most half of ASP.NET Core's", Measure::SaturatedCpu, 0.5),
    ("p99, saturated, is no higher than ASP.NET Core's", Measure::SaturatedLatencyHigh, 1.0),
    ("CPU per echo, 1 in flight, is at most a third of ASP.NET Core's", Measure::EchoCpuAlone, 1.0 / 3.0),
    ("CPU per echo, 16 in flight, is at most a third of ASP.NET Core's", Measure::EchoCpuCrowded, 1.0 / 3.0),
];

/// The parameters, the figures, and which limits hold.
pub(super) fn render(plan: &Plan, candidates: &[Candidate]) -> String {
    let mut text = parameters(plan);
    for row in align(rows(candidates)) {
        let _ = writeln!(text, "{row}");
    }
    text.push('\n');
    let _ = writeln!(text, "{}", idle_limit(candidates));
    for (limit, measure, most) in RATIO_LIMITS {
        let _ = writeln!(text, "{}", ratio_limit(candidates, limit, measure, most));
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
         ratio      Hubline's part of what ASP.NET Core 10 takes, the column ASP.NET Core\n\n"
    )
}

pub(super) fn rows(candidates: &[Candidate]) -> Vec<Vec<String>> {
    let measures: BTreeSet<Measure> =
        candidates.iter().flat_map(|candidate| candidate.figures.measures()).collect();
    let mut head = vec!["measure".to_owned()];
    head.extend(candidates.iter().map(|candidate| candidate.name.clone()));
    head.push("ratio".to_owned());
    let mut rows = vec![head];
    for measure in measures {
        let mut row = vec![measure.label().to_owned()];
        row.extend(candidates.iter().map(|candidate| cell(candidate, measure)));
        row.push(ratio(candidates, measure).map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
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

/// Hubline's part of the peer's.
fn ratio(candidates: &[Candidate], measure: Measure) -> Option<f64> {
    let part = figure(candidates, HUBLINE, measure)?.median;
    Some(part / figure(candidates, PEER, measure)?.median)
}

fn idle_limit(candidates: &[Candidate]) -> String {
    let figure = |measure| figure(candidates, HUBLINE, measure).map(|figure| figure.most);
    let (first, held) = (figure(Measure::IdleMemoryAtFirst), figure(Measure::IdleMemoryHeld));
    let when = if held.is_some() { "at most" } else { "just connected, not held" };
    let most = first.into_iter().chain(held).reduce(f64::max);
    verdict(
        "memory per idle connection is at most 8 KB",
        most.map(|most| (most <= IDLE_LIMIT_KILOBYTES, format!("{most:.2} KB {when}"))),
    )
}

pub(super) fn ratio_limit(candidates: &[Candidate], limit: &str, measure: Measure, most: f64) -> String {
    verdict(limit, ratio(candidates, measure).map(|ratio| (ratio <= most, format!("{ratio:.2} of it"))))
}

pub(super) fn ratio_limit_at_least(
    candidates: &[Candidate],
    limit: &str,
    measure: Measure,
    least: f64,
) -> String {
    verdict(limit, ratio(candidates, measure).map(|ratio| (ratio >= least, format!("{ratio:.2} times"))))
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
        let mut candidates = candidate::absent(&[HUBLINE, PEER]);
        assert!(idle_limit(&candidates).starts_with("limit not measured"));
        candidates[0].figures.add(Measure::IdleMemoryAtFirst, 8.0);
        assert!(idle_limit(&candidates).starts_with("limit holds"));
        candidates[0].figures.add(Measure::IdleMemoryHeld, 8.1);
        assert!(idle_limit(&candidates).starts_with("limit does NOT hold"));

        for (limit, measure, most) in RATIO_LIMITS {
            let text = |candidates: &[Candidate]| ratio_limit(candidates, limit, measure, most);
            candidates[1].figures.add(measure, 30.0);
            assert!(text(&candidates).starts_with("limit not measured"), "{limit}");
            candidates[0].figures.add(measure, 30.0 * most);
            assert!(text(&candidates).starts_with("limit holds"), "{limit}");
            candidates[0].figures.add(measure, 31.0 * most);
            assert!(text(&candidates).starts_with("limit does NOT hold"), "{limit}");
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
