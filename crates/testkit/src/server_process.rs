use std::ffi::{OsStr, OsString};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::free_port;

const START_DEADLINE: Duration = Duration::from_secs(20);
const LINE_DEADLINE: Duration = Duration::from_secs(20);
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// How to start a server program.
#[derive(Debug, Clone)]
pub struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    standard_error: Option<Arc<OwnedFd>>,
    port: u16,
    https_port: Option<u16>,
    is_apart: bool,
}

impl Launch {
    /// A program that takes `--urls`, which is given last, with a free port. What it keeps in a database it keeps in memory, unless
    /// `ConnectionStrings__Database` or its arguments say otherwise; and it stops without waiting for load balancers, unless
    /// `Drain__Delay` says otherwise.
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: vec![
                ("ConnectionStrings__Database".into(), ":memory:".into()),
                ("Drain__Delay".into(), "0".into()),
            ],
            standard_error: None,
            port: free_port(),
            https_port: None,
            is_apart: false,
        }
    }

    /// Has it listen on this port instead.
    #[must_use]
    pub fn at(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Has it listen with TLS too, on a free port.
    #[must_use]
    pub fn with_https(mut self) -> Self {
        self.https_port = Some(free_port());
        self
    }

    /// Has it run in a process group of its own, where Ctrl-C does not reach it.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.is_apart = true;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Gives it this as standard error, whose lines are not kept then.
    #[must_use]
    pub fn standard_error(mut self, file: impl Into<OwnedFd>) -> Self {
        self.standard_error = Some(Arc::new(file.into()));
        self
    }

    /// The port it listens on with TLS, if it does.
    pub fn https_port(&self) -> Option<u16> {
        self.https_port
    }

    /// The port it listens on, every time this launch is used.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A running server program whose output is kept. Killed when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    port: u16,
    output: watch::Receiver<Vec<String>>,
}

impl ServerProcess {
    /// Starts it and waits until it answers `GET /health`.
    ///
    /// # Errors
    /// When it cannot be started, or ends or stays silent instead; the error holds what it printed.
    pub async fn start(launch: Launch) -> Result<Self> {
        let mut server = Self::spawn(launch)?;
        server.ready().await?;
        Ok(server)
    }

    /// Starts it without waiting, for programs that are expected to end by themselves.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(launch: Launch) -> Result<Self> {
        let standard_error = match &launch.standard_error {
            Some(file) => file.try_clone()?.into(),
            None => Stdio::piped(),
        };
        let https = launch.https_port.map(|port| format!(";https://127.0.0.1:{port}")).unwrap_or_default();
        let mut command = Command::new(&launch.program);
        if launch.is_apart {
            command.process_group(0);
        }
        let mut child = command
            .args(&launch.arguments)
            .arg("--urls")
            .arg(format!("http://127.0.0.1:{}{https}", launch.port))
            .envs(launch.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(standard_error)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| launch.program.display().to_string())?;
        let (lines, output) = watch::channel(Vec::new());
        tokio::spawn(keep_lines(child.stdout.take().context("no standard output")?, lines.clone()));
        if let Some(standard_error) = child.stderr.take() {
            tokio::spawn(keep_lines(standard_error, lines));
        }
        Ok(Self { child, port: launch.port, output })
    }

    /// Waits until it answers `GET /health` with 200, which a server that is starting does not.
    ///
    /// # Errors
    /// When it ends or stays silent instead.
    pub async fn ready(&mut self) -> Result<()> {
        let answers = async {
            while !answer(self.port).await.is_some_and(|answer| answer.starts_with("HTTP/1.1 200 ")) {
                if let Some(status) = self.child.try_wait()? {
                    bail!("the server ended: {status}");
                }
                sleep(BETWEEN_TRIES).await;
            }
            Ok(())
        };
        let result = timeout(START_DEADLINE, answers)
            .await
            .unwrap_or_else(|_| Err(anyhow!("the server does not answer")));
        result.with_context(|| self.lines().join("\n"))
    }

    /// The id of its process; `None` once it has ended and was waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The URL it listens at, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The body of its answer to `GET /health`, or nothing if it did not answer.
    pub async fn health(&self) -> Option<String> {
        health(self.port).await
    }

    /// The lines it has printed so far, on standard output and standard error.
    pub fn lines(&self) -> Vec<String> {
        self.output.borrow().clone()
    }

    /// Waits for a printed line that contains `text`; lines from before count.
    ///
    /// # Errors
    /// When none comes within 20 s, or the program ended without one.
    pub async fn line_with(&self, text: &str) -> Result<String> {
        let mut output = self.output.clone();
        let found = |lines: &Vec<String>| lines.iter().any(|line| line.contains(text));
        let lines = match timeout(LINE_DEADLINE, output.wait_for(found)).await {
            Ok(Ok(lines)) => lines.clone(),
            _ => bail!("no line with {text:?} in\n{}", self.lines().join("\n")),
        };
        lines.into_iter().find(|line| line.contains(text)).context("the line was there")
    }

    /// Sends SIGTERM, which asks it to end.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn terminate(&self) -> Result<()> {
        let id = self.child.id().context("the server has ended")?;
        let pid = Pid::from_raw(i32::try_from(id)?).context("no process id")?;
        kill_process(pid, Signal::TERM).context("signalling the server")
    }

    /// Waits for its end, at most this long.
    ///
    /// # Errors
    /// When it still runs then.
    pub async fn exit_status(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let ended = timeout(deadline, self.child.wait()).await;
        let status = ended.with_context(|| format!("the server still runs after {deadline:?}"))??;
        // What it printed last, which tests ask for, may still be in the pipes.
        let mut output = self.output.clone();
        let closed = async { while output.changed().await.is_ok() {} };
        let _ = timeout(deadline, closed).await;
        Ok(status)
    }

    /// Kills it, as a crash would.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("killing the server")
    }
}

async fn keep_lines(stream: impl AsyncRead + Unpin, kept: watch::Sender<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        kept.send_modify(|kept| kept.push(line));
    }
}

async fn health(port: u16) -> Option<String> {
    let answer = answer(port).await?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 ").then(|| body.to_owned())
}

/// Head and body.
async fn answer(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = r#"
        import http from 'node:http';
        const { port } = new URL(process.argv[process.argv.indexOf('--urls') + 1]);
        http.createServer((_, response) => response.end('fine')).listen(port, '127.0.0.1');
        console.log(`hello ${process.env.WHO}`);
        process.on('SIGTERM', () => { console.error('bye'); process.exit(7); });
    "#;

    #[tokio::test]
    async fn keeps_lines_and_tells_the_exit_code() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("server.mjs");
        std::fs::write(&file, SERVER)?;
        let launch = Launch::new("node").arg(&file).env("WHO", "ada");
        let mut server = ServerProcess::start(launch).await?;
        assert_eq!(server.line_with("hello").await?, "hello ada");
        assert!(server.health().await.is_some_and(|body| body.contains("fine")));
        server.terminate()?;
        let status = server.exit_status(Duration::from_secs(10)).await?;
        assert_eq!(status.code(), Some(7));
        assert_eq!(server.lines(), ["hello ada", "bye"]);
        Ok(())
    }

    #[tokio::test]
    async fn a_program_that_ends_is_not_waited_for() {
        let launch = Launch::new("sh").arg("-c").arg("echo no luck; exit 3");
        let error = ServerProcess::start(launch).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("exit status: 3"), "{text}");
    }
}
