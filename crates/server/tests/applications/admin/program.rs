//! The program itself: what is closed, and what several instances of it agree on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubline_testkit::{Launch, PostgresServer, RedisServer, ServerProcess};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{self, frame};

use super::{MAPPINGS, STRONG, WEAK, mapping};

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);
const HUB: &str = "/hubs/navigation-state";
const TRIGGER: &str = "POST /api/admin/trigger-navigation-update";
const JWT_KEY: &str = "users have tokens of their own, and these are none of them";

/// Status and body of an answer.
async fn ask(port: u16, line: &str, key: &str, body: Value) -> (u16, Value) {
    ask_with(port, line, key, "", body).await
}

async fn ask_with(port: u16, line: &str, key: &str, headers: &str, body: Value) -> (u16, Value) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let authorization =
        if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}{headers}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

fn launch(database: &str, settings: &[(&str, &str)]) -> Launch {
    let launch = Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve");
    let launch = launch.env("ConnectionStrings__Database", database);
    settings.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

async fn started(database: &str, settings: &[(&str, &str)]) -> (ServerProcess, u16) {
    let launch = launch(database, settings);
    let port = launch.port();
    (ServerProcess::start(launch).await.unwrap(), port)
}

/// Two instances on one database, known to each other.
async fn two(redis: &RedisServer, database: &str, settings: &[(&str, &str)]) -> [(ServerProcess, u16); 2] {
    let connection_string = redis.connection_string();
    let settings = [settings, &[("Redis__ConnectionString", connection_string.as_str())]].concat();
    [started(database, &settings).await, started(database, &settings).await]
}

fn file_in(directory: &tempfile::TempDir) -> String {
    format!("Data Source={}", directory.path().join("test.db").display())
}

/// Reads on until all that has come has this text in it.
async fn read_until(socket: &mut TcpStream, received: &mut Vec<u8>, text: &str) {
    while !String::from_utf8_lossy(received).contains(text) {
        let read = timeout(PATIENCE, socket.read_buf(received)).await;
        let so_far = String::from_utf8_lossy(received);
        assert_ne!(
            read.unwrap_or_else(|_| panic!("no {text} in {so_far}")).unwrap(),
            0,
            "closed before {text}"
        );
    }
}

async fn call(socket: &mut TcpStream, id: u32, target: &str, arguments: Value) {
    let call = json!({ "type": 1, "invocationId": id.to_string(), "target": target, "arguments": arguments });
    socket.write_all(&frame(&call.to_string())).await.unwrap();
}

#[tokio::test]
async fn in_production_it_is_closed_until_there_is_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let database = file_in(&directory);
    let guarded = ["GET /api/admin/model-mappings", TRIGGER, "GET /openapi/v1.json", "GET /API/Admin/Keys"];
    let (server, port) = started(&database, &[("ASPNETCORE_ENVIRONMENT", "Production")]).await;
    let said = server.line_with("Closed: /api/admin").await.unwrap();
    assert!(said.contains("Admin__ApiKey"), "{said}");
    for line in guarded {
        for key in ["", "your-admin-key"] {
            let (status, problem) = ask(port, line, key, Value::Null).await;
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                status == 403 && detail.contains("is off") && detail.contains("Admin__ApiKey"),
                "{problem}"
            );
        }
    }
    let test_trigger = "POST /api/test/trigger-navigation-update";
    assert_eq!(ask(port, test_trigger, "", Value::Null).await.0, 404);
    drop(server);

    let keys = [("Admin__ApiKey", STRONG), ("Admin__ApiKeys__0", WEAK), ("Admin__ApiKeys__1", "a-third-key")];
    let (server, port) = started(&database, &keys).await;
    let wrong = "no-key-of-anybody";
    for line in guarded {
        for (key, status) in
            [("", 401), (wrong, 401), (&STRONG[1..], 401), (STRONG, 200), (WEAK, 200), ("a-third-key", 200)]
        {
            assert_eq!(ask(port, line, key, Value::Null).await.0, status, "{line} with {key}");
        }
    }
    let (_, document) = ask(port, "GET /openapi/v1.json", STRONG, Value::Null).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{document}");
    let refusal = "A request to the admin API was refused";
    let said = server.line_with(refusal).await.unwrap();
    assert!(said.contains("127.0.0.1") && said.contains("Admin__ApiKey"), "{said}");
    let said = server.lines().join("\n");
    assert!(said.matches(refusal).count() == 1 && !said.contains(wrong) && !said.contains(WEAK), "{said}");

    // A key of the database, whose rotation overlaps, opens it without any that is configured.
    let (_, made) = ask(port, "POST /api/admin/keys", WEAK, json!({"name": "ops", "scope": "full"})).await;
    let (rotate, first) =
        (format!("POST /api/admin/keys/{}/rotate", made["key"]["id"].as_str().unwrap()), &made["secret"]);
    drop(server);
    let (_server, port) = started(&database, &[]).await;
    let status = async |key: &Value| ask(port, guarded[0], key.as_str().unwrap(), Value::Null).await.0;
    let (_, second) = ask(port, &rotate, first.as_str().unwrap(), json!({"overlapSeconds": 600})).await;
    assert_eq!((status(first).await, status(&second["secret"]).await), (200, 200), "both, for a while");
    let (_, third) = ask(port, &rotate, first.as_str().unwrap(), json!({"overlapSeconds": 0})).await;
    assert_eq!(
        (status(first).await, status(&second["secret"]).await, status(&third["secret"]).await),
        (401, 401, 200)
    );
    for key in ["", WEAK, STRONG] {
        assert_eq!(ask(port, "GET /openapi/v1.json", key, Value::Null).await.0, 401, "{key}");
    }
    let (_, audit) = ask(
        port,
        "GET /api/admin/audit?action=navigation.trigger",
        third["secret"].as_str().unwrap(),
        Value::Null,
    )
    .await;
    let actors: Vec<_> =
        audit["items"].as_array().unwrap().iter().rev().map(|entry| &entry["actor"]).collect();
    assert_eq!(
        actors,
        ["admin:Admin:ApiKey", "admin:Admin:ApiKeys:0", "admin:Admin:ApiKeys:1"],
        "and no wrong key"
    );
}

