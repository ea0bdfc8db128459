//! Whether the database can be used, as operators are told.

use std::sync::Arc;

use hubline::Status;
use hubline_store::{Store, StoreFigures, StoreStatus};
use hubline_supervision::Vital;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::metrics::{Figure, Figures};

/// The database, as operators are told of it.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// `sqlite` or `postgresql`.
    pub(crate) kind: &'static str,
    /// Whether it can be used.
    pub(crate) status: watch::Receiver<Status>,
    _following: Arc<AbortOnDropHandle<()>>,
}

impl Database {
    /// Follows the store for as long as this or a clone is there. The store logs what changes.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn watch(store: &Store) -> Self {
        let kind = if store.is_shared() { "postgresql" } else { "sqlite" };
        let of_store = store.status();
        let (sender, status) = watch::channel(told(&of_store.borrow()));
        let following = hubline_supervision::spawn(Following { of_store, told: sender });
        Self { kind, status, _following: Arc::new(following) }
    }
}

struct Following {
    of_store: watch::Receiver<StoreStatus>,
    told: watch::Sender<Status>,
}

impl Vital for Following {
    const NAME: &'static str = "database status";

    async fn run(&mut self) {
        while self.of_store.changed().await.is_ok() {
            let told = told(&self.of_store.borrow_and_update());
            self.told.send_replace(told);
        }
    }
}

fn told(status: &StoreStatus) -> Status {
    match status {
        StoreStatus::Connected => Status::Connected,
        StoreStatus::Migrating => Status::Disconnected("migrations run".to_owned()),
        StoreStatus::Starting(why) | StoreStatus::Disconnected(why) => Status::Disconnected(why.clone()),
    }
}

/// What is counted of the database.
pub(crate) fn figures(store: &Store) -> Figures {
    let store = store.clone();
    Figures::new(move || {
        let StoreFigures { connections, idle, waiting, reads, writes, commits, failures, .. } =
            store.figures();
        vec![
            Figure::gauge("hubline_database_connections", "Connections to the database.", connections),
            Figure::gauge("hubline_database_connections_idle", "Those of them that nothing uses.", idle),
            Figure::gauge(
                "hubline_database_operations_pending",
                "Operations that run or wait for their turn.",
                waiting,
            ),
            Figure::counter("hubline_database_reads", "Operations that read.", reads),
            Figure::counter("hubline_database_writes", "Operations in a transaction.", writes),
            Figure::counter(
                "hubline_database_commits",
                "Transactions; on SQLite one carries many writes.",
                commits,
            ),
            Figure::counter(
                "hubline_database_failures",
                "Operations that the database was in the way of.",
                failures,
            ),
        ]
    })
}
