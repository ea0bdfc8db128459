//! How do values flow while a call runs?
//!
//! A stream to the client, an upload from it, both at once, cancellation, and a question that the server
//! asks its client.
//!
//!     cargo run -p hubline --example streams
//!
//! The client's side, with `@microsoft/signalr`:
//!
//! ```js
//! connection.stream('Countdown', 10).subscribe({ next: console.log, complete() {}, error: console.error });
//!
//! const numbers = new signalR.Subject();
//! const sum = connection.invoke('Sum', numbers);
//! numbers.next(1); numbers.next(2); numbers.complete();
//! console.log(await sum);
//!
//! connection.on('Confirm', question => window.confirm(question));
//! await connection.invoke('DeleteEverything');
//! ```

use std::time::Duration;

use axum::Router;
use futures_util::stream::{self, Stream, StreamExt};
use hubline::{Cancellation, Clients, Hub, HubError, Server, Upload, UploadError};
use tokio::net::TcpListener;

/// How long a person may think about a question.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream to the client. It is dropped when the client cancels it or goes away.
fn countdown(from: u32) -> impl Stream<Item = u32> {
    stream::iter((0..=from).rev()).then(async |number| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        number
    })
}

/// A stream that wants to know of its cancellation, to end by itself.
fn ticks(cancellation: Cancellation) -> impl Stream<Item = u64> {
    stream::unfold((cancellation, 0), async |(cancellation, tick)| {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => Some((tick, (cancellation, tick + 1))),
            () = cancellation.cancelled() => {
                println!("cancelled after {tick} ticks");
                None
            }
        }
    })
}

/// An upload. A client that breaks it off makes the call fail.
async fn sum(mut numbers: Upload<i64>) -> Result<i64, UploadError> {
    let mut sum = 0i64;
    while let Some(number) = numbers.next().await {
        sum = sum.saturating_add(number?);
    }
    Ok(sum)
}

/// Both directions at once.
fn shout(words: Upload<String>) -> impl Stream<Item = Result<String, UploadError>> {
    words.map(|word| word.map(|word| word.to_uppercase()))
}

/// A client result: the method waits for what the client answers.
async fn delete_everything(clients: Clients) -> Result<&'static str, HubError> {
    let sure: bool = clients.caller().timeout(PATIENCE).invoke("Confirm", ("Really?",)).await?;
    if !sure {
        return Err(HubError::new("nothing was deleted"));
    }
    Ok("everything is gone")
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::new();
    let hub = server.add_hub(
        Hub::new("Streams")
            .stream("Countdown", countdown)
            .stream("Ticks", ticks)
            .stream("Shout", shout)
            .method("Sum", sum)
            .method("DeleteEverything", delete_everything),
    );
    let listener = TcpListener::bind("localhost:5000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().merge(hub.map("/streams"))).await
}
