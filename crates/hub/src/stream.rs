//! Streams to the client: what a streaming hub method can return.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{Stream, StreamExt};
use hubline_protocol::Dialect;

use crate::{HubError, IntoHubResult, ItemStream};

/// What a streaming hub method can return: a [`Stream`] of serializable items or of `Result`s of them, a
/// `Result` or an `Option` of a stream, or a future of any of these, which is what an `async fn` returns.
///
/// `M` tells them apart; the compiler finds it.
///
/// ```
/// use futures_util::stream::{self, Stream};
/// use hubline_hub::{Hub, HubError};
///
/// fn countdown(from: u32) -> impl Stream<Item = u32> {
///     stream::iter((0..from).rev())
/// }
///
/// async fn lines(file: String) -> Result<impl Stream<Item = String>, HubError> {
///     if file.is_empty() {
///         return Err(HubError::new("which file?"));
///     }
///     Ok(stream::iter([file]))
/// }
/// let hub: Hub = Hub::new("Example").stream("Countdown", countdown).stream("Lines", lines);
/// ```
pub trait HubStream<M>: Send {
    /// Gives out the items, encoded for the caller; `None` if there is no stream, which the caller is told.
    ///
    /// # Errors
    /// The method failed before its first item.
    fn into_items(self, dialect: Dialect) -> BoxFuture<'static, Result<Option<ItemStream>, HubError>>;

    /// The type of the items, if they are `Result`s that would be sent as values.
    #[doc(hidden)]
    fn result_as_value() -> Option<&'static str>;
}

/// Marks a stream for [`HubStream`]; `M` is the [`IntoHubResult`] marker of its items.
#[derive(Debug)]
pub struct Items<M>(std::marker::PhantomData<fn() -> M>);

/// Marks a `Result` of a stream.
#[derive(Debug)]
pub struct FallibleStream<M>(std::marker::PhantomData<fn() -> M>);

/// Marks an `Option` of a stream.
#[derive(Debug)]
pub struct OptionalStream<M>(std::marker::PhantomData<fn() -> M>);

/// Marks a future of a stream.
#[derive(Debug)]
pub struct FutureStream<M>(std::marker::PhantomData<fn() -> M>);

type Encoding = BoxFuture<'static, Result<Option<ItemStream>, HubError>>;

impl<T, M> HubStream<Items<M>> for T
where
    T: Stream + Send + 'static,
    T::Item: IntoHubResult<M>,
{
    fn into_items(self, dialect: Dialect) -> Encoding {
        let items = self.map(move |item| item.into_hub_result(dialect)).boxed();
        std::future::ready(Ok(Some(items))).boxed()
    }

    fn result_as_value() -> Option<&'static str> {
        T::Item::result_as_value()
    }
}

impl<T: HubStream<M>, E: Into<HubError> + Send, M> HubStream<FallibleStream<M>> for Result<T, E> {
    fn into_items(self, dialect: Dialect) -> Encoding {
        match self {
            Ok(stream) => stream.into_items(dialect),
            Err(error) => std::future::ready(Err(error.into())).boxed(),
        }
    }

    fn result_as_value() -> Option<&'static str> {
        T::result_as_value()
    }
}

impl<T: HubStream<M>, M> HubStream<OptionalStream<M>> for Option<T> {
    fn into_items(self, dialect: Dialect) -> Encoding {
        match self {
            Some(stream) => stream.into_items(dialect),
            None => std::future::ready(Ok(None)).boxed(),
        }
    }

    fn result_as_value() -> Option<&'static str> {
        T::result_as_value()
    }
}

impl<T, M> HubStream<FutureStream<M>> for T
where
    T: Future + Send + 'static,
    T::Output: HubStream<M>,
{
    fn into_items(self, dialect: Dialect) -> Encoding {
        self.then(move |stream| stream.into_items(dialect)).boxed()
    }

    fn result_as_value() -> Option<&'static str> {
        T::Output::result_as_value()
    }
}
