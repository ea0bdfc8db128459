//! What a server counts.

use hubline_backplane::Statistics;
use hubline_hub::HubStatistics;
use hubline_transport::ConnectionStatistics;

/// What a server counts on this instance, for the metrics of your application: [`Server::statistics`].
///
/// Counting costs messages nothing beyond what the backplane counts anyway. Taking a snapshot costs some microseconds
/// for each hub, whatever the number of connections, and asks nobody else.
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
    /// Each hub, in the order in which they were added.
    pub hubs: Vec<HubStatistics>,
    /// Each mapping of a connection handler, in the order in which they were mapped.
    pub connection_handlers: Vec<ConnectionHandlerStatistics>,
    /// Connections by transport, over all hubs and connection handlers.
    pub connections: ConnectionStatistics,
    /// Messages for the other instances. All zero if there are none.
    pub backplane: Statistics,
}

/// What a server counts of one mapping of a connection handler.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionHandlerStatistics {
    /// The path that it is mapped on, or the name of its service.
    pub name: String,
    /// Connections that are open.
    pub connections: usize,
}
