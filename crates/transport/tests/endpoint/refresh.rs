//! Authentication refresh, as ASP.NET Core 11 has it.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hubline_identity::{Policy, Principal};
use hubline_pipe::PipeEnd;
use hubline_transport::{AuthenticationRefresh, Body, EndpointOptions};
use tokio::time::Instant;

use crate::fleet::Fleet;
use crate::gate::Who::{self, Ada, Bob, Issuer, Newer, Nobody, Older};
use crate::hub::{Answer, Connection, Hub, options};

/// Status and body.
fn told(answer: &Answer) -> (u16, &str) {
    let (status, _, body) = answer.summary();
    (status, body)
}

async fn refresh(hub: &Hub, token: &str, who: Who) -> (u16, String) {
    let answer = hub.refresh(token, who.principal()).await;
    let (status, body) = told(&answer);
    (status, if status == 200 { String::new() } else { body.to_owned() })
}

fn accepted() -> (u16, String) {
    (200, String::new())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, format!("{{\"error\":\"{code}\"}}"))
}

async fn poll(hub: &Hub, token: &str, who: Who) -> Answer {
    hub.request("GET", &format!("/hub?id={token}"), &[], who.principal()).await
}

/// A long-polling connection of Ada's, whose hub has shaken hands.
async fn polling(hub: &mut Hub) -> (String, Connection) {
    let token = hub.negotiate_as(Ada.principal(), "").await;
    assert_eq!(poll(hub, &token, Ada).await.status, 200);
    let mut connection = hub.accept().await;
    connection.principals().await;
    (token, connection)
}

/// An event stream of Ada's, likewise.
async fn streaming(hub: &mut Hub) -> (String, Body, Connection) {
    let token = hub.negotiate_as(Ada.principal(), "").await;
    let stream = hub.events_as(Ada.principal(), &token).await;
    let mut connection = hub.accept().await;
    connection.principals().await;
    (token, stream.into_body(), connection)
}

fn on() -> EndpointOptions {
    options().enable_authentication_refresh().close_on_authentication_expiration()
}

fn principals(who: &[Who]) -> Vec<Option<Arc<Principal>>> {
    who.iter().map(|who| who.principal().map(Arc::new)).collect()
}

#[tokio::test]
async fn a_connection_goes_on_with_the_newer_principal() {
    let mut hub = Hub::new(on());
    let (token, _stream, mut connection) = streaming(&mut hub).await;
    let expires = |connection: &Connection| connection.pipe.as_ref().unwrap().expires().unwrap();
    let before = expires(&connection);
    assert_eq!(refresh(&hub, &token, Newer).await, accepted());
    assert_eq!(connection.principals().await, principals(&[Newer]));
    assert!(expires(&connection) > before + Duration::from_secs(300));

    let moved = expires(&connection);
    assert_eq!(refresh(&hub, &token, Older).await, accepted(), "which changes nothing");
    assert_eq!(connection.principals().await, []);
    assert_eq!(expires(&connection), moved);

    for who in [Newer, Newer] {
        assert_eq!(refresh(&hub, &token, who).await, accepted());
    }
    assert_eq!(connection.principals().await, principals(&[Newer, Newer]), "the hub hears of each");
}

