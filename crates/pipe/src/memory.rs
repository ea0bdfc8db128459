//! A pipe in memory, for tests of hubs and connection handlers.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use crate::{CloseCode, CloseOutcome, Frame, Pipe, PipeEnd};

/// A connected pair of a pipe and its client. At most `capacity` sends are under way in each direction; more wait.
pub fn memory(capacity: usize) -> (Box<dyn Pipe>, MemoryClient) {
    let (to_server, from_client) = mpsc::channel(capacity);
    let (to_client, from_server) = mpsc::channel(capacity);
    let server = MemoryPipe { incoming: from_client, outgoing: PollSender::new(to_client) };
    (
        Box::new(server),
        MemoryClient { outgoing: MemorySender(to_server), incoming: from_server, close_code: None },
    )
}

/// What a client sends over a [`memory`] pipe. The server takes the client for gone once every clone is dropped.
#[derive(Debug, Clone)]
pub struct MemorySender(mpsc::Sender<Bytes>);

impl MemorySender {
    /// Sends bytes to the server; they are dropped if it has gone.
    ///
    /// # Cancel safety
    /// Safe: dropped before it is ready, nothing was sent.
    pub async fn send(&self, bytes: impl Into<Bytes>) {
        _ = self.0.send(bytes.into()).await;
    }

    /// Sends bytes without waiting; `false` if there is no room, and nothing was sent.
    pub fn try_send(&self, bytes: impl Into<Bytes>) -> bool {
        self.0.try_send(bytes.into()).is_ok()
    }

    /// Waits until the server has taken everything that was sent, or has gone.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn taken(&self) {
        _ = self.0.reserve_many(self.0.max_capacity()).await;
    }
}

/// The client of a [`memory`] pipe.
#[derive(Debug)]
pub struct MemoryClient {
    outgoing: MemorySender,
    incoming: mpsc::Receiver<Sent>,
    close_code: Option<CloseCode>,
}

impl MemoryClient {
    /// As [`MemorySender::send`].
    ///
    /// # Cancel safety
    /// Safe: dropped before it is ready, nothing was sent.
    pub async fn send(&self, bytes: impl Into<Bytes>) {
        self.outgoing.send(bytes).await;
    }

    /// A sender for this client.
    pub fn sender(&self) -> MemorySender {
        self.outgoing.clone()
    }

    /// The payload of the next frame; `None` once the server has closed or gone.
    ///
    /// # Cancel safety
    /// Safe: dropped before it is ready, no frame is lost.
    pub async fn receive(&mut self) -> Option<Bytes> {
        match self.incoming.recv().await? {
            Sent::Frame(payload) => Some(payload),
            Sent::Close(code) => {
                self.close_code = Some(code);
                None
            }
        }
    }

    /// How the server closed, once [`MemoryClient::receive`] has returned `None`; `None` if it just went.
    pub fn close_code(&self) -> Option<CloseCode> {
        self.close_code
    }
}

#[derive(Debug)]
enum Sent {
    Frame(Bytes),
    Close(CloseCode),
}

struct MemoryPipe {
    incoming: mpsc::Receiver<Bytes>,
    outgoing: PollSender<Sent>,
}

impl Pipe for MemoryPipe {
    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>> {
        self.incoming.poll_recv(cx).map(|received| match received {
            Some(bytes) => {
                input.extend_from_slice(&bytes);
                Ok(())
            }
            None => Err(PipeEnd::Lost),
        })
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>> {
        while let Some(frame) = frames.front() {
            match self.outgoing.poll_reserve(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(PipeEnd::Lost)),
                Poll::Pending => return Poll::Pending,
            }
            let payload = frame.payload();
            frames.pop_front();
            if self.outgoing.send_item(Sent::Frame(payload)).is_err() {
                return Poll::Ready(Err(PipeEnd::Lost));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn close(self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = CloseOutcome> + Send>> {
        Box::pin(async move {
            if let Some(sender) = self.outgoing.get_ref() {
                _ = sender.send(Sent::Close(code)).await;
            }
            CloseOutcome::Answered
        })
    }
}
