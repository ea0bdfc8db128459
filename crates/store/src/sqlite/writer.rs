//! The one thread that writes.
//!
//! A transaction that reaches the disk costs a flush, whatever is in it. So all writes that wait share one (group commit): while it
//! is flushed, the next ones gather. Each is undone alone if it fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::file::{Deadline, File, refused};
use super::run::run;
use crate::connection::Kind;
use crate::health::Health;
use crate::job::Job;
use crate::{Connection, StoreError};

/// Writes in one transaction at most. What has been done waits for the rest.
const WRITES: usize = 512;

/// The writer, as its thread has it.
pub(super) struct Writer {
    pub(super) file: File,
    pub(super) deadline: Deadline,
    /// `None` after a panic in the middle of something; opened again.
    pub(super) connection: Option<Connection>,
    pub(super) queue: mpsc::Receiver<Request>,
    pub(super) health: Arc<Health>,
    pub(super) place: String,
    pub(super) runtime: Handle,
    /// How long a transaction takes more writes in: others that use the file wait for its lock meanwhile.
    pub(super) gathering: Duration,
    /// What has ended the transaction before its time.
    pub(super) undone: Option<StoreError>,
}

/// What the writer is asked for.
pub(super) struct Request {
    pub(super) job: Box<dyn Job>,
    /// Otherwise it is carried out outside a transaction, for a database that has one connection.
    pub(super) is_write: bool,
    /// How long it may take.
    pub(super) limit: Duration,
}

impl Writer {
    /// Until nobody can ask any more.
    pub(super) fn run(&mut self) {
        while let Some(request) = self.queue.blocking_recv() {
            self.serve(request);
        }
    }

    fn serve(&mut self, request: Request) {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.file.writer(&self.deadline) {
                Ok(connection) => Connection::sqlite(connection),
                Err(error) => {
                    self.broken(&error);
                    return request.job.finish(Err(error));
                }
            },
        };
        match request.is_write {
            true => self.write(&mut connection, request),
            false => self.read(&mut connection, request),
        }
        self.connection = Some(connection);
    }

    fn read(&mut self, connection: &mut Connection, mut request: Request) {
        let done = self.one(connection, &mut request);
        self.look_at(connection);
        request.job.finish(done.map(drop));
    }

    /// Carries a write out, and with it those that wait.
    fn write(&mut self, connection: &mut Connection, first: Request) {
        if !first.job.is_wanted() {
            return;
        }
        let begun = Instant::now();
        if let Err(error) = statement(connection, "BEGIN IMMEDIATE") {
            self.broken(&error);
            return first.job.finish(Err(error));
        }
        let Some(job) = self.write_first(connection, first) else { return };
        let mut kept = vec![job];
        let mut reads = Vec::new();
        while !is_autocommit(connection) && kept.len() < WRITES && begun.elapsed() < self.gathering {
            match self.queue.try_recv() {
                Ok(request) if !request.job.is_wanted() => {}
                Ok(request) if request.is_write => self.write_next(connection, request, &mut kept),
                Ok(request) => reads.push(request),
                Err(_) => break,
            }
        }
        self.commit(connection, kept);
        reads.into_iter().for_each(|request| self.read(connection, request));
    }

    /// Nothing is in the transaction yet, so it is undone whole if this fails; `None` then.
    fn write_first(&mut self, connection: &mut Connection, mut request: Request) -> Option<Box<dyn Job>> {
        let done = self.one(connection, &mut request);
        let succeeded = matches!(done, Ok(true)) && !is_autocommit(connection);
        let settled = match succeeded || is_autocommit(connection) {
            true => Ok(()),
            false => statement(connection, "ROLLBACK"),
        };
        self.look_at(connection);
        self.undone = None;
        settle(request.job, succeeded, done.and(settled))
    }

    /// A failure of one must not undo the others, so each further one is behind a savepoint.
    fn write_next(
        &mut self,
        connection: &mut Connection,
        mut request: Request,
        kept: &mut Vec<Box<dyn Job>>,
    ) {
        if let Err(error) = statement(connection, "SAVEPOINT job") {
            return request.job.finish(Err(error));
        }
        let done = self.one(connection, &mut request);
        let succeeded = matches!(done, Ok(true)) && !is_autocommit(connection);
        let settled = match succeeded {
            true => statement(connection, "RELEASE job"),
            false if is_autocommit(connection) => Ok(()),
            false => {
                statement(connection, "ROLLBACK TO job").and_then(|()| statement(connection, "RELEASE job"))
            }
        };
        self.look_at(connection);
        kept.extend(settle(request.job, succeeded, done.and(settled)));
    }

    fn one(&self, connection: &mut Connection, request: &mut Request) -> Result<bool, StoreError> {
        let deadline = Instant::now() + request.limit;
        self.deadline.set(Some(deadline));
        let done = run(&mut *request.job, connection, &self.runtime, deadline);
        self.deadline.set(None);
        done
    }

    fn commit(&mut self, connection: &mut Connection, kept: Vec<Box<dyn Job>>) {
        let committed = match is_autocommit(connection) {
            false => statement(connection, "COMMIT"),
            true => Err(self.undone.take().unwrap_or_else(|| {
                StoreError::Unavailable("the transaction that others shared was undone".to_owned())
            })),
        };
        match &committed {
            Ok(()) => {
                self.health.commits.fetch_add(1, Ordering::Relaxed);
                if self.health.is_in_doubt() && !kept.is_empty() {
                    self.health.works(&self.place);
                }
            }
            Err(error) => {
                // It may have gone with the error.
                _ = statement(connection, "ROLLBACK");
                self.broken(error);
            }
        }
        for job in kept {
            job.finish(match &committed {
                Ok(()) => Ok(()),
                Err(error) => Err(error.again()),
            });
        }
    }

    /// What the database was in the way with, whatever the work has made of it.
    fn look_at(&mut self, connection: &mut Connection) {
        if let Some(trouble) = connection.trouble.take() {
            match &trouble {
                StoreError::Slow(_) => self.health.failed(),
                trouble => self.broken(trouble),
            }
            self.undone = Some(trouble).filter(|_| is_autocommit(connection));
        }
    }

    fn broken(&self, error: &StoreError) {
        self.health.broken(&self.place, error);
        self.health.failed();
    }
}

/// The job, if it is to be kept. Otherwise whoever waits for it is told why not.
fn settle<T>(job: Box<dyn Job>, succeeded: bool, done: Result<T, StoreError>) -> Option<Box<dyn Job>> {
    match (succeeded, done) {
        (true, Ok(_)) => return Some(job),
        (_, Err(error)) => job.finish(Err(error)),
        // Its own error, or a statement whose error it has not returned has ended the transaction.
        (false, Ok(_)) => {
            let undone = "a statement failed and everything was undone".to_owned();
            job.finish(Err(StoreError::Unavailable(undone)));
        }
    }
    None
}

fn is_autocommit(connection: &Connection) -> bool {
    match &connection.kind {
        Kind::Sqlite(connection) => connection.is_autocommit(),
        Kind::Postgres(_) => true,
    }
}

fn statement(connection: &mut Connection, sql: &str) -> Result<(), StoreError> {
    match &connection.kind {
        Kind::Sqlite(connection) => {
            let mut statement = connection.prepare_cached(sql).map_err(refused)?;
            statement.raw_execute().map(drop).map_err(refused)
        }
        Kind::Postgres(_) => Ok(()),
    }
}
