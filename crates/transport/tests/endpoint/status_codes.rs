//! What is answered to requests that do not fit, in the order in which the real server looks.

use crate::hub::{EVENTS, Hub, UPGRADE, options};

const NO_ID: (u16, Option<&str>, &str) = (400, Some("text/plain"), "Connection ID required");
const UNKNOWN: (u16, Option<&str>, &str) = (404, Some("text/plain"), "No Connection with that ID");
const CHANGED: (u16, Option<&str>, &str) =
    (400, Some("text/plain"), "Cannot change transports mid-connection");
const CONFLICT: (u16, Option<&str>, &str) = (409, Some("text/plain"), "");

#[tokio::test]
async fn a_token_must_be_there_and_known() {
    let hub = Hub::new(options());
    for query in ["", "?id="] {
        let uri = format!("/hub{query}");
        for (method, headers) in [("POST", &[][..]), ("GET", &[]), ("GET", &EVENTS), ("DELETE", &[])] {
            assert_eq!(hub.request(method, &uri, headers, None).await.summary(), NO_ID, "{method} {uri}");
        }
    }
    for (method, headers) in [("POST", &[][..]), ("GET", &[]), ("GET", &EVENTS), ("DELETE", &[])] {
        assert_eq!(hub.request(method, "/hub?id=x", headers, None).await.summary(), UNKNOWN, "{method}");
    }
    let upgrade = hub.request("GET", "/hub?id=x", &UPGRADE, None).await;
    assert_eq!(upgrade.summary(), (404, None, "No Connection with that ID"));
}

#[tokio::test]
async fn a_transport_that_is_switched_off_is_named_once_the_token_is_known() {
    let hub = Hub::new(options().transports([]));
    let token = hub.negotiate().await;
    let uri = format!("/hub?id={token}");
    for (headers, name) in [(&UPGRADE[..], "WebSockets"), (&EVENTS, "ServerSentEvents"), (&[], "LongPolling")]
    {
        let answer = hub.request("GET", &uri, headers, None).await;
        let text = format!("{name} transport not supported by this end point type");
        assert_eq!(answer.summary(), (404, Some("text/plain"), &*text));
    }
    let without_id = hub.request("GET", "/hub", &UPGRADE, None).await;
    assert_eq!(without_id.summary().2, "WebSockets transport not supported by this end point type");
    assert_eq!(hub.request("GET", "/hub?id=x", &UPGRADE, None).await.status, 404);
    assert_eq!(hub.get("x").await.summary(), UNKNOWN);
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let hub = Hub::new(options());
    let token = hub.negotiate().await;
    for method in ["PUT", "PATCH", "HEAD", "OPTIONS"] {
        for uri in [format!("/hub?id={token}"), "/hub/negotiate".to_owned()] {
            let answer = hub.request(method, &uri, &[], None).await;
            assert_eq!(answer.summary(), (405, Some("text/plain"), ""), "{method} {uri}");
        }
    }
}

#[tokio::test]
async fn a_connection_keeps_its_transport() {
    let mut hub = Hub::new(options());
    let polled = hub.negotiate().await;
    assert_eq!(hub.get(&polled).await.summary(), (200, Some("application/octet-stream"), ""));
    let _polling = hub.accept().await;
    let streamed = hub.negotiate().await;
    let _stream = hub.events(&streamed).await;
    let _streaming = hub.accept().await;

    let uri = |token: &str| format!("/hub?id={token}");
    for (token, headers) in
        [(&polled, &UPGRADE[..]), (&polled, &EVENTS), (&streamed, &UPGRADE), (&streamed, &[])]
    {
        assert_eq!(hub.request("GET", &uri(token), headers, None).await.summary(), CHANGED);
    }
    assert_eq!(hub.request("GET", &uri(&streamed), &EVENTS, None).await.summary(), CONFLICT);
}

#[tokio::test]
async fn only_long_polling_is_deleted() {
    let mut hub = Hub::new(options());
    let refused = (400, Some("text/plain"), "Cannot terminate this connection using the DELETE endpoint.");
    let token = hub.negotiate().await;
    assert_eq!(hub.delete(&token).await.summary(), refused);
    let _stream = hub.events(&token).await;
    let _connection = hub.accept().await;
    assert_eq!(hub.delete(&token).await.summary(), refused);
}

#[tokio::test]
async fn answers_to_polls_are_never_stored() {
    let mut hub = Hub::new(options());
    let token = hub.negotiate().await;
    let first = hub.get(&token).await;
    let _connection = hub.accept().await;
    for answer in [first, hub.get("x").await, hub.request("GET", "/hub", &[], None).await] {
        assert_eq!(answer.header("cache-control"), Some("no-cache, no-store"));
        assert_eq!(answer.header("pragma"), Some("no-cache"));
        assert_eq!(answer.header("expires"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    }
}

#[tokio::test]
async fn stateful_reconnect_is_granted_where_it_is_allowed_and_asked_for() {
    let plain = Hub::new(options());
    let stateful = Hub::new(options().allow_stateful_reconnects());
    for (hub, query, granted) in [
        (&plain, "&useStatefulReconnect=true", false),
        (&stateful, "", false),
        (&stateful, "&useStatefulReconnect=1", false),
        (&stateful, "&useStatefulReconnect=TRUE", true),
    ] {
        let uri = format!("/hub/negotiate?negotiateVersion=1{query}");
        let answer = hub.request("POST", &uri, &[], None).await;
        assert_eq!(answer.summary().2.starts_with("{\"useStatefulReconnect\":true,"), granted, "{query}");
    }
}

#[tokio::test]
async fn a_token_is_forgotten_when_its_transport_does_not_come() {
    tokio::time::pause();
    let hub = Hub::new(options());
    let token = hub.negotiate().await;
    tokio::time::advance(std::time::Duration::from_secs(14)).await;
    assert_eq!(hub.delete(&token).await.status, 400, "still known");
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    assert_eq!(hub.get(&token).await.summary(), UNKNOWN);
    assert_eq!(hub.post(&token, b"x").await.summary(), UNKNOWN);
}
