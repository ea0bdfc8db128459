//! Where the database is, in the spellings of .NET and as a URL.

mod npgsql;
mod pairs;
mod sqlite;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::DEADLINE;

/// Connections to PostgreSQL if nothing else is said.
const MAXIMUM_CONNECTIONS: u32 = 20;

/// Which database, and how it is used. `Display` says where it is, without user and password.
#[derive(Clone)]
pub struct StoreOptions {
    pub(crate) place: Place,
    /// How long an operation may take, with the wait for its turn. Default 5 s.
    pub deadline: Duration,
    /// Whether missing tables are left to somebody else. Default false: they are made.
    pub skip_migrations: bool,
    /// Connections to PostgreSQL at most. Default 20; SQLite has its own.
    pub maximum_connections: u32,
    /// Connections to PostgreSQL that are kept. Default 0.
    pub minimum_connections: u32,
    /// How long connecting to PostgreSQL may take, at most the deadline. Default 5 s.
    pub connect_timeout: Duration,
    /// How long a statement of PostgreSQL may take, at most nine tenths of the deadline. Default 5 s.
    pub statement_timeout: Duration,
    /// How long an unused connection to PostgreSQL is kept. Default 5 minutes.
    pub idle_timeout: Duration,
    /// How old a connection to PostgreSQL may become. Default an hour.
    pub maximum_lifetime: Option<Duration>,
    /// How long a transaction of SQLite takes in writes that wait: so long others that use the file may have to wait for its lock. Default
    /// 20 ms; one takes 512 at most.
    pub gathering_time: Duration,
    /// Between the beginnings of two transactions of a file of SQLite while several write at once: what comes meanwhile shares the flush
    /// to disk of the second. Who writes alone waits for nothing. Default 4 ms.
    pub commit_delay: Duration,
    /// Files that connecting to PostgreSQL reads, with the keys that name them.
    pub(crate) certificates: Vec<(&'static str, PathBuf)>,
}

#[derive(Clone)]
pub(crate) enum Place {
    /// A file of SQLite, which is created if it is missing.
    File(PathBuf),
    /// SQLite in the memory of this process.
    Memory,
    Postgres(Box<PgConnectOptions>),
}

/// What is wrong with a connection string; says no value that could be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OptionsError(String);

impl StoreOptions {
    /// Reads a connection string of Npgsql (`Host=db;Database=hubline;Username=me;Password=secret`) or of Microsoft.Data.Sqlite
    /// (`Data Source=hubline.db`), a URL (`postgres://me:secret@db/hubline`, `sqlite:hubline.db`) or `:memory:`. Relative paths are
    /// below `directory`. Also returns what is in it and has no effect, each with why.
    ///
    /// # Errors
    /// It is none of these, or asks for what is not there.
    pub fn parse(text: &str, directory: &Path) -> Result<(Self, Vec<String>), OptionsError> {
        let text = text.trim();
        let scheme =
            |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        let parsed = if scheme("postgres:") || scheme("postgresql:") {
            npgsql::url(text).map(|options| (options, Vec::new()))
        } else if scheme("sqlite:") {
            sqlite::url(text, directory).map(|options| (options, Vec::new()))
        } else if text.eq_ignore_ascii_case(":memory:") {
            Ok((Self::in_memory(), Vec::new()))
        } else {
            pairs::parse(text).and_then(|pairs| match sqlite::is_data_source(&pairs) {
                true => sqlite::connection_string(&pairs, directory),
                false => npgsql::connection_string(&pairs, directory),
            })
        };
        parsed.map_err(OptionsError)
    }

    /// A file of SQLite, which is created if it is missing; its directory has to be there.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::File(path.into()))
    }

    /// SQLite in the memory of this process: gone when the store is.
    pub fn in_memory() -> Self {
        Self::at(Place::Memory)
    }

    /// Whether every instance that is given these options has the same database. A file of SQLite is that of one machine.
    pub fn is_shared(&self) -> bool {
        matches!(self.place, Place::Postgres(_))
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            deadline: DEADLINE,
            skip_migrations: false,
            maximum_connections: MAXIMUM_CONNECTIONS,
            minimum_connections: 0,
            connect_timeout: DEADLINE,
            statement_timeout: DEADLINE,
            idle_timeout: Duration::from_secs(300),
            maximum_lifetime: Some(Duration::from_secs(3600)),
            gathering_time: Duration::from_millis(20),
            commit_delay: Duration::from_millis(4),
            certificates: Vec::new(),
        }
    }

    fn postgres(options: PgConnectOptions) -> Self {
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("hubline"),
        };
        Self::at(Place::Postgres(Box::new(options)))
    }
}

impl FromStr for StoreOptions {
    type Err = OptionsError;

