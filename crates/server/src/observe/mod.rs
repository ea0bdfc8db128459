//! What operators see: health, metrics, the log.

mod database;
pub(crate) mod health;
pub(crate) mod metrics;
mod output;

pub(crate) use output::Output;

pub(crate) use database::Database;
