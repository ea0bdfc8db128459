//! Streams in both directions, and how calls are cancelled.

use std::sync::Arc;

use futures_util::stream::{self, Stream, StreamExt};
use hubline_hub::{Cancellation, Hub, HubError, HubOptions, State, Upload, UploadError};
use tokio::sync::{Notify, mpsc};

use crate::client::{Client, call, cancel, end, failed, item, result, start, start_with, stream, upload};

fn count(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

async fn count_later(to: u32) -> Result<impl Stream<Item = Result<u32, HubError>>, HubError> {
    tokio::task::yield_now().await;
    match to {
        0 => Err(HubError::new("nothing to count")),
        _ => Ok(stream::iter(0..to).map(Ok).chain(stream::iter([Err(HubError::new("that is all"))]))),
    }
}

async fn sum(mut numbers: Upload<i64>) -> Result<i64, UploadError> {
    let mut sum = 0;
    while let Some(number) = numbers.next().await {
        sum += number?;
    }
    Ok(sum)
}

fn hub() -> Hub {
    Hub::new("Test")
        .stream("Count", count)
        .stream("CountLater", count_later)
        .stream("None", || None::<stream::Empty<u32>>)
        .stream("Echo", |words: Upload<String>| words)
        .stream("Forever", || {
            stream::iter(0..).then(async |n: u32| if n == 0 { n } else { std::future::pending().await })
        })
        .stream("Panic", || stream::iter([1]).map(|_| -> u32 { panic!("on purpose") }))
        .method("Sum", sum)
        .method("Two", async |mut numbers: Upload<i64>, mut words: Upload<String>, mark: String| {
            let mut all = Vec::new();
            while let Some(Ok(number)) = numbers.next().await {
                all.push(number.to_string());
            }
            while let Some(Ok(word)) = words.next().await {
                all.push(word);
            }
            all.join(&mark)
        })
        .method("Add", async |a: i32, b: i32| a + b)
        .method("Patient", async |cancellation: Cancellation| {
            cancellation.cancelled().await;
            "cancelled"
        })
}

#[tokio::test]
async fn a_stream_comes_item_by_item_and_ends_without_a_result() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client.send(&stream("s", "count", "100")).await;
    for n in 0..100 {
        assert_eq!(client.next().await, item("s", &n.to_string()));
    }
    assert_eq!(client.next().await, end("s"));
}

#[tokio::test]
async fn a_stream_fails_before_within_or_for_want_of_one() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client.send(&stream("s", "CountLater", "1")).await;
    assert_eq!(client.next().await, item("s", "0"));
    let within = "An error occurred on the server while streaming results. HubException: that is all";
    assert_eq!(client.next().await, failed("s", within));
    client.send(&stream("s", "CountLater", "0")).await;
    let before =
        "An unexpected error occurred invoking 'CountLater' on the server. HubException: nothing to count";
    assert_eq!(client.next().await, failed("s", before));
    client.send(&stream("s", "None", "")).await;
    let none =
        "The value returned by the streaming method 'None' is not a ChannelReader<> or IAsyncEnumerable<>.";
    assert_eq!(client.next().await, failed("s", none));
    client.send(&stream("s", "Panic", "")).await;
    assert_eq!(client.next().await, failed("s", "An error occurred on the server while streaming results."));
}

#[tokio::test]
async fn methods_and_streams_are_not_called_for_each_other() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client.send(&call(1, "COUNT", "1")).await;
    let text = "The client attempted to invoke the streaming 'Count' method with a non-streaming invocation.";
    assert_eq!(client.next().await, failed("1", text));
    client.send(&stream("2", "Add", "1,2")).await;
    let text = "The client attempted to invoke the non-streaming 'Add' method with a streaming invocation.";
    assert_eq!(client.next().await, failed("2", text));
    client.send(&upload(3, "Add", "1,2", "\"u\"")).await;
    let text = "An unexpected error occurred invoking 'Add' on the server. HubException: Client sent 1 stream(s), Hub method expects 0.";
    assert_eq!(client.next().await, failed("3", text));
}

#[tokio::test]
async fn a_cancelled_stream_is_dropped_and_its_id_is_free_again() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client.send(&stream("s", "Forever", "")).await;
    assert_eq!(client.next().await, item("s", "0"));
    client.send(&stream("s", "Count", "1")).await;
    assert_eq!(client.next().await, failed("s", "Invocation ID 's' is already in use."));
    client.send(&cancel("s").repeat(2)).await;
    assert_eq!(client.next().await, end("s"));
    client.send(&stream("s", "Count", "1")).await;
    assert_eq!((client.next().await, client.next().await), (item("s", "0"), end("s")));
}

