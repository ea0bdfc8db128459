//! The oracle on histories whose faults are known.

mod history;
mod mutations;
mod properties;
mod rules;
mod states;
