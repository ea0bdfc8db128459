//! Keys from a URL: fetched when needed, kept when it fails, exchanged when they change.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hubline_auth::{BearerAuthentication, BearerOptions, BearerOptionsError, RemoteKeys, RemoteKeysError};
use hubline_auth::{Principal, TokenError, Verifier};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::sync::watch;

const RSA: &str = include_str!("keys/rsa.pem");
const OTHER_RSA: &str = include_str!("keys/other-rsa.pem");
const HOUR: Duration = Duration::from_secs(3600);

/// What the issuer answers at `/keys`.
#[derive(Clone)]
enum Answer {
    Keys(Value),
    Fails,
    Moved,
    TooLong,
    Never,
}

/// An issuer on this machine.
#[derive(Clone)]
struct Issuer {
    url: String,
    answer: Arc<Mutex<Answer>>,
    /// The `If-None-Match` of every request to `/keys`.
    asked: watch::Sender<Vec<Option<String>>>,
}

impl Issuer {
    async fn start(keys: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(Answer::Keys(keys)));
        let issuer = Self { url, answer, asked: watch::Sender::new(Vec::new()) };
        let app = Router::new()
            .route("/keys", get(serve_keys))
            .route("/moved", get(|| async { set(&[("b", OTHER_RSA)]).to_string() }))
            .route("/.well-known/openid-configuration", get(metadata))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        issuer
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn requests(&self) -> usize {
        self.asked.borrow().len()
    }

    async fn was_asked(&self, times: usize) {
        self.asked.subscribe().wait_for(|asked| asked.len() >= times).await.unwrap();
    }

    fn keys(&self) -> RemoteKeys {
        let mut keys = RemoteKeys::at(&format!("{}/keys", self.url)).unwrap();
        keys.refetch_interval = Duration::ZERO;
        keys
    }
}

async fn serve_keys(State(issuer): State<Issuer>, headers: HeaderMap) -> Response {
    let known = headers.get(IF_NONE_MATCH).map(|tag| tag.to_str().unwrap().to_owned());
    issuer.asked.send_modify(|asked| asked.push(known.clone()));
    let answer = issuer.answer.lock().unwrap().clone();
    match answer {
        Answer::Keys(keys) => {
            let tag = tag_of(&keys);
            let headers = [(ETAG, tag.clone()), (CACHE_CONTROL, "max-age=600".to_owned())];
            match known == Some(tag) {
                true => (StatusCode::NOT_MODIFIED, headers).into_response(),
                false => (headers, keys.to_string()).into_response(),
            }
        }
        Answer::Fails => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Answer::Moved => (StatusCode::FOUND, [(LOCATION, "/moved")]).into_response(),
        Answer::TooLong => " ".repeat(1024 * 1024).into_response(),
        Answer::Never => std::future::pending().await,
    }
}

fn tag_of(keys: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    keys.to_string().hash(&mut hasher);
    format!("\"{:x}\"", hasher.finish())
}

async fn metadata(State(issuer): State<Issuer>) -> String {
    json!({ "issuer": issuer.url, "jwks_uri": format!("{}/keys", issuer.url) }).to_string()
}

fn signer(pem: &str) -> EncodingKey {
    EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
}

fn set(keys: &[(&str, &str)]) -> Value {
    let keys = keys.iter().map(|(id, pem)| {
        let mut jwk = Jwk::from_encoding_key(&signer(pem), Algorithm::RS256).unwrap();
        jwk.common.key_id = Some((*id).to_owned());
        serde_json::to_value(jwk).unwrap()
    });
    json!({ "keys": keys.collect::<Vec<_>>() })
}

fn token_of(issuer: &str, id: &str, pem: &str) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(id.to_owned());
    encode(&header, &json!({ "sub": "ada", "exp": 4_102_444_800_u64, "iss": issuer }), &signer(pem)).unwrap()
}

fn token(id: &str, pem: &str) -> String {
    token_of("somebody", id, pem)
}

fn verifier(keys: RemoteKeys) -> Verifier {
    Verifier::new(BearerOptions::default().remote_keys(keys)).unwrap()
}

fn user(verified: Result<Principal, TokenError>) -> Result<String, TokenError> {
    verified.map(|principal| principal.name_identifier.unwrap().to_string())
}

async fn verify(verifier: &Verifier, token: &str) -> Result<String, TokenError> {
    user(verifier.verify_with_newest_keys(token).await)
}

const NOT_FOUND: Result<String, TokenError> = Err(TokenError::SignatureKeyNotFound);

fn ada() -> Result<String, TokenError> {
    Ok("ada".to_owned())
}

#[tokio::test]
async fn keys_are_exchanged_when_a_token_names_a_new_one() {
    let issuer = Issuer::start(set(&[("a", RSA)])).await;
    let verifier = verifier(issuer.keys());
    let (old, new) = (token("a", RSA), token("b", OTHER_RSA));
    assert_eq!(verify(&verifier, &old).await, ada(), "waits for the first keys");
    assert_eq!(verify(&verifier, &old).await, ada());
    assert_eq!(issuer.requests(), 1, "what is known is not asked for");

    issuer.answers(Answer::Keys(set(&[("a", RSA), ("b", OTHER_RSA)])));
    assert_eq!(verify(&verifier, &new).await, ada());
    assert_eq!(verify(&verifier, &old).await, ada());

    issuer.answers(Answer::Keys(set(&[("b", OTHER_RSA)])));
    assert_eq!(verify(&verifier, &token("c", RSA)).await, NOT_FOUND);
    assert_eq!(verify(&verifier, &old).await, NOT_FOUND, "withdrawn");
    assert_eq!(verify(&verifier, &new).await, ada());
}

