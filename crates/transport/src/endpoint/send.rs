//! POSTs: what clients send whose transport only receives.

use std::future::poll_fn;
use std::pin::{Pin, pin};

use bytes::Buf;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body as HttpBody;

use super::{Admitted, Shared};
use crate::Body;
use crate::connection_manager::{ConnectionState, Found};
use crate::inbox::PostError;
use crate::refusal::Refusal;
use crate::relay::{Operation, Relay, RelayError, RelayOutcome, RemoteConnection, Reply};
use crate::request::token_of;
use crate::requester::Purpose;
use crate::response::{ended_meanwhile, id_required, refused, text, unreachable_now};

/// Bytes of a body that go over in one message, or a frame of the body if that is larger.
const PIECE_BYTES: usize = 64 * 1024;

impl Shared {
    pub(super) async fn send<B: HttpBody>(&self, parts: &Parts, body: B) -> Response<Body> {
        let Some(token) = token_of(parts) else { return id_required() };
        match self.admit(parts, Purpose::Send, &token).await {
            Ok(Admitted::Here(Found { state: ConnectionState::Attached(attached), .. })) => {
                match attached.inbox() {
                    Some(inbox) => answer(inbox.post(body).await),
                    None => refused(Refusal::Unknown, Purpose::Send),
                }
            }
            Ok(Admitted::Here(_)) => refused(Refusal::NoTransport, Purpose::Send),
            Ok(Admitted::Remote(relay, remote)) => Box::pin(send_remotely(relay, &remote, body)).await,
            Err(refusal) => refused(refusal, Purpose::Send),
        }
    }
}

/// Sends a body on piece by piece, each when the one before has entered.
async fn send_remotely<B: HttpBody>(relay: &Relay, remote: &RemoteConnection, body: B) -> Response<Body> {
    let mut body = pin!(body);
    let mut exchange = None;
    for piece in 0.. {
        let Ok((data, is_last)) = next_piece(body.as_mut()).await else {
            return text(StatusCode::BAD_REQUEST, "");
        };
        let operation = Operation::Post { piece, is_last, data };
        let reached = match &mut exchange {
            None => {
                let (reached, begun) = relay.request(remote, operation, None).await;
                exchange = begun;
                reached
            }
            Some(exchange) => match exchange.request(operation, None).await {
                Ok(Reply::Unknown) | Err(RelayError::NoListener) => RelayOutcome::Unknown,
                Ok(answer) => RelayOutcome::Replied(answer),
                Err(_) => RelayOutcome::Unreachable,
            },
        };
        return match reached {
            RelayOutcome::Replied(Reply::PieceTaken) => continue,
            RelayOutcome::Replied(Reply::Posted) => answer(Ok(())),
            RelayOutcome::Replied(Reply::NotPosted(error)) => answer(Err(error)),
            RelayOutcome::Refused(refusal) => refused(refusal, Purpose::Send),
            RelayOutcome::Unknown => refused(Refusal::Unknown, Purpose::Send),
            RelayOutcome::Replied(_) | RelayOutcome::HandedOver(_) | RelayOutcome::Unreachable => {
                unreachable_now()
            }
        };
    }
    unreachable_now()
}

/// What has come of a body, up to about [`PIECE_BYTES`], and whether that is the end of it.
async fn next_piece<B: HttpBody>(mut body: Pin<&mut B>) -> Result<(Vec<u8>, bool), B::Error> {
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

fn answer(posted: Result<(), PostError>) -> Response<Body> {
    match posted {
        Ok(()) => text(StatusCode::OK, ""),
        Err(PostError::Unreadable) => text(StatusCode::BAD_REQUEST, ""),
        Err(PostError::Ended) => ended_meanwhile(),
    }
}
