//! The client in memory that users test their hubs with.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream;
use hubline::testing::{Closed, Refused, TestClient, memory_backplanes};
use hubline::{
    Caller, Clients, ConnectionId, Cookies, Disconnected, Extension, Groups, Hub, HubError, HubHandle,
    HubOptions, HubProtocol, Naming, PeerAddress, Policy, Principal, Server, State, Upload, UploadError,
    UserId,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    from_user: Option<UserId>,
    text: String,
}

async fn say(clients: Clients, caller: Caller, text: String) -> Result<(), HubError> {
    let line = Line { from_user: caller.user_id().cloned(), text };
    Ok(clients.all().send("ReceiveLine", (line, 7)).await?)
}

async fn ask(clients: Clients, whom: ConnectionId) -> Result<u32, HubError> {
    Ok(clients.client(&whom).invoke("HowMany", ("apples",)).await?)
}

async fn total(mut numbers: Upload<i64>) -> Result<i64, UploadError> {
    let mut total = 0;
    while let Some(number) = numbers.next().await {
        total += number?;
    }
    Ok(total)
}

fn hub() -> Hub {
    Hub::new("Test")
        .method("Say", say)
        .method("Ask", ask)
        .method("Total", total)
        .method("Add", async |a: i32, b: i32| a + b)
        .method("Fail", async || Err::<(), _>(HubError::new("no")))
        .stream("Count", |to: u32| stream::iter(0..to))
        .stream("Break", || stream::iter([Ok(1), Err(HubError::new("broken"))]))
}

fn start(hub: Hub) -> HubHandle {
    Server::new().add_hub(hub)
}

/// What a test is told that fails here.
async fn failure<T>(test: impl Future<Output = T>) -> String {
    let panic = AssertUnwindSafe(test).catch_unwind().await.err().expect("it fails");
    panic.downcast_ref::<String>().expect("a text with parts").clone()
}

