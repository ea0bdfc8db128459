//! Polls, and how a long-polling connection ends.

use std::pin::pin;
use std::time::Duration;

use hubline_pipe::{CloseOutcome, PipeEnd};
use hubline_transport::Connections;
use tokio::time::{advance, sleep};

use crate::hub::{Connection, Hub, is_pending, options};

const FOUND: Option<&str> = Some("application/octet-stream");
const TEXT: Option<&str> = Some("text/plain");

async fn open(hub: &mut Hub) -> (String, Connection) {
    let token = hub.negotiate().await;
    let first = hub.get(&token).await;
    assert_eq!(first.summary(), (200, FOUND, ""));
    let connection = hub.accept().await;
    (token, connection)
}

#[tokio::test]
async fn a_poll_gets_everything_that_waits() {
    let mut hub = Hub::new(options());
    let (token, mut connection) = open(&mut hub).await;
    connection.send("1").await.unwrap();
    connection.send(&"2".repeat(10_000)).await.unwrap();
    connection.send("3").await.unwrap();
    let expected = format!("1{}3", "2".repeat(10_000));
    assert_eq!(hub.get(&token).await.summary(), (200, FOUND, &*expected));
}

#[tokio::test]
async fn a_waiting_poll_is_woken() {
    let mut hub = Hub::new(options());
    let (token, mut connection) = open(&mut hub).await;
    let mut poll = pin!(hub.get(&token));
    assert!(is_pending(poll.as_mut()).await);
    connection.send("news").await.unwrap();
    assert_eq!(poll.await.summary(), (200, FOUND, "news"));
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_finds_nothing_is_sent_round_again() {
    let mut hub = Hub::new(options());
    let (token, mut connection) = open(&mut hub).await;
    let begun = tokio::time::Instant::now();
    let mut receive = pin!(connection.receive());
    let answer = tokio::select! {
        answer = hub.get(&token) => answer,
        end = receive.as_mut() => panic!("the connection ended while a poll waited: {end:?}"),
    };
    assert_eq!(answer.summary(), (200, TEXT, ""));
    assert_eq!(begun.elapsed(), Duration::from_secs(90));
    assert!(is_pending(receive.as_mut()).await);
}

#[tokio::test]
async fn the_newest_poll_has_the_turn_and_racing_ones_conflict() {
    let mut hub = Hub::new(options());
    let (token, mut connection) = open(&mut hub).await;
    let mut first = pin!(hub.get(&token));
    assert!(is_pending(first.as_mut()).await);
    let mut second = pin!(hub.get(&token));
    assert!(is_pending(second.as_mut()).await);
    let third = hub.get(&token).await;
    assert_eq!(third.summary(), (409, TEXT, ""), "the second is still taking the first one's place");
    assert_eq!(third.header("pragma"), Some("no-cache"));
    assert_eq!(first.await.summary(), (204, TEXT, ""));

    let mut fourth = pin!(hub.get(&token));
    assert!(is_pending(fourth.as_mut()).await);
    assert_eq!(second.await.summary(), (204, TEXT, ""));
    connection.send("for the newest").await.unwrap();
    assert_eq!(fourth.await.summary(), (200, FOUND, "for the newest"));
}

#[tokio::test]
async fn a_poll_that_is_given_up_loses_nothing() {
    let mut hub = Hub::new(options());
    let (token, mut connection) = open(&mut hub).await;
    {
        let mut poll = pin!(hub.get(&token));
        assert!(is_pending(poll.as_mut()).await);
        connection.send("kept").await.unwrap();
    }
    assert_eq!(hub.get(&token).await.summary(), (200, FOUND, "kept"));
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let mut hub = Hub::new(options().transport_max_buffer_size(1000));
    let (token, mut connection) = open(&mut hub).await;
    connection.send(&"x".repeat(1000)).await.unwrap();
    let mut second = pin!(connection.send("y"));
    assert!(is_pending(second.as_mut()).await);
    assert_eq!(hub.get(&token).await.body.len(), 1000);
    second.await.unwrap();
    assert_eq!(hub.get(&token).await.body, "y");
}

#[tokio::test]
async fn the_end_is_the_last_data_then_204_then_404() {
    let mut hub = Hub::new(options());
    let (token, mut connection) = open(&mut hub).await;
    connection.send("bye").await.unwrap();
    assert_eq!(connection.close().await, CloseOutcome::Lost);
    drop(connection);
    tokio::task::yield_now().await;
    assert_eq!(hub.post(&token, b"x").await.status, 404);
    assert_eq!(hub.get(&token).await.summary(), (200, FOUND, "bye"));
    assert_eq!(hub.get(&token).await.summary(), (204, TEXT, ""));
    assert_eq!(hub.get(&token).await.summary(), (404, TEXT, "No Connection with that ID"));
}

#[tokio::test(start_paused = true)]
async fn last_messages_that_nobody_fetches_are_dropped() {
    let mut hub = Hub::new(options());
    let (token, mut connection) = open(&mut hub).await;
    connection.send("bye").await.unwrap();
    connection.close().await;
    drop(connection);
    sleep(Duration::from_secs(15)).await;
    assert_eq!(hub.get(&token).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn delete_ends_the_input_and_the_waiting_poll_gets_the_rest() {
    let mut hub = Hub::new(options());
    let (token, mut connection) = open(&mut hub).await;
    assert_eq!(hub.post(&token, b"last words").await.status, 200);
    let mut poll = pin!(hub.get(&token));
    assert!(is_pending(poll.as_mut()).await);

    assert_eq!(hub.delete(&token).await.summary(), (202, TEXT, ""));
    assert_eq!(hub.delete(&token).await.summary(), (404, TEXT, "No Connection with that ID"));
    assert_eq!(hub.post(&token, b"x").await.summary(), (404, TEXT, "No Connection with that ID"));
    assert_eq!(connection.receive().await.unwrap(), "last words");
    assert_eq!(connection.receive().await, Err(PipeEnd::InputEnded));

    connection.send("close").await.unwrap();
    assert_eq!(connection.close().await, CloseOutcome::Lost);
    drop(connection);
    assert_eq!(poll.await.summary(), (200, FOUND, "close"));
    assert_eq!(hub.get(&token).await.summary(), (204, TEXT, ""));
    assert_eq!(hub.get(&token).await.summary(), (404, TEXT, "No Connection with that ID"));
}

#[tokio::test(start_paused = true)]
async fn after_delete_nobody_is_waited_for() {
    let mut hub = Hub::new(options());
    let (token, mut connection) = open(&mut hub).await;
    hub.delete(&token).await;
    assert_eq!(connection.receive().await, Err(PipeEnd::InputEnded));
    connection.send("close").await.unwrap();
    connection.close().await;
    drop(connection);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(hub.get(&token).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_away_is_lost_after_15_seconds() {
    let mut hub = Hub::new(options());
    let (token, mut connection) = open(&mut hub).await;
    let mut away = Box::pin(connection.receive());
    // Each poll is answered after 8 s of the 15.
    for _ in 0..4 {
        tokio::select! {
            end = away.as_mut() => panic!("ended although polls came: {end:?}"),
            () = sleep(Duration::from_secs(8)) => {}
        }
        let mut poll = pin!(hub.get(&token));
        assert!(is_pending(poll.as_mut()).await);
    }
    let left = tokio::time::Instant::now();
    assert_eq!(away.as_mut().await, Err(PipeEnd::Lost));
    drop(away);
    assert_eq!(left.elapsed(), Duration::from_secs(15));
    assert_eq!(hub.get(&token).await.summary(), (404, TEXT, "No Connection with that ID"));
    assert_eq!(connection.send("x").await, Err(PipeEnd::Lost));
}

#[tokio::test(start_paused = true)]
async fn who_stays_away_counts_as_a_timeout_and_who_says_good_bye_does_not() {
    let connections = Connections::default();
    let mut hub = Hub::sharing(&connections, options());
    let (_, mut away) = open(&mut hub).await;
    let (token, mut polite) = open(&mut hub).await;
    assert_eq!(connections.statistics().long_polling.active, 2);
    assert_eq!(hub.delete(&token).await.status, 202);
    assert_eq!(polite.receive().await, Err(PipeEnd::InputEnded));
    assert_eq!(away.receive().await, Err(PipeEnd::Lost));
    drop((away, polite));
    let counted = async {
        while connections.statistics().long_polling.active > 0 {
            tokio::task::yield_now().await;
        }
        connections.statistics().long_polling
    };
    let counted = counted.await;
    assert_eq!((counted.normal_closure.count, counted.timeout.count), (1, 1));
    assert_eq!(counted.timeout.sum, Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_busy_hub_does_not_prolong_the_time_between_polls() {
    let mut hub = Hub::new(options());
    let (token, _connection) = open(&mut hub).await;
    advance(Duration::from_secs(15)).await;
    assert_eq!(hub.get(&token).await.status, 404);
}

#[tokio::test]
async fn a_handler_that_drops_the_pipe_ends_the_polls() {
    let mut hub = Hub::new(options());
    let (token, connection) = open(&mut hub).await;
    let mut poll = pin!(hub.get(&token));
    assert!(is_pending(poll.as_mut()).await);
    drop(connection);
    assert_eq!(poll.await.summary(), (204, TEXT, ""));
}
