//! Filters around calls and connections.

use std::sync::{Arc, Mutex};

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
    async fn invoke(&self, call: Invocation, next: Next) -> Result<Returned, HubError> {
        self.write(&format!("before {}", call.method()));
        let returned = next.run().await;
        self.write(if returned.is_ok() { "returned" } else { "failed" });
        returned
    }

    async fn connected(&self, caller: Caller, next: NextCallback) -> Result<(), HubError> {
        self.write(&format!("connected {}", caller.connection_id()));
        next.run().await
    }

    async fn disconnected(
        &self,
        caller: Caller,
        disconnected: Disconnected,
        next: NextCallback,
    ) -> Result<(), HubError> {
        self.write(&format!("disconnected {} {}", caller.connection_id(), disconnected.reason()));
        next.run().await
    }
}

async fn refuse_secrets(call: Invocation, next: Next) -> Result<Returned, HubError> {
    match call.method() {
        "Secret" => Err(HubError::new("not today")),
        _ => next.run().await,
    }
}

struct Refusing;

impl HubFilter for Refusing {
    async fn connected(&self, caller: Caller, next: NextCallback) -> Result<(), HubError> {
        match caller.connection_id().as_str() {
            "unwanted" => Err(HubError::new("go away")),
            _ => next.run().await,
        }
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
        .filter(refuse_secrets);
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

struct Life(Logging);

impl HubFilter for Life {
    const WRAPS_CALLS: bool = false;

    async fn invoke(&self, call: Invocation, _next: Next) -> Result<Returned, HubError> {
        Err(HubError::new(format!("{} is none of its business", call.method())))
    }

    async fn connected(&self, caller: Caller, next: NextCallback) -> Result<(), HubError> {
        self.0.connected(caller, next).await
    }
}

#[tokio::test]
async fn a_filter_of_connections_alone_is_not_asked_about_calls() {
    let log = Log::default();
    let logging = |name| Logging { name, log: Arc::clone(&log) };
    let hub = || Hub::new("Test").method("Add", async |a: i32, b: i32| a + b).filter(Life(logging("life")));
    let alone = (hub(), &["life connected a"][..]);
    let both = ["life connected a", "call connected a", "call before Add", "call returned"];
    for (hub, expected) in [alone, (hub().filter(logging("call")), &both)] {
        log.lock().unwrap().clear();
        let hub = start(hub);
        let mut client = Client::connect(&hub, "a").await;
        client.send(&call(1, "Add", "1,2")).await;
        assert_eq!(client.next().await, result(1, "3"));
        assert_eq!(*log.lock().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_filter_reads_the_arguments_that_it_asks_for() {
    let hub = Hub::new("Test")
        .method("Send", async |room: String, parts: Vec<u8>| format!("{room} {}", parts.len()))
        .filter(async |call: Invocation, next: Next| {
            let (room, parts): (String, Vec<u8>) = (call.argument(0)?, call.argument(1)?);
            if room == "locked" {
                return Err(HubError::new(format!("{} of {}", parts.len(), call.argument_count())));
            }
            let missing = call.argument::<u8>(2).unwrap_err().to_string();
            assert_eq!(missing, "`Send` has 2 argument(s), and none at index 2");
            assert!(call.argument::<u8>(0).is_err(), "a text is no number");
            next.run().await
        });
    let hub = start(hub);
    let mut json = Client::connect(&hub, "json").await;
    json.send(&call(1, "Send", r#""open",[1,2,3]"#)).await;
    assert_eq!(json.next().await, result(1, r#""open 3""#));
    json.send(&call(2, "Send", r#""locked",[1]"#)).await;
    assert!(json.next().await.contains("HubException: 1 of 2"));

    let mut packed = Client::open(&hub, "message pack");
    packed.send(r#"{"protocol":"messagepack","version":1}␞"#).await;
    assert_eq!(packed.next().await, ACCEPTED);
    let send = (b"\x96\x01\x80\xa11\xa4Send\x92\xa6locked\x92\x05\x06\x90", 22_u8);
    assert_eq!(send.0.len(), usize::from(send.1));
    packed.0.send([&[send.1], &send.0[..]].concat()).await;
    let answer = packed.0.receive().await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("HubException: 2 of 2"), "{answer:?}");
}
