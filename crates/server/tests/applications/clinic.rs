//! What a clinic answers for, asked of the program.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubline_store::calls::{self, CallOutcome, CallRecord};
use hubline_store::chat::{self, Conversation, NewMessage};
use hubline_store::{Store, Timestamp};
use hubline_testkit::{Launch, PostgresServer, RedisServer, ServerProcess};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::client;

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);
const JWT_KEY: &str = "a secret of at least 32 bytes, not so secret";
const ADMIN_KEY: &str = "0123456789abcdef0123456789abcdef";
const HANDSHAKE: &str = r#"{"protocol":"json","version":1}"#;
const HUBS: [&str; 2] = ["/chathub", "/hubs/navigation-state"];

fn hubline(args: &[&str]) -> Launch {
    let launch = Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve");
    let launch = launch.arg(format!("--Jwt:Key={JWT_KEY}")).arg(format!("--Admin:ApiKey={ADMIN_KEY}"));
    args.iter().fold(launch, |launch, arg| launch.arg(*arg))
}

async fn started(args: &[&str]) -> (ServerProcess, u16) {
    let launch = hubline(args);
    let port = launch.port();
    (ServerProcess::start(launch).await.unwrap(), port)
}

fn database_in(directory: &TempDir) -> String {
    format!("--ConnectionStrings:Database=Data Source={}", directory.path().join("test.db").display())
}

fn token(user: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "sub": user, "exp": now + 600 });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(JWT_KEY.as_bytes())).unwrap()
}

/// Status, head and body of an answer.
async fn ask(port: u16, line: &str, key: &str, headers: &str, body: &str) -> (u16, String, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (length, kind) = (body.len(), "Content-Type: application/json\r\n");
    let kind = if body.is_empty() { "" } else { kind };
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n{kind}Content-Length: {length}\r\n{headers}\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
}

/// Asks the admin API.
async fn admin(port: u16, line: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, head, body) = ask(port, line, ADMIN_KEY, "", &body).await;
    let is_problem = head.contains("content-type: application/problem+json");
    assert_eq!(is_problem, status >= 400, "{line}: {head}\n{body}");
    (status, serde_json::from_str(&body).unwrap_or_default())
}

async fn negotiate(port: u16, hub: &str, user: &str) -> (u16, Value) {
    let line = format!("POST {hub}/negotiate?negotiateVersion=1");
    let (status, _, body) = ask(port, &line, &token(user), "", "").await;
    (status, serde_json::from_str(&body).unwrap_or_else(|_| body.into()))
}

async fn connection_token(port: u16, hub: &str, user: &str) -> String {
    let (status, body) = negotiate(port, hub, user).await;
    assert_eq!(status, 200, "{body}");
    body["connectionToken"].as_str().unwrap().to_owned()
}

/// A WebSocket, hands shaken.
async fn connect(port: u16, hub: &str, user: &str) -> TcpStream {
    let mut socket = upgraded(port, hub, user).await;
    send(&mut socket, HANDSHAKE).await;
    until(&mut socket, b"{}\x1e").await;
    socket
}

/// A WebSocket that has not said hello.
async fn upgraded(port: u16, hub: &str, user: &str) -> TcpStream {
    client::upgraded(port, &format!("{hub}?access_token={}", token(user)), "").await.unwrap()
}

/// Sends a message.
async fn send(socket: &mut TcpStream, message: &str) {
    socket.write_all(&client::frame(message)).await.unwrap();
}