#[tokio::test(start_paused = true)]
async fn both_protocols_do_everything() {
    for protocol in HubProtocol::ALL {
        for naming in [Naming::Serde, Naming::DotNet] {
            let hub = start(hub().naming(naming));
            let ada = TestClient::connect(&hub).user("ada").protocol(protocol).await;
            let bob = TestClient::connect(&hub).protocol(protocol).await;
            ada.send("Say", ("hello",)).await;
            let (line, seven): (Line, u8) = bob.expect("receiveLINE").await;
            assert_eq!(line, Line { from_user: Some("ada".into()), text: "hello".to_owned() });
            assert_eq!(seven, 7);
            bob.on("HowMany", async |what: String| what.len());
            assert_eq!(ada.invoke::<u32>("Ask", (bob.connection_id(),)).await, 6);
            let nothing = bob.invoke_error("Ask", (ada.connection_id(),)).await;
            assert!(nothing.ends_with("Client didn't provide a result."), "{nothing}");
            let (apples,): (String,) = ada.expect("HowMany").await;
            assert_eq!(apples, "apples");
            assert_eq!(ada.invoke::<i64>("Total", ()).now_or_never(), None, "streams are missing");
            assert_eq!(ada.upload::<i64>("Total", (), stream::iter([1, 2, 3])).await, 6);
            let mut count = ada.stream::<u32>("Count", (3,)).await;
            assert_eq!(count.next().await, Some(0));
            assert_eq!(count.collect().await, [1, 2]);
            let mut broken = ada.stream::<u32>("Break", ()).await;
            assert_eq!(broken.next().await, Some(1));
            assert!(broken.error().await.contains("broken"));
            bob.expect_nothing().await;
            bob.close().await;
            ada.close().await;
            assert_eq!(hub.context().connection_count(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_where_and_what_came_instead() {
    let hub = start(hub());
    let ada = TestClient::connect(&hub).await;
    ada.invoke::<()>("Say", ("hello",)).await;
    let line = line!() + 1;
    let text = failure(ada.expect::<(u8,)>("Receive")).await;
    let instead = format!(
        "{}:{line}:{}: `Receive` was expected within 30s; came instead:\n    ReceiveLine({}, 7)",
        file!(),
        text.split(':').nth(2).unwrap(),
        r#"{"from_user":null,"text":"hello"}"#
    );
    assert_eq!(text, instead);
    let text = failure(ada.expect_nothing()).await;
    assert!(text.contains("nothing was expected; came instead:\n    ReceiveLine("), "{text}");
    let text = failure(ada.expect::<(Line, String)>("ReceiveLine")).await;
    assert!(text.contains(r#"came as ReceiveLine({"from_user""#), "{text}");
    assert!(text.contains("argument 2 is no `String`: invalid type: integer `7`"), "{text}");
    ada.invoke::<()>("Say", ("hello",)).await;
    let text = failure(ada.expect::<()>("ReceiveLine")).await;
    assert!(text.contains("2 argument(s) came, and 0 were expected"), "{text}");

    let text = failure(ada.invoke::<i32>("Fail", ())).await;
    assert!(text.contains("`Fail` failed: An unexpected error") && text.ends_with("no"), "{text}");
    let text = failure(ada.invoke::<Vec<Line>>("Add", (1, 2))).await;
    assert!(text.contains("from `Add` came 3, which is no `Vec<Line>`: "), "{text}");
    let text = failure(ada.invoke_error("Add", (1, 2))).await;
    assert!(text.ends_with("`Add` was expected to fail, and returned 3"), "{text}");
    let text = failure(async { ada.stream::<u32>("Break", ()).await.collect().await }).await;
    assert!(text.contains("the stream of `Break` failed after 1 item(s): "), "{text}");
    let text = failure(async { ada.stream::<u32>("Count", (0,)).await.error().await }).await;
    assert!(text.ends_with("was expected to fail; it is complete"), "{text}");
    let text = failure(ada.closed()).await;
    assert!(text.ends_with("the connection was expected to be closed; nothing came"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_fails_the_test() {
    let hub = start(hub());
    let ada = TestClient::connect(&hub).await;
    ada.on("ReceiveLine", async |_: Line, seven: u8| assert_ne!(seven, 7));
    ada.send("Say", ("hello",)).await;
    let text = failure(ada.expect_nothing()).await;
    assert!(text.ends_with("the handler of `ReceiveLine` panicked"), "{text}");
    ada.on("ReceiveLine", async |line: Line| drop(line));
    ada.send("Say", ("hello",)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let text = failure(async { drop(ada) }).await;
    assert!(text.contains("the handler of `ReceiveLine` cannot take `ReceiveLine({"), "{text}");
    assert!(text.ends_with("2 argument(s) came, and 1 were expected"), "{text}");

    let ada = TestClient::connect(&hub).await;
    let bob = TestClient::connect(&hub).await;
    bob.on("HowMany", async |_: String| Err::<u32, _>(HubError::new("I forgot")));
    let error = ada.invoke_error("Ask", (bob.connection_id(),)).await;
    assert!(error.ends_with("I forgot"), "{error}");
    let text = failure(async { bob.on("X", async || Err::<u8, u8>(0)) }).await;
    assert!(text.starts_with("the handler of `X` returns `core::result::Result<u8, u8>`"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn only_those_get_in_who_may() {
    let own = |info: &hubline::ConnectionInfo| info.query_value("as").map(Into::into);
    let policy = Policy::authenticated().role("Doctor").claim("scope", ["read"]);
    let me = async |caller: Caller| (caller.user_id().cloned(), caller.principal().unwrap().name.clone());
    let hub = start(Hub::new("Test").authorize(policy).user_id(own).method("Me", me));
    let connect = || TestClient::connect(&hub);
    assert_eq!(connect().refused().await, Refused::Unauthenticated);
    assert_eq!(connect().user("ada").role("Doctor").refused().await, Refused::Forbidden);
    let text = failure(connect().into_future()).await;
    assert!(text.ends_with("the client was refused: Unauthenticated"), "{text}");
    let who = Principal::builder().user("ada").name("Ada").build();
    let ada = connect().principal(who).role("Doctor").claim("scope", "read").query("as=augusta").await;
    let me: (String, String) = ada.invoke("Me", ()).await;
    assert_eq!((&*me.0, &*me.1), ("augusta", "Ada"));
    let text = failure(connect().user("ada").role("Doctor").claim("scope", "read").refused()).await;
    assert!(text.ends_with("the client was let in, and expected to be refused"), "{text}");

    let mut options = HubOptions::default();
    options.supported_protocols = vec![HubProtocol::Json];
    let hub = Server::new().add_hub_with(Hub::new("Test"), options);
    let refused = TestClient::connect(&hub).protocol(HubProtocol::MessagePack).refused().await;
    let text = "The protocol 'messagepack' is not supported.";
    assert_eq!(refused, Refused::Handshake(text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn connecting_and_leaving_are_over_when_they_are_awaited() {
    let (tell, mut told) = mpsc::channel(4);
    let connected = async |groups: Groups, caller: Caller| {
        tokio::time::sleep(Duration::from_secs(5)).await;
        groups.add(caller.connection_id(), "all").await
    };
    let disconnected = async |State(tell): State<mpsc::Sender<String>>, why: Disconnected| {
        tokio::time::sleep(Duration::from_secs(5)).await;
        tell.send(why.reason().to_string()).await.unwrap();
    };
    let server = Server::new();
    let hub = Hub::with_state("Test", tell).on_connected(connected).on_disconnected(disconnected);
    let hub = server.add_hub(hub);
    let [ada, bob] = [TestClient::connect(&hub).await, TestClient::connect(&hub).await];
    hub.context().clients().group("all").send("Here", ()).await.unwrap();
    ada.expect::<()>("Here").await;
    ada.close().await;
    assert_eq!(told.try_recv().unwrap(), "closed by the client");
    bob.lose().await;
    assert_eq!(told.try_recv().unwrap(), "the transport was lost");

    let carol = TestClient::connect(&hub).await;
    let shutdown = tokio::spawn(async move { server.shutdown(Duration::from_secs(60)).await });
    assert_eq!(carol.closed().await.to_string(), "without an error; it may reconnect");
    let text = failure(carol.expect::<()>("Here")).await;
    assert!(text.contains("nothing came\nthe server has closed the connection: without an error"), "{text}");
    carol.close().await;
    assert!(shutdown.await.unwrap());

    let refusing = async || Err::<(), _>(HubError::new("go away"));
    let hub = start(Hub::new("Test").on_connected(refusing));
    let Closed { error, allow_reconnect, .. } = TestClient::connect(&hub).await.closed().await;
    let error = error.unwrap();
    assert!(error.ends_with("go away") && !allow_reconnect, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_makes_hours_nothing() {
    let slow = async || tokio::time::sleep(Duration::from_secs(3600)).await;
    let hub = start(Hub::new("Test").method("Slow", slow));
    let (began, real) = (Instant::now(), std::time::SystemTime::now());
    let ada = TestClient::connect(&hub).timeout(Duration::from_secs(7200)).await;
    ada.invoke::<()>("Slow", ()).await;
    assert!(began.elapsed() >= Duration::from_secs(3600));
    assert!(real.elapsed().unwrap() < Duration::from_secs(3600));
    let impatient = TestClient::connect(&hub).timeout(Duration::from_secs(60)).await;
    let text = failure(impatient.invoke::<()>("Slow", ())).await;
    assert!(text.ends_with("an answer to `Slow` was expected within 60s; nothing came"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_is_cancelled() {
    let (running, mut ended) = mpsc::channel::<()>(1);
    let endless = move || {
        let running = running.clone();
        stream::unfold(running, async |running| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((1, running))
        })
    };
    let hub = start(Hub::new("Test").stream("Endless", endless));
    let ada = TestClient::connect(&hub).await;
    let mut endless = ada.stream::<u8>("Endless", ()).await;
    assert_eq!(endless.next().await, Some(1));
    assert!(ended.try_recv().is_err());
    drop(endless);
    ada.expect_nothing().await;
    drop(hub);
    ada.close().await;
    assert!(ended.recv().await.is_none(), "no stream is left");
}

#[tokio::test(start_paused = true)]
async fn two_servers_are_one_fleet() {
    let enter = async |groups: Groups, whom: ConnectionId| groups.add(&whom, "room").await;
    let tell = async |clients: Clients, user: UserId| clients.user(&user).send("Told", ()).await;
    let [here, there] = memory_backplanes().map(|backplane| {
        let server = Server::builder().backplane(backplane).build();
        server.add_hub(hub().method("Enter", enter).method("Tell", tell))
    });
    let ada = TestClient::connect(&here).user("ada").await;
    let bob = TestClient::connect(&there).user("bob").await;
    ada.invoke::<()>("Say", ("hello",)).await;
    let (line, _): (Line, u8) = bob.expect("ReceiveLine").await;
    assert_eq!((line.from_user, &*line.text), (Some("ada".into()), "hello"));
    ada.expect::<(Line, u8)>("ReceiveLine").await;

    ada.invoke::<()>("Enter", (bob.connection_id(),)).await;
    here.context().clients().group("room").send("Entered", ()).await.unwrap();
    bob.expect::<()>("Entered").await;
    ada.invoke::<()>("Tell", ("bob",)).await;
    bob.expect::<()>("Told").await;
    bob.on("HowMany", async |what: String| what.len());
    assert_eq!(ada.invoke::<u32>("Ask", (bob.connection_id(),)).await, 6);
    ada.expect_nothing().await;
    let nobody = ada.invoke_error("Ask", ("nobody",)).await;
    assert_eq!(nobody, "An unexpected error occurred invoking 'Ask' on the server.");
}

#[tokio::test]
async fn a_client_brings_what_methods_read_of_its_request() {
    #[derive(Clone)]
    struct Tenant(u32);
    async fn request(
        cookies: Cookies,
        Extension(Tenant(tenant)): Extension<Tenant>,
        PeerAddress(address): PeerAddress,
    ) -> (Option<String>, u32, String) {
        (cookies.get("theme").map(str::to_owned), tenant, address.to_string())
    }
    let hub = start(Hub::new("Test").method("Request", request));
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let client = TestClient::connect(&hub).header("Cookie", "theme=dark").extension(Tenant(7));
    let client = client.peer_address(address).await;
    let read: (String, u32, String) = client.invoke("Request", ()).await;
    assert_eq!(read, ("dark".to_owned(), 7, "127.0.0.1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_users_devices_are_told_but_for_one_wherever_they_are() {
    let tell = async |clients: Clients, caller: Caller, user: UserId| {
        clients.user_except(&user, [caller.connection_id()]).send("Told", ()).await
    };
    let [here, there] = memory_backplanes().map(|backplane| {
        let server = Server::builder().backplane(backplane).build();
        server.add_hub(Hub::new("Devices").method("Tell", tell))
    });
    let phone = TestClient::connect(&here).user("ada").await;
    let others =
        [TestClient::connect(&here).user("ada").await, TestClient::connect(&there).user("ada").await];
    let bob = TestClient::connect(&there).user("bob").await;
    phone.invoke::<()>("Tell", ("ada",)).await;
    for other in &others {
        other.expect::<()>("Told").await;
    }
    for silent in [&phone, &bob] {
        silent.expect_nothing().await;
    }
}
