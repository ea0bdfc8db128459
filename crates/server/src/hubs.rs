//! The applications' hubs, written against the library's public API alone.

pub(crate) mod chat;
pub(crate) mod navigation_state;
