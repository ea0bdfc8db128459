//! Draining this instance: who may ask for it, by SIGTERM (`serve`), the admin API ([`api`]) or `hubline drain --self`
//! ([`own_socket`], [`command`]), and how far it is.

mod api;
mod command;
mod own_socket;

use std::sync::Arc;

use hubline::Drained;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use api::routes;
pub(crate) use command::run as command;
pub(crate) use own_socket::OwnSocket;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nobody has asked.
    Serving,
    /// New clients are refused, and then all are handed over.
    Draining,
    /// That is over, with this left.
    Drained(Drained),
}

/// Draining as those see it who ask for it. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requested: CancellationToken,
    stage: watch::Sender<Stage>,
}

impl Drain {
    pub(crate) fn new() -> Self {
        let (stage, _) = watch::channel(Stage::Serving);
        Self(Arc::new(Inner { requested: CancellationToken::new(), stage }))
    }

    /// Asks for it. Further times change nothing.
    pub(crate) fn request(&self) {
        self.0.requested.cancel();
    }

    /// Ready once somebody has asked.
    pub(crate) async fn requested(&self) {
        self.0.requested.cancelled().await;
    }

    /// Says how far it is.
    pub(crate) fn enter(&self, stage: Stage) {
        self.0.stage.send_replace(stage);
    }

    /// How far it is, and every change of that.
    pub(crate) fn stage(&self) -> watch::Receiver<Stage> {
        self.0.stage.subscribe()
    }

    /// Ready when it is over.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn drained(&self) -> Drained {
        let mut stage = self.stage();
        loop {
            if let Stage::Drained(left) = *stage.borrow_and_update() {
                return left;
            }
            if stage.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
