//! The report's parts, which are also its JSON: a field that a later version adds is missing in older files, and none changes its
//! meaning without another [`FORMAT`].

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::measure::{OwnSample, OwnUse, Percentiles, Phases, Recorder, Second, Series};
use crate::oracle::Verdict;
use crate::report::{Checked, ErrorGroup};

/// The version of the JSON that this program writes, and the highest that it reads.
pub const FORMAT: u32 = 1;

/// All that a run found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program.
    pub hubline: String,
    /// The command line, without tokens and values of headers ([`command_line`]).
    pub command: String,
    /// When it began: RFC 3339, UTC ([`rfc_3339`]).
    pub started: String,
    /// How long all of it took, connecting and settling too.
    pub seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found of messages, of all steps.
    pub verdict: Verdict,
    /// What was asked for with `--fail-on`, and whether it held.
    pub thresholds: Vec<Checked>,
    /// The hubs that were loaded.
    pub targets: Vec<String>,
    /// What was done to them, by name: `transport`, `protocol`, `method`, `interval` and so on. Runs are comparable if these are the same.
    pub settings: BTreeMap<String, String>,
    /// Where the tester ran.
    pub machine: Machine,
    /// One for each number of connections.
    pub steps: Vec<Step>,
    /// The faults that were planted.
    pub faults: Vec<Fault>,
    /// What went wrong, by reason, the most frequent first.
    pub errors: Vec<ErrorGroup>,
    /// What the tester itself used.
    pub own: OwnUse,
    /// What a reader has to know before any figure is believed.
    pub warnings: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// No threshold is broken.
    #[default]
    Passed,
    /// A threshold is broken.
    Broken,
    /// It was stopped before its end; what was measured until then is in the report.
    Interrupted,
}

/// The machine of the tester.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Its processors' model; empty if unknown.
    pub processor: String,
    /// How many processors it has.
    pub cores: u32,
    /// The operating system and the instruction set.
    pub system: String,
}

/// What happened at one number of connections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// Connections that were wanted.
    pub connections: u64,
    /// Connections that were open when it began.
    pub connected: u64,
    /// How long it took to connect those that this step added.
    pub connect_seconds: f64,
    /// How long it was measured after that.
    pub seconds: f64,
    /// Messages sent, calls among them.
    pub sent: u64,
    /// Messages of the hub received: invocations, no pings and no completions.
    pub received: u64,
    /// Calls completed, those with an error among them.
    pub calls: u64,
    /// Calls completed with an error, or never.
    pub calls_failed: u64,
    /// Connections that ended and were not ended by a planted fault.
    pub disconnects: u64,
    /// Connections that came back.
    pub reconnects: u64,
    /// What connecting took.
    pub phases: Phases,
    /// From when a message was due to be sent until it was received by each receiver.
    pub delivery: Recorder,
    /// From when a call was due to be sent until its completion.
    pub call: Recorder,
    /// How late messages were sent by the tester, against when they were due. It is part of the other two.
    pub behind: Recorder,
    /// From the end of a connection until it was back.
    pub recovery: Recorder,
    /// Second by second.
    pub series: Series,
    /// What was found of its messages.
    pub verdict: Verdict,
}

/// One kind of planted fault.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// Which one: `drop 5%/s`, `storm`.
    pub name: String,
    /// Connections that it met, again for each time.
    pub count: u64,
    /// Messages lost because of it.
    pub lost: u64,
    /// From the fault until the connection was back.
    pub recovery: Recorder,
}

/// Whose latency a step's main figure is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LatencyOf {
    /// Messages, until each of their receivers has them.
    #[default]
    Delivery,
    /// Calls, until their completion.
    Call,
}

impl Step {
    /// The main latency: of deliveries if any was timed, otherwise of calls.
    #[must_use]
    pub fn latency(&self) -> (LatencyOf, &Recorder) {
        match self.delivery.is_empty() {
            true => (LatencyOf::Call, &self.call),
            false => (LatencyOf::Delivery, &self.delivery),
        }
    }

    /// So many a second of this step.
    #[must_use]
    pub fn rate(&self, count: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "rates are shown to three digits")]
        let count = count as f64;
        if self.seconds > 0.0 { count / self.seconds } else { 0.0 }
    }

    /// Adds what another process did in the same step. The verdicts are merged too.
    pub fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.connected += other.connected;
        self.connect_seconds = self.connect_seconds.max(other.connect_seconds);
        self.seconds = self.seconds.max(other.seconds);
        self.sent += other.sent;
        self.received += other.received;
        self.calls += other.calls;
        self.calls_failed += other.calls_failed;
        self.disconnects += other.disconnects;
        self.reconnects += other.reconnects;
        self.phases.merge(&other.phases);
        self.delivery.add(&other.delivery);
        self.call.add(&other.call);
        self.behind.add(&other.behind);
        self.recovery.add(&other.recovery);
        self.series.merge(&other.series);
        self.verdict.merge(&other.verdict);
    }
}

impl Report {
    /// Reads a report's JSON.
    ///
    /// # Errors
    /// What is wrong with the text, or that a newer version wrote it.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let report: Self = serde_json::from_str(text).map_err(|error| format!("no report: {error}"))?;
        match report.format {
            0 => Err("no report: it has no \"format\"".to_owned()),
            1..=FORMAT => Ok(report),
            newer => Err(format!(
                "the report has format {newer}, and this program reads up to {FORMAT}: use hubline {} or newer",
                report.hubline
            )),
        }
    }

    /// Its JSON, with line ends.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain data")
    }

    /// Errors of all reasons.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.iter().map(|group| group.count).sum()
    }

    /// Fails the run if a threshold is broken; one that was interrupted stays so.
    pub fn judge(&mut self, thresholds: &crate::report::Thresholds) {
        self.thresholds = thresholds.check(self);
        let is_broken = self.thresholds.iter().any(|checked| checked.broken);
        if self.outcome != Outcome::Interrupted {
            self.outcome = if is_broken { Outcome::Broken } else { Outcome::Passed };
        }
    }
}

