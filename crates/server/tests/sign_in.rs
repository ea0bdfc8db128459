//! Who has to sign in to the program, and what tokens are worth.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod exposition;
mod request;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use exposition::Page;
use hubline_testkit::{Launch, RedisServer, ServerProcess};
use jsonwebtoken::{EncodingKey, Header, encode};
use request::ask;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);
const KEY: &str = "a secret of at least 32 bytes, not so secret";
const FOREIGN: &str = "another secret of at least 32 bytes, of somebody else";
const PATHS: [&str; 2] = ["/chathub", "/hubs/navigation-state"];
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const EVENTS: &str = "Accept: text/event-stream\r\n";

fn hubline(args: &[&str]) -> Launch {
    args.iter().fold(Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve"), |launch, arg| launch.arg(*arg))
}

async fn started(args: &[&str]) -> (ServerProcess, u16) {
    let launch = hubline(args);
    let port = launch.port();
    (ServerProcess::start(launch).await.unwrap(), port)
}

fn token(user: &str, expires_in: i64, key: &str) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let claims = json!({ "sub": user, "exp": now + expires_in });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Status and `WWW-Authenticate`.
async fn answer(port: u16, line: &str, headers: &str) -> (u16, String) {
    let (head, _) = ask(port, line, headers).await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let name = "www-authenticate: ";
    let challenge = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
    (status, challenge.map(|line| line[name.len()..].to_owned()).unwrap_or_default())
}

async fn status(port: u16, line: &str, headers: &str) -> u16 {
    answer(port, line, headers).await.0
}

/// The token of a new connection.
async fn negotiated(port: u16, path: &str, headers: &str) -> String {
    let (head, body) = ask(port, &format!("POST {path}/negotiate?negotiateVersion=1"), headers).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["connectionToken"].as_str().unwrap().to_owned()
}

async fn page(port: u16) -> Page {
    Page::parse(&ask(port, "GET /metrics", "").await.1)
}

#[tokio::test]
async fn without_keys_anybody_may_chat_and_production_says_so_once() {
    let (server, port) = started(&[]).await;
    let said = server.line_with("anybody may use /chathub").await.unwrap();
    assert!(
        said.contains("WARN") && said.contains("Jwt:Key") && said.contains("Authentication:AllowAnonymous"),
        "{said}"
    );
    for path in PATHS {
        negotiated(port, path, "").await;
        negotiated(port, path, &bearer("of another program")).await;
    }
    assert!(page(port).await.names().all(|name| !name.contains("tokens_refused")));
    for args in [&["--dev"][..], &["--Authentication:AllowAnonymous=true"]] {
        let (server, port) = started(args).await;
        negotiated(port, "/chathub", "").await;
        assert!(!server.lines().join("\n").contains("anybody may use /chathub"), "{args:?}");
    }
}

#[tokio::test]
async fn with_keys_the_chat_wants_a_token_for_everything() {
    let (server, port) = started(&[&format!("--Jwt:Key={KEY}")]).await;
    let said = server.line_with("Closed: /chathub").await.unwrap();
    assert!(said.contains("Authentication:AllowAnonymous=true"), "{said}");
    for line in [
        "POST /chathub/negotiate?negotiateVersion=1",
        "POST /chathub/negotiate",
        "POST /ChatHub/Negotiate",
        "POST /chathub/refresh",
        "GET /chathub",
        "GET /chathub?id=x",
        "POST /chathub?id=x",
        "DELETE /chathub?id=x",
        "PUT /chathub",
    ] {
        assert_eq!(answer(port, line, "").await, (401, "Bearer".to_owned()), "{line}");
    }
    for headers in [UPGRADE, EVENTS] {
        assert_eq!(status(port, "GET /chathub", headers).await, 401, "{headers}");
    }
    let said = server.line_with("A request without a bearer token was answered 401").await.unwrap();
    assert!(said.contains("INFO") && said.contains("accessTokenFactory"), "{said}");

    negotiated(port, "/hubs/navigation-state", "").await;
    assert_eq!(status(port, "GET /health", "").await, 200);
    let ada = token("ada", 600, KEY);
    let id = negotiated(port, "/chathub", &bearer(&ada)).await;
    assert_eq!(status(port, &format!("GET /chathub?id={id}"), "").await, 401);
    assert_eq!(status(port, &format!("GET /chathub?id={id}&access_token={ada}"), "").await, 200);
    let lines = server.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("without a bearer token")).count(), 1, "{lines:#?}");
    assert_eq!(page(port).await.value("hubline_tokens_refused_total{reason=\"missing\"}"), 12.0);

    let open = [&*format!("--Jwt:Key={KEY}"), "--Authentication:AllowAnonymous=true"];
    let (_server, port) = started(&open).await;
    let id = negotiated(port, "/chathub", "").await;
    assert_eq!(status(port, &format!("GET /chathub?id={id}"), "").await, 200);
}

