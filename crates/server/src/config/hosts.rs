//! Under which names the server may be reached.

use hubline_auth::AllowedHost;

use super::key::Key;
use super::list;
use super::reader::Reader;
use super::report::Problem;

const ALLOWED_HOSTS: Key = Key::new(
    "AllowedHosts",
    "hosts, without ports, under which the server may be reached: chat.example.org;*.chat.example.org, * for any. Requests for \
     others get 400, so name what probes and load balancers ask for",
)
.list()
.unit("list of hosts");

/// What stands for any host in a list, as in ASP.NET Core.
const ANY: [&str; 3] = ["*", "0.0.0.0", "[::]"];

/// Reads `AllowedHosts`; `None` for any.
pub(super) fn read(reader: &mut Reader) -> Option<Vec<AllowedHost>> {
    let read = |host: &str| match host {
        any if ANY.contains(&any) => Ok(None),
        host => host.parse().map(Some).map_err(Problem::Host),
    };
    let (hosts, source) = list::read(reader, ALLOWED_HOSTS, read);
    let hosts = hosts.into_iter().collect::<Option<Vec<_>>>().filter(|hosts| !hosts.is_empty());
    let shown = hosts.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(";");
    reader.note(ALLOWED_HOSTS.name, if hosts.is_some() { shown } else { "*".to_owned() }, source);
    hosts
}
