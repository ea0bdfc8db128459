use std::collections::BTreeSet;
use std::fmt::Write;

use super::Plan;
use super::candidate::{Candidate, HUBLINE, Origin, PEER};
use super::figures::{Figure, Measure};

const IDLE_LIMIT_KILOBYTES: f64 = 8.0;
const DELIVERY_LIMIT_RATIO: f64 = 0.5;

/// The parameters, the figures, and which limits hold.
pub(super) fn render(plan: &Plan, candidates: &[Candidate]) -> String {
    let mut text = parameters(plan);
    for row in align(rows(candidates)) {
        let _ = writeln!(text, "{row}");
    }
    text.push('\n');
    for limit in [idle_limit(candidates), delivery_limit(candidates)] {
        let _ = writeln!(text, "{limit}");
    }
    text
}

fn parameters(plan: &Plan) -> String {
    let Plan { connections, hold_seconds, receivers, rate, seconds, rounds } = plan;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let recipients = receivers + 1;
    let echo_seconds = seconds.div_ceil(2);
    format!(
        "\n{cores} cores, loopback, JSON over WebSockets, payloads of 100 bytes, a fresh process each\n\
         idle       {connections} connections, held {hold_seconds} s\n\
         broadcast  to {recipients} connections (one is the sender), {rate} a second for {seconds} s\n\
         echo       on one connection, {echo_seconds} s\n\
         median (least-most) of {rounds} rounds of broadcast and echo; 1 KB is 1024 bytes\n\n"
    )
}

fn rows(candidates: &[Candidate]) -> Vec<Vec<String>> {
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
        (None, Origin::Command(_)) => "failed".to_owned(),
    }
}

fn align(rows: Vec<Vec<String>>) -> Vec<String> {
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

fn figure(candidates: &[Candidate], name: &str, measure: Measure) -> Option<Figure> {
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

fn delivery_limit(candidates: &[Candidate]) -> String {
    verdict(
        "CPU per delivery is at most half of ASP.NET Core's",
        ratio(candidates, Measure::DeliveryCpu)
            .map(|ratio| (ratio <= DELIVERY_LIMIT_RATIO, format!("{ratio:.2} of it"))),
    )
}

fn verdict(limit: &str, outcome: Option<(bool, String)>) -> String {
    match outcome {
        Some((true, value)) => format!("limit holds:         {limit} ({value})"),
        Some((false, value)) => format!("limit does NOT hold: {limit} ({value})"),
        None => format!("limit not measured:  {limit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::candidate;

    #[test]
    fn limits_say_whether_they_hold() {
        let mut candidates = candidate::absent(&[HUBLINE, PEER]);
        assert!(idle_limit(&candidates).starts_with("limit not measured"));
        candidates[0].figures.add(Measure::IdleMemoryAtFirst, 8.0);
        assert!(idle_limit(&candidates).starts_with("limit holds"));
        candidates[0].figures.add(Measure::IdleMemoryHeld, 8.1);
        assert!(idle_limit(&candidates).starts_with("limit does NOT hold"));

        candidates[0].figures.add(Measure::DeliveryCpu, 10.0);
        assert!(delivery_limit(&candidates).starts_with("limit not measured"));
        candidates[1].figures.add(Measure::DeliveryCpu, 20.0);
        assert!(delivery_limit(&candidates).starts_with("limit holds"));
    }

    #[test]
    fn an_absent_server_has_a_column_that_says_so() {
        let mut candidates = candidate::absent(&[HUBLINE, PEER]);
        candidates[1].figures.add(Measure::ConnectCpu, 600.0);
        let rows = align(rows(&candidates));
        assert_eq!(rows[1], "CPU per connection made (µs)  not built         600.0      -");
    }
}