#[tokio::test]
async fn while_the_database_is_away_a_configured_key_alone_gets_in_and_nothing_is_done_unseen() {
    let mut postgres = PostgresServer::start().await.unwrap();
    let database = postgres.database().await.unwrap().connection_string();
    let production = started(&database, &[("Admin__ApiKey", STRONG)]);
    let development = started(&database, &[("ASPNETCORE_ENVIRONMENT", "Development")]);
    let ((_one, production), (_two, development)) = tokio::join!(production, development);
    assert_eq!(ask(production, TRIGGER, STRONG, Value::Null).await.0, 200);
    assert_eq!(
        ask(development, "GET /api/admin/model-mappings", "", Value::Null).await.0,
        200,
        "no key, so open"
    );
    postgres.stop().await.unwrap();
    let stored = format!("hubadm_{}_{}", "0".repeat(16), "0".repeat(64));
    let nothing = "GET /api/admin/nothing";
    let test_trigger = "POST /api/test/trigger-navigation-update";
    let expected = [
        (production, nothing, STRONG, 404, "nothing"),
        (production, nothing, "", 401, "admin key"),
        (production, nothing, "wrong-key", 401, "no admin key"),
        (production, nothing, &*stored, 503, "Admin__ApiKey"),
        (production, TRIGGER, STRONG, 503, "the database"),
        (production, "GET /api/admin/consultations", STRONG, 503, "the database"),
        (development, nothing, "", 503, "Admin__ApiKey"),
        (development, nothing, "any-key", 503, "Admin__ApiKey"),
        (development, test_trigger, "", 503, "the database"),
    ];
    let answers = expected.map(|(port, line, key, ..)| ask(port, line, key, Value::Null));
    let answers = futures_util::future::join_all(answers).await;
    for ((answered, problem), (_, line, key, status, says)) in answers.into_iter().zip(expected) {
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(answered == status && detail.contains(says), "{line} with {key}: {answered} {problem}");
    }
}

#[tokio::test]
async fn a_key_sees_its_models_on_any_instance_until_it_is_revoked_on_another() {
    let (redis, directory) = (RedisServer::start().await.unwrap(), tempfile::tempdir().unwrap());
    let settings =
        [("Admin__ApiKey", STRONG), ("Navigation__RequireVirtualKey", "true"), ("Jwt__Key", JWT_KEY)];
    let [(_one, here), (_two, there)] = two(&redis, &file_in(&directory), &settings).await;
    for name in ["seen", "hidden"] {
        assert_eq!(ask(here, &format!("POST {MAPPINGS}"), STRONG, mapping(name, "p")).await.0, 201);
    }
    let key = json!({"name": "team", "models": ["seen"]});
    let (_, made) = ask(here, "POST /api/admin/virtual-keys", STRONG, key).await;
    let (id, secret) = (made["key"]["id"].as_str().unwrap(), made["secret"].as_str().unwrap());

    let negotiate = format!("POST {HUB}/negotiate?negotiateVersion=1");
    for (key, status) in [("", 401), (STRONG, 401), (secret, 200)] {
        assert_eq!(ask(there, &negotiate, key, Value::Null).await.0, status, "{key}");
    }
    let (_, state) = ask(there, "GET /api/navigation-state", secret, Value::Null).await;
    let models: Vec<_> =
        state["mappings"].as_array().unwrap().iter().map(|seen| &seen["virtualModelName"]).collect();
    assert_eq!(models, ["seen"]);

    let mut sockets = Vec::new();
    for port in [here, there] {
        let mut socket = client::connect(port, &format!("{HUB}?access_token={secret}")).await;
        call(&mut socket, 1, "RequestCurrentState", json!([])).await;
        let mut received = Vec::new();
        read_until(&mut socket, &mut received, r#""invocationId":"1""#).await;
        sockets.push((socket, received));
    }
    let revoke = format!("POST /api/admin/virtual-keys/{id}/revoke");
    assert_eq!(ask(here, &revoke, STRONG, Value::Null).await.0, 200);
    for (mut socket, mut received) in sockets {
        timeout(PATIENCE, socket.read_to_end(&mut received)).await.unwrap().unwrap();
        let received = String::from_utf8_lossy(&received);
        assert!(received.contains("seen") && !received.contains("hidden"), "{received}");
    }
    for port in [here, there] {
        // Which knows for 10 s that the key was right, and nevertheless lets nobody in.
        let (status, _) = ask(port, &negotiate, secret, Value::Null).await;
        assert!(matches!(status, 401 | 403), "{status}");
    }
}

/// A token of a user who sees these models.
fn token(user: &str, models: &[&str]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "sub": user, "exp": now + 600, "model_scope": models });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(JWT_KEY.as_bytes())).unwrap()
}

