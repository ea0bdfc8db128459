//! Where things are served, except for the metrics, whose path is configured.

use crate::pages;

pub(crate) const CHAT: &str = "/chathub";
pub(crate) const CALLS: &str = "/videocallhub";
pub(crate) const NAVIGATION: &str = "/hubs/navigation-state";
pub(crate) use crate::check::{HUB as CHECK, INSTANCE as CHECK_INSTANCE};
pub(crate) use crate::console::HUB as CONSOLE_HUB;
pub(crate) use crate::navigation::http::{STATE, TEST_TRIGGER as TRIGGER};
pub(crate) const HEALTH: &str = "/health";
/// What the HTTP API is below.
pub(crate) const API: &str = "/api";
/// The description of the API.
pub(crate) const OPENAPI: &str = "/openapi/v1.json";
pub(crate) const HEALTH_LIVE: &str = "/health/live";
pub(crate) const HEALTH_READY: &str = "/health/ready";
/// In Development alone.
pub(crate) const DEVELOPMENT_TOKEN: &str = "/dev/token";

const HUBS_AND_MORE: [&str; 13] = [
    CHAT,
    CALLS,
    NAVIGATION,
    STATE,
    TRIGGER,
    HEALTH,
    HEALTH_LIVE,
    HEALTH_READY,
    OPENAPI,
    DEVELOPMENT_TOKEN,
    CHECK,
    CHECK_INSTANCE,
    CONSOLE_HUB,
];

/// What is served in any letter case.
pub(crate) fn spelt_freely() -> impl Iterator<Item = &'static str> {
    pages::paths().filter(|path| *path != pages::HOME).chain(HUBS_AND_MORE)
}

/// The hub of users that a request with this path is for, in any letter case.
pub(crate) fn hub_at(path: &str) -> Option<&'static str> {
    [CHAT, CALLS, NAVIGATION].into_iter().find(|hub| {
        path.split_at_checked(hub.len()).is_some_and(|(start, rest)| {
            let rest = rest.trim_end_matches('/');
            let is_part = |part: &str| rest.eq_ignore_ascii_case(part);
            start.eq_ignore_ascii_case(hub) && ["", "/negotiate", "/refresh"].into_iter().any(is_part)
        })
    })
}

/// Whether something is served at this path, or may be, in any letter case.
pub(crate) fn is_taken(path: &str) -> bool {
    let is_at_or_below = |taken: &str| {
        path.split_at_checked(taken.len()).is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(taken) && (rest.is_empty() || rest.starts_with('/'))
        })
    };
    path == pages::HOME || spelt_freely().chain([API]).any(is_at_or_below)
}
