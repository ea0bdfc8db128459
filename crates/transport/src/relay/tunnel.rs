//! A WebSocket here that takes the place of a lost one, for a connection elsewhere.
//!
//! With stateful reconnect a connection outlives its socket and stays where it is, but the next socket comes to
//! any instance. So its bytes are passed on, in both directions one load after the other: the next one leaves
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
use hubline_pipe::{CloseCode, Farewell, Frame, Pipe, PipeEnd};
use hubline_protocol::{Encoded, TransferFormat};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::PollSender;

use super::asking::Asking;
use super::message::{Answer, ExchangeId, FrameOnItsWay, Load, Wish, close_code};

/// Bytes of frames that leave in one load, unless a single one is larger.
const LOAD_BYTES: usize = 256 * 1024;
/// Longer than a client gets for its answer by default.
const CLOSE_PATIENCE: Duration = Duration::from_secs(8);

/// Where the loads of tunnels go that end here.
#[derive(Clone, Default)]
pub(super) struct Tunnels(Arc<Mutex<HashMap<ExchangeId, mpsc::Sender<Load>>>>);

/// One end of a tunnel. Dropping it closes the tunnel.
pub(crate) struct TunnelEnd {
    loads: mpsc::Receiver<Load>,
    far_end: FarEnd,
    tunnels: Tunnels,
}

/// The way to the other end.
#[derive(Clone)]
struct FarEnd {
    id: ExchangeId,
    asking: Arc<Asking>,
    address: Address,
}

/// The hub's end, as a pipe.
struct TunnelPipe {
    end: TunnelEnd,
    out: PollSender<Load>,
    expires: Option<Instant>,
}

impl Tunnels {
    pub(super) fn open(&self, id: ExchangeId, asking: &Arc<Asking>, address: Address) -> TunnelEnd {
        let (send, loads) = mpsc::channel(1);
        self.lock().insert(id, send);
        let far_end = FarEnd { id, asking: Arc::clone(asking), address };
        TunnelEnd { loads, far_end, tunnels: self.clone() }
    }

    /// A load has come; ready when it is taken.
    pub(super) async fn take(&self, id: ExchangeId, load: Load) -> Answer {
        let end = self.lock().get(&id).cloned();
        match end {
            Some(end) if end.send(load).await.is_ok() => Answer::Taken,
            Some(_) | None => Answer::Unknown,
        }
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<ExchangeId, mpsc::Sender<Load>>> {
        self.0.lock()
    }
}

impl Drop for TunnelEnd {
    fn drop(&mut self) {
        self.tunnels.lock().remove(&self.far_end.id);
    }
}

impl FarEnd {
    /// Takes a load there; whether it was taken.
    async fn bring(self, load: Load) -> bool {
        let Ok(mut exchange) = self.asking.begin(self.address, "", None) else { return false };
        exchange.ask(Wish::Tunnel { id: self.id, load }, None).await == Ok(Answer::Taken)
    }

    /// Takes everything there that the hub sends.
    async fn bring_all(self, mut sent: mpsc::Receiver<Load>) {
        while let Some(load) = sent.recv().await {
            if !self.clone().bring(load).await {
                return;
            }
        }
    }
}

impl TunnelEnd {
    /// The connection's end.
    pub(super) fn into_pipe(self, expires: Option<Instant>) -> Box<dyn Pipe> {
        let (out, sent) = mpsc::channel(1);
        tokio::spawn(self.far_end.clone().bring_all(sent));
        Box::new(TunnelPipe { end: self, out: PollSender::new(out), expires })
    }

