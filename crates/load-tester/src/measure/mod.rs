//! What is measured while a run goes on.

pub(crate) mod latency;
