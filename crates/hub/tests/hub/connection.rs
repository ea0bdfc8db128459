//! A connection's life over a pipe in memory, with the clock paused where time matters.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hubline_backplane::memory_backplanes;
use hubline_hub::{Caller, Clients, Disconnected, Groups, Hub, HubContext, HubError, HubOptions, State};
use hubline_pipe::CloseCode;
use tokio::sync::mpsc;
use tokio::time::{advance, sleep};
use tokio_util::task::TaskTracker;

use crate::client::{ACCEPTED, Client, call, result, start, start_with};

fn hub() -> Hub {
    Hub::new("Test")
        .method("Add", async |a: i32, b: i32| a + b)
        .method("Sleep", async |milliseconds: u64| sleep(Duration::from_millis(milliseconds)).await)
        .method("Panic", async || -> () { panic!("on purpose") })
        .method("Fail", async || Err::<(), _>(HubError::new("no")))
        .method("Abort", async |caller: Caller| caller.abort())
        .method("Join", async |groups: Groups, caller: Caller, group: String| {
            groups.add(caller.connection_id(), group).await
        })
        .method("ToGroup", async |clients: Clients, group: String, text: String| {
            clients.group(group).send("Receive", (text,)).await
        })
}

#[tokio::test]
async fn calls_are_answered_and_failures_cost_only_the_call() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client.send(&format!("{}{}{}", call(1, "ADD", "1,2"), call(2, "Panic", ""), call(3, "Fail", ""))).await;
    assert_eq!(client.next().await, result(1, "3"));
    let failed = |id, text| {
        format!(
            r#"{{"type":3,"invocationId":"{id}","error":"An unexpected error occurred invoking {text}"}}␞"#
        )
    };
    assert_eq!(client.next().await, failed(2, "'Panic' on the server."));
    assert_eq!(client.next().await, failed(3, "'Fail' on the server. HubException: no"));
    client.send(&call(4, "Add", "2,2")).await;
    assert_eq!(client.next().await, result(4, "4"));
}

#[tokio::test]
async fn a_message_may_come_in_pieces() {
    let hub = start(hub());
    let mut client = Client::open(&hub, "a");
    let text =
        format!("{{\"protocol\":\"json\",\"version\":1}}␞{}", call(1, "Add", "1,2")).replace('␞', "\u{1e}");
    for byte in text.into_bytes() {
        client.0.send(vec![byte]).await;
    }
    assert_eq!(client.next().await, ACCEPTED);
    assert_eq!(client.next().await, result(1, "3"));
}

#[tokio::test(start_paused = true)]
async fn calls_run_one_after_the_other_and_bad_ones_are_refused_at_once() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client
        .send(
            &[call(1, "Sleep", "500"), call(2, "Nope", ""), call(3, "Sleep", "1"), call(4, "Add", "1,2")]
                .concat(),
        )
        .await;
    assert!(client.next().await.contains("Method does not exist"));
    assert_eq!(client.next().await, result(1, "null"));
    assert_eq!(client.next().await, result(3, "null"));
    assert_eq!(client.next().await, result(4, "3"));
}

