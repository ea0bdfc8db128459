use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use clap::Args;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Phase, tell};
use crate::measure::Recorder;
use crate::probes::crowd::{Crowd, Listener, check_room};
use crate::probes::report::NavigationReport;
use crate::wire::connection::{INVOCATION, Transport};
use crate::wire::http::post_json;
use crate::wire::messages::Protocol;
use crate::wire::target::Target;

const CONNECTING: usize = 32;
/// How long the last state may take.
const SETTLE: Duration = Duration::from_secs(2);

/// Connections to a navigation state's hub on several instances, while an admin call has the state sent again and again.
#[derive(Debug, Clone, Args)]
pub struct NavigationOptions {
    /// The hub on another instance, besides --url; again for each
    #[arg(long = "other")]
    pub others: Vec<Target>,
    /// Connections to each instance
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub connections: u32,
    /// What is posted, to each instance in turn
    #[arg(long, default_value = "/api/admin/trigger-navigation-update")]
    pub trigger: String,
    /// How often
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub triggers: u32,
    /// Milliseconds between them
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub interval: u64,
}

/// Triggers the sending of the state, and measures how old each state is when it arrives, by its own timestamp and the clock of
/// this machine, which is the servers' too.
///
/// # Errors
/// A connection could not be opened, or a trigger was not answered with success.
pub async fn navigation(
    target: &Target,
    options: &NavigationOptions,
    progress: &mut dyn FnMut(Phase),
) -> anyhow::Result<NavigationReport> {
    let targets: Vec<&Target> = [target].into_iter().chain(&options.others).collect();
    let per_instance = options.connections as usize;
    check_room(per_instance * targets.len())?;
    let mut crowds = Vec::new();
    for target in &targets {
        let listener = Watcher::default;
        crowds.push(
            Crowd::gather(target, Transport::WebSockets, Protocol::Json, per_instance, CONNECTING, listener)
                .await?,
        );
    }
    tell(progress, Phase::Connected).await;
    let mut due = interval(Duration::from_millis(options.interval));
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for (_, target) in (0..options.triggers).zip(targets.iter().cycle()) {
        due.tick().await;
        post_json(target, &options.trigger, "{}").await?;
    }
    sleep(SETTLE).await;
    tell(progress, Phase::Finished).await;
    let mut members = Vec::new();
    for crowd in crowds {
        members.extend(crowd.leave().await);
    }
    let newest = members.iter().map(|member| member.listener.last).fold(State::default(), newer);
    let mut report = NavigationReport {
        instances: targets.len(),
        connections: members.len(),
        triggers: options.triggers,
        ..NavigationReport::default()
    };
    let mut ages = Recorder::new();
    for member in &members {
        let Watcher { last, received, went_back, ages: own } = &member.listener;
        report.received += received;
        report.went_back += went_back;
        report.without_the_last += usize::from(last.timestamp < newest.timestamp);
        report.lost += usize::from(member.lost.is_some());
        ages.add(own);
    }
    ensure!(report.received > 0, "no state was received");
    report.age = ages.percentiles();
    Ok(report)
}

/// The part of a state that is looked at.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct State {
    #[serde(default)]
    version: u64,
    timestamp: f64,
}

fn newer(one: State, other: State) -> State {
    if other.timestamp > one.timestamp { other } else { one }
}

#[derive(Debug, Default)]
struct Watcher {
    last: State,
    received: u64,
    went_back: u64,
    ages: Recorder,
}

#[derive(Deserialize)]
struct Invocation {
    target: String,
    arguments: (State,),
}

impl Listener for Watcher {
    fn message(&mut self, kind: u8, message: &[u8]) {
        if kind != INVOCATION {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let Ok(Invocation { target, arguments: (state,) }) = serde_json::from_slice(message) else { return };
        if target != "NavigationStateChanged" {
            return;
        }
        self.received += 1;
        self.went_back += u64::from(state.version < self.last.version);
        self.last = newer(self.last, state);
        let age = Duration::from_secs_f64((now - state.timestamp).max(0.0));
        self.ages.record(u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
    }
}
