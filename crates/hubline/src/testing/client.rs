//! The client itself.

use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt};
use hubline_hub::ClientArguments;
use hubline_pipe::MemorySender;
use hubline_protocol::encode::{self, CompletionOutcome};
use hubline_protocol::{ConnectionId, Dialect, EncodeError, Encoded, HubProtocol};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::arguments::{Received, ReceivedArguments};
use super::handler::{ClientHandler, Erased};
use super::inbox::{Inbox, Reply, State};
use super::{Closed, Connect, TestStream};
use crate::HubHandle;

/// How long [`TestClient::expect_nothing`] waits.
const QUIET: Duration = Duration::from_millis(100);

/// A client of a hub, in memory. See the [module](super) for how to use it.
///
/// It takes part as long as it is not dropped: what comes is received, and handlers run, whether or not a function of it is
/// awaited. Each function that waits fails the test after [`Connect::timeout`]; its message begins with the line
/// of the test that called. A failure that no function could report, such as a panic in a handler, is reported by the
/// next one, or when the client is dropped.
#[derive(Debug)]
pub struct TestClient {
    id: ConnectionId,
    inbox: Arc<Inbox>,
    sender: MemorySender,
    next_invocation: AtomicU64,
    timeout: Duration,
    receiving: AbortOnDropHandle<()>,
    /// The hub's task of this connection.
    connection: Option<JoinHandle<()>>,
}

type Site = &'static Location<'static>;

impl TestClient {
    /// A connection to this hub, which is made when it is awaited. Ready when the hub's `on_connected` is over.
    ///
    /// # Panics
    /// When awaited: the client is refused, or `on_connected` does not end in time.
    #[track_caller]
    pub fn connect(hub: &HubHandle) -> Connect {
        Connect::to(hub)
    }

    pub(super) fn new(
        id: ConnectionId,
        inbox: Arc<Inbox>,
        sender: MemorySender,
        receiving: AbortOnDropHandle<()>,
        connection: JoinHandle<()>,
        timeout: Duration,
    ) -> Self {
        let next_invocation = AtomicU64::new(1);
        Self { id, inbox, sender, next_invocation, timeout, receiving, connection: Some(connection) }
    }

    /// Its connection id.
    pub fn connection_id(&self) -> &ConnectionId {
        &self.id
    }

    /// Calls a hub method and returns its result. `()` takes the result of a method that returns nothing.
    ///
    /// # Panics
    /// When awaited: the call fails, or what it returns is no `R`.
    #[track_caller]
    pub fn invoke<R: DeserializeOwned>(
        &self,
        method: &str,
        arguments: impl ClientArguments,
    ) -> impl Future<Output = R> {
        let site = Location::caller();
        async move {
            let id = self.call(site, method, arguments, &[], false).await;
            self.result_of(site, method, &id).await
        }
    }

    /// Calls a hub method and returns the error that it fails with.
    ///
    /// # Panics
    /// When awaited: the call succeeds.
    #[track_caller]
    pub fn invoke_error(
        &self,
        method: &str,
        arguments: impl ClientArguments,
    ) -> impl Future<Output = String> {
        let site = Location::caller();
        async move {
            let id = self.call(site, method, arguments, &[], false).await;
            match self.outcome_of(site, method, &id).await {
                Err(error) => error,
                Ok(value) => panic!("{site}: `{method}` was expected to fail, and returned {value}"),
            }
        }
    }

    /// Calls a hub method and returns its result, or the error that it fails with.
    ///
    /// # Panics
    /// When awaited: there is no outcome in time, or what it returns is no `R`.
    #[track_caller]
    pub fn try_invoke<R: DeserializeOwned>(
        &self,
        method: &str,
        arguments: impl ClientArguments,
    ) -> impl Future<Output = Result<R, String>> {
        let site = Location::caller();
        async move {
            let id = self.call(site, method, arguments, &[], false).await;
            let outcome = self.outcome_of(site, method, &id).await;
            outcome
                .map(|value| value.decode().unwrap_or_else(|error| panic!("{site}: from `{method}` {error}")))
        }
    }

