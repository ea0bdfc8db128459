//! How a client comes to its connection.

use std::net::IpAddr;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_identity::{Access, Claim, Principal};
use hubline_pipe::{Accepted, ConnectionHandler, ConnectionInfo, RequestContext, RequestParts, memory};
use hubline_protocol::negotiate::TransportKind;
use hubline_protocol::{Dialect, HubProtocol, UserId};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::TestClient;
use super::inbox::Inbox;
use crate::HubHandle;

/// Messages under way in each direction.
const PIPE_CAPACITY: usize = 64;

/// Longest wait of a client that is given no other.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to be made: of nobody, in JSON, unless it is told otherwise. Await it.
#[derive(Debug)]
#[must_use = "no connection is made until this is awaited"]
pub struct Connect {
    hub: HubHandle,
    principal: Option<Principal>,
    query: String,
    request: RequestContext,
    remote_address: Option<IpAddr>,
    protocol: HubProtocol,
    timeout: Duration,
    location: &'static Location<'static>,
}

/// Why a client was not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// [`Hub::authorize`](crate::Hub::authorize) wants somebody who is signed in (status 401).
    Unauthenticated,
    /// [`Hub::authorize`](crate::Hub::authorize) wants somebody else (status 403).
    Forbidden,
    /// The handshake failed, with this text for the client.
    Handshake(String),
}

impl Connect {
    #[track_caller]
    pub(super) fn to(hub: &HubHandle) -> Self {
        Self {
            hub: hub.clone(),
            principal: None,
            query: String::new(),
            request: RequestContext {
                kept: RequestParts::HEADERS.and(RequestParts::EXTENSIONS),
                ..RequestContext::default()
            },
            remote_address: None,
            protocol: HubProtocol::Json,
            timeout: DEFAULT_TIMEOUT,
            location: Location::caller(),
        }
    }

    /// Signs in as this user.
    pub fn user(mut self, id: impl Into<UserId>) -> Self {
        self.signed_in().name_identifier = Some(id.into());
        self
    }

    /// Signs in with this role, beside those given before.
    pub fn role(mut self, role: &str) -> Self {
        self.signed_in().roles.push(role.into());
        self
    }

    /// Signs in with this claim, beside those given before.
    pub fn claim(mut self, name: &str, value: &str) -> Self {
        self.signed_in().claims.push(Claim { name: name.into(), value: value.into() });
        self
    }

    /// Signs in as this principal, in the place of whatever was said of one before.
    pub fn principal(self, principal: Principal) -> Self {
        Self { principal: Some(principal), ..self }
    }

    /// Connects with this query, like `language=en&room=7`, for
    /// [`ConnectionInfo::query_value`](crate::ConnectionInfo::query_value).
    pub fn query(self, query: &str) -> Self {
        Self { query: query.to_owned(), ..self }
    }

    /// Connects with this header, beside those given before, for [`Headers`](crate::Headers) and, where it is `Cookie`,
    /// [`Cookies`](crate::Cookies).
    ///
    /// # Panics
    /// HTTP does not allow the name or the value.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            panic!("`{name}: {value}` is no header of HTTP");
        };
        self.request.headers.append(name, value);
        self
    }

    /// Connects with a value that a host's middleware would put into the request, for [`Extension`](crate::Extension).
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.request.extensions.insert(value);
        self
    }

    /// Connects from this address, for [`PeerAddress`](crate::PeerAddress).
    pub fn peer_address(self, address: IpAddr) -> Self {
        Self { remote_address: Some(address), ..self }
    }

    /// Speaks this hub protocol. Default: JSON.
    pub fn protocol(self, protocol: HubProtocol) -> Self {
        Self { protocol, ..self }
    }

    /// Waits at most this long, here and in each function of the client, before it fails the test. Default: 30 s. Where
    /// tokio's clock is paused, these pass in no time as soon as nothing else is left to do.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Connects and expects to be refused.
    ///
    /// # Panics
    /// The client is let in.
    pub async fn refused(self) -> Refused {
        let location = self.location;
        match self.attempt().await {
            Err(refused) => refused,
            Ok(_) => panic!("{location}: the client was let in, and expected to be refused"),
        }
    }

    fn signed_in(&mut self) -> &mut Principal {
        self.principal.get_or_insert_default()
    }

    async fn attempt(self) -> Result<TestClient, Refused> {
        let Self { hub, principal, query, request, remote_address, protocol, timeout: limit, location } =
            self;
        let context = hub.context();
        match context.authorization().map(|policy| policy.evaluate(principal.as_ref())) {
            None | Some(Access::Granted) => {}
            Some(Access::Unauthenticated) => return Err(Refused::Unauthenticated),
            Some(Access::Forbidden) => return Err(Refused::Forbidden),
        }
        static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
        let id = format!("test-client-{}", CONNECTIONS.fetch_add(1, Ordering::Relaxed));
        let info = ConnectionInfo {
            principal: principal.map(Arc::new),
            path: "/".into(),
            query: query.into(),
            remote_address,
            request: Some(Arc::new(request)),
            ..ConnectionInfo::new(id.as_str(), TransportKind::WebSockets)
        };
        let (pipe, mut client) = memory(PIPE_CAPACITY);
        let sender = client.sender();
        let accepted = Accepted { pipe, info, resumable: None };
        let connection = hub.tasks().spawn(context.run(accepted));

        let handshake = async {
            sender.send(format!("{{\"protocol\":\"{protocol}\",\"version\":1}}\u{1e}")).await;
            client.receive().await
        };
        let response = timeout(limit, handshake).await;
        let response = response.unwrap_or_else(|_| panic!("{location}: no handshake within {limit:?}"));
        let response = response.unwrap_or_default();
        if *response != *hubline_protocol::handshake::ACCEPTED {
            return Err(Refused::Handshake(refusal(&response)));
        }
        let inbox = Arc::new(Inbox::new(Dialect { protocol, naming: context.naming() }));
        let receiving = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&inbox).receive(client)));
        // The hub reads what comes behind the handshake once `on_connected` is over.
        sender.send("").await;
        let mut connected = pin!(sender.taken());
        if timeout(limit, connected.as_mut()).await.is_err() {
            panic!("{location}: `on_connected` did not end within {limit:?}");
        }
        Ok(TestClient::new(id.into(), inbox, sender.clone(), receiving, connection, limit))
    }
}

/// The text of `{"error":"..."}`.
fn refusal(response: &[u8]) -> String {
    let json = response.strip_suffix(b"\x1e").unwrap_or(response);
    match serde_json::from_slice::<serde_json::Value>(json) {
        Ok(response) => response["error"].as_str().unwrap_or_default().to_owned(),
        Err(_) => "the server closed the transport".to_owned(),
    }
}

impl IntoFuture for Connect {
    type Output = TestClient;
    type IntoFuture = BoxFuture<'static, TestClient>;

    /// # Panics
    /// The client is refused, or `on_connected` does not end in time.
    fn into_future(self) -> Self::IntoFuture {
        let location = self.location;
        async move {
            let connected = self.attempt().await;
            connected.unwrap_or_else(|refused| panic!("{location}: the client was refused: {refused:?}"))
        }
        .boxed()
    }
}
