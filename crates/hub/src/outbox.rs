//! What waits to be sent to one client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hubline_pipe::Frame;
use hubline_protocol::{ConnectionId, HubProtocol};

use crate::wakes::WakeList;
use crate::{CloseReason, HubOptions};

/// More room than this is given back once a queue is empty.
const KEPT_CAPACITY: usize = 16;

/// The bounded queue between everybody who sends to a connection and the connection's writer.
///
/// Full means: the client is too slow. The queue is dropped and the connection closed with
/// [`CloseReason::SlowClient`]; nobody who sends ever waits for it.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) connection_id: ConnectionId,
    pub(crate) protocol: HubProtocol,
    limit_bytes: usize,
    limit_messages: usize,
    /// The thread on which the connection stays, if it does.
    thread: Option<Arc<WakeList>>,
    /// Whether the client was ever asked for a result.
    asked: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    /// Bytes in `frames` and in what the writer has taken but not sent.
    bytes: usize,
    /// The connection's task, if it waits.
    waker: Option<Waker>,
    /// Whether new frames wake it; while the socket is full only a close does.
    wants_frames: bool,
    /// The connection's own streams that wait for room.
    wants_room: Vec<Waker>,
    closing: Option<CloseReason>,
}

/// What the writer finds.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Frames were put where there were none.
    Frames,
    /// Somebody wants the connection closed.
    Closing(CloseReason),
}

impl Outbox {
    /// For a connection that runs on this thread.
    pub(crate) fn new(connection_id: ConnectionId, protocol: HubProtocol, options: &HubOptions) -> Self {
        Self {
            connection_id,
            protocol,
            limit_bytes: options.outbound_limit_bytes,
            limit_messages: options.outbound_limit_messages,
            thread: WakeList::of_this_thread(),
            asked: AtomicBool::new(false),
            queue: Mutex::default(),
        }
    }

    /// Adds a frame; on a connection that is closing it is dropped, as ASP.NET Core drops it.
    pub(crate) fn push(&self, frame: Frame) {
        let mut queue = self.lock();
        if queue.closing.is_some() {
            return;
        }
        // What waits is judged without the new frame: one message of any size gets in.
        if queue.bytes <= self.limit_bytes && queue.frames.len() < self.limit_messages {
            self.add(queue, frame);
        } else {
            queue.frames = VecDeque::new();
            queue.closing = Some(CloseReason::SlowClient);
            self.wake(queue);
        }
    }

    /// Adds the end of one of the client's own calls, or an item of its streams, which is never the client's
    /// fault. The next call waits while [`Outbox::is_over_half`], and the next item for
    /// [`Outbox::poll_room`].
    pub(crate) fn push_completion(&self, frame: Frame) {
        let queue = self.lock();
        if queue.closing.is_none() {
            self.add(queue, frame);
        }
    }

    /// Asks the connection to close. The first reason stands.
    pub(crate) fn close(&self, reason: CloseReason) {
        let mut queue = self.lock();
        if queue.closing.is_none() {
            queue.closing = Some(reason);
            self.wake(queue);
        }
    }

    /// Whether so much waits that the client should read before it asks for more.
    pub(crate) fn is_over_half(&self) -> bool {
        self.over_half(&self.lock())
    }

    fn over_half(&self, queue: &Queue) -> bool {
        queue.bytes > self.limit_bytes / 2 || queue.frames.len() > self.limit_messages / 2
    }

