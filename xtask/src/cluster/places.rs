//! Which ports are used.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use anyhow::{Result, ensure};
use hubline_testkit::{free_port, free_ports};

use super::Ports;

/// Ports of loopback.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) redis: u16,
    pub(super) postgres: u16,
    pub(super) instances: Range<u16>,
    pub(super) nginx: u16,
}

impl Places {
    pub(super) fn choose(ports: Ports, instances: u16) -> Self {
        match ports {
            Ports::Theirs => {
                Self { redis: 6379, postgres: 5432, instances: 5000..5000 + instances, nginx: 80 }
            }
            Ports::Free => Self {
                redis: free_port(),
                postgres: free_port(),
                instances: free_ports(instances),
                nginx: free_port(),
            },
        }
    }

    /// URLs that a browser may have the pages from.
    pub(super) fn origins(&self) -> Vec<String> {
        let hosts = ["localhost", "127.0.0.1"];
        let ports = self.instances.clone().chain([self.nginx]);
        ports
            .flat_map(|port| {
                hosts.map(|host| match port {
                    80 => format!("http://{host}"),
                    port => format!("http://{host}:{port}"),
                })
            })
            .collect()
    }

    /// # Errors
    /// Something listens on one of the ports, or this user may not; the error names all of these, and what to do.
    pub(super) fn ensure_free(&self) -> Result<()> {
        let instances = self.instances.clone().map(|port| ("an instance", port));
        let wanted = [("Redis", self.redis), ("PostgreSQL", self.postgres), ("nginx", self.nginx)];
        let problems: Vec<String> = wanted
            .into_iter()
            .chain(instances)
            .filter_map(|(what, port)| match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                Ok(_) => None,
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    Some(format!("port {port}, for {what}, may not be used by this user"))
                }
                Err(error) => Some(format!("port {port}, for {what}, is taken ({error})")),
            })
            .collect();
        ensure!(
            problems.is_empty(),
            "{}. End what is there, or take free ports: --ports free",
            problems.join("; ")
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_named_with_its_cure() -> Result<()> {
        let places = Places::choose(Ports::Free, 2);
        places.ensure_free()?;
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, places.redis))?;
        let _also = TcpListener::bind((Ipv4Addr::LOCALHOST, places.instances.start + 1))?;
        let error = places.ensure_free().unwrap_err().to_string();
        for told in [
            format!("port {}, for Redis, is taken", places.redis),
            format!("port {}, for an instance, is taken", places.instances.start + 1),
            "--ports free".to_owned(),
        ] {
            assert!(error.contains(&told), "{error}");
        }
        Ok(())
    }
}
