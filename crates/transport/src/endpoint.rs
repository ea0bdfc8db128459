//! Everything under one hub path.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hubline_pipe::{Accepted, ConnectionHandler, ConnectionInfo, Principal};
use hubline_protocol::ConnectionId;
use hubline_protocol::negotiate::{self, NegotiateResponse, TransportKind};
use tokio_util::task::TaskTracker;

use crate::connections::{AttachError, Attachment, Known, TooManyWaiting};
use crate::request::{Wanted, public_query, query_values};
use crate::response::{Body, json, text};
use crate::token::random_id;
use crate::upgrade::Upgrade;
use crate::{ConnectionToken, Connections, EndpointOptions};

/// Answers the requests to one hub path and to its `/negotiate`.
///
/// Source: TransportProtocols.md, and the recorded cases `negotiate` and `transports`.
#[derive(Clone)]
pub struct Endpoint {
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
        Self { handler, connections, options: Arc::new(options), tasks }
    }

    /// Answers one request. The path decides only whether it is a negotiation.
    pub fn respond<B>(&self, request: Request<B>) -> Response<Body> {
        match Wanted::of(&request) {
            Wanted::Negotiate => self.negotiate(request.uri().query().unwrap_or_default()),
            Wanted::WebSocket => self.web_socket(request),
            Wanted::Send => self.send(&request),
            Wanted::Delete => self.delete(&request),
            Wanted::ServerSentEvents => {
                self.refuse(&request, "ServerSentEvents transport not supported by this end point type")
            }
            Wanted::Poll => {
                self.refuse(&request, "LongPolling transport not supported by this end point type")
            }
            Wanted::NotAllowed => text(StatusCode::METHOD_NOT_ALLOWED, ""),
        }
    }

    fn negotiate(&self, query: &str) -> Response<Body> {
        let requested: Vec<_> = query_values(query, "negotiateVersion").collect();
        let requested = requested.iter().map(|value| &**value);
        let version = match negotiate::version(requested, self.options.minimum_protocol_version) {
            Ok(version) => version,
            Err(error) => return json(error.to_json()),
        };
        let id = random_id();
        let token = if version == 0 { ConnectionToken::from(&id) } else { ConnectionToken::random() };
        let response = NegotiateResponse {
            version,
            connection_id: &id,
            connection_token: token.as_str(),
            transports: &self.options.transports,
        };
        let body = response.to_json();
        match self.connections.negotiate(id, token) {
            Ok(()) => json(body),
            Err(TooManyWaiting) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many negotiated connections wait for their transport",
            ),
        }
    }

    fn web_socket<B>(&self, mut request: Request<B>) -> Response<Body> {
        if !self.options.transports.contains(&TransportKind::WebSockets) {
            return text(StatusCode::NOT_FOUND, "WebSockets transport not supported by this end point type");
        }
        let token = token_of(&request);
        let (id, attachment) = match &token {
            None => self.connections.attach_new(),
            Some(token) => match self.connections.attach(token) {
                Ok(attached) => attached,
                Err(AttachError::Unknown) => return not_found_without_type(),
                Err(AttachError::AlreadyAttached) => return text(StatusCode::CONFLICT, ""),
            },
        };
        let Some((upgrade, response)) = Upgrade::begin(&mut request) else {
            return text(StatusCode::BAD_REQUEST, "The request cannot be upgraded to a WebSocket");
        };
        self.tasks.spawn(run(Arc::clone(&self.handler), upgrade, info(&request, id), attachment));
        response
    }

    fn send<B>(&self, request: &Request<B>) -> Response<Body> {
        let Some(token) = token_of(request) else { return id_required() };
        match self.connections.find(&token) {
            None => unknown_id(),
            Some(Known::Attached) => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "POST requests are not allowed for WebSocket connections.",
            ),
            // What is posted before the transport is there would have to wait for it; no client does this
            // with WebSockets.
            Some(Known::Waiting) => text(StatusCode::OK, ""),
        }
    }

    fn delete<B>(&self, request: &Request<B>) -> Response<Body> {
        let Some(token) = token_of(request) else { return id_required() };
        match self.connections.find(&token) {
            None => unknown_id(),
            Some(_) => {
                text(StatusCode::BAD_REQUEST, "Cannot terminate this connection using the DELETE endpoint.")
            }
        }
    }

    /// The order in which ASP.NET Core looks: the id first, then the transport.
    fn refuse<B>(&self, request: &Request<B>, reason: &'static str) -> Response<Body> {
        let Some(token) = token_of(request) else { return id_required() };
        match self.connections.find(&token) {
            None => unknown_id(),
            Some(_) => text(StatusCode::NOT_FOUND, reason),
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("options", &self.options).finish_non_exhaustive()
    }
}

async fn run(
    handler: Arc<dyn ConnectionHandler>,
    upgrade: Upgrade,
    info: ConnectionInfo,
    attachment: Attachment,
) {
    match upgrade.finish().await {
        Ok(pipe) => handler.run(Accepted { pipe, info }).await,
        Err(error) => tracing::debug!(connection = %info.id, %error, "the upgrade to a WebSocket failed"),
    }
    drop(attachment);
}

fn info<B>(request: &Request<B>, id: ConnectionId) -> ConnectionInfo {
    ConnectionInfo {
        id,
        transport: TransportKind::WebSockets,
        principal: request.extensions().get::<Principal>().cloned(),
        path: request.uri().path().into(),
        query: public_query(request.uri().query().unwrap_or_default()),
    }
}

/// The query parameter `id`; an empty one counts as absent.
fn token_of<B>(request: &Request<B>) -> Option<String> {
    let id = query_values(request.uri().query().unwrap_or_default(), "id").next()?;
    (!id.is_empty()).then(|| id.into_owned())
}

fn id_required() -> Response<Body> {
    text(StatusCode::BAD_REQUEST, "Connection ID required")
}

fn unknown_id() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "No Connection with that ID")
}

/// A refused upgrade carries the text without a content type.
fn not_found_without_type() -> Response<Body> {
    let mut response = unknown_id();
    response.headers_mut().remove(http::header::CONTENT_TYPE);
    response
}
