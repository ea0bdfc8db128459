//! Where things are served, except for the metrics, whose path is configured.

pub(crate) const HOME: &str = "/";
pub(crate) const HOME_SCRIPT: &str = "/home.js";
pub(crate) const HOME_STYLE: &str = "/home.css";
pub(crate) const CLIENT: &str = "/signalr.min.js";
pub(crate) const CHAT: &str = "/chathub";
pub(crate) const NAVIGATION: &str = "/hubs/navigation-state";
pub(crate) const TRIGGER: &str = "/api/test/trigger-navigation-update";
pub(crate) const HEALTH: &str = "/health";

/// Whether something is served at this path, or may be, in any letter case.
pub(crate) fn is_taken(path: &str) -> bool {
    let is_at_or_below = |taken: &str| {
        path.split_at_checked(taken.len()).is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(taken) && (rest.is_empty() || rest.starts_with('/'))
        })
    };
    let taken = [HOME_SCRIPT, HOME_STYLE, CLIENT, CHAT, NAVIGATION, TRIGGER, HEALTH];
    path == HOME || taken.into_iter().any(is_at_or_below)
}
