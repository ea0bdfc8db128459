//! Clients that lose their socket and come back.

use std::sync::Arc;
use std::time::Duration;

use hubline_hub::{Caller, Cancellation, Clients, Groups, Hub, HubContext, HubOptions, SendError};
use hubline_pipe::{ConnectionHandler, ConnectionInfo, ResumeError, Resumer, resumption};
use tokio::sync::Notify;
use tokio::time::{Instant, advance, sleep};

use crate::client::{
    ACCEPTED, Client, accepted, call, cancel, failed, info, result, settled, start, start_with,
};

fn hub() -> Hub {
    Hub::new("Test")
        .method("Add", async |a: i32, b: i32| a + b)
        .method("Join", async |groups: Groups, caller: Caller| groups.add(caller.connection_id(), "g").await)
        .method("Query", async |caller: Caller| caller.info().query.clone())
        .method("Echo", async |text: String| text)
}

async fn connect(hub: &HubContext, version: i32) -> (Client, Resumer) {
    let (mut accepted, mut client) = accepted(info("a"), 64);
    let (resumer, resumable) = resumption();
    accepted.resumable = Some(resumable);
    tokio::spawn(hub.run(accepted));
    client.send(&format!(r#"{{"protocol":"json","version":{version}}}␞"#)).await;
    assert_eq!(client.next().await, ACCEPTED);
    (client, resumer)
}

async fn resume(resumer: &Resumer) -> Client {
    let (accepted, client) = accepted(ConnectionInfo { query: "again".into(), ..info("a") }, 64);
    resumer.request().await.unwrap().finish(accepted);
    client
}

fn sequence(number: u32) -> String {
    format!(r#"{{"type":9,"sequenceId":{number}}}␞"#)
}

fn ack(number: u32) -> String {
    format!(r#"{{"type":8,"sequenceId":{number}}}␞"#)
}

#[tokio::test(start_paused = true)]
async fn what_was_not_acknowledged_comes_again_and_nothing_runs_twice() {
    let hub = start(hub());
    let (mut client, resumer) = connect(&hub, 2).await;
    client.send(&[call(1, "Add", "1,2"), call(2, "Add", "3,4")].concat()).await;
    assert_eq!(client.next().await, result(1, "3"));
    assert_eq!(client.next().await, result(2, "7"));
    client.send(&ack(1)).await;
    client.send("{\"type\":6}␞").await;
    assert_eq!(client.next().await, ack(2));
    drop(client);

    let mut client = resume(&resumer).await;
    assert_eq!(client.next().await, sequence(2));
    assert_eq!(client.next().await, result(2, "7"));
    client.send(&[sequence(2), call(2, "Add", "3,4"), call(3, "Query", "")].concat()).await;
    assert_eq!(client.next().await, result(3, "\"again\""));
    assert_eq!(client.next().await, ack(3));
}

#[tokio::test]
async fn groups_and_running_calls_survive_and_half_a_message_does_not() {
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let hub = start(hub().method("Wait", move || {
        let gate = Arc::clone(&opened);
        async move { gate.notified().await }
    }));
    let (mut client, resumer) = connect(&hub, 2).await;
    client.send(&call(1, "Join", "")).await;
    assert_eq!(client.next().await, result(1, "null"));
    client
        .send(&[ack(1), call(2, "Wait", ""), call(3, "Nope", ""), "{\"type\":1,".to_owned()].concat())
        .await;
    // The answer to the third shows that everything before it has been read.
    let refused = client.next().await;
    drop(client);
    hub.clients().group("g").send("Receive", ("missed",)).await.unwrap();
    gate.notify_one();
    let mut client = resume(&resumer).await;
    assert_eq!((client.next().await, client.next().await), (sequence(2), refused));
    let mut both = [client.next().await, client.next().await];
    both.sort();
    assert_eq!(
        both,
        [r#"{"type":1,"target":"Receive","arguments":["missed"]}␞"#.to_owned(), result(2, "null")]
    );
    client.send(&[sequence(4), call(4, "Add", "1,2")].concat()).await;
    assert_eq!(client.next().await, result(4, "3"));
}

/// As [`hub`], with calls that wait to be cancelled, and a gate.
fn patient_hub(gate: &Arc<Notify>) -> Hub {
    let gate = Arc::clone(gate);
    hub()
        .method("Patient", async |cancellation: Cancellation| {
            cancellation.cancelled().await;
            "cancelled"
        })
        .method("Wait", move || {
            let gate = Arc::clone(&gate);
            async move { gate.notified().await }
        })
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_acts_early_is_counted_once_in_its_turn() {
    let gate = Arc::default();
    let mut options = HubOptions::default();
    options.maximum_parallel_invocations_per_client = 2;
    let hub = start_with(patient_hub(&gate), options);
    let (mut client, resumer) = connect(&hub, 2).await;
    let calls = [call(1, "Wait", ""), call(2, "Patient", ""), call(3, "Wait", ""), call(4, "Wait", "")];
    client.send(&[calls.concat(), cancel("2")].concat()).await;
    assert_eq!(client.next().await, result(2, "\"cancelled\""));
    // The third one has begun, the fourth one waits, and the cancellation behind it is not received yet.
    assert_eq!(client.next().await, ack(4));
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(client.next().await, ack(5));
    drop(client);
    let mut client = resume(&resumer).await;
    assert_eq!(client.next().await, sequence(1));
    assert_eq!(client.next().await, result(2, "\"cancelled\""));
    assert_eq!(client.next().await, result(1, "null"));
    client.send(&[sequence(6), ack(2), call(5, "Nope", "")].concat()).await;
    assert!(client.next().await.contains("Method does not exist"));
    assert_eq!(client.next().await, ack(6));
}

#[tokio::test(start_paused = true)]
async fn what_was_only_looked_at_when_the_socket_was_lost_comes_again() {
    let gate = Arc::default();
    let hub = start(patient_hub(&gate));
    let (mut client, resumer) = connect(&hub, 2).await;
    let calls = [call(1, "Wait", ""), call(2, "Add", "1,2")];
    let unread = [call(3, "Patient", ""), cancel("3"), call(4, "Add", "3,4")].concat();
    client.send(&[calls.concat(), unread.clone()].concat()).await;
    assert_eq!(client.next().await, ack(2));
    drop(client);
    let mut client = resume(&resumer).await;
    assert_eq!(client.next().await, sequence(1));
    client.send(&sequence(3)).await;
    settled(&hub, &mut client).await;
    client.send(&unread).await;
    settled(&hub, &mut client).await;
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(client.next().await, result(2, "3"));
    let cancelled = "An unexpected error occurred invoking 'Patient' on the server.";
    assert_eq!(client.next().await, failed("3", cancelled));
    assert_eq!(client.next().await, result(4, "7"));
    assert_eq!(client.next().await, ack(5));
}

#[tokio::test]
async fn a_client_that_left_messages_out_is_closed() {
    let hub = start(hub());
    let (client, resumer) = connect(&hub, 2).await;
    drop(client);
    let mut client = resume(&resumer).await;
    client.send(&sequence(9)).await;
    assert_eq!(client.next().await, sequence(1));
    assert!(client.next().await.starts_with(r#"{"type":7,"error":"#));
    client.closed().await;
    assert_eq!(resumer.request().await.unwrap_err(), ResumeError::NotResumable);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_away_is_forgotten() {
    let hub = start(hub());
    let (client, resumer) = connect(&hub, 2).await;
    drop(client);
    sleep(Duration::from_secs(14)).await;
    assert_eq!(hub.connection_count(), 1);
    let client = resume(&resumer).await;
    drop(client);
    sleep(Duration::from_secs(16)).await;
    assert_eq!(hub.connection_count(), 0);
    assert_eq!(resumer.request().await.unwrap_err(), ResumeError::NotResumable);
}

#[tokio::test]
async fn a_living_client_that_answers_the_good_bye_ends_the_connection() {
    let hub = start(hub());
    let (mut client, resumer) = connect(&hub, 2).await;
    assert_eq!(resumer.request().await.unwrap_err(), ResumeError::Ended);
    client.closed().await;
}

#[tokio::test]
async fn nobody_resumes_without_the_version_for_it_or_after_a_close() {
    let hub = start(hub());
    let (client, resumer) = connect(&hub, 1).await;
    assert_eq!(resumer.request().await.unwrap_err(), ResumeError::NotResumable);
    drop(client);
    let (mut client, resumer) = connect(&hub, 2).await;
    client.send("{\"type\":7}␞").await;
    assert_eq!(client.next().await, "{\"type\":7}␞");
    client.closed().await;
    assert_eq!(resumer.request().await.unwrap_err(), ResumeError::NotResumable);
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_waits_for_the_client_but_pings_go_on() {
    let mut options = HubOptions::default();
    options.stateful_reconnect_buffer_size = 200;
    let hub = start_with(hub(), options);
    let (mut client, resumer) = connect(&hub, 2).await;
    let long = "x".repeat(300);
    client.send(&[call(1, "Echo", &format!("\"{long}\"")), call(2, "Add", "1,2")].concat()).await;
    assert_eq!(client.next().await, result(1, &format!("\"{long}\"")));
    assert_eq!(client.next().await, ack(2));
    advance(Duration::from_secs(15)).await;
    assert_eq!(client.next().await, "{\"type\":6}␞");
    drop(client);
    let mut client = resume(&resumer).await;
    assert_eq!(client.next().await, sequence(1));
    assert_eq!(client.next().await, result(1, &format!("\"{long}\"")));
    client.send(&ack(1)).await;
    assert_eq!(client.next().await, result(2, "3"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_away_holds_nobody() {
    let hub = start(hub().method("Send", async |clients: Clients| {
        let text = "x".repeat(30_000);
        clients.others().send("Receive", (text,)).await
    }));
    let (away, resumer) = connect(&hub, 2).await;
    let mut client = Client::connect(&hub, "b").await;
    drop(away);
    let begun = Instant::now();
    // More than half of what may wait, but not all.
    for id in 0..30 {
        client.send(&call(id, "Send", "")).await;
        assert_eq!(client.next().await, result(id, "null"));
    }
    assert_eq!((begun.elapsed(), hub.statistics().senders_held), (Duration::ZERO, 0));
    drop(resumer);
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_behind_a_call_that_is_held_count() {
    let hub = start(hub().method("SendMuch", async |clients: Clients| {
        let text = "x".repeat(30_000);
        for _ in 0..20 {
            clients.caller().send("Receive", (&text,)).await?;
        }
        Ok::<_, SendError>(())
    }));
    let (mut client, _resumer) = connect(&hub, 2).await;
    // What waits is more than half of what may, so the call that follows is held until the client has read; the client gets
    // more only once it has acknowledged what it has.
    client.send(&[call(1, "SendMuch", ""), call(2, "Add", "1,2")].concat()).await;
    for received in 1..=20 {
        assert!(client.next().await.starts_with(r#"{"type":1,"target":"Receive""#));
        client.send(&ack(received)).await;
    }
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(client.next().await, result(2, "3"));
}
