use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::{Certificates, free_port};

const START_DEADLINE: Duration = Duration::from_secs(10);
const BETWEEN_TRIES: Duration = Duration::from_millis(10);
const ANSWER_DEADLINE: Duration = Duration::from_secs(90);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);

/// A real `redis-server` on a port of its own, without persistence. Killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    program: PathBuf,
    port: u16,
    tls_port: Option<u16>,
    directory: TempDir,
    arguments: Vec<String>,
    /// Password that `redis-cli` uses.
    password: Option<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one on a free port; it answers `PING` when this returns.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not come up.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`start`](Self::start), with further options of `redis-server`, such as `["--requirepass", "secret"]`.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not come up.
    pub async fn start_with(options: &[&str]) -> Result<Self> {
        let mut server = Self::absent()?;
        server.arguments.extend(options.iter().map(ToString::to_string));
        let password = options.iter().skip_while(|option| **option != "--requirepass").nth(1);
        server.password = password.map(ToString::to_string);
        server.start_again().await?;
        Ok(server)
    }

    /// As [`start_with`](Self::start_with), on this port.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not come up.
    pub async fn start_at(port: u16, options: &[&str]) -> Result<Self> {
        let mut server = Self::absent()?;
        server.port = port;
        let port = port.to_string();
        server.arguments.extend(["--port", &port].iter().chain(options).map(ToString::to_string));
        let password = options.iter().skip_while(|option| **option != "--requirepass").nth(1);
        server.password = password.map(ToString::to_string);
        server.start_again().await?;
        Ok(server)
    }

    /// As [`start_with`](Self::start_with), with a second port for TLS, see [`tls_port`](Self::tls_port). Clients need no certificate;
    /// with `["--tls-auth-clients", "yes"]` they need one of the same authority.
    ///
    /// # Errors
    /// When `redis-server` is not installed, was built without TLS, or does not come up.
    pub async fn start_with_tls(certificates: &Certificates, options: &[&str]) -> Result<Self> {
        let mut server = Self::absent()?;
        let tls_port = free_port();
        server.tls_port = Some(tls_port);
        server.arguments.extend(["--tls-port".to_owned(), tls_port.to_string()]);
        server
            .arguments
            .extend(tls_options(certificates).map(|(option, value)| [format!("--{option}"), value]).concat());
        server.arguments.extend(options.iter().map(ToString::to_string));
        server.start_again().await?;
        Ok(server)
    }

    /// Starts another server of Redis' protocol: the program whose path stands in this environment variable.
    /// `cargo xtask test` sets `HUBLINE_REDIS_6_2` and `HUBLINE_VALKEY` to programs out of Python packages.
    ///
    /// # Errors
    /// The variable names no file, or the server does not come up.
    pub async fn start_other(variable: &str) -> Result<Self> {
        let program = PathBuf::from(std::env::var_os(variable).unwrap_or_default());
        ensure!(
            program.is_file(),
            "{variable} has to be the path of a server program; `cargo xtask test` installs one"
        );
        let mut server = Self::absent()?;
        server.program = program;
        server.start_again().await?;
        Ok(server)
    }

    /// Starts a replica of another server.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not come up.
    pub async fn start_replica_of(master: &Self, options: &[&str]) -> Result<Self> {
        let port = master.port.to_string();
        Self::start_with(&[&["--replicaof", "127.0.0.1", &port], options].concat()).await
    }

    /// A Sentinel, with these lines in its configuration.
    pub(crate) async fn start_sentinel(
        lines: &[String],
        password: Option<&str>,
        certificates: Option<&Certificates>,
    ) -> Result<Self> {
        let mut server = Self::absent()?;
        server.password = password.map(str::to_owned);
        let mut configuration = format!("bind 127.0.0.1\nport {}\n{}\n", server.port, lines.join("\n"));
        if let Some(certificates) = certificates {
            let tls_port = free_port();
            server.tls_port = Some(tls_port);
            configuration.push_str(&format!("tls-port {tls_port}\ntls-replication yes\n"));
            for (option, value) in tls_options(certificates) {
                configuration.push_str(&format!("{option} {value}\n"));
            }
        }
        std::fs::write(server.directory.path().join("sentinel.conf"), configuration)?;
        server.arguments = vec!["sentinel.conf".to_owned(), "--sentinel".to_owned()];
        server.start_again().await?;
        Ok(server)
    }

    /// A server that does not run yet: a port that refuses connections until
    /// [`start_again`](Self::start_again).
    ///
    /// # Errors
    /// When there is no place for temporary files.
    pub fn absent() -> Result<Self> {
        let directory = tempfile::tempdir().context("a directory for redis-server")?;
        let port = free_port();
        let arguments =
            ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let arguments = arguments.map(str::to_owned).to_vec();
        Ok(Self {
            program: "redis-server".into(),
            port,
            tls_port: None,
            directory,
            arguments,
            password: None,
            child: None,
        })
    }

    /// Starts it, after [`stop`](Self::stop) or [`absent`](Self::absent), on the port it has;
    /// nothing it held before is left.
    ///
    /// # Errors
    /// When it runs already, or does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "redis-server on port {} runs already", self.port);
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} (Debian package redis-server)", self.program.display()))?;
        let child = self.child.insert(child);
        let answers = async {
            while !ping(self.port).await {
                if let Some(status) = child.try_wait()? {
                    bail!("redis-server on port {} ended: {status}", self.port);
                }
                sleep(BETWEEN_TRIES).await;
            }
            Ok(())
        };
        timeout(START_DEADLINE, answers).await.context("redis-server does not answer PING")?
    }

    /// The id of its process; `None` while it does not run.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref()?.id()
    }

    /// The directory that it runs in, and that is removed with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Kills it, as a crash would; its clients see their connections end.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("redis-server does not run")?;
        child.kill().await.context("killing redis-server")
    }

    /// Freezes it: connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Resumes it after [`pause`](Self::pause).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Runs a command with `redis-cli` and returns its output, also of a command that is refused.
    ///
    /// # Errors
    /// When it cannot be reached, or `redis-cli` is not installed.
    pub async fn command(&self, command: &[&str]) -> Result<String> {
        let mut client = Command::new("redis-cli");
        client.args(["-p", &self.port.to_string()]).args(command).stdin(Stdio::null()).kill_on_drop(true);
        if let Some(password) = &self.password {
            client.env("REDISCLI_AUTH", password);
        }
        let output = client.output().await.context("redis-cli (Debian package redis-tools)")?;
        ensure!(
            output.status.success(),
            "redis-cli {command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Asks again until the answer is as wanted.
    ///
    /// # Errors
    /// When it is not after 30 s; the last answer is part of the error.
    pub async fn command_until(&self, command: &[&str], wanted: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        let asking = async {
            loop {
                last = self.command(command).await.unwrap_or_else(|error| error.to_string());
                if wanted(&last) {
                    return;
                }
                sleep(BETWEEN_QUESTIONS).await;
            }
        };
        let waited = timeout(ANSWER_DEADLINE, asking).await;
        ensure!(waited.is_ok(), "{command:?} still answers {last}");
        Ok(last)
    }

    /// The port it has, running or not.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port for TLS, if it has one.
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    /// The port that others find it by.
    pub(crate) fn known_port(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
    }

    /// The StackExchange.Redis connection string.
    pub fn connection_string(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.child.as_ref().and_then(Child::id).context("redis-server does not run")?;
        let pid = Pid::from_raw(i32::try_from(id)?).context("no process id")?;
        kill_process(pid, signal).context("signalling redis-server")
    }
}

/// Which certificates a server has, without the dashes; its clients need none.
pub(crate) fn tls_options(certificates: &Certificates) -> [(&'static str, String); 4] {
    [
        ("tls-ca-cert-file", certificates.authority().display().to_string()),
        ("tls-cert-file", certificates.certificate().display().to_string()),
        ("tls-key-file", certificates.key().display().to_string()),
        ("tls-auth-clients", "no".to_owned()),
    ]
}

async fn ping(port: u16) -> bool {
    let answer = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        // With a password set the answer is an error, which shows as well that it is up.
        std::io::Result::Ok(&answer == b"+PONG" || &answer == b"-NOAU")
    };
    answer.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn comes_back_on_the_same_port() -> Result<()> {
        let mut redis = RedisServer::start().await?;
        assert!(ping(redis.port()).await);
        redis.stop().await?;
        assert!(!ping(redis.port()).await);
        redis.start_again().await?;
        assert!(ping(redis.port()).await);
        Ok(())
    }

    #[tokio::test]
    async fn answers_nothing_while_paused() -> Result<()> {
        let redis = RedisServer::start().await?;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).await?;
        redis.pause()?;
        stream.write_all(b"PING\r\n").await?;
        redis.resume()?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"+PONG\r\n");
        Ok(())
    }

    #[tokio::test]
    async fn a_dropped_server_is_gone() -> Result<()> {
        let redis = RedisServer::start().await?;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).await?;
        drop(redis);
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
        Ok(())
    }
}
