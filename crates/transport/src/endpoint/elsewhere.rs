//! Requests for connections that another instance has.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use bytes::Buf;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body as HttpBody;
use tokio::time::Instant;

use super::Shared;
use crate::Body;
use crate::relay::{
    Answer, AskError, Carrier, Elsewhere, Moved, Reached, Refusal, Relay, TunnelEnd, Wish, milliseconds,
};
use crate::request::public_query;
use crate::response::{ended_meanwhile, found, text, transport_changed, unknown_id};

/// Bytes of a body that go over in one message, or a frame of the body if that is larger.
const PIECE_BYTES: usize = 64 * 1024;
/// How much longer than a poll its answer may take.
const POLL_GRACE: Duration = Duration::from_secs(10);

/// How a transport fares whose connection is not here.
pub(super) enum Brought {
    /// The connection is here now.
    Here,
    /// Nobody has it.
    Unknown,
    /// It has this transport already.
    Attached(Carrier),
    /// It cannot be had.
    Refused(Response<Body>),
}

impl Shared {
    /// What a token that is not known here tells; `None` if nobody can know it.
    pub(super) async fn elsewhere(&self, token: &str) -> Option<(&Relay, Elsewhere)> {
        let relay = self.connections.relay()?;
        Some((relay, relay.read(token).await?))
    }

    fn adopt(&self, elsewhere: &Elsewhere, moved: Moved) {
        self.connections.adopt(&elsewhere.token, moved, self.options.application_max_buffer_size);
    }

    /// Brings a connection here for the transport that has come in.
    pub(super) async fn bring(&self, relay: &Relay, elsewhere: &Elsewhere) -> Brought {
        match relay.request(elsewhere, Wish::Connect, None).await.0 {
            Reached::Moved(moved) => {
                self.adopt(elsewhere, moved);
                Brought::Here
            }
            Reached::Answered(Answer::Attached(carrier)) => Brought::Attached(carrier),
            Reached::Unknown => Brought::Unknown,
            Reached::Answered(_) | Reached::Unreachable => Brought::Refused(unreachable_now()),
        }
    }

    /// Claims the place of a lost WebSocket.
    pub(super) async fn claim_elsewhere(
        &self,
        parts: &Parts,
        relay: &Relay,
        elsewhere: &Elsewhere,
    ) -> Result<TunnelEnd, Response<Body>> {
        let wish = Wish::Resume {
            path: parts.uri.path().to_owned(),
            query: public_query(parts.uri.query().unwrap_or_default()).into(),
            expires_ms: self.expires_ms(parts),
        };
        match relay.resume(elsewhere, wish).await {
            Ok((Answer::Resumed, end)) => Ok(end),
            Ok((Answer::Unknown | Answer::EndedMeanwhile, _)) => Err(ended_meanwhile()),
            Ok((Answer::Attached(Carrier::WebSocket { .. }), _)) => Err(text(StatusCode::CONFLICT, "")),
            Ok((Answer::Attached(_), _)) => Err(transport_changed()),
            Ok(_) | Err(_) => Err(unreachable_now()),
        }
    }

    /// How long the authentication of this request lasts.
    pub(super) fn expires_ms(&self, parts: &Parts) -> Option<u64> {
        let expires = self.expires(parts)?;
        Some(milliseconds(expires.saturating_duration_since(Instant::now())))
    }

    /// Polls elsewhere. `None`: the connection had no transport, and is here now.
    pub(super) async fn poll_elsewhere(
        &self,
        parts: &Parts,
        relay: &Relay,
        elsewhere: &Elsewhere,
    ) -> Option<Response<Body>> {
        let timeout = self.options.long_polling_poll_timeout;
        let wish = Wish::Poll { timeout_ms: milliseconds(timeout), expires_ms: self.expires_ms(parts) };
        Some(match relay.request(elsewhere, wish, Some(timeout + POLL_GRACE)).await.0 {
            Reached::Moved(moved) => {
                self.adopt(elsewhere, moved);
                return None;
            }
            Reached::Unknown => unknown_id(),
            // The client polls again.
            Reached::Unreachable => text(StatusCode::OK, ""),
            Reached::Answered(answer) => match answer {
                Answer::Found(bytes) => found([bytes.into()].into()),
                Answer::TimedOut => text(StatusCode::OK, ""),
                Answer::NoMore => text(StatusCode::NO_CONTENT, ""),
                Answer::Conflict => text(StatusCode::CONFLICT, ""),
                Answer::Attached(_) => transport_changed(),
                _ => unreachable_now(),
            },
        })
    }

