use std::time::Duration;

use axum::Extension;
use axum::body::{BodyDataStream, Bytes, HttpBody};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::http::header::EXPECT;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::Problem;

/// Most bytes of a body, unless a route says otherwise.
const USUAL_BYTES: usize = 64 * 1024;

/// What is read and thrown away of a body that is too large, at most and for how long: who still sends would get no answer, since TCP takes
/// back what has not been read when a connection ends.
const THROWN_AWAY_BYTES: usize = 64 * 1024 * 1024;
const THROWN_AWAY_FOR: Duration = Duration::from_secs(5);

/// Most bytes of the bodies of routes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(usize);

/// A layer that bounds the bodies of routes. The innermost one counts.
pub(crate) fn body_limit(bytes: usize) -> (DefaultBodyLimit, Extension<BodyLimit>) {
    (DefaultBodyLimit::max(bytes), Extension(BodyLimit(bytes)))
}

/// As [`body_limit`], with what most routes take: 64 KiB.
pub(crate) fn usual_body_limit() -> (DefaultBodyLimit, Extension<BodyLimit>) {
    body_limit(USUAL_BYTES)
}

/// The body of a request, within its bound.
///
/// # Errors
/// 413 that names the bound; 400 if the body ends before it is whole.
///
/// # Cancel safety
/// The body is lost.
pub(super) async fn read(request: Request) -> Result<Bytes, Problem> {
    let BodyLimit(limit) = request.extensions().get().copied().unwrap_or(BodyLimit(USUAL_BYTES));
    let too_large = || {
        let detail = format!("the body is larger than the {limit} bytes that this route takes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let announced = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit && request.headers().contains_key(EXPECT) {
        // Who waits to be told to go on sends nothing now.
        return Err(too_large());
    }
    let mut body = request.into_body().into_data_stream();
    let mut whole = Vec::new();
    while let Some(piece) = body.next().await {
        let piece =
            piece.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body ended before it was whole"))?;
        if whole.len() + piece.len() > limit {
            drop(whole);
            _ = timeout(THROWN_AWAY_FOR, throw_away(body)).await;
            return Err(too_large());
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

async fn throw_away(mut body: BodyDataStream) {
    let mut left = THROWN_AWAY_BYTES;
    while let Some(Ok(piece)) = body.next().await {
        left = left.saturating_sub(piece.len());
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Body;
    use axum::http;

    use super::*;

    /// Status of a body of as many pieces of 16 KiB, and how many of them were read.
    async fn read_pieces(count: usize) -> (Result<usize, String>, usize) {
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        let pieces = futures_util::stream::iter(0..count).map(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![b' '; 16 * 1024])
        });
        let request = http::Request::new(Body::from_stream(pieces));
        let read = read(request).await.map(|body| body.len()).map_err(|problem| problem.detail().to_owned());
        (read, taken.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_read_on_for_a_while_so_that_the_sender_learns_it() {
        assert_eq!(read_pieces(4).await, (Ok(65_536), 4));
        let (refused, taken) = read_pieces(100).await;
        assert_eq!(
            (refused.unwrap_err().as_str(), taken),
            ("the body is larger than the 65536 bytes that this route takes", 100)
        );
        let (refused, taken) = read_pieces(1_000_000).await;
        assert!(refused.is_err() && taken < 5_000, "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_who_sends_no_more() {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![b' '; 70_000])]);
        let body = Body::from_stream(first.chain(futures_util::stream::pending()));
        assert_eq!(read(http::Request::new(body)).await.unwrap_err().status(), 413);
        let waiting = http::Request::builder().header(EXPECT, "100-continue");
        let waiting = waiting.body(Body::from(vec![b' '; 70_000])).unwrap();
        assert_eq!(read(waiting).await.unwrap_err().status(), 413);
    }
}
