//! What can be set for each path.

use hubline_protocol::negotiate::TransportKind;

/// Options of one path, under ASP.NET Core's names (`HttpConnectionDispatcherOptions`).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointOptions {
    /// What is offered, in order. Default: WebSockets, the one there is at present.
    pub transports: Vec<TransportKind>,
    /// Lowest `negotiateVersion` that is served. Default: 0.
    pub minimum_protocol_version: i32,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self { transports: vec![TransportKind::WebSockets], minimum_protocol_version: 0 }
    }
}

impl EndpointOptions {
    /// Refuses clients that negotiate with a lower version.
    #[must_use]
    pub fn minimum_protocol_version(mut self, version: i32) -> Self {
        self.minimum_protocol_version = version;
        self
    }

    /// Offers these transports alone.
    #[must_use]
    pub fn transports(mut self, transports: impl Into<Vec<TransportKind>>) -> Self {
        self.transports = transports.into();
        self
    }
}
