use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::{Certificates, free_port};

const DEADLINE: Duration = Duration::from_secs(60);
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

const USER: &str = "hubline";
const PASSWORD: &str = "s3cret;of='tests'";

/// What makes it quick: nothing here outlives the machine.
const SETTINGS: [&str; 9] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "max_wal_senders=0",
    "wal_level=minimal",
    "autovacuum=off",
    "shared_buffers=16MB",
    "max_connections=200",
];

/// Ends what is left when the process of the tests has gone, however it went: its standard input ends then.
const WATCHDOG: &str = r#"
read -r _
id=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$id" ]; then
    kill -CONT $(cat /proc/$id/task/$id/children 2>/dev/null) "$id" 2>/dev/null
    kill -QUIT "$id" 2>/dev/null
    tries=0
    while [ -e "$1/data/postmaster.pid" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
fi
rm -rf -- "$1"
"#;

/// A real PostgreSQL on a port of its own of loopback, without durability. Ended and removed when dropped, and when the process
/// ends, so one in a static is removed too.
///
/// Run as root, it runs as the user `postgres`, which has to be able to enter the directory for temporary files.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    port: u16,
    directory: TempDir,
    settings: Vec<String>,
    child: Option<Child>,
    databases: AtomicU32,
    /// Last, so that it closes after everything else is done.
    _watchdog: Watchdog,
}

/// A database of a [`PostgresServer`].
#[derive(Debug, Clone)]
pub struct PostgresDatabase {
    port: u16,
    name: String,
}

impl PostgresServer {
    /// The one that all tests of this process share, each with a [`database`](Self::database) of its own. Whoever stops it takes
    /// [`start`](Self::start) instead.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<PostgresServer> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts one on a free port; it accepts connections when this returns.
    ///
    /// # Errors
    /// When PostgreSQL (Debian package `postgresql`) is not installed or does not come up.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`start`](Self::start), with further settings, such as `["max_connections=10"]`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let mut server = Self::absent().await?;
        server.settings.extend(settings.iter().map(ToString::to_string));
        server.start_again().await?;
        Ok(server)
    }

    /// As [`start_with`](Self::start_with), with TLS and this certificate. Without TLS it lets nobody in.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with_tls(certificates: &Certificates, settings: &[&str]) -> Result<Self> {
        let mut server = Self::absent().await?;
        server.settings.extend(settings.iter().map(ToString::to_string));
        server.settings.push("ssl=on".to_owned());
        for (setting, file) in
            [("ssl_cert_file", certificates.certificate()), ("ssl_key_file", certificates.key())]
        {
            // It reads no key that others might read.
            let own = server.directory.path().join(setting);
            fs::copy(file, &own)?;
            fs::set_permissions(&own, fs::Permissions::from_mode(0o600))?;
            if geteuid().is_root() {
                let (user, group) = owner()?;
                chown(&own, Some(user), Some(group))?;
            }
            server.settings.push(format!("{setting}={}", own.display()));
        }
        fs::write(server.data().join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 md5\n")?;
        server.start_again().await?;
        Ok(server)
    }

    /// As [`start`](Self::start), on this port.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_at(port: u16) -> Result<Self> {
        let mut server = Self::absent().await?;
        server.port = port;
        server.start_again().await?;
        Ok(server)
    }

    /// One that does not run yet: a port that refuses connections until [`start_again`](Self::start_again).
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or there is no place for its files.
    pub async fn absent() -> Result<Self> {
        let programs = programs()?;
        let directory = tempfile::Builder::new().prefix("hubline-postgres-").tempdir()?;
        let server = Self {
            _watchdog: Watchdog::start(directory.path())?,
            programs,
            port: free_port(),
            directory,
            settings: SETTINGS.map(str::to_owned).to_vec(),
            child: None,
            databases: AtomicU32::new(0),
        };
        let password = server.directory.path().join("password");
        fs::write(&password, PASSWORD)?;
        if geteuid().is_root() {
            let (user, group) = owner()?;
            chown(server.directory.path(), Some(user), Some(group))?;
            chown(&password, Some(user), Some(group))?;
        }
        let mut initdb = server.command("initdb");
        // Quick, where SCRAM takes 4,096 rounds of a hash for each connection, in programs that are not optimized.
        initdb.args(["--no-sync", "--locale=C", "--encoding=UTF8", "--auth=md5", "--username", USER]);
        initdb.arg(option("--pwfile=", &password)).arg(option("--pgdata=", &server.data()));
        run(initdb).await.context("initdb")?;
        Ok(server)
    }

    /// Starts it, after [`stop`](Self::stop) or [`absent`](Self::absent), on the port it has, with the data it had.
    ///
    /// # Errors
    /// When it runs already, or does not come up; its log is part of the error.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "PostgreSQL on port {} runs already", self.port);
        let log = fs::File::create(self.directory.path().join("log"))?;
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        postgres.args(self.settings.iter().flat_map(|setting| ["-c", setting]));
        postgres.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = postgres.spawn().context("postgres")?;
        let ready = async {
            while !self.is_ready(child.id()) {
                if let Some(status) = child.try_wait()? {
                    bail!("PostgreSQL ended: {status}\n{}", self.log());
                }
                sleep(BETWEEN_TRIES).await;
            }
            Ok(())
        };
        timeout(DEADLINE, ready)
            .await
            .with_context(|| format!("PostgreSQL is not ready\n{}", self.log()))??;
        self.child = Some(child);
        Ok(())
    }

    /// Ends it at once, as a crash would: its clients see their connections end, and the next start recovers.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("PostgreSQL does not run")?;
        signal(&child, Signal::QUIT)?;
        spawn_blocking(move || child.wait()).await?.context("waiting for PostgreSQL")?;
        Ok(())
    }

    /// Freezes it with all its connections: they stay open and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        let child = self.running()?;
        signal(child, Signal::STOP)?;
        self.signal_connections(Signal::STOP)
    }

    /// Resumes it after [`pause`](Self::pause).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal_connections(Signal::CONT)?;
        signal(self.running()?, Signal::CONT)
    }

    /// A new, empty database.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn database(&self) -> Result<PostgresDatabase> {
        let database =
            self.database_to_be(&format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed)));
        self.command_in("postgres", &format!("CREATE DATABASE {}", database.name)).await?;
        Ok(database)
    }

    /// A database that somebody else makes.
    pub fn database_to_be(&self, name: &str) -> PostgresDatabase {
        PostgresDatabase { port: self.port, name: name.to_owned() }
    }

    /// Runs SQL with `psql` and returns its output, a line for each row and `|` between columns.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn command_in(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--host=127.0.0.1", "--port", &self.port.to_string(), "--username", USER]);
        psql.args(["--dbname", database, "--command", sql]).env("PGPASSWORD", PASSWORD);
        run(psql).await.with_context(|| format!("psql: {sql}"))
    }

    /// The port it has, running or not.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has logged since it was last started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn is_ready(&self, id: u32) -> bool {
        let state = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        state.lines().next() == Some(&*id.to_string()) && state.lines().nth(7).map(str::trim) == Some("ready")
    }

    fn running(&self) -> Result<&Child> {
        self.child.as_ref().context("PostgreSQL does not run")
    }

    /// One process serves each connection.
    fn signal_connections(&self, to_send: Signal) -> Result<()> {
        let id = self.running()?.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        for child in children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)) {
            // It may have ended meanwhile.
            _ = kill_process(child, to_send);
        }
        Ok(())
    }

    /// A program of PostgreSQL, as the user it may run as.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match geteuid().is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        command.current_dir(self.directory.path());
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        _ = self.resume();
        if let Some(mut child) = self.child.take() {
            _ = signal(&child, Signal::QUIT);
            _ = child.wait();
        }
    }
}

