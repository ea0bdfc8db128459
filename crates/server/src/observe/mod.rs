//! What operators see: health, metrics, the log.

pub(crate) mod health;
pub(crate) mod metrics;
mod output;

pub(crate) use output::Output;