/// Reads until something has come.
async fn until(socket: &mut TcpStream, text: &[u8]) -> Vec<u8> {
    let mut received = Vec::new();
    let read = async {
        while !received.windows(text.len()).any(|window| window == text) {
            received.push(socket.read_u8().await.unwrap());
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    received
}

/// Waits until the server closes a connection for good, and goes.
async fn closed(mut socket: TcpStream) {
    until(&mut socket, b"{\"type\":7}\x1e").await;
}

/// Asks until the answer is as it should be.
async fn eventually<T: PartialEq + std::fmt::Debug>(expected: T, ask: impl AsyncFn() -> T) {
    let asked = async {
        while ask().await != expected {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(PATIENCE, asked).await.is_err() {
        assert_eq!(ask().await, expected);
    }
}

async fn actions(port: u16, query: &str) -> Vec<(String, String)> {
    let (status, page) = admin(port, &format!("GET /api/admin/audit?{query}"), Value::Null).await;
    assert_eq!(status, 200, "{page}");
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let entries = page["items"].as_array().unwrap().iter();
    entries.map(|entry| (text(entry, "action"), text(entry, "subject"))).collect()
}

#[tokio::test]
async fn a_user_whom_nobody_could_write_down_is_refused() {
    let directory = TempDir::new().unwrap();
    let (program, port) = started(&[&*database_in(&directory)]).await;
    for hub in HUBS {
        assert_eq!(negotiate(port, hub, &"ä".repeat(256)).await.0, 200);
        for (user, why) in [("x".repeat(513), "513 bytes"), ("ada\0".to_owned(), "control characters")] {
            let (status, body) = negotiate(port, hub, &user).await;
            assert_eq!(status, 403);
            assert!(body.as_str().unwrap().contains(why), "{body}");
        }
    }
    program.line_with("has to name users otherwise").await.unwrap();
}

#[tokio::test]
async fn a_user_is_closed_and_kept_out_on_every_instance() {
    let redis = RedisServer::start().await.unwrap();
    let mut postgres = PostgresServer::start().await.unwrap();
    let database = format!("--ConnectionStrings:Database={}", postgres.database().await.unwrap().url());
    let redis_at = redis.connection_string();
    let args = [&*database, "--redis", &*redis_at];
    let ((one, here), (two, there)) = tokio::join!(started(&args), started(&args));
    let mut of_ada = Vec::new();
    for port in [here, there] {
        for hub in HUBS {
            of_ada.push(connect(port, hub, "ada").await);
        }
    }
    let mut bob = connect(there, HUBS[0], "bob").await;
    let earlier = connection_token(there, HUBS[0], "ada").await;
    let mut half_open = upgraded(there, HUBS[0], "ada").await;

    let close = json!({ "outForSeconds": 3600, "reason": "the phone is stolen" });
    let (status, answer) = admin(here, "POST /api/admin/users/ada/close", close.clone()).await;
    assert_eq!(
        (status, &answer["instancesTold"], &answer["closedHere"]),
        (200, &2.into(), &2.into()),
        "{answer}"
    );
    for socket in of_ada {
        closed(socket).await;
    }
    two.line_with("The connections of a user were closed").await.unwrap();
    send(&mut half_open, HANDSHAKE).await;
    closed(half_open).await;
    for port in [here, there] {
        for hub in HUBS {
            let (status, body) = negotiate(port, hub, "ada").await;
            assert!(status == 403 && body.to_string().contains("kept out until 20"), "{status} {body}");
        }
        let with_earlier = format!("GET /chathub?id={earlier}");
        assert_eq!(ask(port, &with_earlier, &token("ada"), "", "").await.0, 403, "an older connection token");
        let refresh = format!("X-SignalR-Connection-Token: {earlier}\r\n");
        assert_eq!(ask(port, "POST /chathub/refresh", &token("ada"), &refresh, "").await.0, 403);
        assert_eq!(negotiate(port, HUBS[0], "bob").await.0, 200, "nobody else");
    }
    send(&mut bob, r#"{"type":1,"invocationId":"7","target":"NoSuchMethod","arguments":[]}"#).await;
    until(&mut bob, b"\"invocationId\":\"7\"").await;

    // Who starts later knows it; so does everybody while the database is away, and who cannot write down an act does nothing.
    let (_three, later) = started(&args).await;
    assert_eq!(negotiate(later, HUBS[0], "ada").await.0, 403);
    postgres.stop().await.unwrap();
    for port in [here, there, later] {
        assert_eq!(negotiate(port, HUBS[0], "ada").await.0, 403);
    }
    let refused = tokio::join!(
        admin(here, "POST /api/admin/users/bob/close", close),
        admin(here, "DELETE /api/admin/bans/ada", Value::Null),
        admin(here, "GET /api/admin/audit", Value::Null),
    );
    assert_eq!([refused.0.0, refused.1.0, refused.2.0], [503; 3]);
    let _bob_again = connect(there, HUBS[0], "bob").await;
    postgres.start_again().await.unwrap();

    let lifted = async || admin(there, "DELETE /api/admin/bans/ada", Value::Null).await.0;
    eventually(204, lifted).await;
    for port in [here, there, later] {
        eventually(200, async || negotiate(port, HUBS[0], "ada").await.0).await;
    }
    eventually(200, async || admin(here, "GET /api/admin/bans", Value::Null).await.0).await;
    let about_ada = async || {
        let mut found = Vec::new();
        // One by one: asking leaves entries about ada too, which would fill the page.
        for action in ["user.close", "user.let-in", "user.sign-in"] {
            found.extend(actions(here, &format!("user=ada&action={action}")).await);
        }
        found.sort();
        found
    };
    let of = |action: &str, subject: &str| (action.to_owned(), subject.to_owned());
    let (chat, navigation) =
        (of("user.sign-in", "hub:/chathub"), of("user.sign-in", "hub:/hubs/navigation-state"));
    let expected = [
        of("user.close", "user:ada"),
        of("user.let-in", "user:ada"),
        chat.clone(),
        chat,
        navigation.clone(),
        navigation,
    ];
    eventually(expected.to_vec(), about_ada).await;
    let sign_ins_of_bob = async || actions(here, "user=bob&action=user.sign-in").await.len();
    eventually(2, sign_ins_of_bob).await;
    for said in [one.lines().join("\n"), two.lines().join("\n")] {
        assert_eq!(said.matches("A request of a user who is kept out").count(), 1, "{said}");
        assert!(!said.contains("the phone is stolen") && !said.contains(&token("ada")[..40]), "{said}");
    }
}

#[tokio::test]
async fn consultations_are_made_listed_and_closed() {
    let (_server, port) = started(&["--ConnectionStrings:Database=:memory:"]).await;
    let new = json!({
        "id": "2026/7 ä", "participants": ["bob", "ada", "ada"],
        "opens": "2020-01-02T03:04:05Z", "closes": "2099-01-01T01:00:00+01:00",
    });
    let (status, made) = admin(port, "POST /api/admin/consultations", new.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["participants"], json!(["ada", "bob"]));
    assert_eq!((&made["room"], &made["isOpen"]), (&json!("2026/7 ä"), &json!(true)));
    assert_eq!(
        (&made["opens"], &made["closes"]),
        (&json!("2020-01-02T03:04:05Z"), &json!("2099-01-01T00:00:00Z"))
    );
    assert_eq!(made["createdBy"], "admin:Admin:ApiKey");
    let other = json!({ "participants": ["ada", "eve"], "room": "ward" });
    let (status, second) = admin(port, "POST /api/admin/consultations", other).await;
    assert_eq!(status, 201, "{second}");

    for (field, change) in [
        ("participants", json!({ "participants": ["ada", "ada"] })),
        ("participants", json!({ "participants": ["ada", ""] })),
        ("closes", json!({ "closes": "2020-01-02T03:04:05Z" })),
        ("opens", json!({ "opens": "tomorrow" })),
        ("id", json!({ "id": "a\nb" })),
        ("room", json!({ "room": "" })),
        ("rooms", json!({ "rooms": "r" })),
    ] {
        let mut wrong = new.clone();
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, problem) = admin(port, "POST /api/admin/consultations", wrong).await;
        let expected = if field == "closes" { 422 } else { 400 };
        assert!(status == expected && problem["errors"][field].is_array(), "{change}: {status} {problem}");
    }
    assert_eq!(admin(port, "POST /api/admin/consultations", new).await.0, 409);
    let same_room = json!({ "participants": ["ada", "eve"], "room": "ward" });
    assert_eq!(admin(port, "POST /api/admin/consultations", same_room).await.0, 409);

    let ids = async |query: &str| {
        let (status, page) = admin(port, &format!("GET /api/admin/consultations?{query}"), Value::Null).await;
        assert_eq!(status, 200, "{page}");
        let ids: Vec<Value> =
            page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
        (ids, page["next"].as_str().map(|next| next.replace(' ', "%20").replace('ä', "%C3%A4")))
    };
    let (first, second) = (made["id"].clone(), second["id"].clone());
    assert_eq!(ids("").await, (vec![second.clone(), first.clone()], None));
    let (page, next) = ids("limit=1").await;
    assert_eq!(page, std::slice::from_ref(&second));
    assert_eq!(ids(&format!("limit=1&after={}", next.unwrap())).await.0, std::slice::from_ref(&first));
    assert_eq!(ids("participant=bob&open=true").await.0, std::slice::from_ref(&first));
    let path = "/api/admin/consultations/2026%2F7%20%C3%A4";
    assert_eq!(admin(port, &format!("GET {path}"), Value::Null).await, (200, made));
    let (status, closed) = admin(port, &format!("POST {path}/close"), Value::Null).await;
    assert_eq!((status, &closed["isOpen"]), (200, &json!(false)));
    assert_eq!(ids("open=true").await.0, [second]);
    assert_eq!(admin(port, "GET /api/admin/consultations/unknown%00", Value::Null).await.0, 404);
    let written = actions(port, &format!("subject=consultation:{}", &path[25..])).await;
    assert_eq!(
        written.iter().map(|(action, _)| &**action).collect::<Vec<_>>(),
        ["consultation.close", "consultation.read", "consultation.create"]
    );
}

#[tokio::test]
async fn a_user_is_exported_and_erased() {
    let directory = tempfile::tempdir().unwrap();
    let database = database_in(&directory);
    let (server, port) = started(&[&database]).await;
    let store = format!("Data Source={}", directory.path().join("test.db").display());
    let store = Store::open(store.parse().unwrap()).await.unwrap();
    let message = NewMessage {
        conversation: Conversation::between("ada", "bob"),
        from: "ada".to_owned(),
        text: "a secret".to_owned(),
        client_message_id: None,
        at: Timestamp::now(),
    };
    chat::append(&store, message).await.unwrap();
    let call = CallRecord {
        id: "c1".to_owned(),
        caller: "bob".to_owned(),
        recipient: "ada".to_owned(),
        started: Timestamp(10),
        accepted: None,
        ended: Some(Timestamp(20)),
        outcome: CallOutcome::Declined,
        reason: Some("a reason of hers".to_owned()),
    };
    store.write(|db| Box::pin(async move { calls::record(db, &call).await })).await.unwrap();
    let ada = connect(port, HUBS[0], "ada").await;
    admin(port, "POST /api/admin/consultations", json!({ "participants": ["ada", "bob"] })).await;
    let close = json!({ "outForSeconds": 3600, "reason": "a reason" });
    assert_eq!(admin(port, "POST /api/admin/users/ada/close", close).await.0, 200);
    closed(ada).await;

    let export = async |user: &str| {
        let line = format!("GET /api/admin/users/{user}/export");
        let (status, _, body) = ask(port, &line, ADMIN_KEY, "", "").await;
        assert_eq!(status, 200, "{body}");
        // Chunks of the body have their sizes between.
        let lines = body.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let kinds = |lines: &[Value]| {
        let mut kinds: Vec<String> =
            lines.iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect();
        kinds.dedup();
        kinds
    };
    let has_signed_in = async || actions(port, "user=ada&action=user.sign-in").await.len();
    eventually(1, has_signed_in).await;
    let of_ada = export("ada").await;
    assert_eq!(kinds(&of_ada), ["conversation", "message", "call", "consultation", "ban", "audit", "end"]);
    let message = of_ada.iter().find(|line| line["kind"] == "message").unwrap();
    assert_eq!(
        (&message["from"], &message["to"], &message["text"]),
        (&json!("ada"), &json!("bob"), &json!("a secret"))
    );
    let sign_in = of_ada.iter().find(|line| line["action"] == "user.sign-in").unwrap();
    assert_eq!(sign_in["details"], "127.0.0.1");

    let (status, erasure) = admin(port, "POST /api/admin/users/ada/erase", Value::Null).await;
    assert_eq!(status, 202, "{erasure}");
    let pseudonym = erasure["pseudonym"].as_str().unwrap();
    let left = async || {
        admin(port, "GET /api/admin/erasures", Value::Null).await.1["items"].as_array().unwrap().len()
    };
    eventually(0, left).await;
    let of_ada = export("ada").await;
    assert_eq!(kinds(&of_ada), ["ban", "audit", "end"]);
    assert_eq!(of_ada[0]["reason"], "");
    assert!(of_ada.iter().filter(|line| line["kind"] == "audit").all(|line| line["action"] == "user.export"));
    let erased = export(pseudonym).await;
    let message = erased.iter().find(|line| line["kind"] == "message").unwrap();
    assert_eq!(
        (&message["id"], &message["from"], &message["text"]),
        (&json!(1), &json!(pseudonym), &json!(""))
    );
    let call = erased.iter().find(|line| line["kind"] == "call").unwrap();
    assert_eq!((&call["recipient"], &call["reason"]), (&json!(pseudonym), &Value::Null));
    let sign_in = erased.iter().find(|line| line["action"] == "user.sign-in").unwrap();
    assert_eq!(sign_in["details"], Value::Null);
    server.line_with("A user was erased").await.unwrap();
    let said = server.lines().join("\n");
    assert!(!said.contains("a secret") && !said.contains("a reason"), "{said}");
}

#[tokio::test]
async fn what_is_too_old_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let database = database_in(&directory);
    let (mut server, port) = started(&[&database]).await;
    let consultation = json!({ "participants": ["ada", "bob"], "opens": "2020-01-01T00:00:00Z", "closes": "2020-01-02T00:00:00Z" });
    assert_eq!(admin(port, "POST /api/admin/consultations", consultation).await.0, 201);
    assert_eq!(
        admin(port, "POST /api/admin/consultations", json!({ "participants": ["ada", "bob"] })).await.0,
        201
    );
    server.terminate().unwrap();
    server.exit_status(PATIENCE).await.unwrap();
    let (server, port) = started(&[&database, "--Retention:Consultations=365.00:00:00"]).await;
    let said = server.line_with("What was older than it is to be kept was deleted").await.unwrap();
    assert!(said.contains("rows=1") && said.contains("Retention:Consultations"), "{said}");
    let (_, page) = admin(port, "GET /api/admin/consultations", Value::Null).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn machines_with_a_database_each_keep_to_the_bans_of_the_others() {
    let redis = RedisServer::start().await.unwrap();
    let redis_at = redis.connection_string();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (of_first, of_second) = (database_in(&first), database_in(&second));
    let (args, other) = ([&*of_second, "--redis", &*redis_at], [&*of_first, "--redis", &*redis_at]);
    let ((_one, here), (mut two, there)) = tokio::join!(started(&other), started(&args));
    let ada = connect(there, HUBS[0], "ada").await;
    let close = json!({ "outForSeconds": 3600, "reason": "the phone is stolen" });
    let (status, answer) = admin(here, "POST /api/admin/users/ada/close", close).await;
    assert_eq!((status, &answer["instancesTold"]), (200, &2.into()), "{answer}");
    closed(ada).await;
    let reason = async || {
        let (_, ban) = admin(there, "GET /api/admin/bans/ada", Value::Null).await;
        ban["reason"].as_str().map(str::to_owned)
    };
    eventually(Some("announced by another machine".to_owned()), reason).await;
    let (_, ban) = admin(here, "GET /api/admin/bans/ada", Value::Null).await;
    assert_eq!(ban["reason"], "the phone is stolen", "its own announcement changes nothing");

    // It holds although the program that heard it is gone.
    two.kill().await.unwrap();
    let (_two, there) = started(&args).await;
    assert_eq!(negotiate(there, HUBS[0], "ada").await.0, 403);
    // Any machine can let the user in, on all of them.
    assert_eq!(admin(there, "DELETE /api/admin/bans/ada", Value::Null).await.0, 204);
    eventually(404, async || admin(here, "GET /api/admin/bans/ada", Value::Null).await.0).await;
    for port in [here, there] {
        assert_eq!(negotiate(port, HUBS[0], "ada").await.0, 200);
    }
}