impl PostgresDatabase {
    /// Its URL.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:s3cret%3Bof%3D%27tests%27@127.0.0.1:{}/{}", self.port, self.name)
    }

    /// Its Npgsql connection string.
    pub fn connection_string(&self) -> String {
        let (port, name) = (self.port, &self.name);
        format!("Host=127.0.0.1;Port={port};Database={name};Username={USER};Password=\"{PASSWORD}\"")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[derive(Debug)]
struct Watchdog {
    child: Child,
    input: Option<ChildStdin>,
}

impl Watchdog {
    fn start(directory: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG, "sh"]).arg(directory);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().context("sh")?;
        let input = child.stdin.take();
        Ok(Self { child, input })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.input.take());
        _ = self.child.wait();
    }
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("no process id")?;
    kill_process(pid, signal).context("signalling PostgreSQL")
}

/// The directory of the newest PostgreSQL's programs, as Debian has them.
fn programs() -> Result<PathBuf> {
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = fs::read_dir("/usr/lib/postgresql").context("PostgreSQL (Debian package postgresql)")?;
    let newest = versions.flatten().map(|entry| entry.path()).max_by_key(|path| version(path));
    Ok(newest.context("PostgreSQL (Debian package postgresql)")?.join("bin"))
}

/// The ids of the user `postgres` and its group.
fn owner() -> Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let user = users.lines().find_map(|line| line.strip_prefix("postgres:")).context("no user postgres")?;
    let mut fields = user.split(':').skip(1).map(str::parse);
    let mut id = || fields.next().context("/etc/passwd")?.context("/etc/passwd");
    Ok((id()?, id()?))
}

fn option(name: &str, path: &Path) -> std::ffi::OsString {
    [OsStr::new(name), path.as_os_str()].into_iter().collect()
}

async fn run(mut command: Command) -> Result<String> {
    let output = spawn_blocking(move || command.stdin(Stdio::null()).output()).await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn comes_back_with_its_data_and_is_gone_when_dropped() -> Result<()> {
        let mut server = PostgresServer::start().await?;
        let database = server.database().await?;
        server
            .command_in(database.name(), "CREATE TABLE kept (id BIGINT); INSERT INTO kept VALUES (7)")
            .await?;
        server.stop().await?;
        assert!(server.command_in(database.name(), "SELECT 1").await.is_err());
        server.start_again().await?;
        assert_eq!(server.command_in(database.name(), "SELECT id FROM kept").await?, "7");
        server.pause()?;
        let (directory, port) = (server.directory.path().to_owned(), server.port());
        drop(server);
        assert!(!directory.exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
        Ok(())
    }
}
