//! The applications' hubs, written against the library's public API alone.

pub(crate) mod chat;
pub(crate) mod navigation_state;

/// Their own names, which `SignalR:HubNames` maps to others.
pub(crate) const NAMES: [&str; 2] = [chat::NAME, navigation_state::NAME];
