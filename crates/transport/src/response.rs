//! The few kinds of responses there are.

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, PRAGMA, RETRY_AFTER,
};
use http::{Response, StatusCode};
use hubline_protocol::negotiate::{self, TransportKind};

use crate::Body;
use crate::refusal::Refusal;
use crate::requester::Purpose;
use crate::server_sent_events::EventStream;

/// nginx's word for "do not hold the response back".
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Why a request was refused, in the extensions of its response, for who is told of that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Because(pub(crate) &'static str);

/// Notes why a request was refused.
pub(crate) fn because(reason: &'static str, mut response: Response<Body>) -> Response<Body> {
    response.extensions_mut().insert(Because(reason));
    response
}

pub(crate) fn text(status: StatusCode, body: &'static str) -> Response<Body> {
    with_type(status, "text/plain", Body::whole(Bytes::from_static(body.as_bytes())))
}

pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    with_type(status, "application/json", Body::whole(body.into()))
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

/// What a poll has found; for JSON too it is not called text.
pub(crate) fn found(pieces: VecDeque<Bytes>) -> Response<Body> {
    with_type(StatusCode::OK, "application/octet-stream", Body::found(pieces))
}

pub(crate) fn events(stream: EventStream) -> Response<Body> {
    let mut response = with_type(StatusCode::OK, "text/event-stream", Body::events(stream));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache,no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    // Keeps compressing middleware away, which would hold events back.
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Every answer to a poll says that it must not be stored.
pub(crate) fn not_stored(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(EXPIRES, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
    response
}

/// An address has all that it may have; after `seconds` it may have more.
fn over_limit(body: &'static str, seconds: u16) -> Response<Body> {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, body);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The instance takes no new clients.
pub(crate) fn draining() -> Response<Body> {
    let body = "This server is draining and takes no new clients: negotiate again, which reaches another one";
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, body);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    because("draining", response)
}

/// An address has as many connections as it may have.
pub(crate) fn too_many_connections() -> Response<Body> {
    because("connections_per_address", over_limit("Too many connections from this address", 10))
}

/// An address has negotiated as often as it may.
pub(crate) fn too_many_negotiations() -> Response<Body> {
    because("negotiations_per_address", over_limit("Too many negotiations from this address", 1))
}

/// As many connections wait for their transports as may.
pub(crate) fn too_many_pending() -> Response<Body> {
    refused(Refusal::TooMany, Purpose::Refresh)
}

pub(crate) fn id_required() -> Response<Body> {
    because("no_connection_id", text(StatusCode::BAD_REQUEST, "Connection ID required"))
}

/// What a client is told that has to come again later.
const TOO_MANY_WAIT: &str = "Too many connections wait for their transport";

/// What a client is told whose request the gate has not let through.
pub(crate) fn refused(refusal: Refusal, purpose: Purpose) -> Response<Body> {
    let error = |status, code| json(status, negotiate::refresh_error_json(code));
    let response = match refusal {
        Refusal::Unknown if purpose == Purpose::Refresh => {
            error(StatusCode::NOT_FOUND, "connection_not_found")
        }
        Refusal::Unknown => unknown_id(purpose),
        Refusal::NotOffered => text(StatusCode::NOT_FOUND, not_offered(purpose)),
        Refusal::NoTransport => empty(StatusCode::BAD_REQUEST),
        Refusal::NoPost => {
            text(StatusCode::METHOD_NOT_ALLOWED, "POST requests are not allowed for WebSocket connections.")
        }
        Refusal::NoDelete => {
            text(StatusCode::BAD_REQUEST, "Cannot terminate this connection using the DELETE endpoint.")
        }
        Refusal::TransportChanged => text(StatusCode::BAD_REQUEST, "Cannot change transports mid-connection"),
        Refusal::Attached => text(StatusCode::CONFLICT, ""),
        Refusal::AnotherUser if purpose == Purpose::Refresh => error(StatusCode::FORBIDDEN, "user_changed"),
        Refusal::AnotherUser => {
            text(StatusCode::FORBIDDEN, "The user associated with this connection changed.")
        }
        Refusal::Expired => empty(StatusCode::UNAUTHORIZED),
        Refusal::RefreshRequired => error(StatusCode::CONFLICT, "authentication_refresh_required"),
        Refusal::NotRefreshable => error(StatusCode::BAD_REQUEST, "unsupported_negotiate_version"),
        Refusal::Rejected => error(StatusCode::FORBIDDEN, "permission_change_rejected"),
        Refusal::Failed => empty(StatusCode::INTERNAL_SERVER_ERROR),
        Refusal::TooMany => text(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY_WAIT),
    };
    match refusal.reason() {
        Some(reason) => because(reason, response),
        None => response,
    }
}

/// A refused upgrade carries the text without a content type.
fn unknown_id(purpose: Purpose) -> Response<Body> {
    let mut response = text(StatusCode::NOT_FOUND, "No Connection with that ID");
    if purpose == Purpose::Transport(TransportKind::WebSockets) {
        response.headers_mut().remove(CONTENT_TYPE);
    }
    response
}

fn not_offered(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Transport(TransportKind::WebSockets) => {
            "WebSockets transport not supported by this end point type"
        }
        Purpose::Transport(TransportKind::ServerSentEvents) => {
            "ServerSentEvents transport not supported by this end point type"
        }
        _ => "LongPolling transport not supported by this end point type",
    }
}

/// Another instance has the connection, or may have it, and cannot be asked.
pub(crate) fn unreachable_now() -> Response<Body> {
    let response = text(StatusCode::SERVICE_UNAVAILABLE, "The server with this connection cannot be reached");
    because("unreachable", response)
}

/// For a connection that ended while the request was under way.
pub(crate) fn ended_meanwhile() -> Response<Body> {
    because("unknown_connection", text(StatusCode::NOT_FOUND, ""))
}

fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
