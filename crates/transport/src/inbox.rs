//! Bytes that clients POST, on their way to the hub.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http_body::Body;
use hubline_pipe::PipeEnd;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long the rest of a body may take to come once its connection has ended.
const REST_TIMEOUT: Duration = Duration::from_secs(5);

/// The incoming direction of a connection whose client sends by POST. Full means that the POST waits, so
/// that its client sees how fast the hub is.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    limit: usize,
    /// One POST at a time; the others wait in the order in which they came.
    turn: tokio::sync::Mutex<()>,
    room: Notify,
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    bytes: BytesMut,
    end: Option<PipeEnd>,
    /// Whether the hub reads no more.
    is_dropped: bool,
    reader: Option<Waker>,
}

/// Why a POST did not enter whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PostError {
    /// Its body could not be read.
    Unreadable,
    /// The connection had ended before, or did and the rest of the body did not come.
    Ended,
}

impl Inbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            limit,
            turn: tokio::sync::Mutex::default(),
            room: Notify::new(),
            over: CancellationToken::new(),
        }
    }

    /// Puts a whole body in, piece by piece as it comes and as there is room. If the hub ends the connection
    /// meanwhile, the rest is read and dropped, because its client sent it to a living connection; but it has
    /// to come soon.
    pub(crate) async fn post<B: Body>(&self, body: B) -> Result<(), PostError> {
        if self.over.is_cancelled() {
            return Err(PostError::Ended);
        }
        let mut entered = pin!(async {
            let _turn = self.turn.lock().await;
            let mut body = pin!(body);
            while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                let frame = frame.map_err(|_| PostError::Unreadable)?;
                if let Ok(data) = frame.into_data() {
                    self.put(data).await?;
                }
            }
            Ok(())
        });
        match self.over.run_until_cancelled(entered.as_mut()).await {
            Some(outcome) => outcome,
            None if self.lock().is_dropped => {
                timeout(REST_TIMEOUT, entered).await.unwrap_or(Err(PostError::Ended))
            }
            None => Err(PostError::Ended),
        }
    }

    async fn put(&self, mut data: impl Buf) -> Result<(), PostError> {
        loop {
            self.put_some(&mut data)?;
            if !data.has_remaining() {
                return Ok(());
            }
            self.room.notified().await;
        }
    }

    fn put_some(&self, data: &mut impl Buf) -> Result<(), PostError> {
        let mut state = self.lock();
        if state.is_dropped {
            data.advance(data.remaining());
            return Ok(());
        }
        if state.end.is_some() {
            return Err(PostError::Ended);
        }
        while data.has_remaining() && state.bytes.len() < self.limit {
            let here = data.chunk().len().min(self.limit - state.bytes.len());
            state.bytes.extend_from_slice(&data.chunk()[..here]);
            data.advance(here);
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }

    /// [`hubline_pipe::Pipe::poll_receive`] for pipes with an inbox.
    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        input: &mut BytesMut,
    ) -> Poll<Result<(), PipeEnd>> {
        let mut state = self.lock();
        if state.bytes.is_empty() {
            if let Some(end) = state.end {
                return Poll::Ready(Err(end));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = std::mem::take(&mut state.bytes);
        drop(state);
        if input.is_empty() {
            *input = bytes;
        } else {
            input.extend_from_slice(&bytes);
        }
        self.room.notify_one();
        Poll::Ready(Ok(()))
    }

    /// Has the hub look at its pipe again, though nothing has come.
    pub(crate) fn wake_reader(&self) {
        let reader = self.lock().reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The hub reads no more.
    pub(crate) fn drop_rest(&self) {
        self.lock().is_dropped = true;
        self.end(PipeEnd::Lost);
    }

    /// Takes nothing more. What has come is still to be read; then the reader gets `end`, the first one if
    /// there are several.
    pub(crate) fn end(&self, end: PipeEnd) {
        let mut state = self.lock();
        state.end.get_or_insert(end);
        let reader = state.reader.take();
        drop(state);
        self.over.cancel();
        self.room.notify_one();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
