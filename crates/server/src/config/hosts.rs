//! Under which names the server may be reached.

use hubline_auth::AllowedHost;

use super::reader::Reader;
use super::report::Problem;
use super::{keys, list};

/// What stands for any host in a list, as in ASP.NET Core.
const ANY: [&str; 3] = ["*", "0.0.0.0", "[::]"];

/// Reads `AllowedHosts`; `None` for any.
pub(super) fn read(reader: &mut Reader) -> Option<Vec<AllowedHost>> {
    let read = |host: &str| match host {
        any if ANY.contains(&any) => Ok(None),
        host => host.parse().map(Some).map_err(Problem::Host),
    };
    let (hosts, source) = list::read(reader, keys::ALLOWED_HOSTS, read);
    let hosts = hosts.into_iter().collect::<Option<Vec<_>>>().filter(|hosts| !hosts.is_empty());
    let shown = hosts.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(";");
    reader.note(keys::ALLOWED_HOSTS, if hosts.is_some() { shown } else { "*".to_owned() }, source);
    hosts
}
