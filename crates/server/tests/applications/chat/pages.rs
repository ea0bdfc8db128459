//! Pages of long messages.

use hubline_server::chat::ChatConfig;
use hubline_server::consultations::ConsultationRule;
use serde_json::{Value, json};

use super::{Instance, config, store};

/// As many characters of two bytes as a call may have; 34 such messages fit on a page.
const LONGEST: usize = 15_000;
const MESSAGES: usize = 80;
const MIB: usize = 1024 * 1024;

fn ids(page: &[Value]) -> Vec<i64> {
    let bytes: usize = page.iter().map(|message| message["text"].as_str().unwrap().len()).sum();
    assert!(bytes <= MIB, "{bytes}");
    page.iter().map(|message| message["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn pages_of_the_longest_messages_are_bounded_and_lead_through_everything() {
    let store = store().await;
    let config = ChatConfig { maximum_message_length: LONGEST, ..config() };
    let here = Instance::alone_with(&store, config, ConsultationRule::NotRequired);
    let (ada, bob) = (here.user("ada").await, here.user("bob").await);
    let text = "ä".repeat(LONGEST);
    for _ in 0..MESSAGES {
        ada.invoke::<Value>("SendMessage", ("bob", &text)).await;
    }
    let (mut before, mut read) = (Value::Null, Vec::new());
    loop {
        let request = json!({ "with": "ada", "before": before, "limit": 200 });
        let page: Vec<Value> = bob.invoke("GetHistory", (request,)).await;
        let Some(last) = page.last() else { break };
        before = last["id"].clone();
        read.push(ids(&page));
    }
    assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [34, 34, 12]);
    assert_eq!(read.concat(), (1..=MESSAGES as i64).rev().collect::<Vec<_>>());

    let (mut after, mut missed) = (Value::Null, Vec::new());
    loop {
        let page: Value = bob.invoke("GetSince", (json!({ "after": after, "limit": 200 }),)).await;
        missed.extend(ids(page["messages"].as_array().unwrap()));
        after = page["next"].clone();
        if page["hasMore"] == json!(false) {
            break;
        }
    }
    assert_eq!(missed, (1..=MESSAGES as i64).collect::<Vec<_>>());
}