#[tokio::test]
async fn requests_that_are_none_are_refused_in_order() {
    let mut hub = Hub::new(on().authorize(Policy::authenticated().assert(|who| who.issuer.is_some())));
    let (token, _stream, _connection) = streaming(&mut hub).await;
    assert_eq!(told(&hub.refresh(&token, None).await), (401, ""));
    assert_eq!(told(&hub.refresh(&token, Some(Principal::of_user("ada"))).await), (403, ""));
    for method in ["GET", "DELETE", "PUT", "HEAD", "OPTIONS"] {
        let answer = hub.request(method, "/hub/refresh", &[], Ada.principal()).await;
        assert_eq!(answer.summary(), (405, Some("text/plain"), ""), "{method}");
    }
    let in_query = format!("/hub/refresh?id={token}");
    let answer = hub.request("POST", &in_query, &[], Ada.principal()).await;
    assert_eq!(told(&answer), (400, r#"{"error":"missing_connection_token"}"#));
    assert_eq!(refresh(&hub, "", Ada).await, refused(400, "missing_connection_token"));
    assert_eq!(refresh(&hub, "x", Ada).await, refused(404, "connection_not_found"));
    assert_eq!(refresh(&hub, &token, Bob).await, refused(403, "user_changed"));
}

#[tokio::test]
async fn tokens_that_are_no_secret_refresh_nothing() {
    let mut hub = Hub::new(on());
    let negotiated = hub.request("POST", "/hub/negotiate", &[], Ada.principal()).await;
    let body: serde_json::Value = serde_json::from_slice(&negotiated.body).unwrap();
    let id = body["connectionId"].as_str().unwrap();
    for who in [Ada, Bob, Nobody] {
        assert_eq!(refresh(&hub, id, who).await, refused(400, "unsupported_negotiate_version"));
    }
    assert_eq!(poll(&hub, id, Ada).await.status, 200);
    let mut connection = hub.accept().await;
    connection.principals().await;
    for who in [Ada, Bob, Nobody] {
        assert_eq!(refresh(&hub, id, who).await, refused(400, "unsupported_negotiate_version"));
    }
    connection.send("x").await.unwrap();
    assert_eq!(poll(&hub, id, Newer).await.body, "x");
    assert_eq!(connection.principals().await, principals(&[Newer]), "a poll refreshes it all the same");
}

#[tokio::test]
async fn it_is_off_unless_asked_for() {
    let hub = Hub::new(options());
    let negotiate = "/hub/negotiate?negotiateVersion=1";
    let negotiated = hub.request("POST", negotiate, &[], Ada.principal()).await;
    assert!(!negotiated.summary().2.contains("tokenLifetimeSeconds"));
    assert_eq!(hub.refresh("x", Ada.principal()).await.summary(), (404, None, ""), "there is no such path");
}

#[tokio::test]
async fn clients_are_told_how_long_their_token_lasts() {
    let lasting = |seconds: u64, millis: u64| {
        let mut ada = Principal::of_user("ada");
        ada.expires = Some(SystemTime::now() + Duration::from_secs(seconds) + Duration::from_millis(millis));
        Some(ada)
    };
    let capped = on().maximum_authentication_expiration(Duration::from_secs(30));
    for (options, principal, told) in [
        (on(), lasting(60, 900), r#""tokenLifetimeSeconds":60,"availableTransports""#),
        (on(), lasting(0, 900), r#""tokenLifetimeSeconds":0,"#),
        (on(), lasting(1 << 40, 0), r#""tokenLifetimeSeconds":2147483647,"#),
        (on(), None, r#"","availableTransports""#),
        (on(), Some(Principal::of_user("ada")), r#"","availableTransports""#),
        (capped.clone(), lasting(60, 0), r#""tokenLifetimeSeconds":"#),
        (capped.clone(), None, r#"","availableTransports""#),
    ] {
        let hub = Hub::new(options);
        let negotiated = hub.request("POST", "/hub/negotiate?negotiateVersion=1", &[], principal).await;
        assert!(negotiated.summary().2.contains(told), "{told} in {negotiated:?}");
    }
    let mut hub = Hub::new(capped);
    let token = hub.negotiate_as(lasting(600, 0), "").await;
    let _stream = hub.events_as(lasting(600, 0), &token).await;
    let _connection = hub.accept().await;
    let answer = hub.refresh(&token, lasting(900, 0)).await;
    assert!([r#"{"tokenLifetimeSeconds":30}"#, r#"{"tokenLifetimeSeconds":29}"#].contains(&told(&answer).1));
}

/// Options that write down what the application is asked, which refuses doctors of another issuer.
fn asked() -> (EndpointOptions, Arc<Mutex<Vec<AuthenticationRefresh>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let options = on().authentication_refresh({
        let log = Arc::clone(&log);
        move |refresh: AuthenticationRefresh| {
            let is_foreign =
                refresh.principal.as_ref().is_some_and(|who| who.issuer.as_deref() == Some("two"));
            log.lock().unwrap().push(refresh);
            async move { Ok::<_, Infallible>(!is_foreign) }
        }
    });
    (options, log)
}

#[tokio::test(start_paused = true)]
async fn the_application_is_asked_where_the_connection_is() {
    for instance in [0, 1] {
        let (options, log) = asked();
        let mut fleet = Fleet::with(2, options).agreed().await;
        let (token, _stream, mut connection) = streaming(&mut fleet.hubs[0]).await;
        let header = [("x-signalr-connection-token", &*token)];
        let uri = "/hub/refresh?name=a%20b&access_token=secret";
        let hub = &fleet.hubs[instance];
        let answer = hub.request("POST", uri, &header, Newer.principal()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(connection.principals().await, principals(&[Newer]));
        let refresh = log.lock().unwrap().pop().unwrap();
        assert_eq!(refresh.connection_id, connection.info.id);
        assert_eq!(refresh.previous.as_deref(), Ada.principal().as_ref());
        assert_eq!(refresh.principal.as_deref(), Newer.principal().as_ref());
        assert_eq!(refresh.expires, Newer.principal().unwrap().expires);
        assert_eq!(&*refresh.query, "name=a+b");

        for who in [Older, Bob, Nobody] {
            hub.refresh(&token, who.principal()).await;
        }
        assert!(log.lock().unwrap().is_empty(), "what changes nothing is nobody's concern");
        let rejected = refused(403, "permission_change_rejected");
        assert_eq!(self::refresh(hub, &token, Issuer).await, rejected);
        assert_eq!(connection.principals().await, []);
        assert_eq!(
            hub.request("POST", &format!("/hub?id={token}"), &[], Newer.principal()).await.status,
            200
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_cannot_answer_changes_nothing() {
    let broken = |how: &'static str| {
        on().authentication_refresh(move |_| async move {
            match how {
                "fails" => Err("no database"),
                "panics" => panic!("no database"),
                _ => pending().await,
            }
        })
    };
    for how in ["fails", "panics", "hangs"] {
        for instance in [0, 1] {
            let mut fleet = Fleet::with(2, broken(how)).agreed().await;
            let (token, mut connection) = polling(&mut fleet.hubs[0]).await;
            let (hub, begun) = (&fleet.hubs[instance], Instant::now());
            assert_eq!(hub.refresh(&token, Newer.principal()).await.summary(), (500, None, ""), "{how}");
            assert_eq!(begun.elapsed().as_secs(), if how == "hangs" { 10 } else { 0 });
            connection.send("it goes on").await.unwrap();
            assert_eq!(poll(hub, &token, Ada).await.body, "it goes on");
            assert_eq!(poll(hub, &token, Newer).await.status, 500, "{how}");
            assert_eq!(connection.principals().await, []);
            connection.send("still").await.unwrap();
            assert_eq!(poll(hub, &token, Ada).await.body, "still");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_with_another_token_of_the_user_is_a_refresh() {
    for instance in [0, 1] {
        let (options, log) = asked();
        let mut fleet = Fleet::with(2, options).agreed().await;
        let (token, mut connection) = polling(&mut fleet.hubs[0]).await;
        let hub = &fleet.hubs[instance];
        for (who, expected) in [(Ada, &[][..]), (Newer, &[Newer]), (Newer, &[]), (Ada, &[])] {
            connection.send("x").await.unwrap();
            assert_eq!(poll(hub, &token, who).await.body, "x");
            assert_eq!(connection.principals().await, principals(expected), "{who:?}");
        }
        assert_eq!(log.lock().unwrap().len(), 1);
        for who in [Issuer, Bob, Nobody] {
            let answer = poll(hub, &token, who).await;
            assert_eq!(told(&answer), (409, r#"{"error":"authentication_refresh_required"}"#), "{who:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_whose_principal_the_application_refuses_ends_the_connection() {
    let refusing = || on().authentication_refresh(async |_| Ok::<_, Infallible>(false));
    for instance in [0, 1] {
        let mut fleet = Fleet::with(2, refusing()).agreed().await;
        let (token, mut connection) = polling(&mut fleet.hubs[0]).await;
        let hub = &fleet.hubs[instance];
        let answer = poll(hub, &token, Newer).await;
        assert_eq!(told(&answer), (403, r#"{"error":"permission_change_rejected"}"#));
        assert_eq!(connection.receive().await, Err(PipeEnd::Closed));
        assert_eq!(poll(hub, &token, Ada).await.status, 404);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_refresh_the_first_token_of_another_issuer_is_another_users() {
    for instance in [0, 1] {
        let mut fleet = Fleet::with(2, on()).agreed().await;
        let (token, mut connection) = polling(&mut fleet.hubs[0]).await;
        let hub = &fleet.hubs[instance];
        assert_eq!(refresh(hub, &token, Issuer).await, accepted());
        assert_eq!(connection.principals().await, principals(&[Issuer]));
        for (method, uri, status) in
            [("POST", "/hub?id=", 403), ("GET", "/hub?id=", 403), ("DELETE", "/hub?id=", 403)]
        {
            let answer = hub.request(method, &format!("{uri}{token}"), &[], Ada.principal()).await;
            assert_eq!(answer.status, status, "{method}");
        }
        assert_eq!(refresh(hub, &token, Ada).await, refused(403, "user_changed"), "it ends earlier");
        let later = poll(hub, &token, Newer).await;
        assert_eq!(told(&later), (409, r#"{"error":"authentication_refresh_required"}"#));
        let delete = hub.request("DELETE", &format!("/hub?id={token}"), &[], Issuer.principal()).await;
        assert_eq!(delete.status, 202);
    }
}

#[tokio::test]
async fn before_the_handshake_another_issuers_user_is_another() {
    let mut hub = Hub::new(on());
    let token = hub.negotiate_as(Ada.principal(), "").await;
    assert_eq!(refresh(&hub, &token, Issuer).await, refused(403, "user_changed"));
    let _stream = hub.events_as(Ada.principal(), &token).await;
    let mut connection = hub.accept().await;
    assert_eq!(refresh(&hub, &token, Issuer).await, refused(403, "user_changed"));
    for _ in 0..3 {
        assert_eq!(refresh(&hub, &token, Newer).await, accepted());
    }
    assert_eq!(connection.principals().await, principals(&[Newer]), "the hub learns once who it is");
    assert_eq!(refresh(&hub, &token, Issuer).await, accepted());
}

#[tokio::test]
async fn a_refresh_before_the_transport_counts_until_that_brings_a_token_of_its_own() {
    let (options, log) = asked();
    let mut hub = Hub::new(options);
    let token = hub.negotiate_as(Ada.principal(), "").await;
    assert_eq!(refresh(&hub, &token, Older).await, accepted());
    assert_eq!(refresh(&hub, &token, Newer).await, accepted());
    assert_eq!(refresh(&hub, &token, Ada).await, accepted());
    assert_eq!(log.lock().unwrap().len(), 2, "the last one is older than what is in force");
    let _stream = hub.events_as(Ada.principal(), &token).await;
    assert_eq!(hub.accept().await.info.principal.as_deref(), Ada.principal().as_ref());

    let token = hub.negotiate_as(Ada.principal(), "").await;
    assert_eq!(refresh(&hub, &token, Newer).await, accepted());
    assert_eq!(poll(&hub, &token, Ada).await.status, 200);
    let connection = hub.accept().await;
    assert_eq!(connection.info.principal.as_deref(), Newer.principal().as_ref(), "a poll does not step back");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_before_the_transport_moves_with_the_connection() {
    let mut fleet = Fleet::with(3, on()).agreed().await;
    let token = fleet.hubs[0].negotiate_as(Ada.principal(), "").await;
    assert_eq!(refresh(&fleet.hubs[1], &token, Newer).await, accepted());
    assert_eq!(poll(&fleet.hubs[2], &token, Ada).await.status, 200);
    let connection = fleet.hubs[2].accept().await;
    assert_eq!(connection.info.principal.as_deref(), Newer.principal().as_ref());
}

#[tokio::test]
async fn nobody_may_refresh_what_nobody_negotiated() {
    let (options, log) = asked();
    let mut hub = Hub::new(options);
    let token = hub.negotiate().await;
    let _stream = hub.events(&token).await;
    let mut connection = hub.accept().await;
    connection.principals().await;
    assert_eq!(told(&hub.refresh(&token, None).await), (200, "{}"));
    assert_eq!(connection.principals().await, [None]);
    assert!(log.lock().unwrap().pop().unwrap().principal.is_none());
    assert_eq!(refresh(&hub, &token, Ada).await, refused(403, "user_changed"));
}

/// A flood of requests that are refused costs the connection nothing, and the fleet no message.
#[tokio::test(start_paused = true)]
async fn refused_requests_leave_the_connection_whole_and_ask_nobody() {
    let mut fleet = Fleet::with(2, on()).agreed().await;
    let (token, mut connection) = polling(&mut fleet.hubs[0]).await;
    let sent = fleet.members[0].sent();
    for hub in &fleet.hubs {
        for _ in 0..1000 {
            for who in [Bob, Nobody] {
                assert_eq!(poll(hub, &token, who).await.status, 409);
                assert_eq!(refresh(hub, &token, who).await, refused(403, "user_changed"));
                for method in ["POST", "DELETE"] {
                    let answer = hub.request(method, &format!("/hub?id={token}"), &[], who.principal()).await;
                    assert_eq!(answer.status, 403);
                }
            }
        }
    }
    assert_eq!(fleet.members[0].sent(), sent);
    assert_eq!(connection.principals().await, []);
    connection.send("whole").await.unwrap();
    assert_eq!(poll(&fleet.hubs[1], &token, Ada).await.body, "whole");
}
