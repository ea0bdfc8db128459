//! Whether the database answers.

use std::sync::Arc;
use std::time::Duration;

use hubline::Status;
use hubline_store::{Store, StoreError, sqlx};
use hubline_supervision::Vital;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How often it is asked.
const PERIOD: Duration = Duration::from_secs(2);

/// The database, as operators are told of it.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// `sqlite` or `postgresql`.
    pub(crate) kind: &'static str,
    /// Whether it answers.
    pub(crate) status: watch::Receiver<Status>,
    _asking: Arc<AbortOnDropHandle<()>>,
}

impl Database {
    /// Asks it, at once and then every 2 s for as long as this or a clone is there.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropped, nothing is asked any more.
    pub(crate) async fn watch(store: &Store, kind: &'static str) -> Self {
        let (sender, status) = watch::channel(ask(store).await);
        let asking = hubline_supervision::spawn(Asking { store: store.clone(), status: sender });
        Self { kind, status, _asking: Arc::new(asking) }
    }
}

struct Asking {
    store: Store,
    status: watch::Sender<Status>,
}

impl Vital for Asking {
    const NAME: &'static str = "database status";

    async fn run(&mut self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            let status = ask(&self.store).await;
            let before = self.status.send_replace(status.clone());
            match (before, status) {
                (Status::Connected, Status::Disconnected(reason)) => {
                    tracing::error!(reason, "The database is away; calls that need it fail until it is back");
                }
                (Status::Disconnected(_), Status::Connected) => tracing::info!("The database is back"),
                _ => {}
            }
        }
    }
}

async fn ask(store: &Store) -> Status {
    let asked: Result<(), StoreError> = store
        .read(|connection| {
            Box::pin(async move {
                sqlx::query("SELECT 1").execute(connection).await.map_err(StoreError::from)?;
                Ok(())
            })
        })
        .await;
    match asked {
        Ok(()) => Status::Connected,
        Err(error) => Status::Disconnected(error.to_string()),
    }
}