#[tokio::test]
async fn ends_are_counted_by_their_reason() {
    let hub = start(hub());
    let mut aborted = Client::connect(&hub, "a").await;
    let mut refused = Client::open(&hub, "b");
    let closed = Client::connect(&hub, "c").await;
    drop(Client::open(&hub, "d"));
    aborted.send(&call(1, "Abort", "")).await;
    aborted.until_closed().await;
    refused.send("hello␞").await;
    refused.until_closed().await;
    closed.send(r#"{"type":7}␞"#).await;
    let counted = async {
        loop {
            let statistics = hub.statistics();
            if statistics.closed.values().sum::<u64>() == 4 {
                return statistics;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut counted = tokio::time::timeout(Duration::from_secs(20), counted).await.unwrap();
    assert_eq!((&*counted.name, counted.connections), ("Test", 0));
    assert!(counted.closed.contains_key("slow_client"), "what has not happened is there");
    counted.closed.retain(|_, count| *count > 0);
    let labels = ["aborted", "client_closed", "handshake_lost", "handshake_refused"];
    assert_eq!(counted.closed, labels.map(|label| (label, 1)).into());
}

#[tokio::test(start_paused = true)]
async fn a_parallel_limit_lets_as_many_run() {
    let mut options = HubOptions::default();
    options.maximum_parallel_invocations_per_client = 2;
    let hub = start_with(hub(), options);
    let mut client = Client::connect(&hub, "a").await;
    client.send(&[call(1, "Sleep", "900"), call(2, "Sleep", "500"), call(3, "Sleep", "100")].concat()).await;
    assert_eq!(client.next().await, result(2, "null"));
    assert_eq!(client.next().await, result(3, "null"));
    assert_eq!(client.next().await, result(1, "null"));
}

#[tokio::test(start_paused = true)]
async fn the_server_pings_on_its_own_schedule() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    let begin = tokio::time::Instant::now();
    for n in 1..=3 {
        assert_eq!(client.next().await, r#"{"type":6}␞"#);
        assert_eq!(begin.elapsed().as_secs(), 15 * n);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pinged_once_must_not_fall_silent() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    let mut silent = Client::connect(&hub, "b").await;
    let begin = tokio::time::Instant::now();
    client.send(r#"{"type":6}␞"#).await;
    while client.next().await == r#"{"type":6}␞"# {}
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert_eq!(client.closed().await, Some(CloseCode::Normal));
    // One that never pinged is left alone.
    advance(Duration::from_secs(60)).await;
    silent.send(&call(1, "Add", "1,2")).await;
    while silent.next().await != result(1, "3") {}
}

#[tokio::test(start_paused = true)]
async fn a_handshake_must_come_in_time_and_be_one() {
    let hub = start(hub());
    let mut late = Client::open(&hub, "a");
    assert_eq!(late.next().await, r#"{"error":"Handshake was canceled."}␞"#);
    assert_eq!(late.closed().await, Some(CloseCode::Normal));
    let mut wrong = Client::open(&hub, "b");
    wrong.send(r#"{"protocol":"morse","version":1}␞"#).await;
    assert_eq!(wrong.next().await, r#"{"error":"The protocol 'morse' is not supported."}␞"#);
    assert_eq!(wrong.closed().await, Some(CloseCode::Normal));
    assert_eq!(hub.connection_count(), 0);
}

#[tokio::test]
async fn garbage_and_oversize_close_the_connection_that_sent_them_alone() {
    let hub = start(hub());
    let mut witness = Client::connect(&hub, "w").await;
    let huge = format!("{}␞", "x".repeat(40_000));
    for (id, bad) in [("a", "not json␞"), ("b", r#"{"type":1}␞"#), ("c", &huge)] {
        let mut client = Client::connect(&hub, id).await;
        client.send(bad).await;
        let close = r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}␞"#;
        assert_eq!(client.next().await, close);
        assert_eq!(client.closed().await, Some(CloseCode::Normal));
    }
    witness.send(&call(1, "Add", "1,2")).await;
    assert_eq!(witness.next().await, result(1, "3"));
}

#[tokio::test]
async fn a_slow_reader_is_closed_and_holds_nobody_up() {
    let mut options = HubOptions::default();
    options.outbound_limit_messages = 10;
    let hub = start_with(hub(), options);
    let mut reader = Client::connect(&hub, "reader").await;
    let mut slow = Client::with_room_for(&hub, "slow", 1);
    slow.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(slow.next().await, ACCEPTED);
    while hub.connection_count() < 2 {
        tokio::task::yield_now().await;
    }
    for n in 0..30 {
        hub.clients().all().send("Receive", (n,)).await.unwrap();
        assert_eq!(reader.next().await, format!(r#"{{"type":1,"target":"Receive","arguments":[{n}]}}␞"#));
    }
    let mut last = String::new();
    while let Some(frame) = slow.0.receive().await {
        last = String::from_utf8(frame.to_vec()).unwrap();
    }
    assert_eq!(
        last,
        "{\"type\":7,\"error\":\"Connection closed with an error.\",\"allowReconnect\":true}\u{1e}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up_after_ten_seconds() {
    let hub = start(hub());
    let mut client = Client::with_room_for(&hub, "a", 1);
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    client.send(&[call(1, "Add", "1,2"), call(2, "Add", "1,2")].concat()).await;
    let begin = tokio::time::Instant::now();
    while hub.connection_count() > 0 {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(begin.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_but_reads_is_kept() {
    let hub = start(hub());
    let mut client = Client::with_room_for(&hub, "a", 1);
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    client.send(&(0..10).map(|id| call(id, "Add", "1,2")).collect::<String>()).await;
    for id in 0..10 {
        sleep(Duration::from_secs(6)).await;
        while client.next().await != result(id, "3") {}
    }
    assert_eq!(hub.connection_count(), 1);
}

#[tokio::test]
async fn groups_end_with_their_connection() {
    let hub = start(hub());
    let mut first = Client::connect(&hub, "a").await;
    let second = Client::connect(&hub, "b").await;
    first.send(&call(1, "Join", r#""g""#)).await;
    assert_eq!(first.next().await, result(1, "null"));
    drop(second);
    first.send(&call(2, "ToGroup", r#""g","hi""#)).await;
    // The message is there before the call that sent it is complete.
    assert_eq!(first.next().await, r#"{"type":1,"target":"Receive","arguments":["hi"]}␞"#);
    assert_eq!(first.next().await, result(2, "null"));
    while hub.connection_count() > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn shutting_down_sends_everybody_away_to_come_back() {
    let hub = start(hub());
    let mut early = Client::connect(&hub, "a").await;
    hub.close_all();
    assert_eq!(early.next().await, r#"{"type":7,"allowReconnect":true}␞"#);
    assert_eq!(early.closed().await, Some(CloseCode::Normal));
    let mut late = Client::connect(&hub, "b").await;
    assert_eq!(late.next().await, r#"{"type":7,"allowReconnect":true}␞"#);
}

#[tokio::test]
async fn an_abort_is_for_good() {
    let hub = start(hub());
    let mut client = Client::connect(&hub, "a").await;
    client.send(r#"{"type":1,"target":"Abort","arguments":[]}␞"#).await;
    assert_eq!(client.next().await, r#"{"type":7}␞"#);
}

#[tokio::test]
async fn all_connections_of_a_user_can_be_closed_and_nobody_elses() {
    let hub = start(hub().user_id(|info| info.id.as_str().split_once(' ').map(|(user, _)| user.into())));
    let mut of_ada = Vec::new();
    for n in 0..40 {
        of_ada.push(Client::connect(&hub, &format!("ada {n}")).await);
    }
    let mut bob = Client::connect(&hub, "bob 1").await;
    let mut nobody = Client::connect(&hub, "ada").await;
    assert_eq!(hub.abort_user(&"ada".into()), 40);
    for mut client in of_ada {
        assert_eq!(client.next().await, r#"{"type":7}␞"#);
        client.closed().await;
    }
    for client in [&mut bob, &mut nobody] {
        client.send(&call(1, "Add", "1,2")).await;
        assert_eq!(client.next().await, result(1, "3"));
    }
    assert_eq!(hub.abort_user(&"carol".into()), 0);
}

/// Two instances of a fleet, each with a member of the group.
#[tokio::test]
async fn what_is_sent_here_stays_here() {
    let [here, there] = memory_backplanes().map(|backplane| {
        HubContext::start(hub(), HubOptions::default(), &backplane, None, TaskTracker::new())
    });
    let (mut near, mut far) = (Client::connect(&here, "a").await, Client::connect(&there, "b").await);
    for client in [&mut near, &mut far] {
        client.send(&call(1, "Join", r#""g""#)).await;
        assert_eq!(client.next().await, result(1, "null"));
    }
    let clients = here.clients();
    assert!(clients.group("g").any_here() && clients.all().any_here());
    assert!(!clients.group_except("g", ["a"]).any_here() && !clients.clients(["b"]).any_here());
    clients.group("g").send_here("Receive", ("near",)).await.unwrap();
    clients.group("g").send("Receive", ("everywhere",)).await.unwrap();
    let received = |text: &str| format!(r#"{{"type":1,"target":"Receive","arguments":["{text}"]}}␞"#);
    assert_eq!(near.next().await, received("near"));
    for client in [&mut near, &mut far] {
        assert_eq!(client.next().await, received("everywhere"));
    }
}

#[tokio::test]
async fn callbacks_frame_a_connection_and_see_the_state() {
    let (log, mut logged) = mpsc::channel::<String>(16);
    let hub = Hub::with_state("Test", log)
        .method("Call", async |State(log): State<mpsc::Sender<String>>, caller: Caller| {
            log.send(format!("call {}", caller.connection_id())).await.unwrap();
        })
        .on_connected(async |State(log): State<mpsc::Sender<String>>, caller: Caller| {
            log.send(format!("connected {}", caller.connection_id())).await.unwrap();
        })
        .on_disconnected(
            async |State(log): State<mpsc::Sender<String>>, caller: Caller, disconnected: Disconnected| {
                let error = disconnected.error().unwrap_or_default();
                log.send(format!("disconnected {} {error}", caller.connection_id())).await.unwrap();
            },
        );
    let hub = start(hub);
    let client = Client::connect(&hub, "a").await;
    client.send(&format!("{}{}", call(1, "Call", ""), r#"{"type":7,"error":"tired"}␞"#)).await;
    assert_eq!(logged.recv().await.unwrap(), "connected a");
    assert_eq!(logged.recv().await.unwrap(), "call a");
    assert_eq!(logged.recv().await.unwrap(), "disconnected a HubException: tired");
}

#[tokio::test]
async fn a_refused_connection_is_told_and_never_disconnected() {
    let disconnections = Arc::new(AtomicUsize::new(0));
    let hub = Hub::with_state("Test", Arc::clone(&disconnections))
        .on_connected(async || Err::<(), _>(HubError::new("not today")))
        .on_disconnected(async |State(count): State<Arc<AtomicUsize>>| {
            count.fetch_add(1, Ordering::SeqCst);
        });
    let hub = start(hub);
    let mut client = Client::connect(&hub, "a").await;
    let close = r#"{"type":7,"error":"Connection closed with an error. HubException: not today"}␞"#;
    assert_eq!(client.next().await, close);
    assert_eq!(client.closed().await, Some(CloseCode::Normal));
    while hub.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(disconnections.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_never_dropped_half_way() {
    let (done, mut finished) = mpsc::channel(1);
    let hub = Hub::with_state("Test", done).method("Work", async |State(done): State<mpsc::Sender<()>>| {
        sleep(Duration::from_secs(5)).await;
        done.send(()).await.unwrap();
    });
    let hub = start(hub);
    let client = Client::connect(&hub, "a").await;
    client.send(&call(1, "Work", "")).await;
    while hub.connection_count() == 0 {
        tokio::task::yield_now().await;
    }
    drop(client);
    finished.recv().await.expect("the call ran to its end");
}