    /// Calls a hub method without asking for its result (JavaScript's `send`). Ready when the call is on its way.
    ///
    /// # Panics
    /// When awaited: an argument cannot be encoded.
    #[track_caller]
    pub fn send(&self, method: &str, arguments: impl ClientArguments) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            self.check(site);
            let call = encode::Call { target: method, ..encode::Call::default() };
            self.put(encoded(site, method, arguments.encode(self.inbox.dialect, call))).await;
        }
    }

    /// Calls a hub method that takes an [`Upload`](crate::Upload), uploads these items, and returns its result.
    ///
    /// # Panics
    /// As [`TestClient::invoke`].
    #[track_caller]
    pub fn upload<R: DeserializeOwned>(
        &self,
        method: &str,
        arguments: impl ClientArguments,
        items: impl Stream<Item: Serialize>,
    ) -> impl Future<Output = R> {
        let site = Location::caller();
        async move {
            let stream = self.new_id();
            let id = self.call(site, method, arguments, &[&stream], false).await;
            let Dialect { protocol, .. } = self.inbox.dialect;
            let uploading = async {
                let mut items = pin!(items);
                while let Some(item) = items.next().await {
                    let item = encoded(site, method, encode::value(self.inbox.dialect, &item));
                    self.put(encode::stream_item(protocol, &stream, &item)).await;
                }
                self.put(encode::completion(protocol, &stream, CompletionOutcome::Void)).await;
            };
            let mut result = pin!(self.result_of(site, method, &id));
            tokio::select! {
                biased;
                result = result.as_mut() => return result,
                () = uploading => {}
            }
            result.await
        }
    }

    /// Calls a streaming hub method. Ready when the call is on its way; the stream has the items.
    ///
    /// # Panics
    /// When awaited: an argument cannot be encoded.
    #[track_caller]
    pub fn stream<T: DeserializeOwned>(
        &self,
        method: &str,
        arguments: impl ClientArguments,
    ) -> impl Future<Output = TestStream<'_, T>> {
        let site = Location::caller();
        async move {
            let id = self.call(site, method, arguments, &[], true).await;
            TestStream::new(self, method.into(), id)
        }
    }

    /// Waits for the hub to call this method of the client, in any letter case, and returns the arguments. Calls of other
    /// methods are kept for other `expect`s.
    ///
    /// # Panics
    /// When awaited: no such call comes, or its arguments are no `A`.
    #[track_caller]
    pub fn expect<A: ReceivedArguments>(&self, method: &str) -> impl Future<Output = A> {
        let site = Location::caller();
        async move {
            let waits_for = || format!("`{method}` was expected");
            let call = self.wait(site, &waits_for, |state| state.take_call(method)).await;
            let arguments = &call.arguments;
            A::decode(arguments).unwrap_or_else(|error| {
                panic!("{site}: `{method}` was expected, and came as {method}({arguments}): {error}")
            })
        }
    }

    /// Expects that no call of a method without a handler is left or comes. Waits 100 ms, which pass in no time where tokio's clock
    /// is paused, as soon as nothing is left to do.
    ///
    /// # Panics
    /// When awaited: there is one, or the connection is closed.
    #[track_caller]
    pub fn expect_nothing(&self) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            let something = self
                .inbox
                .wait_for(|state| (!state.calls.is_empty() || state.closed.is_some()).then_some(()));
            let came = timeout(QUIET, something).await.is_ok();
            self.check(site);
            if came {
                panic!("{site}: nothing was expected; {}", self.inbox.came_instead());
            }
        }
    }

    /// Handles calls of this method of the client, in any letter case, from now on. If the hub asks for a result, what the handler
    /// returns is the answer. Handlers run concurrently with the test.
    ///
    /// # Panics
    /// The handler returns a `Result` whose error does not convert into a [`HubError`](crate::HubError).
    #[track_caller]
    pub fn on<H: ClientHandler<M>, M: 'static>(&self, method: &str, handler: H) {
        if let Some(result) = H::result_as_value() {
            panic!(
                "the handler of `{method}` returns `{result}`, whose error does not convert into a `HubError`"
            );
        }
        let handler = Arc::new(Erased(handler, std::marker::PhantomData));
        self.inbox.update(|state| state.handlers.insert(method.to_lowercase(), handler));
    }

    /// Waits until the server has closed the connection; how it did.
    ///
    /// # Panics
    /// When awaited: the connection stays open.
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = Closed> {
        let site = Location::caller();
        async move {
            let closed = timeout(self.timeout, self.inbox.wait_for(|state| state.closed.clone())).await;
            self.check(site);
            closed.unwrap_or_else(|_| {
                panic!("{site}: the connection was expected to be closed; {}", self.inbox.came_instead())
            })
        }
    }

    /// Says good-bye and leaves. Ready when the hub's `on_disconnected` is over.
    ///
    /// # Panics
    /// When awaited: `on_disconnected` does not end in time.
    #[track_caller]
    pub fn close(self) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            self.put(encode::close(self.inbox.dialect.protocol, None, false)).await;
            self.wait_for_end(site).await;
        }
    }

    /// Goes without a word, as when a network fails. Ready when the hub's `on_disconnected` is over.
    ///
    /// # Panics
    /// As [`TestClient::close`].
    #[track_caller]
    pub fn lose(self) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            self.receiving.abort();
            self.wait_for_end(site).await;
        }
    }

    async fn wait_for_end(mut self, site: Site) {
        self.check(site);
        if let Some(connection) = self.connection.take() {
            let ended = timeout(self.timeout, connection).await;
            let ended = ended.unwrap_or_else(|_| panic!("{site}: `on_disconnected` did not end in time"));
            ended.unwrap_or_else(|error| panic!("{site}: the connection's task failed: {error}"));
        }
        self.check(site);
    }

    pub(super) fn new_id(&self) -> Box<str> {
        self.next_invocation.fetch_add(1, Ordering::Relaxed).to_string().into()
    }

    pub(super) fn protocol(&self) -> HubProtocol {
        self.inbox.dialect.protocol
    }

    pub(super) fn sender(&self) -> &MemorySender {
        &self.sender
    }

    /// Makes a call; its invocation id, for which replies are kept from now on.
    async fn call(
        &self,
        site: Site,
        method: &str,
        arguments: impl ClientArguments,
        stream_ids: &[&str],
        streaming: bool,
    ) -> Box<str> {
        self.check(site);
        let id = self.new_id();
        let call = encode::Call { invocation_id: Some(&id), target: method, stream_ids, streaming };
        let call = encoded(site, method, arguments.encode(self.inbox.dialect, call));
        self.inbox.update(|state| _ = state.replies.insert(id.clone(), Default::default()));
        self.put(call).await;
        id
    }

    async fn put(&self, message: Encoded) {
        self.sender.send(message.payload().to_vec()).await;
    }

    async fn result_of<R: DeserializeOwned>(&self, site: Site, method: &str, id: &str) -> R {
        match self.outcome_of(site, method, id).await {
            Ok(value) => value.decode().unwrap_or_else(|error| panic!("{site}: from `{method}` {error}")),
            Err(error) => panic!("{site}: `{method}` failed: {error}"),
        }
    }

    async fn outcome_of(&self, site: Site, method: &str, id: &str) -> Result<Received, String> {
        let outcome = match self.next_reply(site, method, id).await {
            Reply::Ended(outcome) => outcome,
            Reply::Item(item) => panic!("{site}: `{method}` streams; its first item is {item}"),
        };
        self.forget(id);
        outcome
    }

    pub(super) async fn next_reply(&self, site: Site, method: &str, id: &str) -> Reply {
        let waits_for = || format!("an answer to `{method}` was expected");
        self.wait(site, &waits_for, |state| state.replies.get_mut(id)?.pop_front()).await
    }

    pub(super) fn forget(&self, id: &str) {
        self.inbox.update(|state| state.replies.remove(id));
    }

    /// Waits for something to come, unless the connection ends or something has failed.
    async fn wait<T>(
        &self,
        site: Site,
        waits_for: &dyn Fn() -> String,
        mut take: impl FnMut(&mut State) -> Option<T>,
    ) -> T {
        let taken = self.inbox.wait_for(|state| match take(state) {
            Some(taken) => Some(Ok(taken)),
            None if state.failure.is_some() || state.closed.is_some() => Some(Err(state.came_instead())),
            None => None,
        });
        let taken = timeout(self.timeout, taken).await;
        self.check(site);
        match taken {
            Ok(Ok(taken)) => taken,
            Ok(Err(instead)) => panic!("{site}: {}; {instead}", waits_for()),
            Err(_) => {
                panic!("{site}: {} within {:?}; {}", waits_for(), self.timeout, self.inbox.came_instead())
            }
        }
    }

    /// Fails the test with what no function could report.
    fn check(&self, site: Site) {
        if let Some(failure) = self.inbox.take_failure() {
            panic!("{site}: {failure}");
        }
    }
}

fn encoded<T>(site: Site, method: &str, encoded: Result<T, EncodeError>) -> T {
    encoded.unwrap_or_else(|error| panic!("{site}: what `{method}` is given {error}"))
}

impl Drop for TestClient {
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Some(failure) = self.inbox.take_failure()
        {
            panic!("a client was dropped behind this: {failure}");
        }
    }
}
