//! What becomes of the errors that methods return.

use std::io;
use std::sync::Arc;

use futures_util::stream::{self, Stream};
use hubline_hub::{
    GroupError, Hub, HubError, HubFilter, HubOptions, Invocation, Next, OrHubError, ResultFuture, Returned,
};
use parking_lot::Mutex;
use serde::Serialize;

use crate::client::{Client, call, end, failed, item, result, start, start_with, stream as streaming};

#[derive(Debug, Serialize, thiserror::Error)]
enum RoomError {
    #[error("the room {0} is full")]
    Full(String),
    #[error("the room's file")]
    File(
        #[from]
        #[serde(skip)]
        io::Error,
    ),
}

/// An error that says nothing of itself.
#[derive(Debug, Serialize)]
struct Mute;

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] RoomError);

fn full() -> RoomError {
    RoomError::Full("r".to_owned())
}

fn disk() -> io::Error {
    io::Error::other("disk full")
}

async fn completion_of(hub: Hub, method: &str) -> String {
    let mut options = HubOptions::default();
    options.detailed_errors = false.into();
    let hub = start_with(hub, options);
    let mut client = Client::connect(&hub, "a").await;
    client.send(&call(1, method, "")).await;
    client.next().await
}

const UNEXPECTED: &str = "An unexpected error occurred invoking 'M' on the server.";

