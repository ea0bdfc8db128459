//! Streams in both directions.

use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use hubline::{Cancellation, Hub, HubError, Upload, UploadError};

use crate::conformance_hub::{InvalidOperationException, log};

pub(crate) fn add(hub: Hub) -> Hub {
    hub.stream("Counter", counter)
        .stream("CounterChannel", |count: u32| stream::iter(0..count))
        .stream("StreamThrow", stream_throw)
        .stream("StreamNull", || None::<stream::Empty<i32>>)
        .stream("CounterDeaf", counter_deaf)
        .stream("UploadEcho", upload_echo)
        .method("UploadSum", upload_sum)
        .method("UploadConcat", upload_concat)
        .method("UploadTwo", upload_two)
}

fn counter(
    cancellation: Cancellation,
    count: u32,
    milliseconds: u64,
) -> impl Stream<Item = Result<u32, HubError>> {
    stream::iter(0..count).scan(cancellation, move |cancellation, n| {
        let cancellation = cancellation.clone();
        async move {
            if n == 0 || milliseconds == 0 {
                return Some(Ok(n));
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(milliseconds)) => Some(Ok(n)),
                () = cancellation.cancelled() => {
                    log("counter cancelled".to_owned());
                    None
                }
            }
        }
    })
}

/// Takes a token and never looks at it, so it goes on when it is cancelled.
fn counter_deaf(_: Cancellation, count: u32, milliseconds: u64) -> impl Stream<Item = u32> {
    let numbers = stream::iter(0..count).then(move |n| async move {
        if n > 0 {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        n
    });
    numbers.chain(stream::poll_fn(|_| {
        log("deaf counter ended".to_owned());
        std::task::Poll::Ready(None)
    }))
}

fn stream_throw(after: u32, hub_exception: bool) -> impl Stream<Item = Result<u32, HubError>> {
    let error = match hub_exception {
        true => HubError::new("stream broke"),
        false => InvalidOperationException("stream broke".into()).into(),
    };
    stream::iter(0..after).map(Ok).chain(stream::iter([Err(error)]))
}

/// As deaf as [`counter_deaf`].
fn upload_echo(_: Cancellation, words: Upload<Option<String>>) -> Upload<Option<String>> {
    words
}

async fn upload_sum(mut numbers: Upload<i32>) -> Result<i32, UploadError> {
    let mut sum = 0i32;
    while let Some(number) = numbers.next().await {
        sum = sum.wrapping_add(number?);
    }
    Ok(sum)
}

async fn upload_concat(mut words: Upload<Option<String>>, separator: Option<String>) -> String {
    let mut all = Vec::new();
    while let Some(word) = words.next().await {
        all.push(match word {
            Ok(word) => word.unwrap_or_default(),
            Err(error) => HubError::from(error).to_string(),
        });
    }
    all.join(&separator.unwrap_or_default())
}

async fn upload_two(
    mut numbers: Upload<i32>,
    mut words: Upload<Option<String>>,
) -> Result<String, UploadError> {
    let mut parts = Vec::new();
    while let Some(number) = numbers.next().await {
        parts.push(number?.to_string());
    }
    while let Some(word) = words.next().await {
        parts.push(word?.unwrap_or_default());
    }
    Ok(parts.join(","))
}
