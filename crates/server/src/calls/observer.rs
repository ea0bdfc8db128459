//! Notices the connections that an instance which died had in calls.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, TryStreamExt};
use hubline::directory::{
    ConnectionChange, ConnectionEvent, ConnectionObserver, HubDirectory, ObserverError,
};

use super::Shared;

/// Connections that are looked at together.
const PARALLEL: usize = 16;

#[derive(Debug)]
pub(super) struct Departures(pub(super) Arc<Shared>);

impl ConnectionObserver for Departures {
    fn changed<'a>(
        &'a self,
        _: &'a dyn HubDirectory,
        changes: &'a [ConnectionChange],
    ) -> BoxFuture<'a, Result<(), ObserverError>> {
        // The hub itself was told of those that have left a living instance; in case it could not do anything, once more.
        let gone = changes.iter().filter(|change| change.event != ConnectionEvent::Connected);
        let gone: Vec<_> =
            gone.filter_map(|change| Some((&change.connection, change.user.as_ref()?))).collect();
        // The other side's instance knows the call although Redis may not know whose it is.
        let carried =
            self.0.sessions.held.carried_by(&gone.iter().map(|(connection, _)| *connection).collect());
        async move {
            for (connection, call) in carried {
                self.0.lost(&call, &connection).await?;
            }
            stream::iter(gone.into_iter().map(Ok))
                .try_for_each_concurrent(PARALLEL, move |(connection, user)| async move {
                    let Some(call) = self.0.sessions.slot(user).await? else { return Ok(()) };
                    Ok(self.0.lost(&call, connection).await?)
                })
                .await
        }
        .boxed()
    }
}
