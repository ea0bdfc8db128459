//! Requests that were refused are found, by whom and where they came from, with the reason.

use hubline_testkit::RedisServer;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::client::Client;
use super::{ADMIN_KEY, CHAT, JWT_KEY, PATIENCE, ask, fleet_at, negotiated, port, signed, token};

/// The reasons that are found of something, and a row of each.
async fn reasons(console: &mut Client, by: &str, value: &str) -> Vec<(String, Value)> {
    let found = console.find(by, value).await;
    found.into_iter().map(|row| (row["reason"].as_str().unwrap_or("none").to_owned(), row)).collect()
}

/// Negotiates until the answer has this status: what was done has come to the instance.
async fn until_answered(port: u16, user: &str, status: u16) {
    let negotiate = format!("POST {CHAT}/negotiate?negotiateVersion=1");
    let asked = async { while ask(port, &negotiate, &token(user), &Value::Null).await.0 != status {} };
    timeout(PATIENCE, asked).await.unwrap();
}

#[tokio::test]
async fn i_cannot_connect_becomes_a_reason() {
    let redis = RedisServer::start().await.unwrap();
    let servers =
        fleet_at(&redis.connection_string(), &["one", "two"], "--Limits:ConnectionsPerAddress=2").await;
    let [one, two] = [0, 1].map(|server: usize| port(&servers[server]));
    let negotiate = format!("POST {CHAT}/negotiate?negotiateVersion=1");
    let mut console = Client::console(one, ADMIN_KEY).await;
    console.call("Act", json!([{ "kind": "ban", "user": "dan", "seconds": 600 }])).await.unwrap();

    // Of users who are known, each by another fault, at any instance.
    let (id, path) = negotiated(one, "ada", "").await;
    let taken = format!("{path}&access_token={}", token("bob"));
    assert_eq!(Client::open(two, &taken, "").await.err(), Some(403), "another user's");
    let expired = signed("cy", -3_600, JWT_KEY);
    for _ in 0..9 {
        assert_eq!(ask(one, &negotiate, &expired, &Value::Null).await.0, 401);
    }
    until_answered(two, "dan", 403).await;
    let made_up = format!("{CHAT}?id=made-up&access_token={}", token("eve"));
    assert_eq!(Client::open(two, &made_up, "").await.err(), Some(404));
    let here = [Client::chat(two, "fay").await, Client::chat(two, "fay").await];
    let third = format!("{CHAT}?access_token={}", token("gus"));
    assert_eq!(Client::open(two, &third, "").await.err(), Some(429));
    drop(here);
    for (user, reason, hub) in [
        ("bob", "another_user", "ChatHub"),
        ("cy", "expired", "ChatHub"),
        ("dan", "banned", "ChatHub"),
        ("eve", "unknown_connection", "ChatHub"),
        ("gus", "connections_per_address", "ChatHub"),
    ] {
        let found = reasons(&mut console, "user", user).await;
        let [(found, row)] = &found[..] else { panic!("{user}: {found:?}") };
        assert_eq!(
            (&**found, &row["hub"], &row["address"]),
            (reason, &json!(hub), &json!("127.0.0.1")),
            "{row}"
        );
        assert_eq!((&row["user"], row["endedAt"].is_u64()), (&json!(user), true), "{row}");
        let (kinds, timeline) = console.timeline(row["id"].as_str().unwrap()).await;
        assert_eq!(kinds.last().map(|kind| &**kind), Some("refused"), "{timeline}");
    }
    // Many that are alike are one.
    let row = reasons(&mut console, "user", "cy").await.remove(0).1;
    let (kinds, timeline) = console.timeline(row["id"].as_str().unwrap()).await;
    assert_eq!(kinds.len(), 4, "the first, second, fourth and eighth: {timeline}");
    let words = timeline["entries"][3]["words"].as_str().unwrap();
    assert!(
        words.starts_with("refused at /chathub as cy from 127.0.0.1: its token has expired, 8 times in "),
        "{words}"
    );
    // What was tried at somebody's connection is among what happened to that.
    let (kinds, timeline) = console.timeline(&id).await;
    assert_eq!(kinds, ["negotiated", "refused"], "{timeline}");
    assert_eq!(timeline["entries"][1]["instance"]["name"], "two");

    // Of strangers, by their address: a token that is not believed, a page of another site.
    let forged = signed("ada", 600, "another secret of at least 32 bytes, not so secret");
    assert_eq!(ask(one, &negotiate, &forged, &Value::Null).await.0, 401);
    assert_eq!(Client::open(one, CHAT, "Origin: http://evil.example\r\n").await.err(), Some(403));
    assert_eq!(Client::open(one, CHAT, "").await.err(), Some(401), "without a token");
    let of_address = reasons(&mut console, "address", "127.0.0.1").await;
    for reason in ["token_signature_key_not_found", "origin", "unauthenticated"] {
        let found: Vec<_> = of_address.iter().filter(|(found, _)| found == reason).collect();
        assert_eq!((found.len(), &found[0].1["user"]), (1, &Value::Null), "{reason}: {of_address:?}");
    }
    assert_eq!(reasons(&mut console, "user", "ada").await.len(), 0, "whoever forged her token is not ada");

    // An instance that takes nobody more.
    let drain =
        json!([{ "kind": "drain", "instance": console.find("user", "dan").await[0]["instance"]["id"] }]);
    console.call("Act", drain).await.unwrap();
    until_answered(two, "hal", 503).await;
    let found = reasons(&mut console, "user", "hal").await;
    assert!(found.iter().any(|(reason, _)| reason == "draining"), "{found:?}");
}
