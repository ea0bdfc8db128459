//! What is written down of calls, and who reads it.

use std::time::Duration;

use hubline::directory::conformance::until;
use hubline_server::consultations::ConsultationRule;
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditFilter};
use hubline_store::clinic::consultations::{self, Consultation};
use hubline_store::{StoreError, Timestamp};
use serde_json::{Value, json};

use super::{CallServer, assert_told, ended, options, rejected, ring, store, talk};

#[tokio::test]
async fn each_call_is_in_the_history_and_the_audit() {
    let mut options = options();
    options.ring_timeout = Duration::from_millis(300);
    let store = store().await;
    let server = CallServer::start(None, options, Some(store.clone())).await;
    let (ada, bob) = (server.connect("ada").await, server.connect("bob").await);
    let cy = server.connect("cy").await;
    let missed = ring(&ada, &[&bob], "bob", "ada").await;
    rejected(&ada, &missed, "no-answer").await;
    let completed = talk(&ada, &bob).await;
    let busy: String = cy.invoke("InitiateCall", ("bob", "offer")).await;
    rejected(&cy, &busy, "busy").await;
    ada.invoke::<()>("EndCall", (&*completed,)).await;
    ended(&bob, &completed).await;

    let of = async |outcome: &str| {
        let past: Vec<Value> = bob.invoke("GetCallHistory", (json!({}),)).await;
        let call = past.iter().find(|call| call["outcome"] == outcome);
        call.map(|call| call["callId"].clone())
    };
    for (outcome, id) in [("missed", &missed), ("completed", &completed), ("busy", &busy)] {
        until(Some(json!(id)), async || of(outcome).await).await;
    }
    let with_ada: Vec<Value> = bob.invoke("GetCallHistory", (json!({ "with": "ada", "limit": 1 }),)).await;
    assert_eq!((with_ada.len(), &with_ada[0]["callId"]), (1, &json!(completed)));
    let theirs: Vec<Value> = cy.invoke("GetCallHistory", (json!({}),)).await;
    assert_eq!(theirs.len(), 1, "only own calls");

    let read = store.read(|db| Box::pin(async { audit::list(db, &AuditFilter::default(), 100).await }));
    let entries: Result<Vec<_>, StoreError> = read.await;
    let entries = entries.unwrap();
    let count = |action: &str| entries.iter().filter(|entry| entry.action == action).count();
    assert_eq!((count("call.started"), count("call.ended")), (2, 3));
    assert!(count("history.read") >= 3);
    let texts = format!("{entries:?}");
    assert!(!texts.contains("offer") && !texts.contains("answer\""), "{texts}");
}

#[tokio::test]
async fn where_consultations_are_required_only_their_participants_call() {
    let store = store().await;
    let server =
        CallServer::start_with(None, options(), Some(store.clone()), ConsultationRule::Required).await;
    let (ada, bob) = (server.connect("ada").await, server.connect("bob").await);
    let refused = ada.invoke_error("InitiateCall", ("bob", "offer")).await;
    assert_told(&refused, "there is no open consultation with this user");
    let made = store.write(|db| {
        Box::pin(async {
            let both = vec!["ada".to_owned(), "bob".to_owned()];
            let (opens, by) = (Timestamp::now(), Party::admin("test"));
            consultations::create(db, &Consultation::now("1", "room", both, opens, None, &by)).await
        })
    });
    let made: Result<_, StoreError> = made.await;
    made.unwrap();
    ring(&ada, &[&bob], "bob", "ada").await;
    ada.invoke_error("InitiateCall", ("cy", "offer")).await;
}