    /// As [`parse`](Self::parse), with relative paths below the working directory, and without what has no effect.
    fn from_str(text: &str) -> Result<Self, OptionsError> {
        Self::parse(text, Path::new("")).map(|(options, _)| options)
    }
}

impl fmt::Display for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path) => write!(f, "SQLite, {}", path.display()),
            Place::Memory => f.write_str("SQLite in memory"),
            Place::Postgres(options) => {
                let database = options.get_database().unwrap_or(options.get_username());
                // A password that is not encoded as URLs have it may have become a part of it.
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                let database = if database.bytes().all(is_plain) { database } else { "***" };
                match options.get_socket() {
                    Some(socket) => write!(f, "PostgreSQL at {}, database {database}", socket.display()),
                    None => {
                        let (host, port) = (options.get_host(), options.get_port());
                        write!(f, "PostgreSQL at {host}:{port}, database {database}")
                    }
                }
            }
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreOptions").field(&self.to_string()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match StoreOptions::parse(text, Path::new("/root")) {
            Ok((options, warnings)) => [vec![options.to_string()], warnings].concat().join(" | "),
            Err(error) => format!("refused: {error}"),
        }
    }

    #[test]
    fn all_spellings_lead_somewhere() {
        for (text, expected) in [
            ("Data Source=hubline.db", "SQLite, /root/hubline.db"),
            ("data source='/var/lib/a;b.db';Cache=Shared", "SQLite, /var/lib/a;b.db"),
            ("DataSource=|DataDirectory|x.db", "SQLite, /root/x.db"),
            ("Filename=x.db;Mode=ReadWriteCreate;Foreign Keys=true", "SQLite, /root/x.db"),
            ("Data Source=:memory:", "SQLite in memory"),
            (":memory:", "SQLite in memory"),
            ("Data Source=x;Mode=Memory;Cache=Shared", "SQLite in memory"),
            ("sqlite::memory:", "SQLite in memory"),
            ("sqlite:x.db?mode=rwc", "SQLite, /root/x.db"),
            ("sqlite:///var/x%20y.db", "SQLite, /var/x y.db"),
            ("sqlite://x.db", "SQLite, /root/x.db"),
            ("sqlite:x.db?mode=memory", "SQLite in memory"),
            (
                "Host=postgres;Database=conduit;Username=conduit;Password=conduit123",
                "PostgreSQL at postgres:5432, database conduit",
            ),
            ("Server=db;Port=5433;User Id=me;Password=\"a;b\"", "PostgreSQL at db:5433, database me"),
            ("Host=/run/postgresql;DB=x;UID=me", "PostgreSQL at /run/postgresql, database x"),
            ("Host=db:6000;Database=x;User Name=me", "PostgreSQL at db:6000, database x"),
            ("postgres://me:secret@db:5434/x?sslmode=disable", "PostgreSQL at db:5434, database x"),
            ("postgres://me:12/3s3cret@db/x", "PostgreSQL at me:12, database ***"),
            ("postgresql://me@db/x", "PostgreSQL at db:5432, database x"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_said_without_secrets() {
        for (text, expected) in [
            ("hubline.db", "refused: expected Key=value pairs"),
            (
                "Data Source=s;Initial Catalog=x;Password=s3cret",
                "refused: this is a connection string of SQL Server",
            ),
            ("Data Source=x.db;Password=s3cret", "refused: Password encrypts the file"),
            ("Data Source=x.db;Mode=ReadOnly", "refused: Mode=ReadOnly"),
            ("sqlite:x.db?mode=ro", "refused: mode=ro"),
            ("Host=a,b;Username=me;Password=s3cret", "refused: Host names several hosts"),
            ("Database=x;Password=s3cret", "refused: Host is missing"),
            ("Host=db;Port=s3cret", "refused: Port has to be"),
            ("Host=db;SSL Mode=s3cret", "refused: SSL Mode has to be"),
            ("Host=db;Username=me;Pasword=s3cret", "| Pasword is no key"),
            ("Host=db;Username=me;Pooling=false", "| Pooling=false has no effect"),
            ("Host=db;Username=me;Password=a;s3cret=b", "| a part of it is no key"),
            ("Data Source=x.db;Pasword=s3cret", "| Pasword is no key"),
            ("postgres://me:s3cret@db:port/x", "refused: the URL cannot be read"),
            ("mysql://me:s3cret@db/x", "refused: expected Key=value pairs"),
        ] {
            let shown = shown(text);
            assert!(shown.contains(expected) && !shown.contains("s3cret"), "{text}: {shown}");
        }
        let (options, _) =
            StoreOptions::parse("Host=db;Username=me;Password=s3cret", Path::new("/")).unwrap();
        assert!(!format!("{options:?}").contains("s3cret"));
    }
}
