//! Watches over the database: whether it can be reached, and whether its tables are those of this version.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hubline_supervision::Vital;
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
    pub(crate) has_begun: bool,
}

impl Vital for Keeper {
    const NAME: &'static str = "store keeper";

    async fn run(&mut self) {
        loop {
            let Shared { health, deadline, .. } = &*self.shared;
            let deadline = *deadline;
            let pause = if health.is_connected() { deadline } else { deadline / RETRIES };
            let doubted = timeout(pause, health.doubt.notified()).await.is_ok();
            match self.has_begun {
                false => self.begin().await,
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
    async fn begin(&mut self) {
        let Shared { health, place, .. } = &*self.shared;
        match self.shared.begin().await {
            Ok(Begun::Ready(_)) => {
                self.has_begun = true;
                health.works(place);
            }
            Ok(Begun::Missing(missing)) => health.close(place, &missing_error(&missing)),
            Err(error) => health.close(place, &error),
        }
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
