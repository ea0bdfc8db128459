//! The one thread that writes.
//!
//! A transaction that reaches the disk costs a flush, whatever is in it. So all writes that wait share one (group commit): while it
//! is flushed, the next ones gather, and where there are such the next transaction waits for more of them. Each is undone alone if it
//! fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
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
    /// Between the beginnings of two transactions while several write at once.
    pub(super) commit_delay: Duration,
    /// When the next transaction begins at the earliest, if several write at once.
    pub(super) not_before: Option<Instant>,
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
        if let Some(not_before) = self.not_before.take() {
            thread::sleep(not_before.saturating_duration_since(Instant::now()));
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
        let is_shared = kept.len() > 1;
        self.commit(connection, kept);
        if is_shared || !self.queue.is_empty() {
            self.not_before = Some(begun + self.commit_delay);
        }
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

    /// A failure of one must not undo the others, so each further one is behind a savepoint. Its own error may be about what the others
    /// have written, so whoever waits for it is told when they are told.
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
        match done.and(settled) {
            Ok(_) if !is_autocommit(connection) => kept.push(request.job),
            done => kept.extend(settle(request.job, succeeded, done)),
        }
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
            match &committed {
                Ok(()) => job.finish(Ok(())),
                Err(error) => job.undo(error.again()),
            }
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

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;
    use parking_lot::Mutex;
    use tokio::sync::oneshot;

    use super::*;
    use crate::StoreStatus;
    use crate::job::job;

    /// Reads the file when whoever waits for the job is told.
    struct Looking {
        job: Box<dyn Job>,
        reader: rusqlite::Connection,
        found: Arc<Mutex<Vec<i64>>>,
    }

    impl Looking {
        fn look(&self) {
            let count = self.reader.query_row("SELECT COUNT(*) FROM notes", [], |row| row.get(0));
            self.found.lock().push(count.unwrap());
        }
    }

    impl Job for Looking {
        fn run<'c>(&'c mut self, connection: &'c mut Connection) -> BoxFuture<'c, bool> {
            self.job.run(connection)
        }

        fn is_wanted(&self) -> bool {
            self.job.is_wanted()
        }

        fn finish(self: Box<Self>, kept: Result<(), StoreError>) {
            self.look();
            self.job.finish(kept);
        }

        fn undo(self: Box<Self>, why: StoreError) {
            self.look();
            self.job.undo(why);
        }
    }

    #[derive(Debug)]
    enum Refused {
        Repeated,
        Store(StoreError),
    }

    impl From<StoreError> for Refused {
        fn from(error: StoreError) -> Self {
            Self::Store(error)
        }
    }

    type Answer = oneshot::Receiver<Result<(), Refused>>;

    /// Inserts a note that does not hold if it is there already.
    fn note(deferred: &'static str) -> (Box<dyn Job>, Answer) {
        job(move |db: &mut Connection| {
            Box::pin(async move {
                let insert = format!("INSERT INTO notes VALUES (1, {deferred}) ON CONFLICT (id) DO NOTHING");
                let done = sqlx::query(sqlx::AssertSqlSafe(insert)).execute(&mut *db).await;
                let done = done.map_err(|error| Refused::Store(error.into()))?;
                (done.rows_affected() == 1).then_some(()).ok_or(Refused::Repeated)
            })
        })
    }

    /// Two writers of one note share a transaction. Returns what each is told, and what the file had when it was.
    fn two_at_once(deferred: &'static str) -> ([Result<(), Refused>; 2], Vec<i64>) {
        let directory = tempfile::tempdir().unwrap();
        let (file, deadline) =
            (File::At(directory.path().join("notes.db"), Duration::from_secs(30)), Deadline::default());
        let connection = file.writer(&deadline).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE owners (id BIGINT PRIMARY KEY);
                 CREATE TABLE notes (id BIGINT PRIMARY KEY,
                     owner BIGINT REFERENCES owners (id) DEFERRABLE INITIALLY DEFERRED);",
            )
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (sender, queue) = mpsc::channel(2);
        let found = Arc::default();
        let answers = [note(deferred), note(deferred)].map(|(job, answer)| {
            let reader = file.reader(&Deadline::default()).unwrap().unwrap();
            let job = Box::new(Looking { job, reader, found: Arc::clone(&found) });
            let request = Request { job, is_write: true, limit: Duration::from_secs(30) };
            sender.try_send(request).ok().unwrap();
            answer
        });
        drop(sender);
        let mut writer = Writer {
            connection: Some(Connection::sqlite(connection)),
            health: Arc::new(Health::new(StoreStatus::Connected)),
            place: "notes.db".to_owned(),
            runtime: runtime.handle().clone(),
            gathering: Duration::from_secs(30),
            commit_delay: Duration::ZERO,
            not_before: None,
            undone: None,
            file,
            deadline,
            queue,
        };
        writer.run();
        let found = found.lock().clone();
        (answers.map(|answer| answer.blocking_recv().unwrap()), found)
    }

    #[test]
    fn who_is_refused_for_what_another_has_written_can_read_it() {
        let (answers, found) = two_at_once("NULL");
        assert!(matches!(answers, [Ok(()), Err(Refused::Repeated)]), "{answers:?}");
        assert_eq!(found, [1, 1]);
    }

    #[test]
    fn nobody_is_refused_for_what_was_undone() {
        // Refused when it is committed.
        let (answers, found) = two_at_once("7");
        let is_undone = |answer: &_| matches!(answer, Err(Refused::Store(StoreError::Unavailable(_))));
        assert!(answers.iter().all(is_undone), "{answers:?}");
        assert_eq!(found, [0, 0]);
    }
}
