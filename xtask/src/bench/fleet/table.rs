use std::fmt::Write;

use super::instances::INSTANCES;
use super::{OUTAGE_RATE, Plan};
use crate::bench::candidate::{Candidate, HUBLINE};
use crate::bench::figures::Measure;
use crate::bench::table::{align, figure, ratio_limit, ratio_limit_at_least, rows, verdict};

/// What may be left of 100,000 groups in Redis: it keeps the empty buckets of two tables of channels, 8 bytes each.
const MEMORY_LEFT_LIMIT_MEGABYTES: f64 = 2.5;
/// A message comes every 5 ms and goes to one instance in three.
const GAP_LIMIT_MILLIS: f64 = 1000.0;

/// The parameters, the figures, and which limits hold.
pub(super) fn render(plan: &Plan, candidates: &[Candidate]) -> String {
    let mut text = parameters(plan);
    for row in align(rows(candidates)) {
        let _ = writeln!(text, "{row}");
    }
    text.push('\n');
    for line in limits(candidates) {
        let _ = writeln!(text, "{line}");
    }
    text
}

fn parameters(plan: &Plan) -> String {
    let Plan { rate, seconds, warm_up_seconds, rounds, groups, outage_seconds, protocol } = plan;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "\n{cores} cores, loopback, {INSTANCES} instances over one redis-server, payloads of 100 bytes, {protocol}, fresh processes each\n\
         broadcast  to all, on each instance one connection that sends and one that receives; latency counts between instances\n\
         latency    and CPU at {rate} a second for {seconds} s after {warm_up_seconds} s of warm-up; median (least-most) of {rounds} rounds\n\
         groups     {groups} joined by one connection and left again; Redis as INFO and PUBSUB CHANNELS have it\n\
         outage     Redis killed for {outage_seconds} s under {OUTAGE_RATE} broadcasts a second, 1,000 calls of a client at once\n\
         ratio      Hubline's part of what ASP.NET Core 10 takes, the column ASP.NET Core\n\n"
    )
}

fn limits(candidates: &[Candidate]) -> Vec<String> {
    let own = |measure| figure(candidates, HUBLINE, measure).map(|figure| figure.most);
    let at_most = |limit: &str, measure, most: f64| {
        verdict(limit, own(measure).map(|value| (value <= most, format!("{value:.2}"))))
    };
    vec![
        ratio_limit(
            candidates,
            "p99 between instances is at most half of ASP.NET Core's",
            Measure::FleetLatencyHigh,
            0.5,
        ),
        ratio_limit_at_least(
            candidates,
            "the rate with a p99 within 20 ms is at least 4 times ASP.NET Core's",
            Measure::FleetRate,
            4.0,
        ),
        ratio_limit(
            candidates,
            "CPU per broadcast is at most a quarter of ASP.NET Core's",
            Measure::FleetCpu,
            0.25,
        ),
        at_most("no channel is left of the groups", Measure::GroupsChannelsLeft, 0.0),
        at_most(
            "no memory of Redis is left of the groups, but for empty buckets (MB)",
            Measure::GroupsMemoryLeft,
            MEMORY_LEFT_LIMIT_MEGABYTES,
        ),
        at_most("local deliveries go on without Redis (ms)", Measure::OutageGapHere, GAP_LIMIT_MILLIS),
        at_most("no local delivery is lost", Measure::OutageMissingHere, 0.0),
        at_most("no delivery to other instances is lost", Measure::OutageMissingElsewhere, 0.0),
        at_most("none is doubled", Measure::OutageDoubled, 0.0),
        at_most("no connection is lost", Measure::OutageLost, 0.0),
    ]
}
