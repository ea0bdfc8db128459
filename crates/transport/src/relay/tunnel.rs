//! A WebSocket on this instance that resumes a connection of another one.
//!
//! With stateful reconnect a connection outlives its socket and stays where it is, but the next socket comes to
//! any instance. So its bytes are passed on, in both directions one message after the other: the next one leaves
//! when the one before has been taken, which keeps them in order and bounded by what a slow side takes.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_backplane::Address;
use hubline_pipe::{CloseCode, CloseOutcome, Frame, Pipe, PipeEnd};
use hubline_protocol::{Encoded, TransferFormat};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::PollSender;

use super::client::RelayClient;
use super::message::{EncodedFrame, ExchangeId, Operation, Reply, TunnelMessage, close_code};

/// Bytes of frames that leave in one message, unless a single one is larger.
const MESSAGE_BYTES: usize = 256 * 1024;
/// How long a client may take to answer a close frame; more than the default of the transport.
const CLOSE_PATIENCE: Duration = Duration::from_secs(8);

/// The tunnels that end on this instance, with the queues of their messages.
#[derive(Clone, Default)]
pub(super) struct Tunnels(Arc<Mutex<HashMap<ExchangeId, mpsc::Sender<TunnelMessage>>>>);

/// One end of a tunnel. Dropping it closes the tunnel.
pub(crate) struct TunnelEnd {
    messages: mpsc::Receiver<TunnelMessage>,
    far_end: FarEnd,
    tunnels: Tunnels,
}

/// The way to the other end.
#[derive(Clone)]
struct FarEnd {
    id: ExchangeId,
    client: Arc<RelayClient>,
    address: Address,
}

/// The hub's end, as a pipe.
struct TunnelPipe {
    end: TunnelEnd,
    out: PollSender<TunnelMessage>,
    expires: Option<Instant>,
}

impl Tunnels {
    pub(super) fn open(&self, id: ExchangeId, client: &Arc<RelayClient>, address: Address) -> TunnelEnd {
        let (send, messages) = mpsc::channel(1);
        self.lock().insert(id, send);
        let far_end = FarEnd { id, client: Arc::clone(client), address };
        TunnelEnd { messages, far_end, tunnels: self.clone() }
    }

    /// A message has come; ready when it is taken.
    pub(super) async fn take(&self, id: ExchangeId, message: TunnelMessage) -> Reply {
        let end = self.lock().get(&id).cloned();
        match end {
            Some(end) if end.send(message).await.is_ok() => Reply::TunnelDelivered,
            Some(_) | None => Reply::Unknown,
        }
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<ExchangeId, mpsc::Sender<TunnelMessage>>> {
        self.0.lock()
    }
}

impl Drop for TunnelEnd {
    fn drop(&mut self) {
        self.tunnels.lock().remove(&self.far_end.id);
    }
}

impl FarEnd {
    /// Sends a message to the other end; `true` if that has taken it.
    async fn deliver(self, message: TunnelMessage) -> bool {
        let Ok(mut exchange) = self.client.begin(self.address, "", None) else { return false };
        exchange.request(Operation::Tunnel { id: self.id, message }, None).await == Ok(Reply::TunnelDelivered)
    }

    /// Sends the hub's messages to the other end, one after the other.
    async fn deliver_all(self, mut sent: mpsc::Receiver<TunnelMessage>) {
        while let Some(message) = sent.recv().await {
            if !self.clone().deliver(message).await {
                return;
            }
        }
    }
}

impl TunnelEnd {
    /// The connection's end.
    pub(super) fn into_pipe(self, expires: Option<Instant>) -> Box<dyn Pipe> {
        let (out, sent) = mpsc::channel(1);
        tokio::spawn(self.far_end.clone().deliver_all(sent));
        Box::new(TunnelPipe { end: self, out: PollSender::new(out), expires })
    }