    /// Ready when the client may get more of what it asked for itself, or will get nothing any more.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if queue.closing.is_some() || !self.over_half(&queue) {
            return Poll::Ready(());
        }
        queue.wants_room.push(cx.waker().clone());
        Poll::Pending
    }

    /// Whether what is added now is dropped.
    pub(crate) fn is_closing(&self) -> bool {
        self.lock().closing.is_some()
    }

    /// Has the connection look at itself, because of something besides frames.
    pub(crate) fn wake_connection(&self) {
        self.wake(self.lock());
    }

    pub(crate) fn is_asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether the client may owe an answer.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Moves all frames into `sending`, which must be empty, and counts `sent` bytes as gone.
    pub(crate) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        sending: &mut VecDeque<Frame>,
        sent: usize,
    ) -> Poll<Taken> {
        let mut queue = self.lock();
        queue.bytes = queue.bytes.saturating_sub(sent);
        if !queue.wants_room.is_empty() && queue.bytes <= self.limit_bytes / 2 {
            queue.wants_room.drain(..).for_each(Waker::wake);
        }
        if queue.frames.is_empty() {
            if let Some(reason) = queue.closing.clone() {
                return Poll::Ready(Taken::Closing(reason));
            }
            if sending.capacity() > KEPT_CAPACITY {
                *sending = VecDeque::new();
            }
            queue.wait(cx, true);
            return Poll::Pending;
        }
        std::mem::swap(&mut queue.frames, sending);
        Poll::Ready(Taken::Frames)
    }

    /// Ready when somebody wants the connection closed, whatever is left to send.
    pub(crate) fn poll_closing(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let mut queue = self.lock();
        match queue.closing.clone() {
            Some(reason) => Poll::Ready(reason),
            None => {
                queue.wait(cx, false);
                Poll::Pending
            }
        }
    }

    /// Refuses everything from now on and returns what was still waiting.
    pub(crate) fn end(&self, reason: &CloseReason) -> VecDeque<Frame> {
        let mut queue = self.lock();
        queue.closing.get_or_insert_with(|| reason.clone());
        queue.wants_room.drain(..).for_each(Waker::wake);
        std::mem::take(&mut queue.frames)
    }

    fn add(&self, mut queue: MutexGuard<'_, Queue>, frame: Frame) {
        queue.bytes += frame.size();
        queue.frames.push_back(frame);
        if queue.wants_frames {
            self.wake(queue);
        }
    }

    /// Wakes outside the lock: the woken task takes it first thing.
    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let waker = queue.waker.take();
        drop(queue);
        match (waker, &self.thread) {
            (Some(waker), Some(thread)) => thread.wake(waker),
            (Some(waker), None) => waker.wake(),
            (None, _) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn wait(&mut self, cx: &Context<'_>, wants_frames: bool) {
        self.wants_frames = wants_frames;
        match &self.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.waker = Some(cx.waker().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hubline_protocol::{Encoded, TransferFormat};

    use super::*;

    fn outbox(limit_bytes: usize) -> Outbox {
        let options = HubOptions { outbound_limit_bytes: limit_bytes, ..HubOptions::default() };
        Outbox::new("c".into(), HubProtocol::Json, &options)
    }

    fn frame(length: usize) -> Frame {
        Frame::new(Encoded::copy_from(&vec![b'x'; length - 2]), TransferFormat::Text)
    }

    async fn take(outbox: &Outbox, sent: usize) -> Result<usize, CloseReason> {
        let mut sending = VecDeque::new();
        match poll_fn(|cx| outbox.poll_take(cx, &mut sending, sent)).await {
            Taken::Frames => Ok(sending.len()),
            Taken::Closing(reason) => Err(reason),
        }
    }

    #[tokio::test]
    async fn bytes_count_until_they_are_sent() {
        let outbox = outbox(100);
        outbox.push(frame(60));
        outbox.push(frame(41));
        assert!(outbox.is_over_half());
        assert_eq!(take(&outbox, 0).await.unwrap(), 2);
        outbox.push_completion(frame(10));
        outbox.push(frame(10));
        assert!(matches!(take(&outbox, 0).await, Err(CloseReason::SlowClient)));
    }

    #[tokio::test]
    async fn one_message_of_any_size_gets_in() {
        let outbox = outbox(100);
        outbox.push(frame(60));
        outbox.push(frame(1200));
        assert_eq!(take(&outbox, 0).await.unwrap(), 2);
        let mut none = VecDeque::new();
        let drained = poll_fn(|cx| Poll::Ready(outbox.poll_take(cx, &mut none, 1260).is_pending())).await;
        assert!(drained && !outbox.is_over_half());
    }

    #[tokio::test]
    async fn what_was_queued_before_a_close_goes_out_first() {
        let outbox = outbox(100);
        outbox.push(frame(10));
        outbox.close(CloseReason::Aborted);
        outbox.push(frame(10));
        assert_eq!(take(&outbox, 0).await.unwrap(), 1);
        assert!(matches!(take(&outbox, 10).await, Err(CloseReason::Aborted)));
    }
}
