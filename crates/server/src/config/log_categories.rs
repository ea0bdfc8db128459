//! Categories of .NET's logging, and which targets of this program they mean.

use tracing::level_filters::LevelFilter;

use super::key::Key;
use super::layer::Setting;
use super::reader::{LOG_LEVEL_EXPECTED, Reader, log_level_name, parse_log_level};
use super::report::{Problem, Warning};

/// Categories, each with the beginnings of the targets that are the nearest here. `::` ends a crate that others begin like.
const CATEGORIES: [(&str, &[&str]); 20] = [
    ("Microsoft.AspNetCore.SignalR", &["hubline_hub", "hubline_protocol", "hubline::call"]),
    (
        "Microsoft.AspNetCore.SignalR.StackExchangeRedis",
        &["hubline_redis", "hubline_backplane", "hubline_directory"],
    ),
    ("Microsoft.AspNetCore.Http.Connections", &["hubline_transport"]),
    ("Microsoft.AspNetCore.Authentication", &["hubline_auth", "hubline_identity"]),
    ("Microsoft.AspNetCore.Cors", &["hubline_auth::cross_origin"]),
    ("Microsoft.AspNetCore.HostFiltering", &["hubline_auth::host_filter"]),
    ("Microsoft.AspNetCore.Server.Kestrel", &["hubline::http", "rustls", "hyper"]),
    ("Microsoft.AspNetCore.Hosting", &["hubline_server"]),
    ("Microsoft.Hosting.Lifetime", &["hubline_server::serve"]),
    ("Microsoft.EntityFrameworkCore", &["hubline_store", "sqlx"]),
    ("Npgsql", &["sqlx::postgres"]),
    ("StackExchange.Redis", &["hubline_redis::client", "redis"]),
    ("System.Net.Http", &["hyper_util"]),
    ("Hubline", &["hubline", "sqlx"]),
    ("Hubline.Chat", &["hubline_server::chat"]),
    ("Hubline.Calls", &["hubline_server::calls"]),
    ("Hubline.Navigation", &["hubline_server::navigation"]),
    ("Hubline.Admin", &["hubline_server::admin", "hubline_server::api"]),
    ("Hubline.Clinic", &["hubline_server::clinic"]),
    ("Hubline.Store", &["hubline_store", "sqlx"]),
];

/// What the names of this program's own targets begin with.
const OWN_TARGETS: [&str; 6] = ["hubline", "sqlx", "redis", "hyper", "rustls", "tokio"];

/// Reads the levels of categories, which `key` has braces for, but for `Default`. The longest comes last, and goes over those before.
pub(super) fn read(reader: &mut Reader, key: Key) -> Vec<(String, LevelFilter)> {
    let mut configured = Vec::new();
    for (captured, setting) in reader.matching(key) {
        let Some(category) = captured.into_iter().next().filter(|name| !name.eq_ignore_ascii_case("Default"))
        else {
            continue;
        };
        let Some(level) = parse_log_level(setting.value.trim()) else {
            reader.mistake(&setting.key, &setting, Problem::Expected(LOG_LEVEL_EXPECTED));
            continue;
        };
        reader.note(&setting.key, log_level_name(level).to_owned(), setting.source.clone());
        if targets_of(&category).is_empty() {
            reader.warnings.push(unknown(&category, &setting));
        }
        configured.push((category, level));
    }
    configured.sort_by_key(|(category, _)| category.len());
    configured
}

/// The targets that categories mean. Of two that mean the same the later one counts.
pub(super) fn targets(configured: Vec<(String, LevelFilter)>) -> Vec<(String, LevelFilter)> {
    let mut targets: Vec<(String, LevelFilter)> = Vec::new();
    for (category, level) in configured {
        for target in targets_of(&category) {
            targets.retain(|(known, _)| *known != target);
            targets.push((target, level));
        }
    }
    targets
}

/// The targets of a category: those of all that are below it, else those of the longest that it is below, else itself if it is the
/// name of a module.
fn targets_of(category: &str) -> Vec<String> {
    let below = CATEGORIES.iter().filter(|(known, _)| is_within(known, category));
    let targets: Vec<String> = below.flat_map(|(_, targets)| *targets).map(ToString::to_string).collect();
    if !targets.is_empty() {
        return targets;
    }
    let above = CATEGORIES.iter().filter(|(known, _)| is_within(category, known));
    if let Some((_, targets)) = above.max_by_key(|(known, _)| known.len()) {
        return targets.iter().map(ToString::to_string).collect();
    }
    let module = category.replace('.', "::");
    let is_own = OWN_TARGETS.iter().any(|own| module.starts_with(own));
    if is_own || category.eq_ignore_ascii_case("System") { vec![module] } else { Vec::new() }
}

/// Whether a category is another one, or below it.
fn is_within(category: &str, other: &str) -> bool {
    category.split_at_checked(other.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(other) && (rest.is_empty() || rest.starts_with('.'))
    })
}

fn unknown(category: &str, setting: &Setting) -> Warning {
    let likeness = |known: &str| {
        strsim::normalized_damerau_levenshtein(&category.to_ascii_lowercase(), &known.to_ascii_lowercase())
    };
    let known = CATEGORIES.iter().map(|(known, _)| *known).chain(["Default", "Microsoft.AspNetCore"]);
    let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    Warning::UnknownCategory {
        key: setting.key.clone(),
        source: setting.source.clone(),
        nearest: nearest.filter(|known| likeness(known) >= 0.6),
        known: CATEGORIES.map(|(known, _)| known).join(", "),
    }
}
