//! The oracle on histories whose faults are known.

mod rules;
