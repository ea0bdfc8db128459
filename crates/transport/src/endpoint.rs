//! Everything under one hub path.

mod elsewhere;
mod long_polling;
mod refresh;
mod server_sent_events;
mod web_socket;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use hubline_pipe::{Accepted, Access, ConnectionHandler, ConnectionInfo, Principal, Resumable, resumption};
use hubline_protocol::ConnectionId;
use hubline_protocol::negotiate::{self, NegotiateResponse, TransportKind};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::connections::{Attachment, Mailbox, TooManyWaiting};
use crate::inbox::PostError;
use crate::request::{Wanted, is_true, public_query, query_values, token_of};
use crate::response::{empty, ended_meanwhile, id_required, json, not_stored, text, unknown_id};
use crate::token::random_id;
use crate::{Body, ConnectionToken, Connections, EndpointOptions};

/// Answers the requests to one hub path and to its `/negotiate`. Cloning shares it.
///
/// Source: TransportProtocols.md, and the recorded cases `negotiate`, `transports`, `server-sent-events`,
/// `long-polling`, `authorization` and `stateful-reconnect`.
#[derive(Clone)]
pub struct Endpoint(Arc<Shared>);

struct Shared {
    handler: Arc<dyn ConnectionHandler>,
    connections: Connections,
    options: Arc<EndpointOptions>,
    tasks: TaskTracker,
}

impl Endpoint {
    /// An endpoint whose connections go to `handler` and run as tasks of `tasks`.
    pub fn new(
        handler: Arc<dyn ConnectionHandler>,
        connections: Connections,
        options: EndpointOptions,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Shared { handler, connections, options: Arc::new(options), tasks }))
    }

    /// Answers one request. The path decides only whether it is a negotiation.
    ///
    /// Who it comes from is the `Arc<Principal>` among its extensions, if there is one.
    ///
    /// # Cancel safety
    /// Dropping the future is how a client leaves. A poll loses nothing then; of a POST what has been read
    /// stays read.
    pub fn respond<B>(&self, request: Request<B>) -> impl Future<Output = Response<Body>> + Send + use<B>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Send,
    {
        let shared = Arc::clone(&self.0);
        async move {
            let (parts, body) = request.into_parts();
            let wanted = Wanted::of(&parts, shared.options.enable_authentication_refresh);
            if wanted == Wanted::Refresh {
                return shared.refresh(&parts).await;
            }
            match shared.access(&parts) {
                Access::Granted => {}
                Access::Unauthenticated => return empty(StatusCode::UNAUTHORIZED),
                Access::Forbidden => return empty(StatusCode::FORBIDDEN),
            }
            match wanted {
                Wanted::Negotiate => shared.negotiate(&parts).await,
                Wanted::WebSocket => shared.web_socket(parts).await,
                Wanted::ServerSentEvents => shared.server_sent_events(&parts).await,
                Wanted::Poll => not_stored(shared.poll(&parts).await),
                Wanted::Send => shared.send(&parts, body).await,
                Wanted::Delete => shared.delete(&parts).await,
                Wanted::Refresh | Wanted::NotAllowed => text(StatusCode::METHOD_NOT_ALLOWED, ""),
            }
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Shared {
    /// What the policy says comes before everything else, as where a host's middleware asks it.
    fn access(&self, parts: &Parts) -> Access {
        let Some(policy) = &self.options.authorization else { return Access::Granted };
        policy.evaluate(principal(parts).map(|principal| &**principal))
    }

    async fn negotiate(&self, parts: &Parts) -> Response<Body> {
        let query = parts.uri.query().unwrap_or_default();
        let requested: Vec<_> = query_values(query, "negotiateVersion").collect();
        let requested = requested.iter().map(|value| &**value);
        let version = match negotiate::version(requested, self.options.minimum_protocol_version) {
            Ok(version) => version,
            Err(error) => return json(StatusCode::OK, error.to_json()),
        };
        let is_stateful = self.options.allow_stateful_reconnects && is_true(query, "useStatefulReconnect");
        let id = random_id();
        let relay = self.connections.relay();
        let token = match relay {
            _ if version == 0 => ConnectionToken::from(&id),
            Some(relay) => relay.issue(&id, is_stateful),
            None => ConnectionToken::random(),
        };
        let response = NegotiateResponse {
            use_stateful_reconnect: is_stateful,
            version,
            connection_id: &id,
            connection_token: token.as_str(),
            transports: &self.options.transports,
            token_lifetime_seconds: self.token_lifetime_seconds(parts),
        };
        let body = response.to_json();
        if let Err(TooManyWaiting) = self.connections.negotiate(id.clone(), token, is_stateful) {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many negotiated connections wait for their transport",
            );
        }
        if version == 0
            && let Some(relay) = relay
        {
            relay.announce(&id, is_stateful).await;
        }
        json(StatusCode::OK, body)
    }

    async fn send<B: http_body::Body>(&self, parts: &Parts, body: B) -> Response<Body> {
        let Some(token) = token_of(parts) else { return id_required() };
        let limit = self.options.application_max_buffer_size;
        let posted = match self.connections.mailbox(&token, limit) {
            None => return Box::pin(self.send_elsewhere(&token, body)).await,
            Some(Mailbox::WebSocket) => return no_post_to_web_sockets(),
            Some(Mailbox::Inbox(inbox)) => inbox.post(body).await,
            Some(Mailbox::LongPolling(polling)) => match polling.inbox() {
                Some(inbox) => inbox.post(body).await,
                None => return unknown_id(),
            },
        };
        match posted {
            Ok(()) => text(StatusCode::OK, ""),
            Err(PostError::Unreadable) => text(StatusCode::BAD_REQUEST, ""),
            Err(PostError::Ended) => ended_meanwhile(),
            Err(PostError::OverBudget) => over_budget(),
        }
    }

    /// Gives a connection to the handler, for its whole life.
    fn start(&self, accepted: Accepted, place: Attachment) {
        let connection = self.handler.run(self.make_refreshable(accepted, &place));
        self.tasks.spawn(async move {
            connection.await;
            drop(place);
        });
    }

    /// When the authentication of this request ends, if connections end with it.
    fn expires(&self, parts: &Parts) -> Option<Instant> {
        if !self.options.close_on_authentication_expiration {
            return None;
        }
        let left = principal(parts)?.expires?.duration_since(SystemTime::now()).unwrap_or_default();
        Instant::now().checked_add(left)
    }
}

fn principal(parts: &Parts) -> Option<&Arc<Principal>> {
    parts.extensions.get()
}

fn info(parts: &Parts, id: ConnectionId, transport: TransportKind) -> ConnectionInfo {
    ConnectionInfo {
        id,
        transport,
        principal: principal(parts).cloned(),
        path: parts.uri.path().into(),
        query: public_query(parts.uri.query().unwrap_or_default()),
    }
}

fn no_post_to_web_sockets() -> Response<Body> {
    text(StatusCode::METHOD_NOT_ALLOWED, "POST requests are not allowed for WebSocket connections.")
}

fn over_budget() -> Response<Body> {
    text(StatusCode::SERVICE_UNAVAILABLE, "Too much waits for connections without a transport")
}

/// What tells the hub that stateful reconnect was granted, on a transport that cannot be resumed: the
/// protocol is spoken, but no new pipe ever comes.
fn never_resumed() -> Resumable {
    let (_, resumable) = resumption();
    resumable
}
