//! Clients that send more than others read.

use std::time::Duration;

use hubline_hub::{
    Caller, Cancellation, Clients, Groups, Hub, HubContext, HubOptions, SendError, Upload, UploadError,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::client::{ACCEPTED, Client, call, cancel, end, item, result, start_with, stream, upload};

const LETTER: &str = "xxxxxxxxxx";

fn hub() -> Hub {
    Hub::new("Test")
        .on_connected(async |groups: Groups, caller: Caller| groups.add(caller.connection_id(), "room").await)
        .method("Send", async |clients: Clients, text: String| {
            clients.others_in_group("room").send("Receive", (text,)).await
        })
        // As many messages of 30 KB in one call.
        .method("Burst", async |clients: Clients, messages: usize| {
            let text = LETTER.repeat(3000);
            for _ in 0..messages {
                clients.others_in_group("room").send("Receive", (&text,)).await?;
            }
            Ok::<_, SendError>(())
        })
        .method("SendAside", async |clients: Clients, context: HubContext, text: String| {
            drop(clients);
            context.clients().group("room").send("Receive", (text,)).await
        })
        .method("Add", async |a: i32, b: i32| a + b)
        .method("Sum", async |mut numbers: Upload<i32>| {
            let mut sum = 0;
            while let Some(number) = numbers.next().await {
                sum += number?;
            }
            Ok::<_, UploadError>(sum)
        })
        .method("Ask", async |clients: Clients| clients.caller().invoke::<String>("Ask", ()).await)
        .stream("Count", async |cancellation: Cancellation| {
            futures_util::stream::once(async move {
                cancellation.cancelled().await;
                "cancelled"
            })
        })
}

fn options() -> HubOptions {
    HubOptions::default()
}

/// A send of 30 KB that nobody waits for.
fn letter() -> String {
    format!(r#"{{"type":1,"target":"Send","arguments":["{}"]}}␞"#, LETTER.repeat(3000))
}

/// A client whose next frame waits in the server while it has not read the last one.
async fn connect(hub: &HubContext, id: &str) -> Client {
    let mut client = Client::with_room_for(hub, id, 1);
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    client
}

async fn everybody_is_there(hub: &HubContext, connections: usize) {
    while hub.connection_count() < connections {
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(1)).await;
}

const AT_ONCE: u32 = u32::MAX;

/// Reads so many bytes a second; how many letters came until the last one or the end.
fn reader(mut client: Client, bytes_per_second: u32, letters: usize) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let mut got = 0;
        while got < letters
            && let Some(frame) = client.0.receive().await
        {
            got += usize::from(frame.len() > 30_000);
            if bytes_per_second < AT_ONCE {
                sleep(Duration::from_secs(frame.len() as u64) / bytes_per_second).await;
            }
        }
        got
    })
}

async fn last(client: &mut Client, expected: &str) {
    while client.next().await != expected {}
}

const PING: &str = "{\"type\":6}␞";

/// A room of readers of 1 MB/s and one who sends letters to them as fast as it may; how many each got.
async fn flood(options: HubOptions, readers: usize, letters: usize) -> (Vec<usize>, HubContext) {
    let hub = start_with(hub(), options);
    let mut reading = Vec::new();
    for id in 0..readers {
        reading.push(reader(connect(&hub, &id.to_string()).await, 1_000_000, letters));
    }
    let mut flooder = connect(&hub, "flooder").await;
    everybody_is_there(&hub, readers + 1).await;
    for _ in 0..letters {
        flooder.send(&letter()).await;
    }
    flooder.send(&call(1, "Add", "1,2")).await;
    last(&mut flooder, &result(1, "3")).await;
    let mut got = Vec::new();
    for reader in reading {
        got.push(reader.await.unwrap());
    }
    (got, hub)
}

