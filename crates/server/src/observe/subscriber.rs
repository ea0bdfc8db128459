//! Who listens to `tracing`.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use super::{Output, Telemetry};
use crate::config::LoggingConfig;

/// The target of the spans of calls.
const CALLS: &str = "hubline::call";
/// What PostgreSQL says beside its answers.
const NOTICES: &str = "sqlx::postgres::notice";

/// Writes the log, and exports spans, from now on.
pub(crate) fn subscribe(config: &LoggingConfig, output: &Output, telemetry: &Telemetry) {
    let lines = tracing_subscriber::fmt::layer().with_writer(output.clone()).log_internal_errors(false);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.is_json {
        true => {
            output.become_json();
            Box::new(lines.json().flatten_event(true).with_current_span(true).with_span_list(false))
        }
        false => Box::new(lines.with_ansi(std::io::stderr().is_terminal())),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter(config))).with(telemetry.layer()).init();
}

/// What is logged.
fn filter(config: &LoggingConfig) -> Targets {
    // The program's own methods log nothing that needs the span of its call, and a span costs as much as a delivery.
    let calls = config.level_of(CALLS);
    let calls = if calls >= LevelFilter::DEBUG { calls } else { LevelFilter::OFF };
    // At each start it says that the tables are there already.
    let notices =
        if config.level >= LevelFilter::DEBUG { config.level } else { config.level.min(LevelFilter::WARN) };
    let targets = config.targets.iter().map(|(target, level)| (target.clone(), *level));
    Targets::new()
        .with_default(config.level)
        .with_target(NOTICES, notices)
        .with_targets(targets)
        .with_target(CALLS, calls)
}
