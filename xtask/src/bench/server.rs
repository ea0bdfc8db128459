//! A server under test, as the kernel sees it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hubline_testkit::Certificates;

use super::candidate::StartCommand;
use super::owned_child::OwnedChild;

const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 600;
/// What a server still does after its first answer is not charged to the connections.
const SETTLE: Duration = Duration::from_secs(1);
/// `getconf CLK_TCK`: fixed for user space on every Linux.
const TICK_MICROS: u64 = 10_000;

#[derive(Debug)]
pub(super) struct Server {
    child: OwnedChild,
    url: String,
    tls: Option<Tls>,
}

#[derive(Debug)]
struct Tls {
    url: String,
    certificates: Certificates,
}

impl Tls {
    fn new() -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, hubline_testkit::free_port()));
        Ok(Self { url: format!("https://{address}"), certificates: Certificates::new(&["127.0.0.1"])? })
    }

    /// As ASP.NET Core has it.
    fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("Kestrel__Certificates__Default__Path", self.certificates.certificate()),
            ("Kestrel__Certificates__Default__KeyPath", self.certificates.key()),
        ]
    }
}

impl Server {
    /// Starts it on a free port and waits until `/health` is well.
    pub(super) fn start(command: &StartCommand) -> Result<Self> {
        Self::start_with(command, None, &[])
    }

    /// The same, with these variables.
    pub(super) fn start_set(command: &StartCommand, variables: &[(&str, String)]) -> Result<Self> {
        Self::start_with(command, None, variables)
    }

    /// The same, and on another port with TLS, where [`Server::public_url_of`] is then.
    pub(super) fn start_set_with_tls(command: &StartCommand, variables: &[(&str, String)]) -> Result<Self> {
        Self::start_with(command, Some(Tls::new()?), variables)
    }

    /// Without variables, and on another port with TLS, where its hubs are then.
    pub(super) fn start_with_tls(command: &StartCommand) -> Result<Self> {
        Self::start_with(command, Some(Tls::new()?), &[])
    }

    fn start_with(command: &StartCommand, tls: Option<Tls>, variables: &[(&str, String)]) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, hubline_testkit::free_port()));
        let url = format!("http://{address}");
        let urls = tls.as_ref().map_or_else(|| url.clone(), |tls| format!("{url};{}", tls.url));
        let mut words = command.words(&urls);
        let program = words.next().context("the command is empty")?;
        let child = Command::new(&program)
            .args(words)
            .envs(tls.iter().flat_map(Tls::environment))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let mut server = Self { child: OwnedChild(child), url, tls };
        for _ in 0..LOOKS {
            if let Some(status) = server.child.0.try_wait()? {
                bail!("{program} ended before it served: {status}");
            }
            if is_healthy(address).unwrap_or(false) {
                std::thread::sleep(SETTLE);
                return Ok(server);
            }
            std::thread::sleep(LOOK);
        }
        bail!("{program} did not answer {}/health within {:?}", server.url, LOOK * LOOKS)
    }

    /// With a path behind it.
    pub(super) fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// With a path behind it, over TLS if there is that.
    pub(super) fn public_url_of(&self, path: &str) -> String {
        format!("{}{path}", self.tls.as_ref().map_or(&self.url, |tls| &tls.url))
    }

    pub(super) fn hub_url(&self) -> String {
        self.public_url_of("/benchhub")
    }

    /// Of the hub that has everything.
    pub(super) fn conformance_url(&self) -> String {
        format!("{}/conformance", self.url)
    }

    pub(super) fn resident_kilobytes(&self) -> Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        Ok(line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?.parse()?)
    }

    /// Time on the processor so far, of all threads, in user space and in the kernel.
    pub(super) fn cpu_micros(&self) -> Result<u64> {
        let ticks = cpu_ticks(&self.proc("stat")?).context("no utime and stime")?;
        Ok(ticks * TICK_MICROS)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.0.id());
        std::fs::read_to_string(&path).with_context(|| format!("{path} (has the server ended?)"))
    }
}

fn is_healthy(address: SocketAddr) -> Result<bool> {
    const WELL: &[u8] = b"HTTP/1.1 200";
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; WELL.len()];
    stream.read_exact(&mut start)?;
    Ok(start == WELL)
}

/// `utime` and `stime` of `/proc/PID/stat`, fields 14 and 15; the name in field 2 may hold spaces.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_does_not_move_the_fields() {
        let stat = "7 (a ) (b) S 1 7 7 0 -1 4194304 100 0 0 0 30 12 0 0 20 0 1 0 5";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (a"), None);
    }
}
