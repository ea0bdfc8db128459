//! What a user's own layers see and decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hubline::{Caller, Hub, Policy, Principal, Server};

use crate::client::TRANSPORTS;
use crate::hosts::serve;

/// A user's own way to sign in: a header names the user and, behind a slash, a role.
async fn sign_in(mut request: Request, next: Next) -> Response {
    let who = request.headers().get("x-user").map(|who| who.to_str().unwrap().to_owned());
    if let Some(who) = who {
        let (name, role) = who.split_once('/').unwrap_or((&who, ""));
        let principal = Principal::builder().user(name).role(role).build();
        request.extensions_mut().insert(Arc::new(principal));
    }
    next.run(request).await
}

fn signing_in(hub: Hub) -> Router {
    Server::new().add_hub(hub).map("/hub").layer(from_fn(sign_in))
}

#[tokio::test]
async fn middleware_sees_every_request_and_may_refuse_it() {
    async fn guard(State(seen): State<Arc<AtomicUsize>>, request: Request, next: Next) -> Response {
        seen.fetch_add(1, Ordering::SeqCst);
        match request.headers().contains_key("x-pass") {
            true => next.run(request).await,
            false => StatusCode::IM_A_TEAPOT.into_response(),
        }
    }
    let seen = Arc::new(AtomicUsize::new(0));
    let server = Server::new();
    let hub = server.add_hub(Hub::new("Test").method("Add", async |a: i32, b: i32| a + b));
    let http = serve(hub.map("/hub").layer(from_fn_with_state(Arc::clone(&seen), guard))).await;
    assert_eq!(http.statuses("/hub").await, [StatusCode::IM_A_TEAPOT; 4]);
    assert_eq!(seen.load(Ordering::SeqCst), 4);
    assert_eq!(server.connection_count(), 0);
    for transport in TRANSPORTS {
        let mut client = http.with("x-pass", "1").connect("/hub", transport).await;
        assert_eq!(client.call("Add", "[1,2]").await, 3, "{transport:?}");
    }
}

#[tokio::test]
async fn a_principal_of_a_users_own_reaches_the_hub() {
    let who_am_i = async |caller: Caller| {
        let principal = caller.principal().and_then(|principal| principal.name_identifier.clone());
        (principal, caller.user_id().cloned())
    };
    let http = serve(signing_in(Hub::new("Test").method("WhoAmI", who_am_i))).await;
    for transport in TRANSPORTS {
        let mut ada = http.with("x-user", "ada").connect("/hub", transport).await;
        assert_eq!(ada.call("WhoAmI", "[]").await, serde_json::json!(["ada", "ada"]), "{transport:?}");
        let mut nobody = http.connect("/hub", transport).await;
        assert_eq!(nobody.call("WhoAmI", "[]").await, serde_json::json!([null, null]), "{transport:?}");
    }
}

#[tokio::test]
async fn what_a_hub_requires_is_required_from_negotiate_on() {
    let policy = Policy::authenticated().role("Doctor");
    let hub = Hub::new("Test").authorize(policy).method("Add", async |a: i32, b: i32| a + b);
    let http = serve(signing_in(hub)).await;
    assert_eq!(http.statuses("/hub").await, [StatusCode::UNAUTHORIZED; 4]);
    assert_eq!(http.with("x-user", "ada/Patient").statuses("/hub").await, [StatusCode::FORBIDDEN; 4]);
    for transport in TRANSPORTS {
        let mut client = http.with("x-user", "ada/Doctor").connect("/hub", transport).await;
        assert_eq!(client.call("Add", "[1,2]").await, 3, "{transport:?}");
    }
}

#[tokio::test]
async fn paths_match_as_the_application_wants() {
    let hub = || Server::new().add_hub(Hub::new("Test").method("Add", async |a: i32, b: i32| a + b));
    let exact = serve(hub().map("/chatHub")).await;
    assert_eq!(exact.negotiates("/chatHub").await, StatusCode::OK);
    assert_eq!(exact.negotiates("/chathub").await, StatusCode::NOT_FOUND);
    let lenient = serve(hubline::ignore_case(hub().map("/chatHub"), ["/chatHub"])).await;
    for transport in TRANSPORTS {
        let mut client = lenient.connect("/CHATHUB", transport).await;
        assert_eq!(client.call("Add", "[1,2]").await, 3, "{transport:?}");
    }
}
