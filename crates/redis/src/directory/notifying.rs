//! The task that calls the observers of connections.

use std::sync::Arc;

use hubline_directory::local::Batch;
use hubline_supervision::Vital;
use tokio::sync::mpsc;

use super::Shared;
use super::hub::Attached;
use super::presence::Request;

pub(super) struct Notifying {
    shared: Arc<Shared>,
    watches: mpsc::Sender<Request>,
    current: Option<Batch>,
}

impl Vital for Notifying {
    const NAME: &'static str = "observers of the session directory";

    async fn run(&mut self) {
        loop {
            let batch = match self.current.take() {
                Some(batch) => batch,
                None => self.shared.notifier.next().await,
            };
            let batch = self.current.insert(batch);
            if let Some(hub) = self.shared.hub_of_part(&batch.hub) {
                let hub = Attached::new(hub, Arc::clone(&self.shared), self.watches.clone());
                self.shared.notifier.deliver(&hub, batch).await;
            }
            self.shared.forget_departures(batch).await;
            self.current = None;
            self.shared.notifier.handled();
            // The writer may have waited for this.
            self.shared.pending.filled.notify_one();
        }
    }
}

impl Notifying {
    pub(super) fn new(shared: Arc<Shared>, watches: mpsc::Sender<Request>) -> Self {
        Self { shared, watches, current: None }
    }
}

impl Shared {
    /// Removes departures from Redis that the observers have handled.
    async fn forget_departures(&self, batch: &Batch) {
        let handled = self.departures.handled(batch);
        if handled.is_empty() {
            return;
        }
        let mut pipeline = redis::pipe();
        for (instance, departures) in handled {
            pipeline.zrem(self.keys.departed(&instance), departures).ignore();
        }
        if let Err(error) = self.client.query_pipeline::<()>(pipeline).await {
            tracing::debug!(%error, "departures that have been handled stay in Redis and are reported again");
            self.departures.doubt();
        }
    }
}
