//! Sends the stream of a hub method, item by item.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use hubline_pipe::Frame;
use hubline_protocol::{Encoded, encode};
use tokio_util::sync::CancellationToken;

use crate::dispatcher::Reply;
use crate::outbox::Outbox;
use crate::result::Kind;
use crate::{HubError, ItemStream, Returned};

/// Items sent in one go, before the connection does something else.
const ITEMS_AT_ONCE: u32 = 32;

/// Runs a streaming call to its end; returns the completion for the caller.
///
/// A stream whose method takes no [`crate::Cancellation`] is dropped once it is cancelled (`drops`). Any
/// other goes on until it ends by itself.
pub(super) async fn run(
    reply: Reply,
    call: BoxFuture<'static, Result<Returned, HubError>>,
    cancellation: CancellationToken,
    drops: bool,
) -> Option<Encoded> {
    let stream = match reply.run(call).await.map(|returned| returned.0) {
        Ok(Kind::Stream(stream)) => stream,
        Ok(Kind::NoStream | Kind::Value(_)) => return reply.no_stream(),
        Err(error) => return reply.failed(error),
    };
    let items = reply.run(Box::pin(send_items(
        reply.caller().clone(),
        reply.invocation_id.clone().unwrap_or_default(),
        stream,
    )));
    let outcome = if drops {
        tokio::select! {
            biased;
            () = cancellation.cancelled() => return reply.void(),
            outcome = items => outcome,
        }
    } else {
        items.await
    };
    match outcome {
        // Nobody is interested in how a cancelled stream failed.
        Err(error) if !cancellation.is_cancelled() => reply.stream_failed(error),
        Ok(()) | Err(_) => reply.void(),
    }
}

async fn send_items(
    caller: crate::Caller,
    invocation_id: Box<str>,
    stream: ItemStream,
) -> Result<(), HubError> {
    let mut stream = pin!(stream);
    poll_fn(|cx| {
        for _ in 0..ITEMS_AT_ONCE {
            match ready!(poll_item(cx, &caller.0.outbox, &mut stream.as_mut())) {
                Some(item) => send(&caller.0.outbox, &invocation_id, &item?),
                None => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// The next item, once the client has room for it.
fn poll_item(
    cx: &mut Context<'_>,
    outbox: &Outbox,
    stream: &mut std::pin::Pin<&mut ItemStream>,
) -> Poll<Option<Result<Vec<u8>, HubError>>> {
    ready!(outbox.poll_room(cx));
    stream.poll_next_unpin(cx)
}

fn send(outbox: &Outbox, invocation_id: &str, item: &[u8]) {
    let encoded = encode::stream_item(outbox.protocol, invocation_id, item);
    outbox.push_completion(Frame::new(encoded, outbox.protocol.transfer_format()));
}
