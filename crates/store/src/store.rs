use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, AssertSqlSafe, ConnectOptions, SqlSafeStr};
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;

use crate::StoreError;
use crate::migrations::MIGRATIONS;
use crate::options::Place;
use crate::{DEADLINE, StoreOptions};

/// A connection that work of the store runs on.
pub type Connection = sqlx::AnyConnection;

/// The database. Cloning shares it.
///
/// Its connections live on a thread of their own, so it may be used from any runtime.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    runtime: Arc<Handle>,
}

impl Store {
    /// Opens the database, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        install_default_drivers();
        let runtime = start_runtime()?;
        let url = match &options.place {
            Place::File(path) => format!("sqlite:{}?mode=rwc", path.display()),
            Place::Memory => "sqlite::memory:".to_owned(),
            Place::Postgres(options) => options.to_url_lossy().to_string(),
        };
        let connect = async move {
            let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await?;
            if !options.skip_migrations {
                migrator().run(&pool).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
            }
            Ok::<_, StoreError>(pool)
        };
        let pool =
            runtime.spawn(connect).await.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        Ok(Self { pool, runtime: Arc::new(runtime) })
    }

    /// Runs work that changes nothing.
    ///
    /// # Errors
    /// What the work returns; [`StoreError::Unavailable`] after 5 s.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let pool = self.pool.clone();
        self.run(async move {
            let mut connection = pool.acquire().await.map_err(StoreError::from)?;
            work(&mut connection).await
        })
        .await
    }

    /// Runs work in a transaction, which is committed if the work succeeds and rolled back otherwise.
    ///
    /// On SQLite one transaction writes at a time. On PostgreSQL several do, each `READ COMMITTED`: what is read to be changed
    /// has to be locked, which `INSERT ... ON CONFLICT DO UPDATE ... RETURNING` and `UPDATE ... RETURNING` do on both.
    ///
    /// # Errors
    /// What the work returns; [`StoreError::Unavailable`] after 5 s, when the transaction may have been committed or not.
    ///
    /// # Cancel safety
    /// Dropped after it was first polled, the transaction may be committed or not.
    pub async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let pool = self.pool.clone();
        self.run(async move {
            let mut transaction = pool.begin().await.map_err(StoreError::from)?;
            let result = work(&mut transaction).await?;
            transaction.commit().await.map_err(StoreError::from)?;
            Ok(result)
        })
        .await
    }

    async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let late = || StoreError::Unavailable(format!("no answer within {} s", DEADLINE.as_secs()));
        match self.runtime.spawn(timeout(DEADLINE, work)).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(late().into()),
            Err(error) => Err(StoreError::Unavailable(error.to_string()).into()),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
        let sql = AssertSqlSafe(*sql).into_sql_str();
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

fn start_runtime() -> Result<Handle, StoreError> {
    let unavailable = |error: std::io::Error| StoreError::Unavailable(error.to_string());
    let runtime = Builder::new_current_thread().enable_all().build().map_err(unavailable)?;
    let handle = runtime.handle().clone();
    let forever = move || runtime.block_on(std::future::pending::<()>());
    std::thread::Builder::new().name("hubline-store".to_owned()).spawn(forever).map_err(unavailable)?;
    Ok(handle)
}
