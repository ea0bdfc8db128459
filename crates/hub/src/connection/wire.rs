//! The connection's side of its pipe.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use hubline_pipe::{CloseCode, Frame, Pipe, PipeEnd};
use hubline_protocol::{Encoded, HubProtocol, handshake};

use super::{CloseReason, Taken};
use crate::outbox::Outbox;

/// A pipe, what was read from it and what it is sending. The one way out of a connection.
pub(super) struct Wire {
    pipe: Box<dyn Pipe>,
    /// Bytes that are not a whole message yet.
    pub(super) input: BytesMut,
    sending: VecDeque<Frame>,
    sending_bytes: usize,
    /// Frames that have been sent, in all.
    sent_frames: u64,
}

impl Wire {
    pub(super) fn new(pipe: Box<dyn Pipe>) -> Self {
        Self { pipe, input: BytesMut::new(), sending: VecDeque::new(), sending_bytes: 0, sent_frames: 0 }
    }

    pub(super) fn wants_keep_alive(&self) -> bool {
        self.pipe.wants_keep_alive()
    }

    /// While frames are under way, how many have been sent before them.
    pub(super) fn progress(&self) -> Option<u64> {
        (!self.sending.is_empty()).then_some(self.sent_frames)
    }

    /// Puts the answer to the handshake before everything else, in the format of what follows.
    pub(super) fn send_handshake_response(&mut self, protocol: HubProtocol) {
        let response = Encoded::copy_from(handshake::ACCEPTED);
        self.sending.push_back(Frame::new(response, protocol.transfer_format()));
    }

    pub(super) async fn receive(&mut self) -> Result<(), PipeEnd> {
        poll_fn(|cx| self.pipe.poll_receive(cx, &mut self.input)).await
    }

    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, PipeEnd> {
        match self.pipe.poll_receive(cx, &mut self.input) {
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Ready(Err(end)) => Err(end),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Sends what waits in the outbox until nothing is left or the pipe is full; returns the reason if the
    /// connection is to close, after what came before it unless the client does not read.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &Outbox,
    ) -> Result<Option<CloseReason>, PipeEnd> {
        loop {
            let before = self.sending.len();
            let sent = self.pipe.poll_send(cx, &mut self.sending);
            self.sent_frames += (before - self.sending.len()) as u64;
            match sent {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Err(end),
                Poll::Pending => {
                    return Ok(match outbox.poll_closing(cx) {
                        Poll::Ready(reason) => Some(reason),
                        Poll::Pending => None,
                    });
                }
            }
            let sent = std::mem::take(&mut self.sending_bytes);
            match outbox.poll_take(cx, &mut self.sending, sent) {
                Poll::Ready(Taken::Frames) => self.sending_bytes = self.sending.iter().map(Frame::size).sum(),
                Poll::Ready(Taken::Closing(reason)) => return Ok(Some(reason)),
                Poll::Pending => return Ok(None),
            }
        }
    }

    /// Goes on sending while `work` is done. What ends the connection meanwhile is found afterwards.
    pub(super) async fn sending_meanwhile<T>(&mut self, outbox: &Outbox, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let _ = self.poll_send(cx, outbox);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Sends what is under way and then `frames`.
    pub(super) async fn send_all(&mut self, frames: VecDeque<Frame>) -> Result<(), PipeEnd> {
        self.sending.extend(frames);
        poll_fn(|cx| self.pipe.poll_send(cx, &mut self.sending)).await
    }

    pub(super) async fn close(self, code: CloseCode) {
        self.pipe.close(code).await;
    }
}
