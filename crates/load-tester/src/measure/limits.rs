use std::io;

use serde::{Deserialize, Serialize};

/// What the system lets this process have. 0 is unknown: not Linux.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Files, sockets among them, that the process may have open: `ulimit -n`.
    pub open_files: u64,
    /// What a process may raise that to by itself: `ulimit -Hn`.
    pub open_files_hard: u64,
    /// Ports for connections from one address of this machine to one address and port of a server.
    pub local_ports: u64,
}

impl Limits {
    /// Files that a connection does not need: standard streams, the runtime's, the report's.
    pub const OTHER_FILES: u64 = 64;

    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        let (open_files, open_files_hard) = open_files();
        Self { open_files, open_files_hard, local_ports: local_ports().unwrap_or(0) }
    }

    /// Raises the limit on open files as far as the process may, and reads the limits again.
    #[must_use]
    pub fn raised() -> Self {
        raise_open_files();
        Self::read()
    }

    /// Why so many connections are more than this process can have, and what to raise; `None` if it can have them.
    ///
    /// `addresses` are the different addresses and ports that they go to.
    #[must_use]
    pub fn refusal(&self, connections: u64, addresses: u64) -> Option<String> {
        let files = connections + Self::OTHER_FILES;
        let ports = self.local_ports.saturating_mul(addresses.max(1));
        if self.open_files > 0 && files > self.open_files {
            let Self { open_files, .. } = self;
            return Some(format!(
                "{connections} connections need {files} open files, and this process may have {open_files}: raise `ulimit -n` (as root `ulimit -Hn`), LimitNOFILE= of a systemd unit or --ulimit nofile= of a container, or use several processes"
            ));
        }
        (ports > 0 && connections > ports).then(|| {
            format!(
                "{connections} connections to {addresses} addresses need more local ports than there are ({ports}): widen `sysctl net.ipv4.ip_local_port_range`, or spread them over several --connect-to addresses"
            )
        })
    }

    /// What to do about an error of the system that stands for a limit of this machine, not for the server; `None` for others.
    #[must_use]
    pub fn cure(error: &io::Error) -> Option<String> {
        let limits = Self::read();
        #[cfg(unix)]
        let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        #[cfg(unix)]
        if code == Some(rustix::io::Errno::MFILE) {
            return Some(format!(
                "this process is out of files: raise `ulimit -n`, now {} ({} at most without root)",
                limits.open_files, limits.open_files_hard
            ));
        }
        #[cfg(unix)]
        if code == Some(rustix::io::Errno::NFILE) {
            return Some("this machine is out of files: raise `sysctl fs.file-max`".to_owned());
        }
        (error.kind() == io::ErrorKind::AddrNotAvailable).then(|| {
            format!(
                "this machine is out of local ports for that address, of {}: widen `sysctl net.ipv4.ip_local_port_range`, or spread connections over several --connect-to addresses; closed ones free theirs after a minute",
                limits.local_ports
            )
        })
    }
}

#[cfg(unix)]
fn open_files() -> (u64, u64) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX))
}

#[cfg(not(unix))]
fn open_files() -> (u64, u64) {
    (0, 0)
}

#[cfg(unix)]
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // The limit stays as it is where the system refuses; what that means is said by `refusal`.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(not(unix))]
fn raise_open_files() {}

fn local_ports() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ports = text.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ports.next()?.ok()?, ports.next()?.ok()?);
    Some(last.saturating_sub(first) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_refused_with_what_to_raise() {
        let limits = Limits { open_files: 1024, open_files_hard: 4096, local_ports: 28_000 };
        assert_eq!(limits.refusal(960, 1), None);
        let files = limits.refusal(1000, 1).unwrap();
        assert!(files.contains("1064 open files") && files.contains("may have 1024"), "{files}");
        let limits = Limits { open_files: 1_000_000, ..limits };
        assert_eq!(limits.refusal(28_001, 2), None);
        assert!(limits.refusal(28_001, 1).unwrap().contains("ip_local_port_range"));
        assert_eq!(Limits::default().refusal(1_000_000, 1), None, "what is unknown refuses nothing");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_limits_of_this_process_are_read_and_raised() {
        let limits = Limits::raised();
        assert!(limits.open_files == limits.open_files_hard && limits.local_ports > 0, "{limits:?}");
    }

    #[cfg(unix)]
    #[test]
    fn errors_of_the_machine_have_a_cure_and_those_of_the_server_none() {
        let cure = |errno: rustix::io::Errno| Limits::cure(&errno.into());
        assert!(cure(rustix::io::Errno::MFILE).unwrap().contains("ulimit -n"));
        assert!(cure(rustix::io::Errno::NFILE).unwrap().contains("file-max"));
        assert!(cure(rustix::io::Errno::ADDRNOTAVAIL).unwrap().contains("ip_local_port_range"));
        assert_eq!(cure(rustix::io::Errno::CONNREFUSED), None);
    }
}
