//! What hub methods get of the request that opened their connection, and what they keep for it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hubline_hub::{
    Caller, Clients, Cookies, Extension, Headers, Hub, HubOptions, Items, PeerAddress, SendError,
};
use hubline_pipe::{ConnectionHandler, ConnectionInfo, RequestContext, RequestParts, resumption};

use crate::client::{ACCEPTED, Client, accepted, call, failed, info, result, start, start_with};

#[derive(Clone)]
struct Tenant(&'static str);

#[derive(Debug, Clone, Copy, Default)]
struct Calls(u32);

const FAILED: &str = "Failed to invoke '{}' due to an error on the server.";

fn hub() -> Hub {
    Hub::new("Requests")
        .method("Header", async |headers: Headers, name: String| headers.text(&name).map(str::to_owned))
        .method("Count", async |headers: Headers| headers.len())
        .method("Cookie", async |cookies: Cookies, name: String| cookies.get(&name).map(str::to_owned))
        .method("Tenant", async |Extension(Tenant(name)): Extension<Tenant>| name)
        .method("Peer", async |PeerAddress(address): PeerAddress| address.to_string())
        .method("Add", async |items: Items, amount: u32| {
            items.update(|calls: &mut Calls| {
                calls.0 += amount;
                calls.0
            })
        })
}

fn with_request(id: &str, kept: RequestParts) -> ConnectionInfo {
    let mut request = RequestContext { kept, ..RequestContext::default() };
    if kept.headers {
        request.headers.insert("x-tenant", "seven".parse().unwrap());
        request.headers.insert("cookie", "theme=dark; other=1".parse().unwrap());
    }
    if kept.extensions {
        request.extensions.insert(Tenant("seven"));
    }
    ConnectionInfo { request: Some(Arc::new(request)), ..info(id) }
}

#[tokio::test]
async fn methods_take_headers_cookies_extensions_and_the_address() {
    let hub = start(hub());
    let both = RequestParts::HEADERS.and(RequestParts::EXTENSIONS);
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    let info = ConnectionInfo { remote_address: Some(here), ..with_request("a", both) };
    let mut client = Client::connect_as(&hub, info).await;
    for (method, argument, expected) in [
        ("Header", r#""X-Tenant""#, r#""seven""#),
        ("Header", r#""x-other""#, "null"),
        ("Count", "", "2"),
        ("Cookie", r#""theme""#, r#""dark""#),
        ("Cookie", r#""heme""#, "null"),
        ("Tenant", "", r#""seven""#),
        ("Peer", "", r#""127.0.0.1""#),
    ] {
        client.send(&call(1, method, argument)).await;
        assert_eq!(client.next().await, result(1, expected), "{method}({argument})");
    }
}

#[tokio::test]
async fn a_call_that_takes_what_was_not_kept_fails_and_the_connection_goes_on() {
    let hub = start(hub());
    for (kept, method) in [
        (None, "Count"),
        (None, "Tenant"),
        (Some(RequestParts::EXTENSIONS), "Count"),
        (Some(RequestParts::HEADERS), "Tenant"),
    ] {
        let info = kept.map_or_else(|| info("a"), |kept| with_request("a", kept));
        let mut client = Client::connect_as(&hub, info).await;
        client.send(&call(1, method, "")).await;
        assert_eq!(client.next().await, failed("1", &FAILED.replace("{}", method)), "{kept:?}");
        client.send(&call(2, "Add", "1")).await;
        assert_eq!(client.next().await, result(2, "1"));
    }
}

#[test]
fn a_hub_knows_which_method_takes_what_an_endpoint_does_not_keep() {
    fn text<S: Send + Sync + 'static>(hub: &Hub<S>, kept: RequestParts) -> Result<(), String> {
        hub.check_request_parts(kept).map_err(|missing| missing.to_string())
    }
    let both = RequestParts::HEADERS.and(RequestParts::EXTENSIONS);
    let hub = hub();
    assert_eq!(text(&hub, both), Ok(()));
    assert_eq!(
        text(&hub, RequestParts::EXTENSIONS).unwrap_err(),
        "`Header` of the hub `Requests` takes headers of the request, which the endpoint does not keep: map the hub with \
         `map_with(path, EndpointOptions::default().keep_headers())`"
    );
    assert_eq!(hub.check_request_parts(RequestParts::HEADERS).unwrap_err().method.as_ref(), "Tenant");
    // Callbacks, streams and hubs with a state are looked at too.
    async fn connected(_: Headers, _: Extension<Tenant>) {}
    let callback = Hub::with_state("Requests", "some").on_connected(connected);
    assert!(text(&callback, RequestParts::NONE).unwrap_err().contains(".keep_headers().keep_extensions()"));
    let stream: Hub = Hub::new("Requests").stream("S", |_: Cookies| futures_util::stream::empty::<u8>());
    assert_eq!(stream.check_request_parts(RequestParts::NONE).unwrap_err().method.as_ref(), "S");
    assert_eq!(text(&Hub::new("Other"), RequestParts::NONE), Ok(()));
}

#[tokio::test]
async fn a_resumed_connection_shows_the_newer_request_unless_that_came_in_elsewhere() {
    let hub = start(hub());
    let (mut first, mut client) = accepted(with_request("a", RequestParts::HEADERS), 64);
    let (resumer, resumable) = resumption();
    first.resumable = Some(resumable);
    tokio::spawn(hub.run(first));
    client.send(r#"{"protocol":"json","version":2}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    let mut newer = RequestContext { kept: RequestParts::HEADERS, ..RequestContext::default() };
    newer.headers.insert("x-tenant", "eight".parse().unwrap());
    for (id, request) in [(1, Some(Arc::new(newer))), (2, None)] {
        drop(client);
        let (resumed, resuming) = accepted(ConnectionInfo { request, ..info("a") }, 64);
        resumer.request().await.unwrap().finish(resumed);
        client = resuming;
        assert!(client.next().await.contains(r#""type":9"#));
        client.send(&format!("{{\"type\":9,\"sequenceId\":{id}}}␞")).await;
        client.send(&call(id, "Header", "\"x-tenant\"")).await;
        loop {
            let message = client.next().await;
            if message.contains(r#""type":3"#) && message.contains(&format!("\"{id}\"")) {
                assert_eq!(message, result(id, r#""eight""#));
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_user_may_be_known_by_a_header() {
    let hub = hub().user_id(|info| Some(info.header("x-tenant")?.into()));
    let hub = start(hub.method("Me", async |caller: Caller| caller.user_id().cloned()));
    for (kept, me) in [(RequestParts::HEADERS, r#""seven""#), (RequestParts::EXTENSIONS, "null")] {
        let mut client = Client::connect_as(&hub, with_request("a", kept)).await;
        client.send(&call(1, "Me", "")).await;
        assert_eq!(client.next().await, result(1, me));
    }
}

#[tokio::test]
async fn items_belong_to_one_connection_from_its_beginning_to_its_end() {
    async fn connected(items: Items) {
        items.insert(Calls(10));
    }
    async fn disconnected(items: Items, caller: Caller, clients: Clients) -> Result<(), SendError> {
        let calls = items.remove::<Calls>().map(|calls| calls.0);
        assert!(caller.items().get::<Calls>().is_none());
        clients.others().send("Gone", (calls,)).await
    }
    let mut options = HubOptions::default();
    options.maximum_parallel_invocations_per_client = 8;
    let hub = start_with(hub().on_connected(connected).on_disconnected(disconnected), options);
    let mut watcher = Client::connect(&hub, "w").await;
    let mut client = Client::connect(&hub, "a").await;
    for (id, sum) in [(1, 11), (2, 12), (3, 13)] {
        client.send(&call(id, "Add", "1")).await;
        assert_eq!(client.next().await, result(id, &sum.to_string()));
    }
    watcher.send(&call(1, "Add", "0")).await;
    assert_eq!(watcher.next().await, result(1, "10"));
    drop(client);
    assert_eq!(watcher.next().await, r#"{"type":1,"target":"Gone","arguments":[13]}␞"#);
}
