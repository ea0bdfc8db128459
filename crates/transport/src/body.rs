//! Bodies of responses.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::server_sent_events::EventStream;

/// The body of an [`Endpoint`](crate::Endpoint)'s response.
#[derive(Default)]
pub struct Body(Content);

#[derive(Default)]
enum Content {
    #[default]
    Empty,
    Whole(Bytes),
    /// What a poll has found, in pieces that other receivers may share.
    Found(VecDeque<Bytes>),
    Events(EventStream),
}

/// The connection broke in the middle of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection behind the event stream broke")]
pub struct Aborted;

impl Body {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Content::Empty } else { Content::Whole(bytes) })
    }

    pub(crate) fn found(pieces: VecDeque<Bytes>) -> Self {
        Self(Content::Found(pieces))
    }

    pub(crate) fn events(stream: EventStream) -> Self {
        Self(Content::Events(stream))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let data = match &mut self.0 {
            Content::Empty => None,
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Content::Empty;
                Some(bytes)
            }
            Content::Found(pieces) => pieces.pop_front(),
            Content::Events(stream) => {
                return stream.poll_next(cx).map(|next| next.map(|bytes| bytes.map(Frame::data)));
            }
        };
        Poll::Ready(data.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Empty => true,
            Content::Whole(_) => false,
            Content::Found(pieces) => pieces.is_empty(),
            Content::Events(stream) => stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let size = match &self.0 {
            Content::Empty => 0,
            Content::Whole(bytes) => bytes.len(),
            Content::Found(pieces) => pieces.iter().map(Bytes::len).sum(),
            Content::Events(_) => return SizeHint::default(),
        };
        SizeHint::with_exact(size as u64)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Content::Empty => "Body(empty)",
            Content::Whole(_) => "Body(whole)",
            Content::Found(_) => "Body(found by a poll)",
            Content::Events(_) => "Body(event stream)",
        })
    }
}
