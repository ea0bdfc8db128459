//! Reports of no run, for tests of how reports are shown.

use crate::measure::{Limits, OwnSample, OwnUse, Recorder, Second, Series};
use crate::oracle::{Cause, Example, Finding};
use crate::report::model::{FORMAT, Fault, Machine, Report, Step};
use crate::report::{ErrorGroup, Thresholds};

/// A ramp of three steps on which everything went well.
pub(crate) fn good() -> Report {
    let steps: Vec<Step> =
        [(10, 0.4), (1_000, 1.0), (10_000, 2.5)].into_iter().map(|(n, slow)| step(n, slow)).collect();
    let mut report = Report {
        format: FORMAT,
        hubline: "0.1.0".to_owned(),
        command: "hubline load --url http://localhost:5000/hubs/navigation-state --ramp 10,1000,10000 --duration 60 --interval 100".to_owned(),
        started: "2026-11-29T07:05:09Z".to_owned(),
        seconds: 212.0,
        targets: vec!["http://localhost:5000/hubs/navigation-state".to_owned()],
        settings: [
            ("transport", "WebSockets"),
            ("protocol", "json"),
            ("negotiate", "yes"),
            ("method", "RequestCurrentState"),
            ("interval", "100 ms"),
            ("duration", "1 min"),
            ("ramp", "10, 1,000, 10,000"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect(),
        machine: Machine {
            processor: "AMD EPYC 7763 64-Core Processor".to_owned(),
            cores: 2,
            system: "linux x86_64".to_owned(),
        },
        own: own(&[0.41, 0.63, 0.58]),
        steps,
        ..Report::default()
    };
    report.verdict.sent = 666_000;
    report.verdict.expected = 666_000;
    report.verdict.received = 666_000;
    report.verdict.late = 3;
    report.verdict.basis.stamps = true;
    report.verdict.proves = "Messages carried their sender, number and time: each one that was lost, doubled, out of order, late or at somebody it was not for is counted.".to_owned();
    report.judge(&"p99>50ms,lost>0,connected<100%".parse().expect("they are right"));
    report
}

/// One on which much went wrong.
pub(crate) fn bad() -> Report {
    let mut report = good();
    report.own = own(&[0.41, 0.97, 0.99]);
    report.warnings = report.own.warnings();
    let verdict = &mut report.verdict;
    (verdict.lost, verdict.doubled, verdict.out_of_order) = (42, 1, 2);
    verdict.lost_in_faults.add(Cause::Drop, 30);
    verdict.examples = vec![Example {
        finding: Finding::Lost,
        at_micros: 1_795_935_909_250_000,
        receiver: 17,
        origin: 3,
        first: 120,
        last: 131,
        cause: None,
    }];
    let last = report.steps.last_mut().expect("there are three");
    (last.connected, last.disconnects, last.reconnects, last.calls_failed) = (9_876, 12, 80, 7);
    last.verdict.lost = 42;
    last.recovery = recorder(92, 20_000, 1.0);
    report.faults =
        vec![Fault { name: "drop 5%/s".to_owned(), count: 80, lost: 30, recovery: last.recovery.clone() }];
    report.errors = vec![
        ErrorGroup {
            cause: "negotiate: answered 429: Too many connections from this address".to_owned(),
            count: 1_124,
            first_example: "connection 9,877 to http://localhost:5000/hubs/navigation-state: negotiate: answered 429: Too many connections from this address".to_owned(),
            cure: Some("the server's Limits:ConnectionsPerAddress is reached (0 lifts it)".to_owned()),
        },
        ErrorGroup {
            cause: "<b>Failed</b> to invoke & 'RequestCurrentState'".to_owned(),
            count: 7,
            first_example: "<b>Failed</b> to invoke & 'RequestCurrentState'".to_owned(),
            cure: None,
        },
    ];
    report.judge(&Thresholds::default());
    report
}

fn step(connections: u64, slow: f64) -> Step {
    let connections_f = f64::from(u32::try_from(connections).expect("it is small"));
    let mut step = Step {
        connections,
        connected: connections,
        connect_seconds: connections_f / 2_500.0,
        seconds: 60.0,
        sent: connections * 600,
        received: connections * 600,
        calls: connections * 600,
        delivery: recorder(6_000, 2_000, slow),
        call: recorder(6_000, 1_500, slow),
        behind: recorder(6_000, 60, 1.0),
        ..Step::default()
    };
    for (phase, micros) in [(0, 90), (1, 900), (2, 400), (3, 200), (4, 700), (5, 2_200)] {
        let phases = &mut step.phases;
        let recorders = [
            &mut phases.tcp,
            &mut phases.negotiate,
            &mut phases.upgrade,
            &mut phases.handshake,
            &mut phases.first_call,
            &mut phases.total,
        ];
        recorders.into_iter().nth(phase).expect("there are six").add(&recorder(
            connections.min(1_000),
            micros,
            slow,
        ));
    }
    step.series = Series((1..=60).map(|second| in_second(second, connections, slow)).collect());
    step
}

fn in_second(second: u32, connections: u64, slow: f64) -> Second {
    let wave = 1.0 + f64::from(second % 13) / 20.0 + if second == 41 { 4.0 } else { 0.0 };
    Second {
        second,
        sent: connections * 10,
        received: connections * 10 - u64::from(second % 7),
        calls: connections * 10,
        errors: 0,
        connections,
        p50_micros: micros(2_000.0 * slow * wave),
        p99_micros: micros(9_000.0 * slow * wave),
        histogram: None,
    }
}

/// So many times around `micros`, with a tail.
fn recorder(count: u64, micros_: u64, slow: f64) -> Recorder {
    let mut recorder = Recorder::new();
    let middle = f64::from(u32::try_from(micros_).expect("it is small")) * slow;
    for number in 0..count {
        let place = (f64::from(u32::try_from(number).expect("it is small")) + 0.5)
            / f64::from(u32::try_from(count).expect("it is small"));
        recorder.record(micros(middle * (0.5 + place) * (1.0 - place).powf(-0.35)));
    }
    recorder
}

fn own(busy: &[f64]) -> OwnUse {
    let samples: Vec<OwnSample> = (0..212)
        .map(|second| OwnSample {
            busy: busy[second * busy.len() / 212],
            machine_busy: (busy[second * busy.len() / 212] + 0.3).min(1.0),
            lag_micros: 900,
        })
        .collect();
    let busiest = busy.iter().copied().fold(0.0, f64::max);
    OwnUse {
        processes: 1,
        threads: 2,
        cores: 2,
        seconds: 212.0,
        cpu_seconds: 210.0 * busy[0],
        busiest,
        busy_seconds: u32::try_from(samples.iter().filter(|sample| sample.busy >= 0.9).count())
            .expect("it is small"),
        machine_busiest: (busiest + 0.3).min(1.0),
        machine_busy_seconds: 0,
        lag: recorder(10_600, 400, 1.0),
        memory_bytes: 148_000_000,
        open_files: 10_023,
        limits: Limits { open_files: 20_000, open_files_hard: 20_000, local_ports: 28_232 },
        samples,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "times of samples are short")]
#[expect(clippy::cast_sign_loss, reason = "and never negative")]
fn micros(value: f64) -> u64 {
    value as u64
}
