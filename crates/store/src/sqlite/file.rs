//! Opening SQLite.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use super::execute::refusal;
use crate::StoreError;

const BETWEEN_TRIES: Duration = Duration::from_millis(10);
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 256;
/// Instructions of SQLite's machine between two looks at the clock, about 1 ms.
const BETWEEN_LOOKS: i32 = 10_000;
/// Bytes of a write-ahead log that are kept when it begins anew.
const LOG_LIMIT_BYTES: i64 = 64 * 1024 * 1024;

/// Where SQLite keeps its data.
#[derive(Debug, Clone)]
pub(super) enum File {
    /// A path, and how long a statement waits for another process' lock: less than an operation may take, so that its error says what
    /// it was.
    At(PathBuf, Duration),
    Memory,
}

/// When what runs now is given up. Shared with the connection, which looks at it while it runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Deadline(Arc<Mutex<Option<Instant>>>);

impl Deadline {
    pub(super) fn set(&self, at: Option<Instant>) {
        *self.0.lock() = at;
    }

    fn is_over(&self) -> bool {
        self.0.lock().is_some_and(|deadline| Instant::now() >= deadline)
    }
}

impl File {
    /// A connection that writes. The file is created if it is missing.
    pub(super) fn writer(&self, deadline: &Deadline) -> Result<Connection, StoreError> {
        let connection = match self {
            Self::At(path, patience) => {
                check_writable(path)?;
                let connection = open(path, OpenFlags::SQLITE_OPEN_CREATE)?;
                // Before the first read, and where another process may be doing the same.
                connection.busy_timeout(*patience).map_err(refused)?;
                write_ahead(&connection, *patience)?;
                connection.pragma_update(None, "journal_size_limit", LOG_LIMIT_BYTES).map_err(refused)?;
                connection
            }
            Self::Memory => Connection::open_in_memory().map_err(refused)?,
        };
        prepare(connection, deadline)
    }

    /// A connection that reads; `None` in memory, where there is one connection.
    pub(super) fn reader(&self, deadline: &Deadline) -> Result<Option<Connection>, StoreError> {
        let Self::At(path, patience) = self else { return Ok(None) };
        let connection = open(path, OpenFlags::empty())?;
        connection.busy_timeout(*patience).map_err(refused)?;
        connection.pragma_update(None, "query_only", true).map_err(refused)?;
        prepare(connection, deadline).map(Some)
    }
}

fn open(path: &Path, create: OpenFlags) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
    Connection::open_with_flags(path, flags).map_err(refused)
}

/// Several processes may ask for it at once, and those that lose are told to try again without a wait.
fn write_ahead(connection: &Connection, patience: Duration) -> Result<(), StoreError> {
    let give_up = Instant::now() + patience;
    loop {
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
        match connection.execute_batch(pragmas).map_err(refused) {
            Err(StoreError::Locked(_)) if Instant::now() < give_up => std::thread::sleep(BETWEEN_TRIES),
            done => return done,
        }
    }
}

fn prepare(connection: Connection, deadline: &Deadline) -> Result<Connection, StoreError> {
    let pragmas = "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;";
    connection.execute_batch(pragmas).map_err(refused)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let deadline = deadline.clone();
    connection.progress_handler(BETWEEN_LOOKS, Some(move || deadline.is_over())).map_err(refused)?;
    Ok(connection)
}

/// Tells one file from another.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// SQLite itself only says that it is unable to open the file.
fn check_writable(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unwritable = |what: &Path, error: io::Error| {
        StoreError::Unavailable(format!("{} cannot be written: {error}", what.display()))
    };
    OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
        match fs::metadata(directory) {
            Ok(_) => unwritable(path, error),
            Err(missing) => unwritable(directory, missing),
        }
    })?;
    // Beside it stand its log and index.
    tempfile_in(directory).map_err(|error| unwritable(directory, error))
}

fn tempfile_in(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".hubline-{}", std::process::id()));
    let created = OpenOptions::new().write(true).create_new(true).open(&path);
    match created {
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

pub(super) fn refused(error: rusqlite::Error) -> StoreError {
    refusal(error).into()
}
