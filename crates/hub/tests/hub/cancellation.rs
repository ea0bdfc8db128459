//! Calls that their client cancels, also past calls that wait for their turn.
//!
//! The clock is paused, so what would wait for ever is found by a ping in place of what should come.

use std::sync::Arc;
use std::time::Duration;

use hubline_hub::{Cancellation, Cancelled, Hub, HubError, HubOptions, State, Upload, UploadError};
use hubline_protocol::encode;
use hubline_protocol::handshake::DetailedErrors;
use hubline_protocol::{CompletionResult, Dialect, HubMessage, HubProtocol, Naming, framing};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::client::{
    ACCEPTED, Client, call, cancel, end, failed, item, result, settled, start, start_with, stream, upload,
};

#[derive(Clone)]
struct Stage {
    /// Opens for one call of `Wait`.
    gate: Arc<Notify>,
    /// What has begun to run.
    begun: mpsc::Sender<String>,
}

/// Ends only when it is cancelled.
async fn patient(
    State(stage): State<Stage>,
    cancellation: Cancellation,
    name: String,
) -> Result<(), Cancelled> {
    _ = stage.begun.send(format!("patient {name}")).await;
    cancellation.run_until_cancelled(std::future::pending()).await
}

async fn sum(cancellation: Cancellation, mut numbers: Upload<i64>) -> Result<i64, HubError> {
    let mut sum = 0;
    while let Some(number) = cancellation.run_until_cancelled(numbers.next()).await? {
        sum += number?;
    }
    Ok(sum)
}

fn hub(gate: &Arc<Notify>) -> (Hub<Stage>, mpsc::Receiver<String>) {
    let (begun, has_begun) = mpsc::channel(64);
    let hub = Hub::with_state("Test", Stage { gate: Arc::clone(gate), begun })
        .method("Patient", patient)
        .method("PatientAnyway", async |cancellation: Cancellation| {
            cancellation.cancelled().await;
            "cancelled, but answering"
        })
        .method("PatientThrows", async |cancellation: Cancellation| {
            cancellation.cancelled().await;
            Err::<(), _>(HubError::new("gave up"))
        })
        .method("PatientSum", sum)
        .method("Total", async |mut numbers: Upload<i64>| {
            let mut total = 0;
            while let Some(number) = numbers.next().await {
                total += number?;
            }
            Ok::<_, UploadError>(total)
        })
        .method("Wait", async |State(stage): State<Stage>| stage.gate.notified().await)
        .method("Note", async |State(stage): State<Stage>, name: String| {
            _ = stage.begun.send(format!("note {name}")).await;
        })
        .method("Add", async |a: i32, b: i32| a + b)
        .stream("Forever", futures_util::stream::pending::<u32>);
    (hub, has_begun)
}

async fn next(begun: &mut mpsc::Receiver<String>) -> String {
    timeout(Duration::from_secs(60), begun.recv()).await.expect("something begins").unwrap()
}

fn options(parallel: usize) -> HubOptions {
    let mut options = HubOptions::default();
    options.maximum_parallel_invocations_per_client = parallel;
    options
}

fn cancelled(id: u32, method: &str) -> String {
    failed(&id.to_string(), &format!("An unexpected error occurred invoking '{method}' on the server."))
}

