//! Streams from the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::Stream;
use hubline_protocol::handshake::DetailedErrors;
use hubline_protocol::{ClientValue, Naming};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::dot_net::mismatch;

/// A parameter of a hub method: a stream of items that the client uploads.
///
/// Ends with `None` when the client completes it, or after one error. Several are filled in the order of the
/// parameters. As long as `stream_buffer_capacity` items wait here, the client is not read.
///
/// ```
/// use hubline_hub::{Hub, Upload, UploadError};
///
/// async fn total(mut numbers: Upload<i64>) -> Result<i64, UploadError> {
///     let mut total = 0;
///     while let Some(number) = numbers.next().await {
///         total += number?;
///     }
///     Ok(total)
/// }
/// let hub: Hub = Hub::new("Example").method("Total", total);
/// ```
#[derive(Debug)]
pub struct Upload<T> {
    items: mpsc::Receiver<Uploaded<T>>,
    is_over: bool,
}

/// Why a stream of the client ended before the client completed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The client completed the stream with this error.
    #[error("{0}")]
    Client(String),
    /// An item is not a `T`.
    #[error("Failed to bind Stream message.{}", cause.as_ref().map(|cause| format!(" JsonException: {cause}")).unwrap_or_default())]
    Bind {
        /// What did not fit; only with detailed errors, because callers are shown this error.
        cause: Option<String>,
    },
    /// The connection has ended.
    #[error("The underlying connection was closed.")]
    ConnectionClosed,
}

#[derive(Debug)]
enum Uploaded<T> {
    Item(T),
    Completed,
    Failed(UploadError),
}

impl<T> Upload<T> {
    /// Waits for the next item. `None`: the client has completed the stream, or an error was returned before.
    ///
    /// # Errors
    /// See [`UploadError`]. After an error there are no more items.
    ///
    /// # Cancel safety
    /// Safe: no item is lost.
    pub async fn next(&mut self) -> Option<Result<T, UploadError>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, UploadError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let uploaded = ready!(self.items.poll_recv(cx));
        self.is_over = !matches!(uploaded, Some(Uploaded::Item(_)));
        Poll::Ready(match uploaded {
            Some(Uploaded::Item(item)) => Some(Ok(item)),
            Some(Uploaded::Completed) => None,
            Some(Uploaded::Failed(error)) => Some(Err(error)),
            None => Some(Err(UploadError::ConnectionClosed)),
        })
    }
}

impl<T> Stream for Upload<T> {
    type Item = Result<T, UploadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }
}

impl<T: DeserializeOwned + Send + 'static> Upload<T> {
    /// A stream and the end that the connection keeps.
    pub(crate) fn new(
        capacity: usize,
        naming: Naming,
        detailed_errors: DetailedErrors,
    ) -> (Self, Box<dyn UploadSink>) {
        // One more place, for how it ended.
        let (sender, items) = mpsc::channel(capacity.max(1).saturating_add(1));
        (Self { items, is_over: false }, Box::new(Sink { sender, naming, detailed_errors }))
    }
}

/// The connection's end of an upload, whatever its items are.
pub(crate) trait UploadSink: Send {
    /// Whether the next item has to wait.
    fn is_full(&self) -> bool;

    /// Waits until it need not.
    fn room(&self) -> BoxFuture<'static, ()>;

    /// Adds an item, for which there must be room.
    ///
    /// # Errors
    /// It does not fit; the reader has been told, and the stream is over.
    fn push(&self, item: ClientValue<'_>) -> Result<(), UploadEnded>;

    /// Ends the stream, with the client's error if it sent one.
    fn complete(self: Box<Self>, error: Option<String>);
}

/// Nothing more is taken.
#[derive(Debug)]
pub(crate) struct UploadEnded;

struct Sink<T> {
    sender: mpsc::Sender<Uploaded<T>>,
    naming: Naming,
    detailed_errors: DetailedErrors,
}

impl<T: DeserializeOwned + Send + 'static> UploadSink for Sink<T> {
    fn is_full(&self) -> bool {
        self.sender.capacity() <= 1 && !self.sender.is_closed()
    }

    fn room(&self) -> BoxFuture<'static, ()> {
        let sender = self.sender.clone();
        // An error means that nobody reads any more; then there is room for everything.
        async move { _ = sender.reserve_many(2).await }.boxed()
    }

    fn push(&self, item: ClientValue<'_>) -> Result<(), UploadEnded> {
        match item.decode::<T>(self.naming) {
            Ok(item) => self.sender.try_send(Uploaded::Item(item)).map_err(|_| UploadEnded),
            Err(error) => {
                let is_shown = self.detailed_errors == DetailedErrors::Shown;
                let failed = UploadError::Bind { cause: is_shown.then(|| mismatch::<T>(item, &error)) };
                // Nobody may be there to be told.
                _ = self.sender.try_send(Uploaded::Failed(failed));
                Err(UploadEnded)
            }
        }
    }

    fn complete(self: Box<Self>, error: Option<String>) {
        let end = error.map_or(Uploaded::Completed, |error| Uploaded::Failed(UploadError::Client(error)));
        // Nobody may be there to be told.
        _ = self.sender.try_send(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(sink: &dyn UploadSink, json: &str) -> Result<(), UploadEnded> {
        sink.push(ClientValue::Json(json.as_bytes()))
    }

    #[tokio::test]
    async fn items_come_in_order_and_full_means_wait() {
        let (mut upload, sink) = Upload::<i32>::new(2, Naming::Serde, DetailedErrors::Hidden);
        push(&*sink, "1").unwrap();
        assert!(!sink.is_full());
        push(&*sink, "2").unwrap();
        assert!(sink.is_full());
        let room = sink.room();
        assert_eq!(upload.next().await, Some(Ok(1)));
        room.await;
        push(&*sink, "3").unwrap();
        sink.complete(None);
        assert_eq!(upload.next().await, Some(Ok(2)));
        assert_eq!(upload.next().await, Some(Ok(3)));
        assert_eq!((upload.next().await, upload.next().await), (None, None));
    }

    #[tokio::test]
    async fn every_end_is_told_once() {
        let (mut failed, sink) = Upload::<i32>::new(2, Naming::Serde, DetailedErrors::Hidden);
        sink.complete(Some("broken".to_owned()));
        assert_eq!(failed.next().await, Some(Err(UploadError::Client("broken".to_owned()))));
        assert_eq!(failed.next().await, None);

        let (mut unfit, sink) = Upload::<i32>::new(2, Naming::Serde, DetailedErrors::Hidden);
        assert!(push(&*sink, "\"x\"").is_err());
        assert!(matches!(unfit.next().await, Some(Err(UploadError::Bind { .. }))));
        assert_eq!(unfit.next().await, None);

        let (mut lost, sink) = Upload::<i32>::new(2, Naming::Serde, DetailedErrors::Hidden);
        drop(sink);
        assert_eq!(lost.next().await, Some(Err(UploadError::ConnectionClosed)));
        assert_eq!(lost.next().await, None);
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_holds_nothing_up() {
        let (upload, sink) = Upload::<i32>::new(1, Naming::Serde, DetailedErrors::Hidden);
        push(&*sink, "1").unwrap();
        assert!(sink.is_full());
        drop(upload);
        assert!(!sink.is_full());
        sink.room().await;
        assert!(push(&*sink, "2").is_err());
    }
}
