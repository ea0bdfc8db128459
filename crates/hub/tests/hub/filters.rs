//! Filters around calls and connections.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_hub::{Caller, Disconnected, Hub, HubError, HubFilter, Invocation, Next, NextCallback, Returned};

use crate::client::{ACCEPTED, Client, call, end, item, result, start, stream};

type Log = Arc<Mutex<Vec<String>>>;

struct Logging {
    name: &'static str,
    log: Log,
}

impl Logging {
    fn write(&self, text: &str) {
        self.log.lock().unwrap().push(format!("{} {text}", self.name));
    }
}

impl HubFilter for Logging {
    fn invoke(&self, call: Invocation, next: Next) -> BoxFuture<'static, Result<Returned, HubError>> {
        self.write(&format!("before {}", call.method()));
        let after = Self { name: self.name, log: Arc::clone(&self.log) };
        async move {
            let returned = next.run().await;
            after.write(if returned.is_ok() { "returned" } else { "failed" });
            returned
        }
        .boxed()
    }

    fn connected(&self, caller: Caller, next: NextCallback) -> BoxFuture<'static, Result<(), HubError>> {
        self.write(&format!("connected {}", caller.connection_id()));
        next.run()
    }

    fn disconnected(
        &self,
        caller: Caller,
        disconnected: Disconnected,
        next: NextCallback,
    ) -> BoxFuture<'static, Result<(), HubError>> {
        self.write(&format!("disconnected {} {}", caller.connection_id(), disconnected.reason()));
        next.run()
    }
}

struct Refusing;

impl HubFilter for Refusing {
    fn invoke(&self, call: Invocation, next: Next) -> BoxFuture<'static, Result<Returned, HubError>> {
        if call.method() == "Secret" {
            return std::future::ready(Err(HubError::new("not today"))).boxed();
        }
        next.run()
    }

    fn connected(&self, caller: Caller, next: NextCallback) -> BoxFuture<'static, Result<(), HubError>> {
        if caller.connection_id().as_str() == "unwanted" {
            return std::future::ready(Err(HubError::new("go away"))).boxed();
        }
        next.run()
    }
}

#[tokio::test]
async fn filters_wrap_each_other_and_what_they_filter() {
    let log = Log::default();
    let (outer, inner) = ("outer", "inner");
    let logging = |name| Logging { name, log: Arc::clone(&log) };
    let hub = Hub::new("Test")
        .method("Add", async |a: i32, b: i32| a + b)
        .method("Secret", async || "secret")
        .stream("One", || futures_util::stream::iter([1]))
        .filter(logging(outer))
        .filter(logging(inner))
        .filter(Refusing);
    let hub = start(hub);
    let mut client = Client::connect(&hub, "a").await;
    client.send(&call(1, "add", "1,2")).await;
    assert_eq!(client.next().await, result(1, "3"));
    client.send(&call(2, "Secret", "")).await;
    assert!(client.next().await.contains("HubException: not today"));
    client.send(&stream("s", "One", "")).await;
    assert_eq!((client.next().await, client.next().await), (item("s", "1"), end("s")));
    client.send("{\"type\":7}␞").await;
    assert_eq!(client.next().await, "{\"type\":7}␞");
    client.closed().await;
    let expected = [
        "outer connected a",
        "inner connected a",
        "outer before Add",
        "inner before Add",
        "inner returned",
        "outer returned",
        "outer before Secret",
        "inner before Secret",
        "inner failed",
        "outer failed",
        "outer before One",
        "inner before One",
        "inner returned",
        "outer returned",
        "outer disconnected a closed by the client",
        "inner disconnected a closed by the client",
    ];
    while log.lock().unwrap().len() < expected.len() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*log.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_filter_can_refuse_a_connection() {
    let hub = start(Hub::new("Test").filter(Refusing));
    let mut client = Client::open(&hub, "unwanted");
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    let refused = r#"{"type":7,"error":"Connection closed with an error. HubException: go away"}␞"#;
    assert_eq!(client.next().await, refused);
}
