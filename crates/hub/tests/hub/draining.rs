//! Connections whose instance stops, down to clients that do not read.

use std::time::Duration;

use hubline_hub::Hub;
use hubline_pipe::ConnectionHandler;
use tokio::time::{Instant, sleep};

use crate::client::{ACCEPTED, accepted, info, settled, start};

const MESSAGES: usize = 10;
const FRAMES: usize = 2;

#[tokio::test(start_paused = true)]
async fn what_a_client_has_not_taken_is_left_until_it_reads() {
    let hub = start(Hub::new("Test"));
    let (accepted, mut client) = accepted(info("slow"), FRAMES);
    let connection = tokio::spawn(hub.run(accepted));
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    settled(&hub, &mut client).await;
    for number in 0..MESSAGES {
        hub.clients().all().send("Take", (number,)).await.unwrap();
    }
    for draining in hub.begin_drain() {
        draining.hand_over();
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(hub.connection_count(), 0, "it gets nothing new any more");
    assert_eq!(hub.left().messages, MESSAGES - FRAMES);
    for number in 0..MESSAGES {
        assert!(client.next().await.contains(&format!("[{number}]")));
    }
    assert_eq!(client.next().await, r#"{"type":7,"allowReconnect":true}␞"#);
    connection.await.unwrap();
    assert_eq!(hub.left(), hubline_hub::Left::default());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_shake_hands_is_waited_for_a_second_alone() {
    let hub = start(Hub::new("Test"));
    let open = |id: &str| {
        let (accepted, client) = accepted(info(id), FRAMES);
        (tokio::spawn(hub.run(accepted)), client)
    };
    let (silent, _client) = open("silent");
    sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    assert!(hub.begin_drain().is_empty());
    let (late, mut client) = open("late");
    let (silent_too, _client_too) = open("silent too");
    sleep(Duration::from_millis(900)).await;
    client.send(r#"{"protocol":"json","version":1}␞"#).await;
    assert_eq!(client.next().await, ACCEPTED);
    assert_eq!(client.next().await, r#"{"type":7,"allowReconnect":true}␞"#);
    for connection in [silent, silent_too, late] {
        connection.await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
}