#[tokio::test]
async fn a_call_that_looks_is_cancelled_and_still_answers() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client.send(&[call(1, "Patient", ""), cancel("2"), cancel("1")].concat()).await;
    assert_eq!(client.next().await, result(1, "\"cancelled\""));
}

#[tokio::test]
async fn what_looks_learns_that_the_client_has_gone_and_other_streams_are_dropped() {
    struct Dropped(mpsc::Sender<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            _ = self.0.try_send("dropped");
        }
    }
    async fn patient(State(told): State<mpsc::Sender<&'static str>>, cancellation: Cancellation) {
        cancellation.cancelled().await;
        _ = told.send("cancelled").await;
    }
    fn endless(State(told): State<mpsc::Sender<&'static str>>) -> impl Stream<Item = u32> {
        let guard = Dropped(told);
        stream::unfold(guard, async |guard| {
            std::future::pending::<()>().await;
            Some((0, guard))
        })
    }
    let (told, mut heard) = mpsc::channel(4);
    let hub = start(Hub::with_state("Test", told).method("Patient", patient).stream("Endless", endless));
    let client = Client::connect(&hub, "a").await;
    client.send(&[call(1, "Patient", ""), stream("s", "Endless", "")].concat()).await;
    drop(client);
    let mut all = [heard.recv().await.unwrap(), heard.recv().await.unwrap()];
    all.sort_unstable();
    assert_eq!(all, ["cancelled", "dropped"]);
}

#[tokio::test]
async fn uploads_reach_their_method_in_order_and_end() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client.send(&item("u", "100")).await;
    client.send(&upload(1, "Sum", "", "\"u\"")).await;
    for n in 0..50 {
        client.send(&item("u", &n.to_string())).await;
    }
    client.send(&end("u")).await;
    assert_eq!(client.next().await, result(1, "1225"));
    client
        .send(
            &[
                upload(2, "Two", "\"-\"", "\"n\",\"w\""),
                item("w", "\"x\""),
                item("n", "7"),
                end("n"),
                end("w"),
            ]
            .concat(),
        )
        .await;
    assert_eq!(client.next().await, result(2, "\"7-x\""));
    client.send(&[stream_with_upload("s", "Echo", "u"), item("u", "\"a\"")].concat()).await;
    assert_eq!(client.next().await, item("s", "\"a\""));
    client.send(&failed("u", "broken")).await;
    let text = "An error occurred on the server while streaming results. HubException: broken";
    assert_eq!(client.next().await, failed("s", text));
}

fn stream_with_upload(id: &str, method: &str, upload: &str) -> String {
    format!(
        r#"{{"type":4,"invocationId":"{id}","target":"{method}","arguments":[],"streamIds":["{upload}"]}}␞"#
    )
}

#[tokio::test]
async fn an_upload_id_in_use_fails_the_call_and_the_running_one_goes_on() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    let in_use = |id: u32, method: &str, stream: &str| {
        let text = format!(
            "An unexpected error occurred invoking '{method}' on the server. HubException: Stream ID '{stream}' is already in use."
        );
        failed(&id.to_string(), &text)
    };
    client
        .send(&[upload(1, "Sum", "", "\"u\""), item("u", "1"), upload(2, "Sum", "", "\"u\"")].concat())
        .await;
    assert_eq!(client.next().await, in_use(2, "Sum", "u"));
    client.send(&upload(3, "Two", "\"-\"", "\"s\",\"u\"")).await;
    assert_eq!(client.next().await, in_use(3, "Two", "u"));
    client.send(&upload(4, "Two", "\"-\"", "\"s\",\"s\"")).await;
    assert_eq!(client.next().await, in_use(4, "Two", "s"));
    // What was refused holds nothing.
    client.send(&[upload(5, "Sum", "", "\"s\""), item("s", "4"), end("s")].concat()).await;
    assert_eq!(client.next().await, result(5, "4"));
    client.send(&[item("u", "10"), end("u")].concat()).await;
    assert_eq!(client.next().await, result(1, "11"));
}

