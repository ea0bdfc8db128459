//! What can be set for each path.

mod authentication_refresh;
mod sub_protocol;

use std::time::{Duration, SystemTime};

use hubline_identity::{Policy, Principal};
use hubline_pipe::RequestParts;
use hubline_protocol::negotiate::TransportKind;
use tokio::time::Instant;

use authentication_refresh::RefreshCallback;
pub use authentication_refresh::{AuthenticationRefresh, RefreshError};
pub(crate) use sub_protocol::SubProtocolSelector;

/// Options of one path, under ASP.NET Core's names (`HttpConnectionDispatcherOptions`).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointOptions {
    /// What the endpoint is called: its connections are served by the endpoints of this name alone, on every instance.
    /// Letter case, percent-encoding and a slash at the end do not count. Default: the path that it is mapped on.
    pub name: Option<Box<str>>,
    /// The transports that clients are offered, in this order. Default: WebSockets, server-sent events, long polling.
    pub transports: Vec<TransportKind>,
    /// Lowest `negotiateVersion` that is served. Version 0 is that of `@aspnet/signalr` 1.x, where the connection's id is
    /// the token too; WebSockets that come without a negotiation have no version and are served whatever this says, as by
    /// ASP.NET Core. Default: 0.
    pub minimum_protocol_version: i32,
    /// Whether a client may put a new WebSocket in the place of a lost one. Default: no.
    pub allow_stateful_reconnects: bool,
    /// The policy that the principal of every request to this path has to meet. Default: none.
    pub authorization: Option<Policy>,
    /// What a client may do whose token has expired. Default: the same as a client without a token.
    pub expired_principals: ExpiredPrincipals,
    /// Whether a connection ends when its principal expires. Default: no.
    pub close_on_authentication_expiration: bool,
    /// Whether a client may replace its connection's principal by a newer one of the same user: by `POST
    /// {path}/refresh`, or by a long poll or a resumption that brings a newer token (.NET 11). Default: no.
    pub enable_authentication_refresh: bool,
    /// Decides whether a newer principal is accepted. Default: each is.
    pub(crate) on_authentication_refresh: Option<RefreshCallback>,
    /// Longest time that an authentication lasts, also where its token lasts longer. Clients are told, and with
    /// [`close_on_authentication_expiration`](Self::close_on_authentication_expiration) connections end then. Default: no
    /// limit.
    pub maximum_authentication_expiration: Option<Duration>,
    /// Which parts of the request that opens a connection are kept for its hub, as long as the connection lasts. What a
    /// hub's methods take has to be kept ([`RequestParts`]). Default: none.
    pub kept_request_parts: RequestParts,
    /// Most bytes from POSTs that wait for the hub; a POST with more waits. At least 1. Default: 65,536.
    pub application_max_buffer_size: usize,
    /// Most bytes that wait for a slow reader of server-sent events, or for the next poll, before the hub has to wait. One
    /// message may exceed it. At least 1. Default: 65,536.
    pub transport_max_buffer_size: usize,
    /// How long a poll waits for data (`LongPolling.PollTimeout`). Default: 90 s.
    pub long_polling_poll_timeout: Duration,
    /// How long a client may take to answer a close frame, or to read the end of its event stream
    /// (`WebSockets.CloseTimeout`). Default: 5 s.
    pub web_sockets_close_timeout: Duration,
    /// Chooses among the sub-protocols that a client offers (`WebSockets.SubProtocolSelector`). Default: none is chosen.
    pub(crate) sub_protocol_selector: Option<SubProtocolSelector>,
}

/// What a client may do whose token has expired. An authentication layer marks such a request with an
/// [`ExpiredPrincipal`](hubline_identity::ExpiredPrincipal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExpiredPrincipals {
    /// The same as a client without a token, as in ASP.NET Core: it may open an anonymous connection where the endpoint
    /// requires no principal, and is refused at connections that a signed-in user has opened.
    #[default]
    CountAsNobody,
    /// Poll, send to, resume or end a connection that the same user has opened with a valid token. Other requests are
    /// answered with 401: those that would open or refresh a connection, and those for connections of other users. Such a
    /// request does not extend the connection's authentication, whose end closes the connection only with
    /// [`close_on_authentication_expiration`](EndpointOptions::close_on_authentication_expiration). For clients that do not
    /// fetch a new token when a poll is refused, like the JavaScript client.
    KeepOwnConnections,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            name: None,
            transports: vec![
                TransportKind::WebSockets,
                TransportKind::ServerSentEvents,
                TransportKind::LongPolling,
            ],
            minimum_protocol_version: 0,
            allow_stateful_reconnects: false,
            authorization: None,
            expired_principals: ExpiredPrincipals::default(),
            close_on_authentication_expiration: false,
            enable_authentication_refresh: false,
            on_authentication_refresh: None,
            maximum_authentication_expiration: None,
            kept_request_parts: RequestParts::NONE,
            application_max_buffer_size: 64 * 1024,
            transport_max_buffer_size: 64 * 1024,
            long_polling_poll_timeout: Duration::from_secs(90),
            web_sockets_close_timeout: Duration::from_secs(5),
            sub_protocol_selector: None,
        }
    }
}

impl EndpointOptions {
    /// Sets [`EndpointOptions::name`].
    #[must_use]
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Offers only these transports.
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

    /// Requires every request to meet this policy.
    #[must_use]
    pub fn authorize(mut self, policy: Policy) -> Self {
        self.authorization = Some(policy);
        self
    }

