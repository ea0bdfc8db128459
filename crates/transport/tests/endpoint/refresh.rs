//! .NET 11's authentication refresh.

use std::future::poll_fn;
use std::time::{Duration, SystemTime};

use hubline_pipe::{Policy, Principal};
use hubline_transport::Connections;

use crate::hub::{Hub, options, request};

fn user(id: &str, valid_for: u64) -> Option<Principal> {
    let mut principal = Principal::of_user(id);
    principal.expires = Some(SystemTime::now() + Duration::from_secs(valid_for) + Duration::from_millis(900));
    Some(principal)
}

async fn refresh(hub: &Hub, token: &str, principal: Option<Principal>) -> (u16, String) {
    let answer = hub.request("POST", &format!("/hub/refresh?id={token}"), &[], principal).await;
    (answer.status.as_u16(), answer.summary().2.to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, format!("{{\"error\":\"{code}\"}}"))
}

#[tokio::test]
async fn a_connection_goes_on_with_the_newer_principal() {
    let mut hub = Hub::new(options().enable_authentication_refresh().close_on_authentication_expiration());
    let negotiated = hub.request("POST", "/hub/negotiate?negotiateVersion=1", &[], user("ada", 60)).await;
    assert!(negotiated.summary().2.ends_with(",\"tokenLifetimeSeconds\":60}"), "{negotiated:?}");
    let token = hub.negotiate().await;
    assert_eq!(refresh(&hub, &token, user("ada", 60)).await, refused(404, "connection_not_found"));

    let uri = format!("/hub?id={token}");
    let events = [("accept", "text/event-stream")];
    let _stream = hub.endpoint.respond(request("GET", &uri, &events, user("ada", 60))).await;
    let mut pipe = hub.accept().await.pipe.unwrap();
    let expires = pipe.expires().unwrap();
    assert_eq!(
        refresh(&hub, &token, user("ada", 90)).await,
        (200, "{\"tokenLifetimeSeconds\":90}".to_owned())
    );
    assert!(pipe.expires().unwrap() > expires + Duration::from_secs(25));
    let newer = poll_fn(|cx| pipe.poll_principal(cx)).await.unwrap();
    assert_eq!(newer.name_identifier, Some("ada".into()));

    assert_eq!(refresh(&hub, &token, user("eve", 90)).await, refused(403, "permission_change_rejected"));
    assert_eq!(refresh(&hub, &token, None).await, refused(401, "invalid_token"));
    assert_eq!(refresh(&hub, "", user("ada", 90)).await, refused(400, "missing_connection_token"));
    assert_eq!(refresh(&hub, "x", user("ada", 90)).await, refused(404, "connection_not_found"));
    assert_eq!(hub.request("GET", "/hub/refresh", &[], None).await.status, 405);
}

#[tokio::test]
async fn the_policy_holds_for_the_newer_principal() {
    let policy = Policy::authenticated().assert(|who| who.roles.is_empty());
    let mut hub = Hub::new(options().enable_authentication_refresh().authorize(policy));
    let negotiated = hub.request("POST", "/hub/negotiate?negotiateVersion=1", &[], user("ada", 60)).await;
    let body: serde_json::Value = serde_json::from_slice(&negotiated.body).unwrap();
    let token = body["connectionToken"].as_str().unwrap();
    hub.request("GET", &format!("/hub?id={token}"), &[], user("ada", 60)).await;
    let _connection = hub.accept().await;
    let mut newer = user("ada", 60).unwrap();
    newer.roles = vec!["Doctor".into()];
    assert_eq!(refresh(&hub, token, Some(newer)).await, refused(403, "permission_change_rejected"));
}

#[tokio::test]
async fn tokens_that_are_no_secret_renew_nothing() {
    let mut hub = Hub::new(options().enable_authentication_refresh());
    let negotiated = hub.request("POST", "/hub/negotiate", &[], user("ada", 60)).await;
    let body: serde_json::Value = serde_json::from_slice(&negotiated.body).unwrap();
    let id = body["connectionId"].as_str().unwrap();
    hub.request("GET", &format!("/hub?id={id}"), &[], user("ada", 60)).await;
    let _connection = hub.accept().await;
    assert_eq!(refresh(&hub, id, user("ada", 60)).await, refused(400, "unsupported_negotiate_version"));
}

#[tokio::test]
async fn it_is_off_unless_asked_for() {
    let hub = Hub::new(options());
    let negotiated = hub.request("POST", "/hub/negotiate?negotiateVersion=1", &[], user("ada", 60)).await;
    assert!(!negotiated.summary().2.contains("tokenLifetimeSeconds"));
    // The path is then a hub's own.
    assert_eq!(refresh(&hub, "", user("ada", 60)).await, (400, "Connection ID required".to_owned()));
}

#[tokio::test]
async fn connections_of_other_paths_are_not_renewed() {
    let connections = Connections::default();
    let mut without = Hub::sharing(&connections, options());
    let with = Hub::sharing(&connections, options().enable_authentication_refresh());
    let token = without.negotiate().await;
    without.get(&token).await;
    let _connection = without.accept().await;
    assert_eq!(refresh(&with, &token, user("ada", 60)).await, refused(404, "refresh_disabled"));
}
