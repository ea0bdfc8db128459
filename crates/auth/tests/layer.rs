//! The layer around an axum router, by what its clients see.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hubline_auth::{
    BearerAuthentication, BearerOptions, ExpiredPrincipal, Principal, TokenRefusals, VerificationKey,
};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tower::ServiceExt;

const SECRET: &[u8] = b"conformance-signing-key-of-32-bytes-or-more";
const FOREIGN: &[u8] = b"another-signing-key-of-32-bytes-or-more!!";

async fn who(principal: Option<Extension<Arc<Principal>>>) -> Response {
    match principal {
        Some(Extension(principal)) => principal.name_identifier.clone().unwrap().to_string().into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn who_was_it(expired: Option<Extension<ExpiredPrincipal>>) -> String {
    expired
        .map(|Extension(ExpiredPrincipal(who))| who.name_identifier.clone().unwrap().to_string())
        .unwrap_or_default()
}

fn options() -> BearerOptions {
    BearerOptions::default().key(VerificationKey::secret(SECRET).unwrap()).clock_skew(Duration::ZERO)
}

fn app(options: BearerOptions) -> Router {
    let challenged = || async { (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Negotiate")]) };
    Router::new()
        .route("/", get(who))
        .route("/expired", get(who_was_it))
        .route("/open", get(|| async { "anybody" }))
        .route("/forbidden", get(|| async { StatusCode::FORBIDDEN }))
        .route("/challenged", get(challenged))
        .layer(BearerAuthentication::new(options).unwrap())
}

/// Status, body and `WWW-Authenticate`.
async fn ask(options: BearerOptions, path: &str, bearer: Option<&str>) -> (u16, String, Option<HeaderValue>) {
    let mut request = Request::get(path);
    if let Some(token) = bearer {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let response = app(options).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let challenge = response.headers().get(WWW_AUTHENTICATE).cloned();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap(), challenge)
}

fn token(user: &str, expires_in: i64, secret: &[u8]) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let claims = json!({ "sub": user, "exp": now + expires_in });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret)).unwrap()
}

async fn challenge(options: BearerOptions, bearer: Option<&str>) -> String {
    let (status, body, challenge) = ask(options, "/", bearer).await;
    assert_eq!((status, body.as_str()), (401, ""));
    challenge.unwrap().to_str().unwrap().to_owned()
}

/// The recorded cases authorization/negotiate-no-token, -bad-token, -foreign-key and -expired.
#[tokio::test]
async fn a_401_says_what_is_wrong_with_the_token() {
    assert_eq!(challenge(options(), None).await, "Bearer");
    assert_eq!(challenge(options(), Some("nonsense")).await, "Bearer error=\"invalid_token\"");
    assert_eq!(
        challenge(options(), Some(&token("x", 600, FOREIGN))).await,
        "Bearer error=\"invalid_token\", error_description=\"The signature key was not found\""
    );
    let expired = challenge(options(), Some(&token("x", -5, SECRET))).await;
    let start = "Bearer error=\"invalid_token\", error_description=\"The token expired at '";
    let date = expired.strip_prefix(start).and_then(|rest| rest.strip_suffix("'\"")).unwrap();
    assert_eq!(date.len(), "11/24/2026 22:56:03".len(), "{date}");

    let mut silent = options();
    silent.include_error_details = false;
    assert_eq!(challenge(silent, Some("nonsense")).await, "Bearer");
}

/// The recorded cases authorization/negotiate-token, -query-token and header-and-query.
#[tokio::test]
async fn a_good_token_of_query_or_header_is_a_principal() {
    let (header, query) = (token("header", 600, SECRET), token("query", 600, SECRET));
    let in_query = format!("/?id=1&access_token={query}");
    let good = |user: &str| (200, user.to_owned(), None);
    assert_eq!(ask(options(), "/", Some(&header)).await, good("header"));
    assert_eq!(ask(options(), &in_query, None).await, good("query"));
    assert_eq!(ask(options(), &in_query, Some(&header)).await, good("query"));
    assert_eq!(ask(options(), "/?access_token=", Some(&header)).await, good("header"));
    assert_eq!(ask(options(), "/?access_token=x", Some(&header)).await.0, 401);
    let mut header_only = options();
    header_only.token_from_query = false;
    assert_eq!(ask(header_only.clone(), &in_query, Some(&header)).await, good("header"));
    assert_eq!(ask(header_only, &in_query, None).await.2.unwrap(), "Bearer");
}

#[tokio::test]
async fn an_expired_token_says_who_had_it_and_lets_nobody_in() {
    let told = |user: &str| (200, user.to_owned(), None);
    assert_eq!(ask(options(), "/expired", Some(&token("ada", -5, SECRET))).await, told("ada"));
    assert_eq!(ask(options(), "/", Some(&token("ada", -5, SECRET))).await.0, 401);
    for other in [token("ada", 600, SECRET), token("ada", -5, FOREIGN)] {
        assert_eq!(ask(options(), "/expired", Some(&other)).await, told(""));
    }
}

/// The recorded case authorization/bad-token-on-open-hub.
#[tokio::test]
async fn only_a_401_without_a_challenge_is_changed() {
    let anybody = (200, "anybody".to_owned(), None);
    assert_eq!(ask(options(), "/open", Some("nonsense")).await, anybody);
    assert_eq!(ask(options(), "/forbidden", Some("nonsense")).await, (403, String::new(), None));
    assert_eq!(ask(options(), "/challenged", None).await.2.unwrap(), "Negotiate");
}

fn counts(refusals: &TokenRefusals) -> Vec<(&'static str, u64)> {
    refusals.counts().filter(|(_, count)| *count > 0).collect()
}

/// What an open service is asked with and without good tokens, by a layer whose counts are returned.
async fn ask_all(
    options: BearerOptions,
    path: &str,
    tokens: &[Option<String>],
) -> (Vec<u16>, Vec<(&'static str, u64)>) {
    let bearer = BearerAuthentication::new(options).unwrap();
    let app =
        Router::new().route("/", get(who)).route("/open", get(|| async { "anybody" })).layer(bearer.clone());
    let mut statuses = Vec::new();
    for token in tokens {
        let request = Request::get(path);
        let request = match token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        statuses.push(response.status().as_u16());
    }
    (statuses, counts(bearer.refusals()))
}

#[tokio::test]
async fn an_invalid_token_is_refused_where_nobody_needs_one_if_that_is_wanted() {
    let tokens = [
        None,
        Some(token("ada", 600, SECRET)),
        Some(token("ada", 600, FOREIGN)),
        Some("nonsense".to_owned()),
        Some(token("ada", -5, SECRET)),
        Some(token("ada", 600, FOREIGN)),
    ];
    let (statuses, counts) = ask_all(options(), "/open", &tokens).await;
    assert_eq!(statuses, [200; 6], "as in ASP.NET Core");
    assert_eq!(counts, [("malformed", 1), ("signature_key_not_found", 2), ("expired", 1)]);

    let strict = || options().refuse_invalid_tokens();
    let (statuses, counts) = ask_all(strict(), "/open", &tokens).await;
    assert_eq!(statuses, [200, 200, 401, 401, 200, 401], "what an expired one is good for says the service");
    assert_eq!(counts, [("malformed", 1), ("signature_key_not_found", 2)]);
    let (statuses, counts) = ask_all(strict(), "/", &tokens).await;
    assert_eq!(statuses, [401, 200, 401, 401, 401, 401]);
    assert_eq!(counts, [("missing", 1), ("malformed", 1), ("signature_key_not_found", 2), ("expired", 1)]);

    let (_, body, why) = ask(strict(), "/open", Some(&token("ada", 600, FOREIGN))).await;
    let description = "Bearer error=\"invalid_token\", error_description=\"The signature key was not found\"";
    assert_eq!((body.as_str(), why.unwrap().to_str().unwrap()), ("", description));
    let mut silent = strict();
    silent.include_error_details = false;
    assert_eq!(ask(silent, "/open", Some("nonsense")).await.2.unwrap(), "Bearer");
}