    /// The socket's end: passes on what goes through it, until it or the tunnel ends.
    pub(crate) async fn serve(mut self, mut pipe: Box<dyn Pipe>) {
        let mut input = BytesMut::new();
        let mut frames = VecDeque::new();
        let mut bringing: Option<BoxFuture<'static, bool>> = None;
        let mut ended = false;
        let close_code = poll_fn(|cx| {
            loop {
                if let Some(load) = &mut bringing {
                    if let Poll::Ready(taken) = load.as_mut().poll(cx) {
                        bringing = None;
                        if !taken || ended {
                            return Poll::Ready(None);
                        }
                        continue;
                    }
                } else if let Poll::Ready(received) = pipe.poll_receive(cx, &mut input) {
                    ended = received.is_err();
                    let load = match received {
                        Ok(()) => Load::Bytes(input.split().to_vec().into()),
                        Err(end) => Load::Ended(end.into()),
                    };
                    bringing = Some(self.far_end.clone().bring(load).boxed());
                    continue;
                }
                if !frames.is_empty() && ready!(pipe.poll_send(cx, &mut frames)).is_err() {
                    return Poll::Ready(None);
                }
                match ready!(self.loads.poll_recv(cx)) {
                    Some(Load::Frames(load)) => frames.extend(load.into_iter().map(Frame::from)),
                    Some(Load::Close(code)) => return Poll::Ready(Some(close_code(code))),
                    Some(Load::Bytes(_) | Load::Ended(_) | Load::Farewell(_)) | None => {
                        return Poll::Ready(None);
                    }
                }
            }
        });
        if let Some(code) = close_code.await {
            let farewell = pipe.close(code).await;
            self.far_end.clone().bring(Load::Farewell(farewell.into())).await;
        }
    }
}

impl Pipe for TunnelPipe {
    fn expires(&self) -> Option<Instant> {
        self.expires
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<(), PipeEnd>> {
        Poll::Ready(match ready!(self.end.loads.poll_recv(cx)) {
            Some(Load::Bytes(bytes)) => {
                input.extend_from_slice(&bytes);
                Ok(())
            }
            Some(Load::Ended(end)) => Err(end.into()),
            Some(Load::Frames(_) | Load::Close(_) | Load::Farewell(_)) | None => Err(PipeEnd::Lost),
        })
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Poll<Result<(), PipeEnd>> {
        while !frames.is_empty() {
            if ready!(self.out.poll_reserve(cx)).is_err() {
                return Poll::Ready(Err(PipeEnd::Lost));
            }
            let (mut load, mut size) = (Vec::new(), 0);
            while size < LOAD_BYTES
                && let Some(frame) = frames.pop_front()
            {
                size += frame.size();
                load.push(FrameOnItsWay::from(&frame));
            }
            if self.out.send_item(Load::Frames(load)).is_err() {
                return Poll::Ready(Err(PipeEnd::Lost));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the client answers is what counts, so the other end tells it.
    fn close(mut self: Box<Self>, code: CloseCode) -> Pin<Box<dyn Future<Output = Farewell> + Send>> {
        Box::pin(async move {
            let Some(out) = self.out.get_ref() else { return Farewell::Lost };
            let loads = &mut self.end.loads;
            let answered = async {
                if out.send(Load::Close(code.number())).await.is_err() {
                    return Farewell::Lost;
                }
                loop {
                    tokio::select! {
                        load = loads.recv() => match load {
                            Some(Load::Farewell(taken)) => return taken.into(),
                            Some(Load::Bytes(_)) => {}
                            Some(_) | None => return Farewell::Lost,
                        },
                        () = out.closed() => return Farewell::Lost,
                    }
                }
            };
            timeout(CLOSE_PATIENCE, answered).await.unwrap_or(Farewell::Silent)
        })
    }
}

impl From<&Frame> for FrameOnItsWay {
    fn from(frame: &Frame) -> Self {
        let is_binary = frame.format() == TransferFormat::Binary;
        Self { is_binary, payload: frame.payload().to_vec().into() }
    }
}

impl From<FrameOnItsWay> for Frame {
    fn from(frame: FrameOnItsWay) -> Self {
        let format = if frame.is_binary { TransferFormat::Binary } else { TransferFormat::Text };
        Self::uncounted(Encoded::copy_from(&frame.payload), format)
    }
}
