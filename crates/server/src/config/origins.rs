//! Pages of which origins may use the server.

use hubline_auth::AllowedOrigins;

use super::host_environment::HostEnvironment;
use super::reader::Reader;
use super::report::{Problem, Source};
use super::{keys, list};

/// Stands for any origin in a list.
const ANY: &str = "*";

/// Reads `Cors:AllowedOrigins`. In Development any origin may, unless there is a list.
pub(super) fn read(reader: &mut Reader, environment: &HostEnvironment) -> AllowedOrigins {
    let read = |origin: &str| match origin {
        ANY => Ok(None),
        origin => origin.parse().map(Some).map_err(Problem::Origin),
    };
    let (origins, source) = list::read(reader, keys::ALLOWED_ORIGINS, read);
    let (allowed, source) = match origins.into_iter().collect::<Option<Vec<_>>>() {
        None => (AllowedOrigins::Any, source),
        Some(origins) if origins.is_empty() && environment.is_development() => {
            (AllowedOrigins::Any, Source::Deduced("the environment is Development"))
        }
        Some(origins) => (AllowedOrigins::List(origins), source),
    };
    reader.note(keys::ALLOWED_ORIGINS, allowed.to_string(), source);
    allowed
}
