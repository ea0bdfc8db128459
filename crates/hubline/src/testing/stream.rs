//! A stream of a hub method, as its client sees it.

use std::marker::PhantomData;
use std::panic::Location;

use hubline_protocol::encode;
use serde::de::DeserializeOwned;

use super::TestClient;
use super::inbox::Reply;

/// The items of a streaming hub method: [`TestClient::stream`]. Dropping it cancels the stream.
#[derive(Debug)]
pub struct TestStream<'a, T> {
    client: &'a TestClient,
    method: Box<str>,
    id: Box<str>,
    is_over: bool,
    items: PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned> TestStream<'a, T> {
    pub(super) fn new(client: &'a TestClient, method: Box<str>, id: Box<str>) -> Self {
        Self { client, method, id, is_over: false, items: PhantomData }
    }

    /// The next item; `None` once the stream is complete.
    ///
    /// # Panics
    /// When awaited: the stream fails, the next item is no `T`, or none comes in time.
    #[expect(clippy::should_implement_trait, reason = "it is async, and called as a `StreamExt`'s is")]
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Option<T>> {
        let site = Location::caller();
        async move {
            match self.step(site).await? {
                Ok(item) => Some(item),
                Err(error) => panic!("{site}: the stream of `{}` failed: {error}", self.method),
            }
        }
    }

    /// The items that are left, up to the end of the stream.
    ///
    /// # Panics
    /// As [`TestStream::next`].
    #[track_caller]
    pub fn collect(mut self) -> impl Future<Output = Vec<T>> {
        let site = Location::caller();
        async move {
            let mut items = Vec::new();
            while let Some(item) = self.step(site).await {
                match item {
                    Ok(item) => items.push(item),
                    Err(error) => panic!(
                        "{site}: the stream of `{}` failed after {} item(s): {error}",
                        self.method,
                        items.len()
                    ),
                }
            }
            items
        }
    }

    /// The error that the stream ends with, which is next.
    ///
    /// # Panics
    /// When awaited: an item comes, or the stream is complete.
    #[track_caller]
    pub fn error(mut self) -> impl Future<Output = String> {
        let site = Location::caller();
        async move {
            match self.step(site).await {
                Some(Err(error)) => error,
                Some(Ok(_)) => {
                    panic!("{site}: the stream of `{}` was expected to fail; an item came", self.method)
                }
                None => {
                    panic!("{site}: the stream of `{}` was expected to fail; it is complete", self.method)
                }
            }
        }
    }

    async fn step(&mut self, site: &'static Location<'static>) -> Option<Result<T, String>> {
        if self.is_over {
            return None;
        }
        match self.client.next_reply(site, &self.method, &self.id).await {
            Reply::Item(item) => Some(Ok(item
                .decode()
                .unwrap_or_else(|error| panic!("{site}: from the stream of `{}` {error}", self.method)))),
            Reply::Ended(outcome) => {
                self.is_over = true;
                outcome.err().map(Err)
            }
        }
    }
}

impl<T> Drop for TestStream<'_, T> {
    fn drop(&mut self) {
        self.client.forget(&self.id);
        if !self.is_over {
            let cancel = encode::cancel_invocation(self.client.protocol(), &self.id);
            // Full only if the server does not read; it ends the stream with the connection.
            _ = self.client.sender().try_send(cancel.payload().to_vec());
        }
    }
}
