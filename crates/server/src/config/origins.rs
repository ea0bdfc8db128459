//! Pages of which origins may use the server.

use hubline_auth::AllowedOrigins;

use super::key::Key;
use super::layer::Setting;
use super::list;
use super::reader::Reader;
use super::report::{Problem, Source};

const ALLOWED_ORIGINS: Key = Key::new(
    "Cors:AllowedOrigins",
    "origins whose pages may use the server, WebSockets too: https://app.example.org, https://*.example.org for all subdomains, \
     null and file:// for pages from files and devices, * for any (in Development without a list, too)",
)
.list()
.url()
.unit("list of origins");

/// Stands for any origin in a list.
const ANY: &str = "*";

/// Whether there is a list, so that those who may are meant.
pub(super) fn are_listed(reader: &Reader) -> bool {
    let is_set = |setting: &Setting| ALLOWED_ORIGINS.covers(&setting.key) && !setting.value.trim().is_empty();
    reader.settings.iter().any(is_set)
}

/// Reads `Cors:AllowedOrigins`. In Development any origin may, unless there is a list.
pub(super) fn read(reader: &mut Reader) -> AllowedOrigins {
    let read = |origin: &str| match origin {
        ANY => Ok(None),
        origin => origin.parse().map(Some).map_err(Problem::Origin),
    };
    let (origins, source) = list::read(reader, ALLOWED_ORIGINS, read);
    let (allowed, source) = match origins.into_iter().collect::<Option<Vec<_>>>() {
        None => (AllowedOrigins::Any, source),
        Some(origins) if origins.is_empty() && reader.environment().is_development() => {
            (AllowedOrigins::Any, Source::Deduced("the environment is Development"))
        }
        Some(origins) => (AllowedOrigins::List(origins), source),
    };
    reader.note(ALLOWED_ORIGINS.name, allowed.to_string(), source);
    allowed
}
