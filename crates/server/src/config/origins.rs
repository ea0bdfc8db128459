//! Pages of which origins may use the server.

use hubline_auth::AllowedOrigins;

use super::host_environment::HostEnvironment;
use super::reader::Reader;
use super::report::{Problem, Source};
use super::{keys, list};

/// Stands for any origin in a list.
const ANY: &str = "*";

/// Reads `Cors:AllowedOrigins`, which says nothing in Development.
pub(super) fn read(reader: &mut Reader, environment: &HostEnvironment) -> AllowedOrigins {
    let read = |origin: &str| match origin {
        ANY => Ok(None),
        origin => origin.parse().map(Some).map_err(Problem::Origin),
    };
    let (origins, mut source) = list::read(reader, keys::ALLOWED_ORIGINS, read);
    let listed = origins.into_iter().collect::<Option<Vec<_>>>().map(AllowedOrigins::List);
    let mut allowed = listed.unwrap_or(AllowedOrigins::Any);
    if environment.is_development() {
        allowed = AllowedOrigins::Any;
        source = Source::Deduced("the environment is Development");
    }
    reader.note(keys::ALLOWED_ORIGINS, allowed.to_string(), source);
    allowed
}
