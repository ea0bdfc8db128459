//! Bodies of POSTs that come in pieces from another instance.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::RelayServer;
use crate::inbox::{Inbox, PostError};
use crate::relay::message::{ExchangeId, Reply};

/// How long the next piece of a body may take.
const PIECE_PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Piece {
    pub(super) is_last: bool,
    pub(super) data: Bytes,
}

/// A body that comes in pieces from another instance.
struct Pieces(mpsc::Receiver<Bytes>);

impl RelayServer {
    /// Puts a body into the inbox, piece by piece. Returns the number of the last piece and its reply.
    pub(super) async fn take_body(
        &self,
        id: ExchangeId,
        inbox: &Inbox,
        first: Piece,
        mut pieces: mpsc::Receiver<Piece>,
    ) -> (u32, Reply) {
        let (feed, body) = mpsc::channel(1);
        let mut posted = pin!(inbox.post(Pieces(body)));
        let (mut number, mut piece) = (0, first);
        loop {
            let fed = async { feed.send(piece.data).await.is_ok() };
            tokio::select! {
                biased;
                outcome = posted.as_mut() => return (number, outcome.into()),
                _ = fed => {}
            }
            if piece.is_last {
                drop(feed);
                return (number, posted.await.into());
            }
            tokio::select! {
                biased;
                outcome = posted.as_mut() => return (number, outcome.into()),
                _ = feed.reserve() => {}
            }
            self.reply(id, number, Reply::PieceTaken, None);
            number += 1;
            piece = tokio::select! {
                outcome = posted.as_mut() => return (number, outcome.into()),
                next = timeout(PIECE_PATIENCE, pieces.recv()) => match next {
                    Ok(Some(next)) => next,
                    Ok(None) | Err(_) => return (number, Reply::NotPosted(PostError::Unreadable)),
                },
            };
        }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|data| Ok(Frame::data(data))))
    }
}
