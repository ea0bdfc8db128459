//! Many requests at once, on several threads.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::hub::{Hub, collect, options, poll_once};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_that_are_given_up_never_lose_or_repeat_a_message() {
    const MESSAGES: usize = 2000;
    let mut hub = Hub::new(options().transport_max_buffer_size(64));
    let token = hub.negotiate().await;
    hub.get(&token).await;
    let mut connection = hub.accept().await;
    let sender = tokio::spawn(async move {
        for number in 0..MESSAGES {
            connection.send(&format!("{number};")).await.unwrap();
            if number % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        connection.close().await;
    });
    let mut received = String::new();
    loop {
        let answered = poll_once(pin!(hub.get(&token))).await;
        // One that was not answered at once is given up; whatever has come for it is for the next one.
        let answer = match answered {
            Some(answer) => answer,
            None => hub.get(&token).await,
        };
        if answer.status == 204 {
            break;
        }
        received.push_str(std::str::from_utf8(&answer.body).unwrap());
    }
    sender.await.unwrap();
    let expected: String = (0..MESSAGES).map(|number| format!("{number};")).collect();
    assert_eq!(received, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_concurrent_posts_are_not_mixed() {
    const POSTS: u8 = 26;
    const LENGTH: usize = 1000;
    let mut hub = Hub::new(options().application_max_buffer_size(64));
    let token: Arc<str> = hub.negotiate().await.into();
    let _stream = hub.events(&token).await;
    let mut connection = hub.accept().await;
    for letter in 0..POSTS {
        let body = Full::new(Bytes::from(vec![b'a' + letter; LENGTH]));
        let answer = hub.endpoint.respond(Request::post(format!("/hub?id={token}")).body(body).unwrap());
        tokio::spawn(async move { assert_eq!(collect(answer.await).await.status, 200) });
    }
    let mut received = Vec::new();
    while received.len() < usize::from(POSTS) * LENGTH {
        let piece = connection.receive().await.unwrap();
        assert!(piece.len() <= 64);
        received.extend_from_slice(&piece);
    }
    for body in received.chunks(LENGTH) {
        assert!(body.iter().all(|byte| *byte == body[0]));
    }
}