async fn error_of(hub: Hub) -> String {
    let completion = completion_of(hub, "M").await;
    let (before, after) = (r#"{"type":3,"invocationId":"1","error":""#, "\"}␞");
    let text = completion.strip_prefix(before).and_then(|text| text.strip_suffix(after));
    let text = text.unwrap_or_else(|| panic!("no error: {completion}"));
    text.strip_prefix(UNEXPECTED).unwrap_or(text).trim_start().to_owned()
}

fn hub() -> Hub {
    Hub::new("Test")
}

#[tokio::test]
async fn every_kind_of_error_is_told_or_hidden_as_documented() {
    let told = [
        hub().method("M", async || Err::<u32, _>(HubError::new("no"))),
        hub().method("M", async || {
            Err("no")?;
            Ok::<u32, HubError>(1)
        }),
        hub().method("M", async || {
            Err("no".to_owned())?;
            Ok::<u32, HubError>(1)
        }),
        hub().method("M", async || None::<u32>.or_hub_error("no")),
        hub().method("M", async || Err::<u32, _>(disk()).or_hub_error("no")),
        hub().method("M", async || {
            Err(HubError::new("no"))?;
            anyhow::Ok(1)
        }),
        hub().method("M", async || {
            let error = anyhow::Error::from(HubError::new("no")).context("within");
            Err::<u32, _>(error)
        }),
    ];
    for hub in told {
        assert_eq!(error_of(hub).await, "HubException: no");
    }
    let hidden = [
        hub().method("M", async || Err::<u32, io::Error>(disk())),
        hub().method("M", async || Err::<u32, Box<dyn std::error::Error + Send + Sync>>(disk().into())),
        hub().method("M", async || Err::<u32, anyhow::Error>(anyhow::anyhow!("no"))),
        hub().method("M", async || Err::<u32, HubError>(HubError::internal("no"))),
        hub().method("M", async || {
            std::fs::read("/nowhere/at all")?;
            Ok::<(), HubError>(())
        }),
    ];
    for hub in hidden {
        assert_eq!(error_of(hub).await, "");
    }
}

/// What an application wraps around its own errors and the library's.
#[derive(Debug, thiserror::Error)]
#[error("the application failed")]
enum Wrapped {
    Group(#[from] GroupError),
    File(#[from] io::Error),
}

#[tokio::test]
async fn a_library_error_within_an_application_error_is_told_as_if_it_had_come_by_itself() {
    fn too_many() -> GroupError {
        GroupError::TooManyGroups(3)
    }
    let wrapped = hub().method("M", async || Err::<(), Wrapped>(too_many().into()));
    let itself = error_of(hub().method("M", async || Err::<(), _>(too_many()))).await;
    assert!(itself.contains("3 groups"), "{itself}");
    assert_eq!(error_of(wrapped).await, itself);

    let with_rule = hub()
        .method("M", async || Err::<(), Wrapped>(too_many().into()))
        .map_error(|_: &Wrapped| HubError::new("by the rule"));
    assert_eq!(error_of(with_rule).await, "HubException: by the rule");
    let internal = hub().method("M", async || Err::<(), _>(HubError::internal(Wrapped::from(too_many()))));
    assert_eq!(error_of(internal).await, "");
    assert_eq!(error_of(hub().method("M", async || Err::<(), Wrapped>(disk().into()))).await, "");
}

#[tokio::test]
async fn an_error_that_is_serializable_too_is_an_error_where_that_is_decided() {
    fn decided(ok: bool) -> ResultFuture<impl Future<Output = Result<u32, RoomError>> + Send> {
        ResultFuture(async move { if ok { Ok(42) } else { Err(full()) } })
    }
    fn text() -> ResultFuture<impl Future<Output = Result<u32, String>> + Send> {
        ResultFuture(async { Err("no".to_owned()) })
    }
    assert!(decided(true).await.is_ok(), "it can be awaited like any other");
    assert_eq!(completion_of(hub().method("M", || decided(true)), "M").await, result(1, "42"));
    assert_eq!(error_of(hub().method("M", || decided(false))).await, "");
    assert_eq!(error_of(hub().method("M", text)).await, "HubException: no");
}

#[tokio::test]
async fn a_rule_says_what_clients_are_told_of_an_error_wherever_it_is_in_the_chain() {
    let rule = |error: &RoomError| match error {
        RoomError::Full(_) => Some(HubError::named("RoomIsFull", error.to_string())),
        RoomError::File(_) => None,
    };
    async fn by_question_mark(error: RoomError) -> Result<(), HubError> {
        std::future::ready(Err(error)).await?
    }
    let hubs = [
        hub().method("M", || by_question_mark(full())),
        hub().method("M", async || Err::<(), _>(Outer(full()))),
        hub().method("M", async || Err::<(), _>(anyhow::Error::new(full()))),
        hub().method("M", async || Err::<(), _>(anyhow::Error::new(full()).context("while joining"))),
    ];
    for hub in hubs {
        assert_eq!(error_of(hub.map_error(rule)).await, "RoomIsFull: the room r is full");
    }
    let hidden = hub().method("M", || by_question_mark(disk().into())).map_error(rule);
    assert_eq!(error_of(hidden).await, "");
    let said = hub().method("M", async || Err::<(), _>(full()).or_hub_error("not now")).map_error(rule);
    assert_eq!(error_of(said).await, "HubException: not now");
    let outer = |_: &Outer| HubError::new("outer first");
    let outermost = hub().method("M", async || Err::<(), _>(Outer(full()))).map_error(rule).map_error(outer);
    assert_eq!(error_of(outermost).await, "HubException: outer first");
}

#[tokio::test]
async fn a_rule_holds_for_streams_and_for_on_connected() {
    fn items() -> impl Stream<Item = Result<u32, Outer>> {
        stream::iter([Ok(1), Err(Outer(full()))])
    }
    async fn refuse() -> Result<(), Outer> {
        Err(Outer(full()))
    }
    let rule = |error: &RoomError| HubError::new(error.to_string());
    let hub = start(Hub::new("Test").stream("Items", items).map_error(rule));
    let mut client = Client::connect(&hub, "a").await;
    client.send(&streaming("s", "Items", "")).await;
    assert_eq!(client.next().await, item("s", "1"));
    let text = "An error occurred on the server while streaming results. HubException: the room r is full";
    assert_eq!(client.next().await, failed("s", text));

    let hub = start(Hub::new("Test").on_connected(refuse).map_error(rule));
    let mut client = Client::connect(&hub, "a").await;
    let close = r#"{"type":7,"error":"Connection closed with an error. HubException: the room r is full"}␞"#;
    assert_eq!(client.next().await, close);
}

/// Keeps what it sees of the errors that pass.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl HubFilter for Seen {
    async fn invoke(&self, _: Invocation, next: Next) -> Result<Returned, HubError> {
        let outcome = next.run().await;
        if let Err(error) = &outcome {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            let room = error.downcast_ref::<RoomError>().is_some();
            self.0.lock().push(format!("{error:#}, {kind:?}, {room}, {}", error.source().is_some()));
        }
        outcome
    }
}

#[tokio::test]
async fn filters_have_the_whole_chain() {
    let seen = Seen::default();
    let hub = Hub::new("Test")
        .method("File", async || Err::<(), _>(Outer(disk().into())))
        .method("Anyhow", async || {
            Err::<(), _>(anyhow::Error::new(RoomError::from(disk())).context("joining"))
        })
        .method("Told", async || Err::<(), _>(disk()).or_hub_error("no"))
        .method("New", async || Err::<(), _>(HubError::new("no")))
        .filter(seen.clone());
    let hub = start(hub);
    let mut client = Client::connect(&hub, "a").await;
    for method in ["File", "Anyhow", "Told", "New"] {
        client.send(&call(1, method, "")).await;
        client.next().await;
    }
    let expected = [
        "Outer: outer: the room's file: disk full, Some(Other), true, true",
        "Error: joining: the room's file: disk full, Some(Other), true, true",
        "HubException: no: disk full, Some(Other), false, true",
        "HubException: no, None, false, false",
    ];
    assert_eq!(*seen.0.lock(), expected);
}

/// The text that registering panics with.
fn panic_of(register: impl FnOnce() -> Hub + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(register).expect_err("it is refused");
    *panic.downcast::<String>().expect("a text")
}

#[test]
fn a_result_that_would_be_a_value_is_refused_with_method_and_cure() {
    let expected = |method: &str, ok: &str| {
        format!(
            "the hub method `{method}` returns `core::result::Result<{ok}, hub::errors::Mute>`, whose error does not convert \
             into a `HubError`: it would be sent as the value of a success. Return a `HubError`, implement \
             `std::error::Error` for the error, or put `.map_err(HubError::internal)` where it comes from"
        )
    };
    let method = panic_of(|| hub().method("Add", async || Err::<u32, Mute>(Mute)));
    assert_eq!(method, expected("Add", "u32"));
    let items = || stream::iter([Err::<u32, Mute>(Mute)]);
    assert_eq!(panic_of(move || hub().stream("Items", items)), expected("Items", "u32"));
    let fallible = async move || Ok::<_, HubError>(Some(stream::iter([Err::<u32, Mute>(Mute)])));
    assert_eq!(panic_of(move || hub().stream("Later", fallible)), expected("Later", "u32"));
    let connected = panic_of(|| hub().on_connected(async || Err::<(), Mute>(Mute)));
    assert_eq!(connected, expected("on_connected", "()"));
    let disconnected = panic_of(|| hub().on_disconnected(async || Err::<(), Mute>(Mute)));
    assert_eq!(disconnected, expected("on_disconnected", "()"));
    let refreshed = panic_of(|| hub().on_authentication_refreshed(async || Err::<(), Mute>(Mute)));
    assert_eq!(refreshed, expected("on_authentication_refreshed", "()"));
}

#[tokio::test]
async fn results_within_values_are_values() {
    let hub = start(
        Hub::new("Test")
            .method("Maybe", async || Some(Err::<u32, _>(Mute)))
            .method("Many", async || vec![Ok(1), Err("no")])
            .stream("Items", || stream::iter([Ok::<u32, HubError>(1), Ok(2)])),
    );
    let mut client = Client::connect(&hub, "a").await;
    client.send(&[call(1, "Maybe", ""), call(2, "Many", ""), streaming("s", "Items", "")].concat()).await;
    assert_eq!(client.next().await, result(1, r#"{"Err":null}"#));
    assert_eq!(client.next().await, result(2, r#"[{"Ok":1},{"Err":"no"}]"#));
    for expected in [item("s", "1"), item("s", "2"), end("s")] {
        assert_eq!(client.next().await, expected);
    }
}

#[test]
fn what_panics_at_registration_names_the_line_of_the_application() {
    let place = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&place);
    let before = std::panic::take_hook();
    let thread = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == thread {
            *seen.lock() = panic.location().map(|place| place.file().to_owned()).unwrap_or_default();
        } else {
            before(panic);
        }
    }));
    let add = async |a: i32, b: i32| a + b;
    let registrations: [fn() -> Hub; 3] = [
        || hub().method("Add", async || Err::<u32, Mute>(Mute)),
        || hub().authorize_method("Add", hubline_identity::Policy::authenticated()),
        || hub().stream("Items", || stream::iter([Err::<u32, Mute>(Mute)])),
    ];
    for register in registrations {
        panic_of(register);
        assert!(place.lock().ends_with("errors.rs"), "{}", place.lock());
    }
    let twice = panic_of(move || hub().method("Add", add).method("add", add));
    assert_eq!(twice, "the hub has two methods named `add`; SignalR knows no overloads");
    assert!(place.lock().ends_with("errors.rs"), "{}", place.lock());
}
