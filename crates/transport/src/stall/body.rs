//! Clients that begin a request and do not finish it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};

use super::{StallTimer, Stalled};

/// A request's body that fails once its reader has waited too long for the next bytes.
///
/// What Kestrel's `MinRequestBodyDataRate` is for; a client may be slow here, but not silent. Time in which
/// nobody reads the body does not count.
#[derive(Debug)]
pub struct BodyTimeout<B> {
    body: B,
    timer: StallTimer,
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError<E> {
    /// Nothing has come for too long.
    #[error(transparent)]
    Stalled(Stalled),
    /// It could not be read.
    #[error("the body could not be read")]
    Unreadable(#[source] E),
}

impl<B> BodyTimeout<B> {
    /// Bounds how long a reader waits for the next bytes.
    pub fn new(body: B, limit: Duration) -> Self {
        Self { body, timer: StallTimer::new(limit) }
    }
}

impl<B: Body + Unpin> Body for BodyTimeout<B> {
    type Data = B::Data;
    type Error = BodyError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        Poll::Ready(match ready!(self.timer.watch(cx, frame)) {
            Ok(frame) => frame.map(|frame| frame.map_err(BodyError::Unreadable)),
            Err(stalled) => Some(Err(BodyError::Stalled(stalled))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Channel};
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_slow_but_not_silent() {
        let (mut client, body) = Channel::<Bytes>::new(1);
        let mut body = BodyTimeout::new(body, LIMIT);
        let sending = tokio::spawn(async move {
            for piece in ["a", "b", "c"] {
                sleep(LIMIT * 2 / 3).await;
                client.send_data(piece.into()).await.unwrap();
            }
            client
        });
        for piece in ["a", "b", "c"] {
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
        }
        let _client = sending.await.unwrap();
        sleep(LIMIT * 2).await;
        let asked = Instant::now();
        let ended = body.frame().await.unwrap();
        assert!(matches!(ended, Err(BodyError::Stalled(Stalled))), "{ended:?}");
        assert_eq!(asked.elapsed().as_secs(), LIMIT.as_secs(), "it counts from when somebody waits");
    }
}