impl Machine {
    /// Looks at this one.
    #[must_use]
    pub fn read() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        Self {
            processor: model.map(|(_, model)| model.to_owned()).unwrap_or_default(),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// A moment as reports have it: `2026-11-29T07:05:09Z`.
#[must_use]
pub fn rfc_3339(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

/// A command line for a report: without tokens, and without what headers and queries may say that nobody else should read.
#[must_use]
pub fn command_line(arguments: impl IntoIterator<Item = String>) -> String {
    let mut shown = Vec::new();
    let mut is_secret = false;
    for argument in arguments {
        if std::mem::take(&mut is_secret) {
            shown.push(hidden(&argument));
            continue;
        }
        match argument.split_once('=') {
            Some((option, value)) if SECRET.contains(&option) => {
                shown.push(format!("{option}={}", hidden(value)))
            }
            _ => {
                is_secret = SECRET.contains(&argument.as_str());
                shown.push(quoted(&without_query_token(&argument)));
            }
        }
    }
    shown.join(" ")
}

const SECRET: [&str; 5] = ["--token", "--header", "-H", "--token-template", "--jwt-key"];

/// Of a header its name stays.
fn hidden(value: &str) -> String {
    match value.split_once(':') {
        Some((name, _)) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
            format!("'{name}: ...'")
        }
        _ => "...".to_owned(),
    }
}

fn without_query_token(argument: &str) -> String {
    const TOKEN: &str = "access_token=";
    match argument.find(TOKEN) {
        Some(at) => {
            let value = at + TOKEN.len();
            let end = argument[value..].find('&').map_or(argument.len(), |length| value + length);
            format!("{}...{}", &argument[..value], &argument[end..])
        }
        None => argument.to_owned(),
    }
}

fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%@+".contains(c);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}

/// How far a run is, for those who watch it. Sent about twice a second through a `tokio::sync::watch` channel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// What it does at the moment.
    pub stage: Stage,
    /// The step that goes on, from 1.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Connections that are open.
    pub connected: u64,
    /// Connections that this step wants.
    pub wanted: u64,
    /// Time since the run began.
    pub elapsed: Duration,
    /// Time until its end, about; `None` while that cannot be told.
    pub left: Option<Duration>,
    /// Messages sent in the last second.
    pub sent_rate: f64,
    /// Messages received in the last second.
    pub received_rate: f64,
    /// Calls completed in the last second.
    pub call_rate: f64,
    /// Whose latency `latency` is.
    pub latency_of: LatencyOf,
    /// Latencies of this step so far.
    pub latency: Percentiles,
    /// The last seconds, 120 at most.
    pub recent: Vec<Second>,
    /// What was found of messages so far. What is on its way is not lost before the run has settled.
    pub verdict: Verdict,
    /// Errors so far, the most frequent first; a few are enough.
    pub errors: Vec<ErrorGroup>,
    /// Errors so far, of all reasons.
    pub error_count: u64,
    /// What the tester itself used in the last second.
    pub own: OwnSample,
    /// Its memory.
    pub memory_bytes: u64,
    /// Where the tester is the bottleneck ([`OwnUse::warnings`]).
    pub warnings: Vec<String>,
}

/// What a run does at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// Connections are made.
    #[default]
    Connecting,
    /// Messages are sent and measured.
    Running,
    /// Nothing is sent any more; what is on its way may arrive.
    Settling,
    /// Connections are closed.
    Closing,
    /// It is over, and its report follows.
    Done,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_rfc_3339() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_108_709);
        assert_eq!(rfc_3339(at), "2026-12-01T07:05:09Z");
    }

    #[test]
    fn no_secret_is_in_the_command_line_of_a_report() {
        let arguments = "hubline load --token abc.def --header=X-Key:s3cret -H Cookie:id=1 --url http://h/x?a=1&access_token=t0ps&b=2 --token-template=eyJ{user} --fail-on p99>5ms"
            .split(' ')
            .map(str::to_owned);
        let shown = command_line(arguments);
        let expected = "hubline load --token ... --header='X-Key: ...' -H 'Cookie: ...' --url 'http://h/x?a=1&access_token=...&b=2' --token-template=... --fail-on 'p99>5ms'";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_report_survives_the_way_and_a_newer_one_is_refused() {
        let mut step = Step { connections: 10, seconds: 2.0, received: 30, ..Step::default() };
        step.delivery.record(1234);
        let report =
            Report { format: FORMAT, hubline: "0.1.0".to_owned(), steps: vec![step], ..Report::default() };
        let text = report.to_json();
        assert_eq!(Report::from_json(&text).unwrap(), report);
        let newer = text.replacen("\"format\": 1", "\"format\": 2", 1);
        let error = Report::from_json(&newer).unwrap_err();
        assert!(error.contains("format 2") && error.contains("reads up to 1"), "{error}");
        assert!(Report::from_json("{}").unwrap_err().contains("no \"format\""));
        let unknown = text.replacen("\"format\": 1", "\"format\": 1, \"later\": true", 1);
        assert_eq!(Report::from_json(&unknown).unwrap(), report, "what a later version adds is left alone");
    }
}
