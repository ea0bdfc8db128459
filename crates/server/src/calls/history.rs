//! Writes calls into the database, beside everything else: no call waits for it.

use std::sync::Arc;

use hubline_store::calls::{self, CallRecord};
use hubline_store::{Store, StoreError, Timestamp};
use hubline_supervision::Vital;
use tokio::sync::mpsc;

use super::counters::Counters;
use super::session::Session;
use super::timers::Reason;
use super::{Shared, later};

/// Calls that wait to be written. More are written later: those that are over stay due until they were.
pub(super) const LIMIT_WAITING: usize = 1_024;

/// Writes what comes, one after the other.
pub(super) struct Recording {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) sessions: mpsc::Receiver<Session>,
    pub(super) is_failing: bool,
}

impl Vital for Recording {
    const NAME: &'static str = "history of calls";

    async fn run(&mut self) {
        while let Some(session) = self.sessions.recv().await {
            match self.write(&session).await {
                Ok(()) => {
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("The history of calls can be written again");
                    }
                    self.shared.recorded(&session).await;
                }
                Err(error) => {
                    Counters::count(&self.shared.counters.unrecorded);
                    if session.is_over() {
                        let at = self.shared.now() + later();
                        self.shared.timers.set(&session.call.id, at, Reason::Deadline);
                    }
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(
                            %error,
                            "The history of calls cannot be written (ConnectionStrings:Database). It is tried again until a call is 4 hours old; calls go on"
                        );
                    }
                }
            }
        }
    }
}

impl Recording {
    async fn write(&self, session: &Session) -> Result<(), StoreError> {
        let record = record(session);
        self.store.write(move |db| Box::pin(async move { calls::record(db, &record).await })).await.map(drop)
    }
}

fn record(session: &Session) -> CallRecord {
    let call = &session.call;
    CallRecord {
        id: call.id.as_str().to_owned(),
        caller: call.caller.as_str().to_owned(),
        recipient: call.recipient.as_str().to_owned(),
        started: call.started.into(),
        accepted: call.accepted.map(Timestamp::from),
        ended: call.ended.map(Timestamp::from),
        outcome: session.outcome(),
        reason: session.state.reason.clone(),
    }
}
