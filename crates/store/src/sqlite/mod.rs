//! SQLite: one thread that writes, and up to four that read beside it.

pub(crate) mod execute;
mod file;
mod run;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hubline_supervision::supervise_thread;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::health::Health;
use crate::job::Job;
use crate::options::Place;
use crate::{Connection, StoreError, StoreOptions};
use file::{Deadline, File};
use writer::{Request, Writer};

/// Threads that read; the runtime is made with so many for blocking work.
pub(crate) const READERS: usize = 4;
/// Operations that wait at most; further ones fail at once.
const WAITING: usize = 10_000;

pub(crate) struct Sqlite {
    file: File,
    writer: mpsc::Sender<Request>,
    readers: Arc<Readers>,
    runtime: Handle,
    /// The file's, since its path may lead to another one.
    identity: Option<(u64, u64)>,
}

struct Readers {
    health: Arc<Health>,
    idle: Mutex<Vec<(Connection, Deadline)>>,
    open: AtomicU64,
}

impl Sqlite {
    /// Opens the file, or makes one in memory. Nothing is in it yet.
    ///
    /// # Errors
    /// It cannot be written; says which path and why.
    pub(crate) fn open(
        place: &Place,
        options: &StoreOptions,
        name: &str,
        health: &Arc<Health>,
        runtime: &Handle,
    ) -> Result<Self, StoreError> {
        let (file, commit_delay) = match place {
            Place::File(path) => (File::At(path.clone(), options.deadline * 9 / 10), options.commit_delay),
            Place::Memory | Place::Postgres(_) => (File::Memory, Duration::ZERO),
        };
        let deadline = Deadline::default();
        let connection = Connection::sqlite(file.writer(&deadline)?);
        let (writer, queue) = mpsc::channel(WAITING);
        let mut thread = Writer {
            file: file.clone(),
            deadline,
            connection: Some(connection),
            queue,
            health: Arc::clone(health),
            place: name.to_owned(),
            runtime: runtime.clone(),
            gathering: options.gathering_time,
            commit_delay,
            not_before: None,
            undone: None,
        };
        let run = move || supervise_thread("store writer", || thread.run());
        let spawned = thread::Builder::new().name("hubline-sqlite".to_owned()).spawn(run);
        spawned.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let readers =
            Arc::new(Readers { health: Arc::clone(health), idle: Mutex::default(), open: AtomicU64::new(0) });
        let identity = match &file {
            File::At(path, _) => file::identity(path),
            File::Memory => None,
        };
        Ok(Self { identity, file, writer, readers, runtime: runtime.clone() })
    }

    /// Carries a job out in a transaction that it may share.
    pub(crate) fn write(&self, job: Box<dyn Job>, limit: Duration) {
        self.ask(Request { job, is_write: true, limit });
    }

    /// Carries a job out beside what is written.
    pub(crate) fn read(&self, job: Box<dyn Job>, limit: Duration) {
        match &self.file {
            File::Memory => self.ask(Request { job, is_write: false, limit }),
            File::At(..) => {
                let (file, readers, runtime) =
                    (self.file.clone(), Arc::clone(&self.readers), self.runtime.clone());
                drop(self.runtime.spawn_blocking(move || readers.read(&file, &runtime, job, limit)));
            }
        }
    }

    /// Whether the file is still where it was opened: what is written to one that was removed or replaced is lost.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn is_in_place(&self) -> Result<(), StoreError> {
        let File::At(path, _) = &self.file else { return Ok(()) };
        match file::identity(path) {
            Some(identity) if self.identity == Some(identity) => Ok(()),
            _ => Err(StoreError::Unavailable(format!(
                "{} was removed or replaced while it was open: put it back, or restart to begin with the one that is there",
                path.display()
            ))),
        }
    }

    /// Connections, and those of them that are idle.
    pub(crate) fn connections(&self) -> (u64, u64) {
        let idle = self.readers.idle.lock().len() as u64;
        (1 + self.readers.open.load(Ordering::Relaxed), idle)
    }

    fn ask(&self, request: Request) {
        let refusal = match self.writer.try_send(request) {
            Ok(()) => return,
            Err(refusal) => refusal,
        };
        let why = match &refusal {
            mpsc::error::TrySendError::Full(_) => format!("{WAITING} writes wait already"),
            mpsc::error::TrySendError::Closed(_) => "it was closed".to_owned(),
        };
        refusal.into_inner().job.finish(Err(StoreError::Unavailable(why)));
    }
}

impl Readers {
    fn read(&self, file: &File, runtime: &Handle, mut job: Box<dyn Job>, limit: Duration) {
        if !job.is_wanted() {
            return;
        }
        let idle = self.idle.lock().pop();
        let opened = idle.map_or_else(|| self.open(file), Ok);
        let (mut connection, looks_at) = match opened {
            Ok(opened) => opened,
            Err(error) => return job.finish(Err(error)),
        };
        let deadline = Instant::now() + limit;
        looks_at.set(Some(deadline));
        let done = run::run(&mut *job, &mut connection, runtime, deadline);
        looks_at.set(None);
        if connection.trouble.take().is_some() {
            self.health.failed();
        }
        self.idle.lock().push((connection, looks_at));
        job.finish(done.map(drop));
    }

    fn open(&self, file: &File) -> Result<(Connection, Deadline), StoreError> {
        let deadline = Deadline::default();
        let connection = file.reader(&deadline)?;
        let connection = connection.ok_or_else(|| StoreError::Unavailable("there is no file".to_owned()))?;
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok((Connection::sqlite(connection), deadline))
    }
}
