//! Watches over the database: whether it can be reached, and whether its tables are those of this version.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hubline_supervision::Vital;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::postgres::Found;
use crate::schema::missing_error;
use crate::shared::{Access, Begun, Database, Shared};
use crate::{Connection, StoreError};

/// A database that works is looked at once in the time that an operation may take, one that does not so many times.
const RETRIES: u32 = 5;

pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    /// Whether the tables have been seen to be right.
    has_begun: bool,
    /// Who waits for the first attempt to begin.
    opened: Option<oneshot::Sender<Result<(), StoreError>>>,
}

impl Vital for Keeper {
    const NAME: &'static str = "store keeper";

    async fn run(&mut self) {
        if let Some(opened) = self.opened.take() {
            // Who opens the store may have gone.
            _ = opened.send(self.open().await);
        }
        loop {
            let Shared { health, deadline, .. } = &*self.shared;
            let deadline = *deadline;
            let pause = if health.is_connected() { deadline } else { deadline / RETRIES };
            let doubted = timeout(pause, health.doubt.notified()).await.is_ok();
            match self.has_begun {
                false => {
                    if let Err(error) = self.begin().await {
                        self.shared.health.close(&self.shared.place, &error);
                    }
                }
                true => self.look().await,
            }
            if doubted && !self.shared.health.is_connected() {
                // What fails now is known already.
                sleep(deadline / RETRIES / 10).await;
            }
        }
    }
}

impl Keeper {
    /// `opened` is told what comes of the first attempt.
    pub(crate) fn new(shared: Arc<Shared>, opened: oneshot::Sender<Result<(), StoreError>>) -> Self {
        Self { shared, has_begun: false, opened: Some(opened) }
    }

    /// # Errors
    /// What waiting does not cure.
    async fn open(&mut self) -> Result<(), StoreError> {
        let Err(error) = self.begin().await else { return Ok(()) };
        let Shared { health, place, database, .. } = &*self.shared;
        match (&error, database) {
            (StoreError::Schema(_), _) => Err(error),
            (StoreError::Locked(_), _) | (_, Database::Postgres(_)) => {
                health.close(place, &error);
                Ok(())
            }
            _ => Err(error),
        }
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        let Shared { health, place, .. } = &*self.shared;
        match self.shared.begin().await? {
            Begun::Ready(_) => {
                self.has_begun = true;
                health.works(place);
            }
            Begun::Missing(missing) => health.close(place, &missing_error(&missing)),
        }
        Ok(())
    }

    async fn look(&self) {
        let Shared { health, place, database, .. } = &*self.shared;
        let found = match database {
            Database::Postgres(postgres) => match postgres.probe(health.is_connected()).await {
                Found::Works => Ok(()),
                // What finds a connection goes on.
                Found::Crowded(error) => return health.broken(place, &error),
                Found::Away(error) => Err(error),
            },
            Database::Sqlite(sqlite) => match sqlite.is_in_place() {
                Ok(()) if health.is_connected() => return,
                // The writer tells what comes of it.
                Ok(()) if health.is_in_doubt() => return self.write_something().await,
                found => found,
            },
        };
        match found {
            Ok(()) => health.works(place),
            Err(error) => health.close(place, &error),
        }
    }

    /// Changes nothing, and yet needs room on the disk.
    async fn write_something(&self) {
        _ = self.shared.run_within(touch, Access::Write, self.shared.deadline).await;
    }
}

fn touch(db: &mut Connection) -> BoxFuture<'_, Result<(), StoreError>> {
    Box::pin(async move {
        sqlx::query("UPDATE hubline_migrations SET applied_at = applied_at").execute(&mut *db).await?;
        Ok(())
    })
}