    /// The socket's end: passes on what goes through it, until it or the tunnel ends.
    pub(crate) async fn serve(mut self, mut pipe: Box<dyn Pipe>) {
        let mut input = BytesMut::new();
        let mut frames = VecDeque::new();
        let mut delivering: Option<BoxFuture<'static, bool>> = None;
        let mut ended = false;
        let close_code = poll_fn(|cx| {
            loop {
                if let Some(message) = &mut delivering {
                    if let Poll::Ready(taken) = message.as_mut().poll(cx) {
                        delivering = None;
                        if !taken || ended {
                            return Poll::Ready(None);
                        }
                        continue;
                    }
                } else if let Poll::Ready(received) = pipe.poll_receive(cx, &mut input) {
                    ended = received.is_err();
                    let message = match received {
                        Ok(()) => TunnelMessage::Bytes(input.split().to_vec().into()),
                        Err(end) => TunnelMessage::Ended(end.into()),
                    };
                    delivering = Some(self.far_end.clone().deliver(message).boxed());
                    continue;
                }
                if !frames.is_empty() && ready!(pipe.poll_send(cx, &mut frames)).is_err() {
                    return Poll::Ready(None);
                }
                match ready!(self.messages.poll_recv(cx)) {
                    Some(TunnelMessage::Frames(message)) => {
                        frames.extend(message.into_iter().map(Frame::from))
                    }
                    Some(TunnelMessage::Close(code)) => return Poll::Ready(Some(close_code(code))),
                    Some(
                        TunnelMessage::Bytes(_) | TunnelMessage::Ended(_) | TunnelMessage::CloseOutcome(_),
                    )
                    | None => {
                        return Poll::Ready(None);
                    }
                }
            }
        });
        if let Some(code) = close_code.await {
            let outcome = pipe.close(code).await;
            self.far_end.clone().deliver(TunnelMessage::CloseOutcome(outcome.into())).await;
        }
    }
}

impl Pipe for TunnelPipe {
    fn expires(&self) -> Option<Instant> {
        self.expires
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>> {
        Poll::Ready(match ready!(self.end.messages.poll_recv(cx)) {
            Some(TunnelMessage::Bytes(bytes)) => {
                input.extend_from_slice(&bytes);
                Ok(())
            }
            Some(TunnelMessage::Ended(end)) => Err(end.into()),
            Some(TunnelMessage::Frames(_) | TunnelMessage::Close(_) | TunnelMessage::CloseOutcome(_))
            | None => Err(PipeEnd::Lost),
        })
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>> {
        while !frames.is_empty() {
            if ready!(self.out.poll_reserve(cx)).is_err() {
                return Poll::Ready(Err(PipeEnd::Lost));
            }
            let (mut message, mut size) = (Vec::new(), 0);
            while size < MESSAGE_BYTES
                && let Some(frame) = frames.pop_front()
            {
                size += frame.size();
                message.push(EncodedFrame::from(&frame));
            }
            if self.out.send_item(TunnelMessage::Frames(message)).is_err() {
                return Poll::Ready(Err(PipeEnd::Lost));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The outcome is how the client answers, which the other end reports.
    fn close(mut self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = CloseOutcome> + Send>> {
        Box::pin(async move {
            let Some(out) = self.out.get_ref() else { return CloseOutcome::Lost };
            let messages = &mut self.end.messages;
            let replied = async {
                if out.send(TunnelMessage::Close(code.number())).await.is_err() {
                    return CloseOutcome::Lost;
                }
                loop {
                    tokio::select! {
                        message = messages.recv() => match message {
                            Some(TunnelMessage::CloseOutcome(taken)) => return taken.into(),
                            Some(TunnelMessage::Bytes(_)) => {}
                            Some(_) | None => return CloseOutcome::Lost,
                        },
                        () = out.closed() => return CloseOutcome::Lost,
                    }
                }
            };
            timeout(CLOSE_PATIENCE, replied).await.unwrap_or(CloseOutcome::Silent)
        })
    }
}

impl From<&Frame> for EncodedFrame {
    fn from(frame: &Frame) -> Self {
        let is_binary = frame.format() == TransferFormat::Binary;
        Self { is_binary, payload: frame.payload().to_vec().into() }
    }
}

impl From<EncodedFrame> for Frame {
    fn from(frame: EncodedFrame) -> Self {
        let format = if frame.is_binary { TransferFormat::Binary } else { TransferFormat::Text };
        Self::uncounted(Encoded::copy_from(&frame.payload), format)
    }
}
