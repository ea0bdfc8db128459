//! What clients send that is too much or nonsense.

use std::time::Duration;

use hubline::directory::conformance::until;
use hubline::testing::TestClient;
use serde_json::{Value, json};

use super::{CallServer, assert_told, options, ring, store};

#[tokio::test]
async fn a_user_does_so_much_a_minute_by_all_devices_and_all_methods() {
    let mut options = options();
    options.signals_per_minute_per_user = 60;
    let alone = CallServer::alone(options).await;
    let (ada, bob) = (alone.connect("ada").await, alone.connect("bob").await);
    let tablet = alone.connect("ada").await;
    let id = ring(&ada, &[&bob], "bob", "ada").await;
    for number in 0..40 {
        ada.invoke::<()>("SendICECandidate", (&*id, "bob", number)).await;
    }
    for _ in 0..17 {
        tablet.invoke::<Vec<Value>>("GetActiveCalls", ()).await;
    }
    let refused = async {
        loop {
            if let Err(error) = tablet.try_invoke::<Value>("GetIceServers", ()).await {
                return error;
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
    assert!(
        refused.contains("At most 60 messages of calls a minute (Limits:CallMessagesPerMinutePerUser)"),
        "{refused}"
    );
    bob.invoke::<()>("RejectCall", (&*id, "no")).await;
    assert!(alone.statistics().refused >= 1);
}

#[tokio::test]
async fn nonsense_is_answered_in_words_and_changes_nothing() {
    let server = CallServer::start(None, options(), Some(store().await)).await;
    let (ada, bob) = (server.connect("ada").await, server.connect("bob").await);
    let huge = "x".repeat(9_000);
    for (recipient, told) in [
        ("", "the recipient is the id of a user, and is empty"),
        (&*huge, "the recipient is the id of a user, which has 512 bytes at most"),
        ("bob\0", "the recipient is the id of a user, and has control characters in it"),
    ] {
        assert_told(&ada.invoke_error("InitiateCall", (recipient, "offer")).await, told);
    }
    let id = ring(&ada, &[&bob], "bob", "ada").await;
    for method in [
        "InitiateCall",
        "AcceptCall",
        "RejectCall",
        "EndCall",
        "SendICECandidate",
        "ToggleVideo",
        "RejoinCall",
    ] {
        for value in [Value::Null, json!(7), json!(true), json!([]), json!({}), json!(huge), json!(-1e300)] {
            for count in 0..4 {
                let Err(error) = sent(&bob, method, &value, count).await else {
                    panic!("{method} takes {count} of {value}");
                };
                assert!(error.len() < 400, "{method}: {error}");
            }
        }
    }
    for (request, told) in [
        (json!({ "limit": 0 }), "limit is from 1 to 100"),
        (json!({ "limit": 101 }), "limit is from 1 to 100"),
        (json!({ "limit": -5 }), "limit is from 1 to 100"),
        (json!({ "before": "x' OR 1=1" }), "before is the id of a call"),
        (json!({ "with": huge }), "with is the id of a user, which has 512 bytes at most"),
    ] {
        assert_told(&bob.invoke_error("GetCallHistory", (request,)).await, told);
    }
    until(1, async || bob.invoke::<Vec<Value>>("GetCallHistory", (Value::Null,)).await.len()).await;
    let active: Vec<Value> = bob.invoke("GetActiveCalls", ()).await;
    assert_eq!((&active[0]["callId"], &active[0]["status"]), (&json!(id), &json!("Ringing")));
    for client in [&ada, &bob] {
        client.expect_nothing().await;
    }
}

async fn sent(client: &TestClient, method: &str, value: &Value, count: usize) -> Result<Value, String> {
    match count {
        0 => client.try_invoke(method, ()).await,
        1 => client.try_invoke(method, (value,)).await,
        2 => client.try_invoke(method, (value, value)).await,
        _ => client.try_invoke(method, (value, value, value)).await,
    }
}