#[tokio::test]
async fn a_token_that_is_not_believed_is_never_nobodys() {
    let key = format!("--Jwt:Key={KEY}");
    let kinds = [
        ("nonsense".to_owned(), "malformed", ""),
        (token("ada", 600, FOREIGN), "signature_key_not_found", "The signature key was not found"),
        (token("ada", -3600, KEY), "expired", "The token expired at"),
    ];
    for args in [&[&*key][..], &[&*key, "--Authentication:AllowAnonymous=true"]] {
        let (server, port) = started(args).await;
        for (token, kind, description) in &kinds {
            for path in PATHS {
                let line = format!("POST {path}/negotiate?negotiateVersion=1");
                let (status, challenge) = answer(port, &line, &bearer(token)).await;
                assert_eq!(status, 401, "{kind} at {path}");
                assert!(
                    challenge.starts_with("Bearer error=\"invalid_token\"")
                        && challenge.contains(description),
                    "{challenge}"
                );
                let socket = format!("GET {path}?access_token={token}");
                assert_eq!(answer(port, &socket, UPGRADE).await.0, 401, "{kind} at {path}");
            }
            let said = server.line_with(&format!("kind=\"{kind}\"")).await.unwrap();
            assert!(said.contains("INFO") && said.contains("cure="), "{said}");
            let count = page(port).await.value(&format!("hubline_tokens_refused_total{{reason=\"{kind}\"}}"));
            assert_eq!(count, 4.0, "{kind}");
        }
        let lines = server.lines().join("\n");
        assert_eq!(lines.matches("kind=\"malformed\"").count(), 1, "{lines}");
        assert!(
            !kinds.iter().any(|(token, ..)| token.contains('.') && lines.contains(token.as_str())),
            "{lines}"
        );
    }
    let quiet = "--Authentication:Schemes:Bearer:IncludeErrorDetails=false";
    let (_server, port) = started(&[&key, quiet]).await;
    let (status, challenge) = answer(port, "POST /chathub/negotiate", &bearer("nonsense")).await;
    assert_eq!((status, &*challenge), (401, "Bearer"));
}

/// Of two instances, so that every request may land elsewhere.
#[tokio::test]
async fn an_expired_token_goes_on_with_its_connection_and_opens_nothing() {
    let redis = RedisServer::start().await.unwrap();
    let key = format!("--Jwt:Key={KEY}");
    let connection_string = redis.connection_string();
    let args = [&*key, "--Jwt:ClockSkew=0", "--redis", &*connection_string];
    let (_one, here) = started(&args).await;
    let (_two, elsewhere) = started(&args).await;
    for path in PATHS {
        let ada = bearer(&token("ada", 3, KEY));
        let fresh = bearer(&token("ada", 600, KEY));
        let id = negotiated(here, path, &ada).await;
        let waiting = negotiated(here, path, &ada).await;
        let uri = format!("{path}?id={id}");
        assert_eq!(status(here, &format!("GET {uri}"), &ada).await, 200);

        // The token is good until a negotiation is refused.
        let negotiate = format!("POST {path}/negotiate?negotiateVersion=1");
        let expired = async {
            while status(here, &negotiate, &ada).await != 401 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, expired).await.unwrap();
        for port in [here, elsewhere] {
            let (refused, challenge) = answer(port, &negotiate, &ada).await;
            assert!(refused == 401 && challenge.contains("The token expired at"), "{refused} {challenge}");
            assert_eq!(
                status(port, &format!("GET {path}?id={waiting}"), &ada).await,
                401,
                "a first transport"
            );
            let refresh = format!("{ada}X-SignalR-Connection-Token: {id}\r\n");
            assert_eq!(status(port, &format!("POST {path}/refresh"), &refresh).await, 401);
            let bob = bearer(&token("bob", -1, KEY));
            assert_eq!(status(port, &format!("POST {uri}"), &bob).await, 401, "of somebody else");
            assert_eq!(status(port, &format!("POST {uri}"), &ada).await, 200, "of its own user");
        }
        let handshake = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
        let posted = format!("{ada}Content-Type: text/plain\r\n");
        assert_eq!(request::post(elsewhere, &uri, &posted, handshake).await, 200);
        let (head, body) = ask(elsewhere, &format!("GET {uri}"), &ada).await;
        assert!(head.starts_with("HTTP/1.1 200") && body == "{}\u{1e}", "{head}\n{body}");
        assert_eq!(
            status(here, &format!("GET {path}?id={waiting}"), &fresh).await,
            200,
            "nothing has changed"
        );
        assert_eq!(status(elsewhere, &format!("DELETE {uri}"), &ada).await, 202);
    }
}