fn in_use(id: u32) -> String {
    failed(&id.to_string(), &format!("Invocation ID '{id}' is already in use."))
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_answers_as_its_method_decides() {
    for (shown, suffix) in [
        (DetailedErrors::Hidden, ""),
        (DetailedErrors::Shown, " TaskCanceledException: A task was canceled."),
    ] {
        let (hub, _begun) = hub(&Arc::default());
        let mut options = options(1);
        options.detailed_errors = shown;
        let hub = start_with(hub, options);
        let mut client = Client::connect(&hub, "a").await;
        client.send(&[call(1, "Patient", "\"a\""), cancel("2"), cancel("1")].concat()).await;
        let text = format!("An unexpected error occurred invoking 'Patient' on the server.{suffix}");
        assert_eq!(client.next().await, failed("1", &text));
        client.send(&[call(2, "PatientAnyway", ""), cancel("2")].concat()).await;
        assert_eq!(client.next().await, result(2, "\"cancelled, but answering\""));
        client.send(&[call(3, "PatientThrows", ""), cancel("3")].concat()).await;
        let text =
            "An unexpected error occurred invoking 'PatientThrows' on the server. HubException: gave up";
        assert_eq!(client.next().await, failed("3", text));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_gives_its_uploads_up() {
    let (hub, _begun) = hub(&Arc::default());
    let hub = start(hub);
    let mut client = Client::connect(&hub, "a").await;
    client.send(&[upload(1, "PatientSum", "", "\"s\""), item("s", "4"), cancel("1")].concat()).await;
    assert_eq!(client.next().await, cancelled(1, "PatientSum"));
    client.send(&[item("s", "5"), upload(2, "PatientSum", "", "\"s\""), item("s", "6")].concat()).await;
    client.send(&end("s")).await;
    assert_eq!(client.next().await, result(2, "6"));
}

#[tokio::test(start_paused = true)]
async fn what_can_be_cancelled_holds_its_id_and_nothing_else_does() {
    let gate = Arc::default();
    let (hub, _begun) = hub(&gate);
    let hub = start_with(hub, options(3));
    let mut client = Client::connect(&hub, "a").await;
    client.send(&[call(1, "Patient", "\"a\""), call(1, "Patient", "\"b\"")].concat()).await;
    assert_eq!(client.next().await, in_use(1));
    client.send(&stream("1", "Forever", "")).await;
    assert_eq!(client.next().await, in_use(1));
    client.send(&call(1, "Add", "1,2")).await;
    assert_eq!(client.next().await, result(1, "3"));
    // None of those took the running one's cancellation with them.
    client.send(&cancel("1")).await;
    assert_eq!(client.next().await, cancelled(1, "Patient"));

    client.send(&[stream("1", "Forever", ""), call(1, "Patient", "\"c\"")].concat()).await;
    assert_eq!(client.next().await, in_use(1));
    client.send(&cancel("1")).await;
    assert_eq!(client.next().await, end("1"));

    client.send(&[call(1, "Wait", ""), call(1, "Patient", "\"d\""), cancel("1")].concat()).await;
    assert_eq!(client.next().await, cancelled(1, "Patient"));
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "null"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_refused_its_id_gives_its_uploads_back() {
    let (hub, _begun) = hub(&Arc::default());
    let hub = start(hub);
    let mut client = Client::connect(&hub, "a").await;
    let both = [upload(1, "PatientSum", "", "\"t\""), upload(1, "PatientSum", "", "\"s\"")].concat();
    client.send(&both).await;
    assert_eq!(client.next().await, in_use(1));
    client.send(&[upload(2, "Total", "", "\"s\""), item("s", "4"), end("s")].concat()).await;
    assert_eq!(client.next().await, result(2, "4"));
    client.send(&[item("t", "1"), end("t")].concat()).await;
    assert_eq!(client.next().await, result(1, "1"));
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_overtakes_calls_that_wait() {
    let (hub, _begun) = hub(&Arc::default());
    let hub = start(hub);
    let mut client = Client::connect(&hub, "a").await;
    let waiting: String = (2..5).map(|id| call(id, "Add", &format!("{id},0"))).collect();
    client.send(&[call(1, "Patient", "\"a\""), waiting.clone(), cancel("1")].concat()).await;
    assert_eq!(client.next().await, cancelled(1, "Patient"));
    for id in 2..5 {
        assert_eq!(client.next().await, result(id, &id.to_string()));
    }
    // Also one that comes later, and in pieces.
    client.send(&[call(1, "Patient", "\"a\""), waiting].concat()).await;
    settled(&hub, &mut client).await;
    for byte in cancel("1").replace('␞', "\u{1e}").into_bytes() {
        client.0.send(vec![byte]).await;
    }
    assert_eq!(client.next().await, cancelled(1, "Patient"));
    for id in 2..5 {
        assert_eq!(client.next().await, result(id, &id.to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_overtakes_calls_in_messagepack_too() {
    let protocol = HubProtocol::MessagePack;
    let call = |id: &str, method: &str, arguments: &[&str]| {
        let dialect = Dialect { protocol, naming: Naming::Serde };
        encode::invocation(dialect, Some(id), method, &arguments).unwrap().payload().to_vec()
    };
    let (hub, _begun) = hub(&Arc::default());
    let hub = start(hub);
    let mut client = Client::open(&hub, "a");
    client.send(r#"{"protocol":"messagepack","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    let calls = [call("1", "Patient", &["a"]), call("2", "Note", &["x"]), call("3", "Note", &["y"])];
    client.0.send(calls.concat()).await;
    client.0.send(vec![5, 0x93, 5, 0x80, 0xa1, b'1']).await;
    for (id, fails) in [("1", true), ("2", false), ("3", false)] {
        let frame = client.0.receive().await.unwrap();
        let framed = framing::split(protocol, &frame, usize::MAX).unwrap().unwrap();
        let Ok(HubMessage::Completion(completion)) = HubMessage::read(protocol, framed.message) else {
            panic!("no completion: {frame:?}");
        };
        assert_eq!(completion.invocation_id, id);
        assert_eq!(matches!(completion.result, CompletionResult::Error(_)), fails, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_while_it_waits_does_not_run_and_is_answered_in_its_turn() {
    let gate = Arc::default();
    let (hub, mut begun) = hub(&gate);
    let hub = start(hub);
    let mut client = Client::connect(&hub, "a").await;
    client
        .send(
            &[
                call(1, "Wait", ""),
                call(2, "Patient", "\"bound\""),
                call(3, "Patient", "\"unread\""),
                call(4, "Note", "\"deaf\""),
                cancel("4"),
                cancel("3"),
                cancel("2"),
                // The same id again is another call.
                call(3, "Patient", "\"again\""),
                call(5, "Add", "1,2"),
            ]
            .concat(),
        )
        .await;
    settled(&hub, &mut client).await;
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(client.next().await, cancelled(2, "Patient"));
    assert_eq!(client.next().await, cancelled(3, "Patient"));
    assert_eq!(client.next().await, result(4, "null"));
    assert_eq!(next(&mut begun).await, "note deaf");
    assert_eq!(next(&mut begun).await, "patient again");
    client.send(&cancel("3")).await;
    assert_eq!(client.next().await, cancelled(3, "Patient"));
    assert_eq!(client.next().await, result(5, "3"));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_behind_a_waiting_call_is_found_in_its_turn() {
    let long = format!("{}␞", "x".repeat(40_000));
    for wrong in ["not json␞", &long] {
        let gate = Arc::default();
        let (hub, _begun) = hub(&gate);
        let hub = start_with(hub, options(2));
        let mut client = Client::connect(&hub, "a").await;
        client
            .send(
                &[
                    call(1, "Wait", ""),
                    call(2, "Patient", "\"a\""),
                    call(3, "Wait", ""),
                    call(4, "Note", "\"b\""),
                    cancel("2"),
                    wrong.to_owned(),
                ]
                .concat(),
            )
            .await;
        assert_eq!(client.next().await, cancelled(2, "Patient"));
        settled(&hub, &mut client).await;
        gate.notify_one();
        assert_eq!(client.next().await, result(1, "null"));
        assert_eq!(client.next().await, result(4, "null"));
        let close = r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}␞"#;
        assert_eq!(client.next().await, close);
    }
}

/// A ping of 1 KiB.
fn ping() -> String {
    let rest = r#"{"type":6,"pad":""}"#.len() + 1;
    format!(r#"{{"type":6,"pad":"{}"}}␞"#, "x".repeat(1024 - rest))
}

#[tokio::test(start_paused = true)]
async fn no_more_than_64_kib_are_read_behind_a_waiting_call() {
    const ROOM: usize = 16;
    let gate = Arc::default();
    let (hub, _begun) = hub(&gate);
    let hub = start_with(hub, options(2));
    let mut client = Client::with_room_for(&hub, "a", ROOM);
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    client.send(&[call(1, "Wait", ""), call(2, "Patient", "\"a\"")].concat()).await;
    client.send(&call(3, "Add", "1,2")).await;
    settled(&hub, &mut client).await;

    let mut sent = 0;
    while sent < 200 && timeout(Duration::from_secs(1), client.send(&ping())).await.is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 64 + ROOM, "what is read and what is on its way");
    settled(&hub, &mut client).await;
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(client.next().await, result(3, "3"));
    client.send(&cancel("2")).await;
    assert_eq!(client.next().await, cancelled(2, "Patient"));
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_behind_more_than_64_kib_has_its_turn() {
    let gate = Arc::default();
    let (hub, _begun) = hub(&gate);
    let hub = start_with(hub, options(2));
    let mut client = Client::connect(&hub, "a").await;
    let before = [call(1, "Wait", ""), call(2, "Patient", "\"a\""), call(3, "Add", "1,2")].concat();
    client.send(&before).await;
    client.send(&ping().repeat(64)).await;
    client.send(&cancel("2")).await;
    settled(&hub, &mut client).await;
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(client.next().await, result(3, "3"));
    assert_eq!(client.next().await, cancelled(2, "Patient"));
}

#[tokio::test(start_paused = true)]
async fn the_clients_end_cancels_what_runs_and_what_waits_still_runs() {
    let (hub, mut begun) = hub(&Arc::default());
    let hub = start(hub);
    let client = Client::connect(&hub, "a").await;
    client
        .send(
            &[
                call(1, "Patient", "\"a\""),
                call(2, "Note", "\"b\""),
                call(3, "Patient", "\"never\""),
                call(4, "Note", "\"c\""),
            ]
            .concat(),
        )
        .await;
    assert_eq!(next(&mut begun).await, "patient a");
    drop(client);
    assert_eq!(next(&mut begun).await, "note b");
    assert_eq!(next(&mut begun).await, "note c");
    while hub.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hub.statistics().closed["transport_lost"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_message_overtakes_nothing() {
    let gate = Arc::default();
    let (hub, mut begun) = hub(&gate);
    let hub = start(hub);
    let mut client = Client::connect(&hub, "a").await;
    client.send(&[call(1, "Wait", ""), call(2, "Note", "\"b\""), "{\"type\":7}␞".to_owned()].concat()).await;
    settled(&hub, &mut client).await;
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(next(&mut begun).await, "note b");
    assert_eq!(client.next().await, result(2, "null"));
    assert_eq!(client.next().await, "{\"type\":7}␞");
}
