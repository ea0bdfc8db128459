//! What a server counts.

use hubline_backplane::Statistics;
use hubline_hub::HubStatistics;
use hubline_transport::ConnectionStatistics;

/// Counters of a server on this instance, from its start: [`Server::statistics`].
///
/// A snapshot takes some microseconds per hub, whatever the number of connections, and no request to another instance. Counting
/// adds no work per message beyond the backplane's own counters.
///
/// ```
/// # let server = hubline::Server::new();
/// let statistics = server.statistics();
/// println!("{} event streams", statistics.connections.server_sent_events.active);
/// for hub in &statistics.hubs {
///     println!("{}: {} clients were too slow", hub.name, hub.closed["slow_client"]);
/// }
/// ```
///
/// [`Server::statistics`]: crate::Server::statistics
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStatistics {
    /// The hubs, in the order in which they were added.
    pub hubs: Vec<HubStatistics>,
    /// The mappings of connection handlers, in the order in which they were mapped.
    pub connection_handlers: Vec<ConnectionHandlerStatistics>,
    /// Connections by transport, over all hubs and connection handlers.
    pub connections: ConnectionStatistics,
    /// Messages to and from other instances. All zero for a server of one instance.
    pub backplane: Statistics,
}

/// Counters of one mapping of a connection handler.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionHandlerStatistics {
    /// Its path, or the name that was given to [`Server::connection_service`](crate::Server::connection_service).
    pub name: String,
    /// The number of open connections.
    pub connections: usize,
}
