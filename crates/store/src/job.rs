//! Work on its way to a thread or a pool, and its result on the way back.

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::{Connection, StoreError};

/// Work of any type.
pub(crate) trait Job: Send {
    /// Does the work; true if it succeeded. Called once.
    fn run<'c>(&'c mut self, connection: &'c mut Connection) -> BoxFuture<'c, bool>;

    /// Whether somebody still waits for it.
    fn is_wanted(&self) -> bool;

    /// Gives the result back: the work's own, unless it succeeded and the database did not keep it.
    fn finish(self: Box<Self>, kept: Result<(), StoreError>);

    /// The transaction was undone that the work has seen and shared: nothing that it has found out counts.
    fn undo(self: Box<Self>, why: StoreError);
}

/// A job, and where its result arrives.
pub(crate) fn job<T, E, W>(work: W) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (reply, receiver) = oneshot::channel();
    (Box::new(Typed { work: Some(work), result: None, reply }), receiver)
}

struct Typed<T, E, W> {
    work: Option<W>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, W> Job for Typed<T, E, W>
where
    W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    fn run<'c>(&'c mut self, connection: &'c mut Connection) -> BoxFuture<'c, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return false };
            let result = work(connection).await;
            self.result.insert(result).is_ok()
        })
    }

    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn finish(self: Box<Self>, kept: Result<(), StoreError>) {
        let result = match (self.result, kept) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(error)) => Err(error.into()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Unavailable("the work was not done".to_owned()).into()),
        };
        // Whoever has asked may have gone.
        _ = self.reply.send(result);
    }

    fn undo(self: Box<Self>, why: StoreError) {
        _ = self.reply.send(Err(why.into()));
    }
}