    /// Sets [`ExpiredPrincipals::KeepOwnConnections`].
    #[must_use]
    pub fn keep_own_connections_of_expired_principals(mut self) -> Self {
        self.expired_principals = ExpiredPrincipals::KeepOwnConnections;
        self
    }

    /// Ends connections when their principal expires.
    #[must_use]
    pub fn close_on_authentication_expiration(mut self) -> Self {
        self.close_on_authentication_expiration = true;
        self
    }

    /// Lets clients replace their principal by any newer one of the same user, without a new connection.
    #[must_use]
    pub fn enable_authentication_refresh(mut self) -> Self {
        self.enable_authentication_refresh = true;
        self
    }

    /// Enables authentication refresh for principals that `callback` accepts. It runs on the instance with the connection, for one refresh of a connection
    /// at a time, and before the hub's `on_authentication_refreshed`.
    ///
    /// With `Ok(false)` the client gets status 403; its connection goes on as it was, but ends if a poll or a
    /// resumption brought the principal. An error, a panic or 10 s without an answer is status 500, and nothing has
    /// changed. The callback is dropped if the client goes away meanwhile.
    ///
    /// ```
    /// use hubline_transport::{AuthenticationRefresh, EndpointOptions};
    ///
    /// let options = EndpointOptions::default().authentication_refresh(async |refresh: AuthenticationRefresh| {
    ///     let is_banned = refresh.principal.as_ref().is_some_and(|who| who.has_role("Banned"));
    ///     Ok::<_, std::convert::Infallible>(!is_banned)
    /// });
    /// ```
    #[must_use]
    pub fn authentication_refresh<F, Fut, E>(mut self, callback: F) -> Self
    where
        F: Fn(AuthenticationRefresh) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<bool, E>> + Send + 'static,
        E: Into<RefreshError>,
    {
        self.enable_authentication_refresh = true;
        self.on_authentication_refresh = Some(RefreshCallback::new(callback));
        self
    }

    /// Sets [`EndpointOptions::maximum_authentication_expiration`].
    #[must_use]
    pub fn maximum_authentication_expiration(mut self, maximum: Duration) -> Self {
        self.maximum_authentication_expiration = Some(maximum);
        self
    }

    /// Keeps the headers of the request that opens a connection, cookies among them, for the extractors `Headers` and
    /// `Cookies` and for [`ConnectionInfo::request`](hubline_pipe::ConnectionInfo::request). Costs each connection its
    /// headers' size and about 100 bytes for each header.
    #[must_use]
    pub fn keep_headers(mut self) -> Self {
        self.kept_request_parts.headers = true;
        self
    }

    /// Keeps the header `traceparent` of the request that opens a connection, if the client sends one, for the spans of its calls,
    /// which name it in their field `connection.traceparent`. Costs nothing for clients that send none.
    #[must_use]
    pub fn keep_trace_parent(mut self) -> Self {
        self.kept_request_parts.trace_parent = true;
        self
    }

    /// Keeps what the host's middleware has put into the request that opens a connection (`http::Extensions`), for the
    /// extractor `Extension<T>` and for [`ConnectionInfo::request`](hubline_pipe::ConnectionInfo::request). The values
    /// live as long as the connection.
    #[must_use]
    pub fn keep_extensions(mut self) -> Self {
        self.kept_request_parts.extensions = true;
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

    /// Sets [`EndpointOptions::web_sockets_close_timeout`].
    #[must_use]
    pub fn web_sockets_close_timeout(mut self, timeout: Duration) -> Self {
        self.web_sockets_close_timeout = timeout;
        self
    }

    /// Chooses the sub-protocol of WebSockets (`Sec-WebSocket-Protocol`), for clients and platforms that go on only if the server names
    /// one. SignalR needs none: what is sent stays the same.
    ///
    /// `select` is given what a client offers, in its order, and names one of these or none; it is not asked where a client offers nothing.
    /// A name that was not offered, which clients have to refuse, and a panic count as none; the first time that is logged. It must not block.
    ///
    /// ```
    /// use hubline_transport::EndpointOptions;
    ///
    /// let options = EndpointOptions::default()
    ///     .sub_protocol_selector(|offered: &[&str]| offered.contains(&"signalr").then_some("signalr"));
    /// ```
    #[must_use]
    pub fn sub_protocol_selector<F, S>(mut self, select: F) -> Self
    where
        F: Fn(&[&str]) -> Option<S> + Send + Sync + 'static,
        S: Into<String>,
    {
        self.sub_protocol_selector =
            Some(SubProtocolSelector::new(move |offered| select(offered).map(Into::into)));
        self
    }

    /// When the authentication of a request ends that comes now; `None` if it never does.
    pub(crate) fn authentication_end(&self, principal: Option<&Principal>) -> Option<SystemTime> {
        let own = principal?.expires;
        let latest =
            self.maximum_authentication_expiration.and_then(|most| SystemTime::now().checked_add(most));
        [own, latest].into_iter().flatten().min()
    }

    /// When a connection is closed whose authentication ends then; `None` if it is not.
    pub(crate) fn closes_at(&self, end: Option<SystemTime>) -> Option<Instant> {
        let end = end.filter(|_| self.close_on_authentication_expiration)?;
        Instant::now().checked_add(end.duration_since(SystemTime::now()).unwrap_or_default())
    }

    pub(crate) fn offers(&self, transport: TransportKind) -> bool {
        self.transports.contains(&transport)
    }
}
