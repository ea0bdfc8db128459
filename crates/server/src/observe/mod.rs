//! What operators see: health, metrics, the log.

pub(crate) mod database;
pub(crate) mod health;
pub(crate) mod metrics;
mod output;
mod readiness;
mod subscriber;
mod telemetry;

pub(crate) use output::Output;

pub(crate) use database::Database;
pub(crate) use readiness::Readiness;
pub(crate) use subscriber::subscribe;
pub(crate) use telemetry::Telemetry;
