//! What was posted to a connection before its WebSocket came.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use hubline_pipe::{CloseCode, Farewell, Frame, Pipe, PipeEnd};
use tokio::time::Instant;

use crate::inbox::Inbox;

/// An inbox that ends when it is dropped, so that no POST waits for a WebSocket that does not come.
pub(crate) struct EarlyInbox(Arc<Inbox>);

/// A pipe that gives out early posts before anything else. POSTs that are still under way come through it
/// as well; new ones are refused once the WebSocket is attached.
pub(crate) struct EarlyPosts {
    early: EarlyInbox,
    pipe: Box<dyn Pipe>,
}

impl EarlyInbox {
    /// Takes what was posted over to the transport.
    pub(crate) fn attach(inbox: Arc<Inbox>) -> Self {
        inbox.attach();
        Self(inbox)
    }

    pub(crate) fn before(self, pipe: Box<dyn Pipe>) -> Box<dyn Pipe> {
        Box::new(EarlyPosts { early: self, pipe })
    }
}

impl Drop for EarlyInbox {
    fn drop(&mut self) {
        self.0.end(PipeEnd::Lost);
    }
}

impl Pipe for EarlyPosts {
    fn expires(&self) -> Option<Instant> {
        self.pipe.expires()
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>> {
        match self.early.0.poll_receive(cx, input) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) | Poll::Pending => self.pipe.poll_receive(cx, input),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>> {
        self.pipe.poll_send(cx, frames)
    }

    fn close(self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = Farewell> + Send>> {
        self.pipe.close(code)
    }
}
