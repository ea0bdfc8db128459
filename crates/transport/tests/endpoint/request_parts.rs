//! What an endpoint keeps of the request that opens a connection.

use hubline_pipe::{ConnectionInfo, RequestParts};
use hubline_transport::EndpointOptions;

use crate::fleet::Fleet;
use crate::hub::{EVENTS, Hub, options, request};

/// A value of a host's middleware.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tenant(u32);

fn keeping() -> EndpointOptions {
    options().keep_headers().keep_extensions()
}

/// Opens an event stream or, without its headers, the first poll of a connection.
async fn open(hub: &mut Hub, token: &str, headers: &[(&str, &str)], tenant: u32) -> ConnectionInfo {
    let mut opening = request("GET", &format!("/hub?id={token}"), headers, None);
    opening.extensions_mut().insert(Tenant(tenant));
    assert_eq!(hub.endpoint.respond(opening).await.status(), 200);
    hub.accept().await.info
}

fn kept(info: &ConnectionInfo) -> (Option<&str>, Option<&Tenant>) {
    let request = info.request.as_deref().expect("the endpoint keeps the request");
    (request.header("x-name"), request.extensions.get::<Tenant>())
}

#[tokio::test]
async fn the_request_that_opens_a_connection_is_kept_and_no_later_one() {
    let mut hub = Hub::new(keeping());
    let token = hub.negotiate().await;
    let headers = [EVENTS[0], ("x-name", "ada")];
    assert_eq!(kept(&open(&mut hub, &token, &headers, 1).await), (Some("ada"), Some(&Tenant(1))));

    let token = hub.negotiate().await;
    let mut poll = request("GET", &format!("/hub?id={token}"), &[("x-name", "ada")], None);
    poll.extensions_mut().insert(Tenant(2));
    assert_eq!(hub.endpoint.respond(poll).await.status(), 200);
    let mut connection = hub.accept().await;
    connection.send("first").await.unwrap();
    let uri = format!("/hub?id={token}");
    assert_eq!(hub.request("GET", &uri, &[("x-name", "bob")], None).await.summary().2, "first");
    assert_eq!(kept(&connection.info), (Some("ada"), Some(&Tenant(2))), "of the first poll");
}

#[tokio::test]
async fn nothing_is_kept_unasked() {
    for (options, expected) in [
        (options(), None),
        (options().keep_headers(), Some(RequestParts::HEADERS)),
        (options().keep_extensions(), Some(RequestParts::EXTENSIONS)),
    ] {
        let mut hub = Hub::new(options);
        let token = hub.negotiate().await;
        let info = open(&mut hub, &token, &[("x-name", "ada")], 1).await;
        let request = info.request.as_deref();
        assert_eq!(request.map(|request| request.kept), expected);
        let (headers, extensions) = request
            .map_or((false, false), |request| (!request.headers.is_empty(), !request.extensions.is_empty()));
        let kept = expected.unwrap_or_default();
        assert_eq!((headers, extensions), (kept.headers, kept.extensions), "{expected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_negotiated_elsewhere_has_the_request_of_its_transport() {
    let mut fleet = Fleet::with(2, keeping()).agreed().await;
    for headers in [&[EVENTS[0], ("x-name", "ada")][..], &[("x-name", "ada")]] {
        let token = fleet.hubs[0].negotiate().await;
        let info = open(&mut fleet.hubs[1], &token, headers, 7).await;
        assert_eq!(kept(&info), (Some("ada"), Some(&Tenant(7))));
    }
}
