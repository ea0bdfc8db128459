//! What hub methods read of the request that opened their connection.

use axum::Extension as Layer;
use hubline::{Cookies, EndpointOptions, Extension, Headers, Hub, Items, PeerAddress, Server};

use crate::client::TRANSPORTS;
use crate::hosts::serve_with_hubline;

#[derive(Clone)]
struct Tenant(String);

/// The methods that Microsoft's own test hub has for this, and two of ours.
fn hub() -> Hub {
    Hub::new("Test")
        .method("GetHeader", async |headers: Headers, name: String| headers.text(&name).map(str::to_owned))
        .method("GetCookie", async |cookies: Cookies, name: String| cookies.get(&name).map(str::to_owned))
        .method("Tenant", async |Extension(Tenant(name)): Extension<Tenant>| name)
        .method("Peer", async |PeerAddress(address): PeerAddress| address.to_string())
        .method("Count", async |items: Items| {
            items.update(|count: &mut u32| std::mem::replace(count, *count + 1))
        })
}

#[tokio::test]
async fn methods_read_the_request_on_every_transport() {
    let options = EndpointOptions::default().keep_headers().keep_extensions();
    let hub = Server::new().add_hub(hub());
    let app = hub.map_with("/hub", options).layer(Layer(Tenant("seven".to_owned())));
    let http = serve_with_hubline(app).await.with("cookie", "theme=dark; a=1");
    for transport in TRANSPORTS {
        let mut client = http.connect("/hub", transport).await;
        assert_eq!(client.call("GetHeader", "[\"Cookie\"]").await, "theme=dark; a=1", "{transport:?}");
        assert_eq!(client.call("GetHeader", "[\"X-Other\"]").await, serde_json::Value::Null, "{transport:?}");
        assert_eq!(client.call("GetCookie", "[\"theme\"]").await, "dark", "{transport:?}");
        assert_eq!(client.call("Tenant", "[]").await, "seven", "{transport:?}");
        assert_eq!(client.call("Peer", "[]").await, "127.0.0.1", "{transport:?}");
        for count in 0..3 {
            assert_eq!(client.call("Count", "[]").await, count, "{transport:?}");
        }
    }
}

#[test]
#[should_panic = "`GetHeader` of the hub `Test` takes headers of the request, which the endpoint does not keep: map the hub \
                  with `map_with(path, EndpointOptions::default().keep_headers().keep_extensions())`"]
fn a_hub_that_takes_what_its_endpoint_does_not_keep_cannot_be_mapped() {
    _ = Server::new().add_hub(hub()).map::<()>("/hub");
}
