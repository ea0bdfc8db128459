//! One database, either of the two, as operations and its keeper use it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, select};
use std::pin::pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::health::{Health, Waiting};
use crate::job::{Job, job};
use crate::options::Place;
use crate::postgres::{Outcome, Postgres};
use crate::schema::{self, Migration};
use crate::sqlite::Sqlite;
use crate::{Connection, StoreError, StoreOptions};

/// How long migrations may take, with the wait for those of another program.
const MIGRATION_TIME: Duration = Duration::from_secs(600);

pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) health: Arc<Health>,
    /// For the log.
    pub(crate) place: String,
    pub(crate) deadline: Duration,
    skip_migrations: bool,
    runtime: Handle,
}

pub(crate) enum Database {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

/// How an operation uses the database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Shared {
    pub(crate) fn new(options: &StoreOptions, health: Health, runtime: Handle) -> Result<Self, StoreError> {
        let (place, health) = (options.to_string(), Arc::new(health));
        let database = match &options.place {
            // Its connections belong to the runtime that the pool is made in.
            Place::Postgres(at) => {
                let _inside = runtime.enter();
                Database::Postgres(Box::new(Postgres::new(at, options)))
            }
            file => Database::Sqlite(Sqlite::open(file, options, &place, &health, &runtime)?),
        };
        let (deadline, skip_migrations) = (options.deadline, options.skip_migrations);
        Ok(Self { database, health, place, deadline, skip_migrations, runtime })
    }

    /// Does work, if the database is open.
    pub(crate) async fn run<T, E, W>(&self, work: W, access: Access) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let counter = match access {
            Access::Read => &self.health.reads,
            Access::Write => &self.health.writes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.health.pass()?;
        let _waiting = Waiting::new(&self.health.waiting);
        self.run_within(work, access, self.deadline).await
    }

    /// Does work, open or not.
    pub(crate) async fn run_within<T, E, W>(&self, work: W, access: Access, limit: Duration) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        // One type from here on: what is generic is compiled anew for each work of each application.
        let (job, result) = job(work);
        match &self.database {
            Database::Sqlite(sqlite) => {
                match access {
                    Access::Read => sqlite.read(job, limit),
                    Access::Write => sqlite.write(job, limit),
                }
                // The store's clock, since the caller's may be paused.
                let late = {
                    let _inside = self.runtime.enter();
                    sleep(limit)
                };
                match select(result, pin!(late)).await {
                    Either::Left((answer, _)) => answer.unwrap_or_else(|_| Err(closed().into())),
                    Either::Right(_) => Err(self.late(limit).into()),
                }
            }
            Database::Postgres(postgres) => {
                self.run_on_postgres(postgres, job, access, limit).await?;
                result.await.unwrap_or_else(|_| Err(closed().into()))
            }
        }
    }

    /// Waits until the job is done.
    async fn run_on_postgres(
        &self,
        postgres: &Postgres,
        job: Box<dyn Job>,
        access: Access,
        limit: Duration,
    ) -> Result<(), StoreError> {
        let used = postgres.clone();
        let working = timeout(limit, async move {
            match access {
                Access::Read => used.read(job).await,
                Access::Write => used.write(job).await,
            }
        });
        match self.runtime.spawn(working).await {
            Ok(Ok(Outcome { succeeded, trouble })) => {
                if trouble.is_some() {
                    self.health.failed();
                } else if succeeded && matches!(access, Access::Write) {
                    self.health.commits.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
            Ok(Err(_)) => {
                postgres.distrust();
                Err(self.late(limit))
            }
            Err(ended) if ended.is_panic() => {
                Err(StoreError::Unavailable("the work has panicked".to_owned()))
            }
            Err(_) => Err(closed()),
        }
    }

    fn late(&self, limit: Duration) -> StoreError {
        self.health.failed();
        StoreError::Unavailable(format!("no answer within {} s", limit.as_secs_f64()))
    }

    /// Reaches the database, and makes its tables those of this version or, where that is left to others, says which are missing.
    ///
    /// # Errors
    /// [`StoreError::Schema`] if they are those of a newer version.
    pub(crate) async fn begin(&self) -> Result<Begun, StoreError> {
        if let Database::Postgres(postgres) = &self.database {
            let postgres = postgres.clone();
            let reached = self.runtime.spawn(async move { postgres.reach().await }).await;
            reached.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        }
        let missing =
            self.run_within(|db| Box::pin(schema::missing(db)), Access::Read, self.deadline).await?;
        match (missing.is_empty(), &self.database) {
            (false, _) if self.skip_migrations => return Ok(Begun::Missing(missing)),
            (false, _) => self.health.migrates(),
            // Whoever has nothing to make waits for nobody who does.
            (true, Database::Postgres(_)) => return Ok(Begun::Ready(missing)),
            (true, Database::Sqlite(_)) if self.skip_migrations => return Ok(Begun::Ready(missing)),
            // Shows whether the file can be written.
            (true, Database::Sqlite(_)) => {}
        }
        let made = self.run_within(|db| Box::pin(schema::migrate(db)), Access::Write, MIGRATION_TIME).await?;
        for Migration { version, name } in &made {
            tracing::info!(database = self.place, version, name, "Tables made in the database");
        }
        Ok(Begun::Ready(made))
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it was closed".to_owned())
}

/// What has come of beginning.
pub(crate) enum Begun {
    /// It can be used; what was made for that.
    Ready(Vec<Migration>),
    /// It cannot, before somebody else makes these.
    Missing(Vec<Migration>),
}