#[tokio::test(start_paused = true)]
async fn who_floods_a_room_is_held_back_and_nobody_is_cut_off() {
    let (letters, hub) = flood(options(), 20, 400).await;
    assert_eq!(letters, [400; 20]);
    let statistics = hub.statistics();
    assert_eq!(statistics.closed["slow_client"], 0);
    assert!(statistics.senders_held > 100, "{statistics:?}");
    assert_eq!(statistics.sender_holds_timed_out, 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_hold_the_readers_pay() {
    let mut options = options();
    options.sender_hold_timeout = Duration::ZERO;
    let (letters, hub) = flood(options, 20, 100).await;
    assert!(letters.iter().all(|letters| *letters < 100), "{letters:?}");
    assert_eq!((hub.statistics().closed["slow_client"], hub.statistics().senders_held), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn readers_of_different_paces_are_all_waited_for() {
    let hub = start_with(hub(), options());
    let paces = [150_000, 400_000, 1_000_000, AT_ONCE];
    let mut reading = Vec::new();
    for pace in paces {
        reading.push(reader(connect(&hub, &pace.to_string()).await, pace, 60));
    }
    let flooder = connect(&hub, "flooder").await;
    everybody_is_there(&hub, paces.len() + 1).await;
    for _ in 0..60 {
        flooder.send(&letter()).await;
    }
    for reader in reading {
        assert_eq!(reader.await.unwrap(), 60);
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_reads_nothing_holds_nobody_up_and_is_cut_off() {
    let hub = start_with(hub(), options());
    let dead = connect(&hub, "dead").await;
    let alive = reader(connect(&hub, "alive").await, AT_ONCE, 100);
    let mut flooder = connect(&hub, "flooder").await;
    everybody_is_there(&hub, 3).await;
    let begun = Instant::now();
    for _ in 0..100 {
        flooder.send(&letter()).await;
    }
    flooder.send(&call(1, "Add", "1,2")).await;
    assert_eq!(flooder.next().await, result(1, "3"));
    assert_eq!(begun.elapsed().as_millis(), 250);
    assert_eq!(alive.await.unwrap(), 100);
    assert_eq!((hub.statistics().closed["slow_client"], hub.statistics().sender_holds_timed_out), (1, 0));
    drop(dead);
}

#[tokio::test(start_paused = true)]
async fn one_who_has_read_nothing_for_long_holds_nobody_at_all() {
    let hub = start_with(hub(), options());
    let dead = connect(&hub, "dead").await;
    let mut client = connect(&hub, "client").await;
    everybody_is_there(&hub, 2).await;
    let mut longest = Duration::ZERO;
    for id in 0..40 {
        let begun = Instant::now();
        client.send(&call(id, "Burst", "1")).await;
        assert_eq!(client.next().await, result(id, "null"));
        longest = longest.max(begun.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((longest, hub.statistics().senders_held), (Duration::ZERO, 0));
    assert_eq!(hub.statistics().closed["slow_client"], 1);
    drop(dead);
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_after_its_time() {
    let hub = start_with(hub(), options());
    // 16 letters are half of what may wait; at 130 KB/s one call of 33 takes four seconds to get there.
    let slow = reader(connect(&hub, "slow").await, 130_000, 33);
    let mut flooder = connect(&hub, "flooder").await;
    everybody_is_there(&hub, 2).await;
    let begun = Instant::now();
    flooder.send(&[call(1, "Burst", "33"), call(2, "Add", "1,2")].concat()).await;
    assert_eq!(flooder.next().await, result(1, "null"));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(flooder.next().await, result(2, "3"));
    assert_eq!(begun.elapsed().as_millis(), 1000);
    assert_eq!((hub.statistics().senders_held, hub.statistics().sender_holds_timed_out), (1, 1));
    assert_eq!(slow.await.unwrap(), 33);
}

#[tokio::test(start_paused = true)]
async fn only_what_a_client_has_caused_holds_it() {
    let hub = start_with(hub(), options());
    let slow = reader(connect(&hub, "slow").await, 130_000, 33);
    let mut flooder = connect(&hub, "flooder").await;
    let mut other = connect(&hub, "other").await;
    everybody_is_there(&hub, 3).await;
    let begun = Instant::now();
    flooder.send(&call(1, "Burst", "33")).await;
    last(&mut flooder, &result(1, "null")).await;
    drop(flooder);
    tokio::spawn(async move {
        other.send(&[call(1, "Add", "1,2"), call(2, "Add", "3,4")].concat()).await;
        last(&mut other, &result(1, "3")).await;
        assert_eq!(other.next().await, result(2, "7"));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    })
    .await
    .unwrap();
    assert_eq!(slow.await.unwrap(), 33);
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_a_held_invocation_is_acted_on() {
    let mut options = options();
    options.client_timeout_interval = Duration::from_millis(600);
    options.maximum_parallel_invocations_per_client = 2;
    let hub = start_with(hub(), options);
    let slow = reader(connect(&hub, "slow").await, 130_000, 33);
    let mut client = connect(&hub, "client").await;
    everybody_is_there(&hub, 2).await;
    let begun = Instant::now();
    client.send(PING).await;
    client
        .send(&[upload(1, "Sum", "", "\"u\""), stream("2", "Count", ""), call(3, "Ask", "")].concat())
        .await;
    let question = client.next().await;
    let id = question.split('"').nth(5).unwrap().to_owned();
    let held = [call(4, "Burst", "33"), call(5, "Add", "1,2"), call(6, "Add", "3,4")].concat();
    client.send(&held).await;
    assert_eq!(client.next().await, result(4, "null"));
    // All of this is behind the fifth, which is held.
    client.send(&[item("u", "1"), item("u", "2"), PING.to_owned()].concat()).await;
    client.send(&[end("u"), cancel("2"), result_of(&id, "\"yes\"")].concat()).await;
    let mut answers = [client.next().await, client.next().await, client.next().await, client.next().await];
    answers.sort();
    let mut expected = [result(1, "3"), item("2", "\"cancelled\""), end("2"), result(3, "\"yes\"")];
    expected.sort();
    assert_eq!(answers, expected);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!((client.next().await, client.next().await), (result(5, "3"), result(6, "7")));
    assert_eq!(begun.elapsed().as_millis(), 1000, "the client's timeout stands still meanwhile");
    assert_eq!(slow.await.unwrap(), 33);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_held_invocations_keeps_its_order() {
    let hub = start_with(hub(), options());
    let slow = reader(connect(&hub, "slow").await, 130_000, 33);
    let mut client = connect(&hub, "client").await;
    everybody_is_there(&hub, 2).await;
    let held = [
        call(1, "Burst", "33"),
        upload(2, "Sum", "", "\"u\""),
        item("u", "1"),
        item("u", "2"),
        end("u"),
        stream("3", "Count", ""),
        cancel("3"),
        call(4, "Add", "1,2"),
    ];
    client.send(&held.concat()).await;
    assert_eq!(client.next().await, result(1, "null"));
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(client.next().await);
    }
    answers.sort();
    let mut expected = [result(2, "3"), item("3", "\"cancelled\""), end("3"), result(4, "3")];
    expected.sort();
    assert_eq!(answers, expected);
    assert_eq!(slow.await.unwrap(), 33);
}

#[tokio::test(start_paused = true)]
async fn a_good_bye_and_the_end_of_the_transport_do_not_overtake_a_held_invocation() {
    for good_bye in [r#"{"type":7}␞"#, ""] {
        let (told, mut called) = mpsc::channel(4);
        let hub = start_with(
            hub().method("Tell", move |number: u32| {
                let told = told.clone();
                async move { told.send(number).await.unwrap() }
            }),
            options(),
        );
        let slow = reader(connect(&hub, "slow").await, 130_000, 33);
        let client = connect(&hub, "client").await;
        everybody_is_there(&hub, 2).await;
        let begun = Instant::now();
        // Nobody waits for answers, which a client that has gone could not be sent.
        let send =
            |method, argument| format!(r#"{{"type":1,"target":"{method}","arguments":[{argument}]}}␞"#);
        client.send(&[&send("Burst", 33), &send("Tell", 1), &*send("Tell", 2), good_bye].concat()).await;
        drop(client);
        assert_eq!((called.recv().await, called.recv().await), (Some(1), Some(2)));
        assert_eq!(begun.elapsed().as_millis(), 1000);
        assert_eq!(slow.await.unwrap(), 33);
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_flood_each_other_come_to_an_end() {
    let hub = start_with(hub(), options());
    let both = [connect(&hub, "a").await, connect(&hub, "b").await];
    everybody_is_there(&hub, 2).await;
    for client in &both {
        client.send(&letter().repeat(100)).await;
    }
    let reading = both.map(|client| reader(client, 1_000_000, 100));
    for reading in reading {
        assert_eq!(reading.await.unwrap(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_held_for_what_the_hub_sends_by_itself() {
    let hub = start_with(hub(), options());
    let dead = connect(&hub, "dead").await;
    let mut client = connect(&hub, "client").await;
    everybody_is_there(&hub, 2).await;
    let begun = Instant::now();
    let aside = format!(r#"{{"type":1,"target":"SendAside","arguments":["{}"]}}␞"#, LETTER.repeat(3000));
    for _ in 0..60 {
        client.send(&aside).await;
        client.next().await;
    }
    assert_eq!((begun.elapsed(), hub.statistics().senders_held), (Duration::ZERO, 0));
    drop(dead);
}

fn result_of(id: &str, value: &str) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}","result":{value}}}␞"#)
}