/// Status and body of a POST to `/dev/token`.
async fn development_token(port: u16, headers: &str, body: &str) -> (u16, Value) {
    let headers = format!("Content-Type: application/json\r\n{headers}");
    let (status, body) = request::post_and_read(port, "/dev/token", &headers, body).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

#[tokio::test]
async fn tokens_for_development_are_good_on_all_instances_and_beside_configured_keys() {
    let mut redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let key = format!("--Jwt:Key={KEY}");
    let with_key = ["--dev", "--redis", &at, &key];
    let ((_first, first), (_second, second)) = tokio::join!(started(&with_key[..3]), started(&with_key));
    let (status, issued) = timeout(PATIENCE, async {
        loop {
            match development_token(first, "", r#"{"user":"ada","roles":["Doctor"]}"#).await {
                (503, _) => sleep(Duration::from_millis(20)).await,
                answer => break answer,
            }
        }
    })
    .await
    .unwrap();
    assert_eq!((status, &issued["expiresIn"]), (200, &json!(43200)), "{issued}");
    let token = issued["token"].as_str().unwrap().to_owned();
    for port in [first, second] {
        negotiated(port, "/chathub", &bearer(&token)).await;
        let in_query = format!("POST /chathub/negotiate?negotiateVersion=1&access_token={token}");
        assert_eq!(self::status(port, &in_query, "").await, 200);
    }
    // Anonymous users are let in, or not, as if there were no tokens for development.
    let negotiate = "POST /chathub/negotiate?negotiateVersion=1";
    assert_eq!(self::status(first, negotiate, "").await, 200);
    assert_eq!(self::status(second, negotiate, "").await, 401);
    // A token of the issuer that is configured is still one, and one that was changed is none.
    negotiated(second, "/chathub", &bearer(&self::token("bob", 60, KEY))).await;
    let (begin, end) = token.split_at(token.len() - 4);
    let changed = format!("{begin}{}{}", if end.starts_with('A') { 'B' } else { 'A' }, &end[1..]);
    for port in [first, second] {
        let (status, challenge) = answer(port, negotiate, &bearer(&changed)).await;
        assert_eq!(status, 401);
        assert!(challenge.contains("invalid_token"), "{challenge}");
    }
    // Redis comes back empty: who is signed in stays so, with whoever comes after that too.
    redis.stop().await.unwrap();
    redis.start_again().await.unwrap();
    redis.command_until(&["EXISTS", "hubline:development-keys"], |answer| answer == "1").await.unwrap();
    let (_third, third) = started(&["--dev", "--redis", &at]).await;
    negotiated(third, "/chathub", &bearer(&token)).await;
    let seconds: u64 = redis.command(&["TTL", "hubline:development-keys"]).await.unwrap().parse().unwrap();
    assert!(seconds > 80_000, "{seconds}");
}

#[tokio::test]
async fn tokens_for_development_are_issued_in_development_alone_and_to_no_page_of_another_site() {
    for environment in ["Production", "Staging"] {
        let (_server, port) = started(&["--environment", environment]).await;
        assert_eq!(development_token(port, "", r#"{"user":"ada"}"#).await.0, 404, "{environment}");
    }
    let (_server, port) = started(&["--dev"]).await;
    let ada = r#"{"user":"ada"}"#;
    assert_eq!(development_token(port, "", ada).await.0, 200);
    assert_eq!(development_token(port, "Origin: http://localhost:3000\r\n", ada).await.0, 200);
    assert_eq!(development_token(port, "Origin: https://evil.example.org\r\n", ada).await.0, 403);
    let (status, why) = development_token(port, "", r#"{"roles":[]}"#).await;
    assert!(status == 400 && why.as_str().unwrap().contains("missing field `user`"), "{why}");
    assert_eq!(request::post(port, "/dev/token", "Content-Type: text/plain\r\n", ada).await, 415);
    let huge = format!(r#"{{"user":"ada","name":"{}"}}"#, "a".repeat(10_000));
    assert_eq!(development_token(port, "", &huge).await.0, 413);
}
