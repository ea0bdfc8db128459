//! What waits to be sent to one client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hubline_pipe::Frame;
use hubline_protocol::{ConnectionId, HubProtocol};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::congestion::{Congestion, SentTo};
use crate::wakes::WakeList;
use crate::{CloseReason, HubOptions};

/// More room than this is given back once a queue is empty.
const KEPT_CAPACITY: usize = 16;

/// The bounded queue between everybody who sends to a connection and the connection's writer.
///
/// Full means: the client is too slow. The queue is dropped and the connection closed with
/// [`CloseReason::SlowClient`]; a send never waits for it. Once half is full, the next invocation of a client that sends
/// here does, for as long as this client reads ([`Outbox::holds_until`]).
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) connection_id: ConnectionId,
    pub(crate) protocol: HubProtocol,
    limit_bytes: usize,
    limit_messages: usize,
    /// The thread on which the connection stays, if it does.
    thread: Option<Arc<WakeList>>,
    /// Whether the client was ever invoked for a result.
    invoked: AtomicBool,
    /// Whether the connection is to end once nothing of it runs.
    draining: AtomicBool,
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
    /// The connection's own streams that wait for room, and other connections that sent too much.
    wants_room: Vec<Waker>,
    /// While the transport takes nothing more, or more than half is full.
    congestion: Option<Box<Congestion>>,
    /// Whom this client has sent to while somebody's queue was more than half full.
    sent_to: Option<Box<SentTo>>,
    /// Whether a client with stateful reconnect has lost its transport.
    is_away: bool,
    closing: Option<CloseReason>,
}