    pub(super) async fn delete_elsewhere(&self, token: &str) -> Response<Body> {
        let Some((relay, elsewhere)) = self.elsewhere(token).await else { return unknown_id() };
        match relay.request(&elsewhere, Wish::Delete, Some(POLL_GRACE)).await.0 {
            Reached::Unknown => unknown_id(),
            Reached::Answered(Answer::Deleted) => text(StatusCode::ACCEPTED, ""),
            Reached::Answered(Answer::Attached(_)) => cannot_delete(),
            _ => unreachable_now(),
        }
    }

    /// Sends a body on piece by piece, each when the one before has entered.
    pub(super) async fn send_elsewhere<B: HttpBody>(&self, token: &str, body: B) -> Response<Body> {
        let Some((relay, elsewhere)) = self.elsewhere(token).await else { return unknown_id() };
        let mut body = pin!(body);
        let mut exchange = None;
        for piece in 0.. {
            let Ok((data, is_last)) = next_piece(body.as_mut()).await else {
                return text(StatusCode::BAD_REQUEST, "");
            };
            let wish = Wish::Post { piece, is_last, data };
            let reached = match &mut exchange {
                None => {
                    let (reached, begun) = relay.request(&elsewhere, wish, None).await;
                    exchange = begun;
                    reached
                }
                Some(exchange) => match exchange.ask(wish, None).await {
                    Ok(Answer::Unknown) | Err(AskError::Nobody) => Reached::Unknown,
                    Ok(answer) => Reached::Answered(answer),
                    Err(_) => Reached::Unreachable,
                },
            };
            return match reached {
                Reached::Answered(Answer::PieceTaken) => continue,
                Reached::Answered(Answer::Posted) => text(StatusCode::OK, ""),
                Reached::Answered(Answer::NotPosted(Refusal::Unreadable)) => {
                    text(StatusCode::BAD_REQUEST, "")
                }
                Reached::Answered(Answer::NotPosted(Refusal::Ended)) => ended_meanwhile(),
                Reached::Answered(Answer::NotPosted(Refusal::OverBudget)) => super::over_budget(),
                Reached::Answered(Answer::Attached(_)) => super::no_post_to_web_sockets(),
                Reached::Unknown => unknown_id(),
                _ => unreachable_now(),
            };
        }
        unreachable_now()
    }
}

/// What has come of a body, up to about [`PIECE_BYTES`], and whether that is the end of it.
async fn next_piece<B: HttpBody>(mut body: std::pin::Pin<&mut B>) -> Result<(Vec<u8>, bool), B::Error> {
    let mut data = Vec::new();
    while data.len() < PIECE_BYTES {
        if body.is_end_stream() {
            return Ok((data, true));
        }
        let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await else { return Ok((data, true)) };
        if let Ok(mut bytes) = frame?.into_data() {
            data.reserve(bytes.remaining());
            while bytes.has_remaining() {
                let chunk = bytes.chunk();
                data.extend_from_slice(chunk);
                let length = chunk.len();
                bytes.advance(length);
            }
        }
    }
    Ok((data, body.is_end_stream()))
}

pub(super) fn cannot_delete() -> Response<Body> {
    text(StatusCode::BAD_REQUEST, "Cannot terminate this connection using the DELETE endpoint.")
}

/// Another instance has the connection, or may have it, and cannot be asked.
fn unreachable_now() -> Response<Body> {
    text(StatusCode::SERVICE_UNAVAILABLE, "The server with this connection cannot be reached")
}
