//! Policies and the end of an authentication.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hubline_identity::{ExpiredPrincipal, Policy, Principal};
use tokio::time::Instant;

use crate::hub::{Hub, collect, is_pending, options, request};

fn user(id: &str, valid_for: Duration) -> Principal {
    let mut principal = Principal::of_user(id);
    principal.expires = Some(SystemTime::now() + valid_for);
    principal
}

#[tokio::test]
async fn the_policy_is_asked_before_anything_else() {
    let hub = Hub::new(options().authorize(Policy::authenticated().role("Doctor")));
    let mut doctor = Principal::of_user("ada");
    doctor.roles = vec!["Doctor".into()];
    for (method, uri) in [
        ("POST", "/hub/negotiate"),
        ("OPTIONS", "/hub/negotiate"),
        ("GET", "/hub"),
        ("POST", "/hub?id=x"),
        ("DELETE", "/hub?id=x"),
        ("PUT", "/hub"),
    ] {
        let status = async |principal| {
            let answer = hub.request(method, uri, &[], principal).await;
            (answer.status.as_u16(), answer.headers.len(), answer.body.len())
        };
        assert_eq!(status(None).await, (401, 0, 0), "{method} {uri}");
        assert_eq!(status(Some(Principal::of_user("bob"))).await, (403, 0, 0), "{method} {uri}");
        assert!(![401, 403].contains(&status(Some(doctor.clone())).await.0), "{method} {uri}");
    }
}

#[tokio::test]
async fn long_polling_keeps_its_first_principal_and_expires_with_its_newest() {
    let mut hub = Hub::new(options().close_on_authentication_expiration());
    let token = hub.negotiate_as(Some(user("ada", Duration::from_secs(50))), "").await;
    let uri = format!("/hub?id={token}");
    let near = |expires: Option<Instant>, seconds: u64| {
        let left = expires.unwrap() - Instant::now();
        left > Duration::from_secs(seconds - 5) && left <= Duration::from_secs(seconds)
    };
    hub.request("GET", &uri, &[], Some(user("ada", Duration::from_secs(100)))).await;
    let mut connection = hub.accept().await;
    let pipe = |connection: &mut crate::hub::Connection| connection.pipe.as_ref().unwrap().expires();
    assert!(near(pipe(&mut connection), 100));

    hub.request("POST", &uri, &[], Some(user("ada", Duration::from_secs(300)))).await;
    assert!(near(pipe(&mut connection), 100), "a POST moves nothing");

    for seconds in [200, 30] {
        let mut other = user("ada", Duration::from_secs(seconds));
        other.name = Some("Countess".into());
        let mut poll = pin!(hub.endpoint.respond(request("GET", &uri, &[], Some(other))));
        assert!(is_pending(poll.as_mut()).await);
        assert!(near(pipe(&mut connection), seconds));
    }
    let mut poll =
        pin!(hub.endpoint.respond(request("GET", &uri, &[], Some(user("ada", Duration::from_secs(9))))));
    assert!(is_pending(poll.as_mut()).await);
    assert!(near(pipe(&mut connection), 9));
    assert_eq!(connection.info.principal.as_ref().unwrap().name, None);
    connection.send("x").await.unwrap();
    assert_eq!(collect(poll.await).await.body, "x");
}

#[tokio::test]
async fn a_poll_with_an_expired_token_moves_no_expiry() {
    let strict =
        || options().close_on_authentication_expiration().keep_own_connections_of_expired_principals();
    let mut hub = Hub::new(strict());
    let token = hub.negotiate_as(Some(user("ada", Duration::from_secs(100))), "").await;
    let uri = format!("/hub?id={token}");
    hub.request("GET", &uri, &[], Some(user("ada", Duration::from_secs(100)))).await;
    let mut connection = hub.accept().await;
    let before = connection.pipe.as_ref().unwrap().expires();
    assert!(before.is_some());
    for method in ["POST", "GET"] {
        let mut expired = request(method, &uri, &[], None);
        expired.extensions_mut().insert(ExpiredPrincipal(Arc::new(user("ada", Duration::ZERO))));
        let mut answer = pin!(hub.endpoint.respond(expired));
        if method == "GET" {
            assert!(is_pending(answer.as_mut()).await);
            connection.send("x").await.unwrap();
        }
        assert_eq!(answer.await.status(), 200);
        assert_eq!(connection.pipe.as_ref().unwrap().expires(), before, "{method}");
    }
}

#[tokio::test]
async fn connections_outlive_their_authentication_unless_told_otherwise() {
    let mut hub = Hub::new(options());
    let ada = || Some(user("ada", Duration::from_secs(1)));
    let token = hub.negotiate_as(ada(), "").await;
    let _stream = hub.events_as(ada(), &token).await;
    assert_eq!(hub.accept().await.pipe.unwrap().expires(), None);
}

#[tokio::test]
async fn an_authentication_may_be_capped() {
    let capped = options().close_on_authentication_expiration();
    let mut hub = Hub::new(capped.maximum_authentication_expiration(Duration::from_secs(30)));
    let ada = || Some(user("ada", Duration::from_secs(600)));
    let token = hub.negotiate_as(ada(), "").await;
    let _stream = hub.events_as(ada(), &token).await;
    let expires = hub.accept().await.pipe.unwrap().expires().unwrap();
    assert!(expires - Instant::now() <= Duration::from_secs(30));
}