/// What may keep a client's next invocation from beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Free,
    /// It is to read what it has been sent first.
    OverHalf,
    /// It has sent while somebody's queue was more than half full.
    HasSent,
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
            invoked: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            queue: Mutex::default(),
        }
    }

    /// Adds a frame; on a connection that is closing it is dropped, as ASP.NET Core drops it. Whether the connection
    /// is to be listed among the congested ones.
    #[must_use]
    pub(crate) fn push(&self, frame: Frame) -> bool {
        let mut queue = self.lock();
        if queue.closing.is_some() {
            return false;
        }
        // What waits is judged without the new frame: one message of any size gets in.
        if queue.bytes <= self.limit_bytes && queue.frames.len() < self.limit_messages {
            let size = frame.size();
            let is_newly_congested = self.over_half_with(&queue, size, 1) && queue.mark_congested();
            self.add(queue, frame);
            is_newly_congested
        } else {
            queue.frames = VecDeque::new();
            queue.closing = Some(CloseReason::SlowClient);
            queue.wake_who_waits_for_room();
            self.wake(queue);
            false
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
            queue.wake_who_waits_for_room();
            self.wake(queue);
        }
    }

    /// Asks the connection to close as soon as none of its calls and streams runs.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.wake_connection();
    }

    /// Whether [`Outbox::drain`] was called. Who looks after [`Outbox::poll_take`] or [`Outbox::poll_closing`] is woken by it.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether so much waits that the client should read before it asks for more.
    pub(crate) fn is_over_half(&self) -> bool {
        self.over_half(&self.lock())
    }

    fn over_half(&self, queue: &Queue) -> bool {
        self.over_half_with(queue, 0, 0)
    }

    fn over_half_with(&self, queue: &Queue, bytes: usize, frames: usize) -> bool {
        queue.bytes + bytes > self.limit_bytes / 2 || queue.frames.len() + frames > self.limit_messages / 2
    }

    /// What the client's next invocation depends on.
    pub(crate) fn standing(&self) -> Standing {
        let queue = self.lock();
        match (self.over_half(&queue), &queue.sent_to) {
            (true, _) => Standing::OverHalf,
            (false, Some(_)) => Standing::HasSent,
            (false, None) => Standing::Free,
        }
    }

    /// Lets the client's next invocation depend on those it has sent to. Only for while somebody is congested.
    pub(crate) fn note_sent_to(&self, note: impl FnOnce(&mut SentTo)) {
        note(self.lock().sent_to.get_or_insert_default());
    }

    /// Whom the client has sent to; nothing depends on them any more unless they are put back.
    pub(crate) fn take_sent_to(&self) -> Option<Box<SentTo>> {
        self.lock().sent_to.take()
    }

    pub(crate) fn put_back_sent_to(&self, sent_to: Box<SentTo>) {
        self.lock().sent_to = Some(sent_to);
    }

    /// Until when who sends to this client is to wait for it, unless it reads on: more than half is full, and the client
    /// has taken something within `patience`. Then the task is woken when there is room. `None` if nobody is to wait,
    /// and the connection is not among the congested ones any more.
    pub(crate) fn holds_until(&self, cx: &Context<'_>, patience: Duration) -> Option<Instant> {
        let mut queue = self.lock();
        let is_full = queue.closing.is_none() && !queue.is_away && self.over_half(&queue);
        let until = queue.congestion.as_ref()?.stalled_from(patience);
        if is_full && Instant::now() < until {
            queue.wake_when_there_is_room(cx);
            return Some(until);
        }
        if let Some(congestion) = &mut queue.congestion {
            congestion.is_listed = false;
        }
        None
    }

    /// The client has lost its transport and may come back: it does not read.
    pub(crate) fn client_left(&self) {
        let mut queue = self.lock();
        queue.is_away = true;
        queue.wake_who_waits_for_room();
    }

    pub(crate) fn client_is_back(&self) {
        self.lock().is_away = false;
    }

    /// Ready when the client may get more of what it invoked for itself, or will get nothing any more.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if queue.closing.is_some() || !self.over_half(&queue) {
            return Poll::Ready(());
        }
        queue.wake_when_there_is_room(cx);
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

    /// Notes that a result of the client is waited for.
    pub(crate) fn mark_invoked(&self) {
        self.invoked.store(true, Ordering::Relaxed);
    }

    /// Whether a result of the client has ever been waited for.
    pub(crate) fn was_invoked(&self) -> bool {
        self.invoked.load(Ordering::Relaxed)
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
        if queue.bytes <= self.limit_bytes / 2 {
            // What waits is about to be taken.
            queue.congestion = None;
            queue.wake_who_waits_for_room();
        } else if let Some(congestion) = &mut queue.congestion {
            congestion.read_all();
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

    /// Ready when somebody wants the connection closed, whatever is left to send, while the transport takes nothing
    /// more. `unsent` tells how many of the `taken` bytes are left, and `taken` becomes that.
    pub(crate) fn poll_closing(
        &self,
        cx: &mut Context<'_>,
        taken: &mut usize,
        unsent: impl FnOnce() -> usize,
    ) -> Poll<CloseReason> {
        let mut queue = self.lock();
        let left = unsent().min(*taken);
        let sent = std::mem::replace(taken, left) - left;
        let congestion = queue.congestion.get_or_insert_with(|| Box::new(Congestion::begin()));
        congestion.read(sent, self.limit_bytes);
        queue.bytes = queue.bytes.saturating_sub(sent);
        if !self.over_half(&queue) {
            queue.wake_who_waits_for_room();
        }
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
        queue.wake_who_waits_for_room();
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
        self.queue.lock()
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

    /// Notes that more than half is full; returns whether that is new.
    fn mark_congested(&mut self) -> bool {
        let congestion = self.congestion.get_or_insert_with(|| Box::new(Congestion::begin()));
        !std::mem::replace(&mut congestion.is_listed, true)
    }

    fn wake_when_there_is_room(&mut self, cx: &Context<'_>) {
        if !self.wants_room.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wants_room.push(cx.waker().clone());
        }
    }

    fn wake_who_waits_for_room(&mut self) {
        self.wants_room.drain(..).for_each(Waker::wake);
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
        assert!(outbox.push(frame(60)), "more than half is full");
        assert!(!outbox.push(frame(41)), "which was told before");
        assert!(outbox.is_over_half());
        assert_eq!(take(&outbox, 0).await.unwrap(), 2);
        outbox.push_completion(frame(10));
        assert!(!outbox.push(frame(10)));
        assert!(matches!(take(&outbox, 0).await, Err(CloseReason::SlowClient)));
    }

    #[tokio::test]
    async fn one_message_of_any_size_gets_in() {
        let outbox = outbox(100);
        _ = outbox.push(frame(60));
        _ = outbox.push(frame(1200));
        assert_eq!(take(&outbox, 0).await.unwrap(), 2);
        let mut none = VecDeque::new();
        let drained = poll_fn(|cx| Poll::Ready(outbox.poll_take(cx, &mut none, 1260).is_pending())).await;
        assert!(drained && !outbox.is_over_half());
    }

    #[tokio::test]
    async fn what_was_queued_before_a_close_goes_out_first() {
        let outbox = outbox(100);
        assert!(!outbox.push(frame(10)));
        outbox.close(CloseReason::Aborted);
        assert!(!outbox.push(frame(10)));
        assert_eq!(take(&outbox, 0).await.unwrap(), 1);
        assert!(matches!(take(&outbox, 10).await, Err(CloseReason::Aborted)));
    }
}
