//! What can be set for each path.

use std::time::Duration;

use hubline_pipe::Policy;
use hubline_protocol::negotiate::TransportKind;

/// Options of one path, under ASP.NET Core's names (`HttpConnectionDispatcherOptions`).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointOptions {
    /// What is offered. Clients are told in this order. Default: WebSockets, server-sent events, long polling.
    pub transports: Vec<TransportKind>,
    /// Lowest `negotiateVersion` that is served. Default: 0.
    pub minimum_protocol_version: i32,
    /// Whether a client may put a new WebSocket in the place of a lost one. Default: no.
    pub allow_stateful_reconnects: bool,
    /// What somebody must be for any request to this path. Default: nothing, everybody may.
    pub authorization: Option<Policy>,
    /// Whether a connection ends when its principal expires. Default: no.
    pub close_on_authentication_expiration: bool,
    /// Whether a client may renew the principal of its connection by `POST {path}/refresh`, as .NET 11 has it.
    /// Experimental: its wire has not been compared with a real server's. Default: no.
    pub enable_authentication_refresh: bool,
    /// Most bytes from POSTs that wait for the hub; a POST with more waits. Default: 65536.
    pub application_max_buffer_size: usize,
    /// Bytes that wait for a slow reader of server-sent events, or for the next poll, before the hub has to
    /// wait. One message may go over it. Default: 65536.
    pub transport_max_buffer_size: usize,
    /// How long a poll waits for data (`LongPolling.PollTimeout`). Default: 90 s.
    pub long_polling_poll_timeout: Duration,
    /// How long a client may take to answer a close frame, or to read the end of its event stream
    /// (`WebSockets.CloseTimeout`). Default: 5 s.
    pub web_sockets_close_timeout: Duration,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            transports: vec![
                TransportKind::WebSockets,
                TransportKind::ServerSentEvents,
                TransportKind::LongPolling,
            ],
            minimum_protocol_version: 0,
            allow_stateful_reconnects: false,
            authorization: None,
            close_on_authentication_expiration: false,
            enable_authentication_refresh: false,
            application_max_buffer_size: 64 * 1024,
            transport_max_buffer_size: 64 * 1024,
            long_polling_poll_timeout: Duration::from_secs(90),
            web_sockets_close_timeout: Duration::from_secs(5),
        }
    }
}

impl EndpointOptions {
    /// Offers these transports alone.
    #[must_use]
    pub fn transports(mut self, transports: impl Into<Vec<TransportKind>>) -> Self {
        self.transports = transports.into();
        self
    }

    /// Refuses clients that negotiate with a lower version.
    #[must_use]
    pub fn minimum_protocol_version(mut self, version: i32) -> Self {
        self.minimum_protocol_version = version;
        self
    }

    /// Lets clients that ask for it resume over a new WebSocket.
    #[must_use]
    pub fn allow_stateful_reconnects(mut self) -> Self {
        self.allow_stateful_reconnects = true;
        self
    }

    /// Requires this of every request.
    #[must_use]
    pub fn authorize(mut self, policy: Policy) -> Self {
        self.authorization = Some(policy);
        self
    }

    /// Ends connections when their principal expires.
    #[must_use]
    pub fn close_on_authentication_expiration(mut self) -> Self {
        self.close_on_authentication_expiration = true;
        self
    }

    /// Lets clients renew their principal without a new connection. Experimental.
    #[must_use]
    pub fn enable_authentication_refresh(mut self) -> Self {
        self.enable_authentication_refresh = true;
        self
    }

    /// Bounds what waits for the hub, in bytes; at least 1.
    #[must_use]
    pub fn application_max_buffer_size(mut self, bytes: usize) -> Self {
        self.application_max_buffer_size = bytes.max(1);
        self
    }

    /// Bounds what waits for the client, in bytes; at least 1.
    #[must_use]
    pub fn transport_max_buffer_size(mut self, bytes: usize) -> Self {
        self.transport_max_buffer_size = bytes.max(1);
        self
    }

    /// Answers a poll that has found nothing after this time.
    #[must_use]
    pub fn long_polling_poll_timeout(mut self, timeout: Duration) -> Self {
        self.long_polling_poll_timeout = timeout;
        self
    }

    /// Gives clients this long to take a good-bye.
    #[must_use]
    pub fn web_sockets_close_timeout(mut self, timeout: Duration) -> Self {
        self.web_sockets_close_timeout = timeout;
        self
    }

    pub(crate) fn offers(&self, transport: TransportKind) -> bool {
        self.transports.contains(&transport)
    }
}
