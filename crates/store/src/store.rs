use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubline_supervision::spawn_on;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::health::{Health, StoreFigures, StoreStatus};
use crate::keeper::Keeper;
use crate::runtime::Runtime;
use crate::schema::Migration;
use crate::shared::{Access, Begun, Database, Shared};
use crate::{Connection, StoreError, StoreOptions};

/// Between two tries of [`Store::migrate`].
const RETRY: Duration = Duration::from_millis(500);

/// The database. Cloning shares it.
///
/// Its connections live on threads of their own, so it may be used from any runtime, also from one whose clock is paused.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    _keeper: AbortOnDropHandle<()>,
    _runtime: Runtime,
}

impl Store {
    /// Opens the database, and brings its tables up to date unless [`StoreOptions::skip_migrations`] says otherwise. Several programs
    /// may do so at once.
    ///
    /// A PostgreSQL that is away, or tables that are left to others and missing, are no error: the store says so in its
    /// [`status`](Self::status) and log, fails what it is asked for, and goes on by itself when they are there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Full`]: the file of SQLite cannot be written. [`StoreError::Schema`]: the tables
    /// are those of a newer version.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let (store, begun) = Self::start(options).await?;
        begun.await?;
        Ok(store)
    }

    /// As [`open`](Self::open), in two steps, for a program that has something to do while tables are made, which may take minutes. The
    /// store is there as soon as its place is known to be one; the future ends when `open` would. Until then the
    /// [`status`](Self::status) says what is waited for, and what the store is asked for fails at once.
    ///
    /// # Errors
    /// As `open`'s, of either step.
    pub async fn start(
        options: StoreOptions,
    ) -> Result<(Self, impl Future<Output = Result<(), StoreError>> + Send + use<>), StoreError> {
        let runtime = Runtime::start()?;
        let health = Health::new(StoreStatus::Starting("it has not been reached yet".to_owned()));
        let handle = runtime.handle.clone();
        // SQLite may wait for a lock.
        let shared = runtime.handle.spawn_blocking(move || Shared::new(&options, health, handle)).await;
        let shared = Arc::new(shared.map_err(|error| StoreError::Unavailable(error.to_string()))??);
        let (opened, begun) = oneshot::channel();
        let keeper = spawn_on(&runtime.handle, Keeper::new(Arc::clone(&shared), opened));
        let begun = async move {
            begun.await.unwrap_or_else(|_| Err(StoreError::Unavailable("it was closed".to_owned())))
        };
        Ok((Self { inner: Arc::new(Inner { shared, _keeper: keeper, _runtime: runtime }) }, begun))
    }

    /// Brings the tables up to date, whatever [`StoreOptions::skip_migrations`] says, and returns what was made; nothing if they were.
    /// Waits for a database that cannot be reached, at most so long.
    ///
    /// # Errors
    /// As [`open`](Self::open)'s, and [`StoreError::Unavailable`] if it cannot be reached.
    pub async fn migrate(
        mut options: StoreOptions,
        patience: Duration,
    ) -> Result<Vec<Migration>, StoreError> {
        options.skip_migrations = false;
        let runtime = Runtime::start()?;
        let health = Health::new(StoreStatus::Starting(String::new()));
        let shared = Shared::new(&options, health, runtime.handle.clone())?;
        let give_up = Instant::now() + patience;
        let mut is_told = false;
        loop {
            match shared.begin().await {
                Ok(Begun::Ready(made) | Begun::Missing(made)) => return Ok(made),
                Err(error @ (StoreError::Unavailable(_) | StoreError::Locked(_)))
                    if Instant::now() < give_up =>
                {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::info!(database = shared.place, %error, "Waiting for the database, {patience:?} at most");
                    }
                    sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs work that changes nothing.
    ///
    /// # Errors
    /// What the work returns; [`StoreError::Unavailable`] after 5 s, or at once while the database is known to be away.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner.shared.run(work, Access::Read).await
    }

    /// Runs work in a transaction, which is committed if the work succeeds and rolled back otherwise.
    ///
    /// On SQLite one transaction writes at a time, and carries the work of others too; each is undone alone. So an error of a
    /// statement has to be returned, and the work must await nothing but the database. On PostgreSQL several write, each `READ
    /// COMMITTED`: what is read to be changed has to be locked, which `INSERT ... ON CONFLICT DO UPDATE ... RETURNING` and
    /// `UPDATE ... RETURNING` do on both.
    ///
    /// # Errors
    /// What the work returns; [`StoreError::Unavailable`] after 5 s, when the transaction may have been committed or not, or at once
    /// while the database is known to be away; [`StoreError::Full`] and [`StoreError::Locked`], when it was not.
    ///
    /// # Cancel safety
    /// Dropped after it was first polled, the transaction may be committed or not.
    pub async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner.shared.run(work, Access::Write).await
    }

    /// Whether the database can be used, now and from now on.
    pub fn status(&self) -> watch::Receiver<StoreStatus> {
        self.inner.shared.health.status()
    }

    /// What the store has done, and does.
    pub fn figures(&self) -> StoreFigures {
        let Shared { health, database, .. } = &*self.inner.shared;
        let (connections, idle) = match database {
            Database::Sqlite(sqlite) => sqlite.connections(),
            Database::Postgres(postgres) => postgres.connections(),
        };
        health.figures(connections, idle)
    }

    /// Which database it is, without user and password.
    pub fn place(&self) -> &str {
        &self.inner.shared.place
    }

    /// Whether it is PostgreSQL, which all instances may share, rather than SQLite, which one machine has.
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.shared.database, Database::Postgres(_))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("place", &self.place()).finish_non_exhaustive()
    }
}