/// The refresh reaches another instance than the one with the connection.
#[tokio::test]
async fn a_refreshed_token_with_other_models_shows_these_at_once_and_the_former_no_more() {
    let (redis, directory) = (RedisServer::start().await.unwrap(), tempfile::tempdir().unwrap());
    let settings = [("Admin__ApiKey", STRONG), ("Jwt__Key", JWT_KEY)];
    let [(_one, here), (_two, there)] = two(&redis, &file_in(&directory), &settings).await;
    for name in ["former", "kept", "later"] {
        assert_eq!(ask(here, &format!("POST {MAPPINGS}"), STRONG, mapping(name, "p")).await.0, 201);
    }
    let ada = token("ada", &["former", "kept"]);
    let (_, negotiated) =
        ask(here, &format!("POST {HUB}/negotiate?negotiateVersion=1"), &ada, Value::Null).await;
    let connection = negotiated["connectionToken"].as_str().unwrap();
    let mut socket = client::connect(here, &format!("{HUB}?id={connection}&access_token={ada}")).await;
    let mut received = Vec::new();
    for (id, target, arguments) in [
        (1, "RequestCurrentState", json!([])),
        (2, "SubscribeToModel", json!(["former"])),
        (3, "SubscribeToModel", json!(["kept"])),
    ] {
        call(&mut socket, id, target, arguments).await;
        read_until(&mut socket, &mut received, &format!(r#""invocationId":"{id}""#)).await;
    }
    let seen = String::from_utf8_lossy(&received).into_owned();
    assert!(seen.contains("former") && seen.contains("kept") && !seen.contains("later"), "{seen}");

    let refresh = async |token: &str| {
        let header = format!("X-SignalR-Connection-Token: {connection}\r\n");
        ask_with(there, &format!("POST {HUB}/refresh"), token, &header, Value::Null).await.0
    };
    assert!((400..500).contains(&refresh(&token("bob", &["later"])).await), "somebody else");
    assert_eq!(refresh(&token("ada", &["kept", "later"])).await, 200);
    read_until(&mut socket, &mut received, "later").await;
    // What was told before its state, about the mappings' creation, is the former scope's.
    let new = String::from_utf8_lossy(&received).find("later").unwrap();
    let mut received = String::from_utf8_lossy(&received)[new..].as_bytes().to_vec();
    // What happens from now on is told by the new scope: of the one that it has left nothing, though it had subscribed to it.
    for (id, name) in [(1, "former"), (2, "kept"), (3, "later")] {
        let mut changed = mapping(name, "p");
        changed["priority"] = json!(id);
        assert_eq!(ask(there, &format!("PUT {MAPPINGS}/{id}"), STRONG, changed).await.0, 200);
    }
    read_until(&mut socket, &mut received, r#""version":6"#).await;
    read_until(&mut socket, &mut received, r#""priority":3"#).await;
    call(&mut socket, 4, "SubscribeToModel", json!(["former"])).await;
    read_until(&mut socket, &mut received, r#""invocationId":"4","error""#).await;
    let seen = String::from_utf8_lossy(&received).into_owned();
    assert!(!seen.contains("former") && seen.contains(r#""target":"ModelUpdate""#), "{seen}");

    // Without any model in its token it sees all of them.
    received.clear();
    assert_eq!(refresh(&token("ada", &[])).await, 200);
    read_until(&mut socket, &mut received, "NavigationStateChanged").await;
    read_until(&mut socket, &mut received, "former").await;
}