#[tokio::test]
async fn many_unknown_keys_are_asked_for_once() {
    let issuer = Issuer::start(set(&[("a", RSA)])).await;
    let mut keys = issuer.keys();
    keys.refetch_interval = HOUR;
    let verifier = Arc::new(verifier(keys));
    let attempts: Vec<_> = (0..20)
        .map(|number| {
            let verifier = Arc::clone(&verifier);
            tokio::spawn(async move { verify(&verifier, &token(&number.to_string(), OTHER_RSA)).await })
        })
        .collect();
    for attempt in attempts {
        assert_eq!(attempt.await.unwrap(), NOT_FOUND);
    }
    assert_eq!(verify(&verifier, &token("x", RSA)).await, NOT_FOUND);
    assert_eq!(issuer.requests(), 1);
    assert_eq!(verify(&verifier, &token("a", RSA)).await, ada());
}

#[tokio::test]
async fn keys_outlive_the_url_they_came_from() {
    let issuer = Issuer::start(set(&[("a", RSA)])).await;
    let verifier = verifier(issuer.keys());
    let (known, unknown) = (token("a", RSA), token("b", OTHER_RSA));
    assert_eq!(verify(&verifier, &known).await, ada());
    for answer in [Answer::Fails, Answer::Moved, Answer::TooLong, Answer::Keys(json!({ "keys": [] }))] {
        let before = issuer.requests();
        issuer.answers(answer);
        assert_eq!(verify(&verifier, &unknown).await, NOT_FOUND);
        assert!(issuer.requests() > before);
        assert_eq!(verify(&verifier, &known).await, ada());
    }
    issuer.answers(Answer::Keys(set(&[("b", OTHER_RSA)])));
    assert_eq!(verify(&verifier, &unknown).await, ada());
}

#[tokio::test]
async fn an_issuer_that_never_answers_holds_nobody_up_for_ever() {
    let issuer = Issuer::start(Value::Null).await;
    issuer.answers(Answer::Never);
    let mut keys = issuer.keys();
    keys.timeout = Duration::from_millis(50);
    assert_eq!(verify(&verifier(keys), &token("a", RSA)).await, NOT_FOUND);
}

#[tokio::test]
async fn keys_that_have_not_changed_are_not_sent_again() {
    let keys = set(&[("a", RSA)]);
    let issuer = Issuer::start(keys.clone()).await;
    let verifier = verifier(issuer.keys());
    assert_eq!(verify(&verifier, &token("a", RSA)).await, ada());
    assert_eq!(verify(&verifier, &token("b", OTHER_RSA)).await, NOT_FOUND);
    assert_eq!(*issuer.asked.borrow(), [None, Some(tag_of(&keys))]);
    assert_eq!(verify(&verifier, &token("a", RSA)).await, ada());
}

#[tokio::test]
async fn keys_are_fetched_again_when_they_are_no_longer_fresh() {
    let issuer = Issuer::start(set(&[("a", RSA)])).await;
    let verifier = verifier(issuer.keys());
    assert_eq!(verify(&verifier, &token("a", RSA)).await, ada());
    // The answer said max-age=600.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(599)).await;
    assert_eq!(issuer.requests(), 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    issuer.was_asked(2).await;
}

#[tokio::test]
async fn a_provider_names_its_keys_and_itself() {
    let issuer = Issuer::start(set(&[("a", RSA)])).await;
    let verifier = verifier(RemoteKeys::of_authority(&issuer.url).unwrap());
    assert_eq!(verify(&verifier, &token_of(&issuer.url, "a", RSA)).await, ada());
    let refused = verify(&verifier, &token_of("http://else", "a", RSA)).await;
    assert_eq!(refused, Err(TokenError::IssuerInvalid("http://else".into())));
}

#[tokio::test]
async fn a_published_secret_is_no_secret() {
    let secret = json!({ "keys": [{ "kty": "oct", "kid": "s", "k": "YSBzZWNyZXQgb2YgYXQgbGVhc3QgMzIgYnl0ZXMsIG5vdCBzbyBzZWNyZXQ" }] });
    let issuer = Issuer::start(secret).await;
    let verifier = verifier(issuer.keys());
    let key = EncodingKey::from_secret(b"a secret of at least 32 bytes, not so secret");
    let token = encode(&Header::default(), &json!({ "sub": "eve", "exp": 4_102_444_800_u64 }), &key).unwrap();
    assert_eq!(verify(&verifier, &token).await, NOT_FOUND);
    assert_eq!(issuer.requests(), 1);
}

/// A private key that is published is anybody's, and one that costs too much to verify with is left out.
#[tokio::test]
async fn of_a_published_set_only_what_is_safe_is_used() {
    let mut keys = set(&[("a", RSA), ("private", OTHER_RSA)]);
    keys["keys"][1]["d"] = "AQAB".into();
    let huge = "_".repeat(800);
    keys["keys"].as_array_mut().unwrap().push(json!({ "kty": "RSA", "kid": "huge", "n": huge, "e": "AQAB" }));
    let issuer = Issuer::start(keys).await;
    let verifier = verifier(issuer.keys());
    assert_eq!(verify(&verifier, &token("private", OTHER_RSA)).await, NOT_FOUND);
    assert_eq!(verify(&verifier, &token("huge", RSA)).await, NOT_FOUND);
    assert_eq!(verify(&verifier, &token("a", RSA)).await, ada());
}

#[test]
fn what_cannot_be_fetched_is_refused_at_once() {
    let build = |url: &str| {
        let options = BearerOptions::default().remote_keys(RemoteKeys::at(url).unwrap());
        match BearerAuthentication::new(options) {
            Err(BearerOptionsError::RemoteKeys(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(build("http://keys.example/"), RemoteKeysError::Insecure);
    assert_eq!(build("https://keys.example/"), RemoteKeysError::NoRuntime);
}
