use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, ServerErrorKind};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{CommandError, client_name};
use crate::RedisOptions;
use crate::client::link::{ConnectError, Mode};
use crate::client::topology::Location;

/// One that has been let in, in the database that was asked for. Closed when dropped or given up.
pub(super) struct Connection {
    commands: MultiplexedConnection,
    /// Set when the link has ended, by whomever.
    gone: CancellationToken,
    /// What a cluster has said to another database than 0.
    pub(super) refused_database: Option<String>,
    _closed_with_this: DropGuard,
}

impl Connection {
    pub(super) async fn open(location: &Location, options: &Arc<RedisOptions>) -> Result<Self, ConnectError> {
        let name = client_name(options);
        let link = location.open_one(options, &name).await?;
        let is_cluster = link.server.mode == Some(Mode::Cluster);
        let endpoint = link.endpoint.clone();
        let not_ready = |error: RedisError| ConnectError::NotReady {
            endpoint: endpoint.clone(),
            answer: error.to_string(),
        };
        let settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        // Time-outs are the client's, which gives the connection up with them.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = MultiplexedConnection::new_with_config(&settings, link.into_stream(), config).await;
        let (mut commands, driver) = connection.map_err(not_ready)?;

        let gone = CancellationToken::new();
        let closing = gone.clone();
        let gone_with_driver = gone.clone().drop_guard();
        let pings = keep_alive(commands.clone(), options.keep_alive, options.async_timeout);
        let superseded = {
            let (location, master, options) = (location.clone(), endpoint.clone(), Arc::clone(options));
            async move { location.superseded(&master, &options, &name).await }
        };
        tokio::spawn(async move {
            // However it ends: without it nothing is answered any more.
            let _gone = gone_with_driver;
            tokio::select! {
                () = driver => {}
                () = pings => {}
                other = superseded => tracing::debug!(%other, "connection for commands given up"),
                () = closing.cancelled() => {}
            }
        });
        let mut connection = Self {
            commands: commands.clone(),
            gone: gone.clone(),
            refused_database: None,
            _closed_with_this: gone.drop_guard(),
        };
        if options.default_database > 0 {
            let mut select = redis::cmd("SELECT");
            select.arg(options.default_database);
            let waited = options.connect_timeout;
            let selected = timeout(waited, select.query_async::<()>(&mut commands)).await;
            let timed_out = |_| ConnectError::TimedOut { endpoint: endpoint.clone(), waited };
            match selected.map_err(timed_out)? {
                Ok(()) => {}
                Err(error) if is_cluster => connection.refused_database = Some(error.to_string()),
                Err(error) => return Err(not_ready(error)),
            }
        }
        Ok(connection)
    }

    pub(super) fn commands(&self) -> MultiplexedConnection {
        self.commands.clone()
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.gone.is_cancelled()
    }

    /// Whoever asks next gets another.
    pub(super) fn give_up(&self) {
        self.gone.cancel();
    }

    pub(super) fn failed(&self, error: RedisError) -> CommandError {
        let error = CommandError::from(error);
        if error.is_of_connection() {
            self.give_up();
        }
        error
    }
}

/// Ends when Redis does not answer any more.
async fn keep_alive(mut commands: MultiplexedConnection, every: Duration, patience: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let ping = redis::cmd("PING");
        match timeout(patience, ping.query_async::<()>(&mut commands)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.kind() == ServerErrorKind::NoPerm.into() => {}
            Ok(Err(error)) => return tracing::debug!(%error, "Redis refuses a ping"),
            Err(_) => return tracing::debug!(?patience, "Redis does not answer a ping"),
        }
    }
}