#[tokio::test]
async fn an_id_whose_upload_is_over_is_free_while_its_call_still_runs() {
    async fn late(State(gate): State<Arc<Notify>>, mut numbers: Upload<i64>) -> i64 {
        let first = numbers.next().await;
        gate.notified().await;
        first.unwrap().unwrap()
    }
    let gate = Arc::new(Notify::new());
    let hub = start(Hub::with_state("Test", Arc::clone(&gate)).method("Late", late));
    let mut client = Client::connect(&hub, "a").await;
    client.send(&[upload(1, "Late", "", "\"u\""), item("u", "1"), end("u")].concat()).await;
    client.send(&[upload(2, "Late", "", "\"u\""), call(3, "Nope", "")].concat()).await;
    assert!(client.next().await.contains("Method does not exist"));
    gate.notify_one();
    assert_eq!(client.next().await, result(1, "1"));
    // The end of the first one does not take the second one's upload away.
    client.send(&[item("u", "2"), end("u")].concat()).await;
    gate.notify_one();
    assert_eq!(client.next().await, result(2, "2"));
}

#[tokio::test]
async fn an_item_that_does_not_fit_ends_its_upload_alone() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client.send(&[upload(1, "Sum", "", "\"u\""), item("u", "\"x\""), item("u", "1")].concat()).await;
    let text = "An unexpected error occurred invoking 'Sum' on the server. HubException: Failed to bind Stream message.";
    assert_eq!(client.next().await, failed("1", text));
    client.send(&[item("u", "1"), end("u"), call(2, "Add", "1,2")].concat()).await;
    assert_eq!(client.next().await, result(2, "3"));
}

#[tokio::test]
async fn a_full_upload_stops_the_reading_until_its_method_goes_on() {
    async fn late(State(gate): State<Arc<Notify>>, mut numbers: Upload<i64>) -> i64 {
        gate.notified().await;
        let mut sum = 0;
        while let Some(Ok(number)) = numbers.next().await {
            sum += number;
        }
        sum
    }
    let gate = Arc::new(Notify::new());
    let hub = Hub::with_state("Test", Arc::clone(&gate))
        .method("Late", late)
        .method("Add", async |a: i32, b: i32| a + b);
    let options = {
        let mut options = HubOptions::default();
        options.stream_buffer_capacity = 3;
        options
    };
    let hub = start_with(hub, options);
    let mut client = Client::connect(&hub, "a").await;
    let numbers: String = (1..=3).map(|n| item("u", &n.to_string())).collect();
    client.send(&[upload(1, "Late", "", "\"u\""), numbers, call(2, "Add", "1,2")].concat()).await;
    assert_eq!(client.next().await, result(2, "3"));
    client.send(&[item("u", "4"), call(3, "Add", "2,2"), end("u")].concat()).await;
    gate.notify_one();
    let mut answers = [client.next().await, client.next().await];
    answers.sort();
    assert_eq!(answers, [result(1, "10"), result(3, "4")]);
}

#[tokio::test]
async fn streams_and_uploads_take_no_slot() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client
        .send(
            &[call(1, "Patient", ""), stream("s", "Count", "1"), upload(2, "Sum", "", "\"u\""), end("u")]
                .concat(),
        )
        .await;
    let mut all = [client.next().await, client.next().await, client.next().await];
    all.sort();
    assert_eq!(all, [item("s", "0"), result(2, "0"), end("s")]);
}

#[tokio::test]
async fn a_client_cannot_have_streams_without_number() {
    let hub = start(hub());
    let mut client = Client::with_room_for(&hub, "a", 4096);
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    client.next().await;
    for n in 0..1100 {
        client.send(&stream(&n.to_string(), "Forever", "")).await;
    }
    let mut refused = 0;
    for _ in 0..1100 {
        refused += usize::from(client.next().await.contains("as many as it may have"));
    }
    assert_eq!(refused, 1100 - 1025);
}

#[tokio::test]
async fn a_stream_waits_for_a_client_that_does_not_read() {
    let options = {
        let mut options = HubOptions::default();
        options.outbound_limit_bytes = 10_000;
        options
    };
    let hub = start_with(hub(), options);
    let mut client = Client::with_room_for(&hub, "a", 1);
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    client.next().await;
    client.send(&stream("s", "Count", "5000")).await;
    for n in 0..5000 {
        assert_eq!(client.next().await, item("s", &n.to_string()));
    }
    assert_eq!(client.next().await, end("s"));
}
