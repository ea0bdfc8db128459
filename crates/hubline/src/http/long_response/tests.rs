use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};
use tokio_util::sync::CancellationToken;

use super::super::HttpOptions;
use super::super::connection::{Limits, answer};
use super::*;

/// What is asked with the query `?id=1` takes this module's way, and without one hyper's.
fn app() -> Router {
    Router::new()
        .route("/text", get(async || "at once"))
        .route("/later", get(async || after_a_while("found").await))
        .route("/empty", get(async || after_a_while("").await))
        .route("/no-more", get(async || after_a_while(StatusCode::NO_CONTENT).await))
        .route(
            "/unknown",
            get(async || after_a_while((StatusCode::NOT_FOUND, [("x-why", "gone")], "none")).await),
        )
        .route("/refused", get(async || after_a_while(([("connection", "close")], "go")).await))
        .route(
            "/pieces",
            get(async || {
                Body::from_stream(stream::iter(["one", "", "two", "three"]).map(whole).then(after_a_while))
            }),
        )
        .route("/large", get(async || "x".repeat(100_000)))
        .route(
            "/broken",
            get(async || Body::from_stream(stream::iter([Ok("half"), Err("it broke")]).then(after_a_while))),
        )
}

async fn after_a_while<T>(value: T) -> T {
    yield_now().await;
    yield_now().await;
    value
}

fn whole(piece: &'static str) -> Result<&'static str, Infallible> {
    Ok(piece)
}

struct Served {
    client: DuplexStream,
    serving: JoinHandle<()>,
    stop: CancellationToken,
}

fn serve(app: Router, buffer: usize) -> Served {
    let (client, io) = tokio::io::duplex(buffer);
    let remote = SocketAddr::from(([127, 0, 0, 1], 1));
    let (stop, limits) = (CancellationToken::new(), Arc::new(Limits::new(HttpOptions::default())));
    let serving = tokio::spawn(answer(io, remote, app, stop.clone(), limits));
    Served { client, serving, stop }
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: hub\r\n\r\n")
}

const LAST: &str = "GET /text HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n";

/// All that comes until the server closes.
async fn exchange(requests: &str) -> String {
    let Served { mut client, .. } = serve(app(), 64 * 1024);
    client.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    answers
}

/// The lines of all heads in an order of their own, without the time.
fn sorted(answers: &str) -> Vec<Vec<&str>> {
    let sections = answers.split("\r\n\r\n").map(|section| {
        let mut lines: Vec<_> = section.split("\r\n").filter(|line| !line.starts_with("date: ")).collect();
        lines.sort_unstable();
        lines
    });
    sections.collect()
}

#[tokio::test]
async fn a_response_is_what_hyper_would_write() {
    for path in ["/text", "/later", "/empty", "/no-more", "/unknown", "/pieces", "/missing"] {
        let by_hyper = exchange(&[&request(path), LAST].concat()).await;
        let here = exchange(&[&request(&format!("{path}?id=1")), LAST].concat()).await;
        assert_eq!(sorted(&here), sorted(&by_hyper), "{path}");
        assert!(here.contains("date: ") && here.ends_with("at once"), "{path}: {here}");
    }
    for last in ["/refused?id=1", "/refused"] {
        let answers = exchange(&request(last)).await;
        assert!(answers.contains("connection: close\r\n") && answers.ends_with("go"), "{answers}");
    }
    let close = "GET /later?id=1 HTTP/1.1\r\nHost: hub\r\nConnection: Keep-Alive, Close\r\n\r\n";
    assert!(exchange(close).await.contains("connection: close\r\n"));
}

#[tokio::test]
async fn requests_that_are_sent_ahead_are_answered_in_their_order() {
    let requests =
        ["/large", "/later?id=1", "/large", "/pieces?id=1", "/text?id=1", "/later?id=2"].map(request);
    // Less than the first answer, so the second request is read while that is still being written.
    let Served { mut client, .. } = serve(app(), 1000);
    let (reading, mut writing) = tokio::io::split(&mut client);
    let mut answers = String::new();
    let mut reading = reading;
    let all = [&requests.concat(), LAST].concat();
    let (written, read) =
        tokio::join!(writing.write_all(all.as_bytes()), reading.read_to_string(&mut answers));
    written.unwrap();
    read.unwrap();
    let bodies: Vec<_> = answers
        .split("HTTP/1.1 200 OK\r\n")
        .skip(1)
        .map(|answer| answer.split_once("\r\n\r\n").unwrap().1)
        .collect();
    let large = "x".repeat(100_000);
    let pieces = "3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n";
    assert_eq!(bodies, [&*large, "found", &*large, pieces, "at once", "found", "at once"]);
}

/// An application whose only route waits for ever, and says when it begins and, by its end, when it is dropped.
fn waiting() -> (Router, mpsc::Receiver<mpsc::Sender<Infallible>>) {
    let (begun, beginnings) = mpsc::channel(1);
    let wait = get(async |State(begun): State<mpsc::Sender<_>>| -> Response {
        let (alive, dropped) = mpsc::channel::<Infallible>(1);
        begun.send(alive.clone()).await.unwrap();
        drop(dropped);
        let _alive = alive;
        std::future::pending::<()>().await;
        ().into_response()
    });
    (Router::new().route("/", wait).with_state(begun), beginnings)
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_response_along() {
    for early in ["", "GET /ne"] {
        let (app, mut beginnings) = waiting();
        let Served { mut client, serving, .. } = serve(app, 1024);
        client.write_all(request("/?id=1").as_bytes()).await.unwrap();
        let begun = beginnings.recv().await.unwrap();
        client.write_all(early.as_bytes()).await.unwrap();
        if early.is_empty() {
            drop(client);
            serving.await.unwrap();
        } else {
            // As with hyper: behind what it has sent nothing is read, so its end is not seen, and the response goes on.
            drop(client);
            yield_now().await;
            assert!(!serving.is_finished());
            serving.abort();
        }
        drop(begun);
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_has_no_end() {
    for target in ["/broken?id=1", "/broken"] {
        let answer = exchange(&request(target)).await;
        assert!(answer.ends_with("4\r\nhalf\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_stops_finishes_the_response_and_no_other() {
    let (release, gate) = tokio::sync::watch::channel(false);
    let route = get(async move || {
        let mut gate = gate.clone();
        gate.wait_for(|is_open| *is_open).await.unwrap();
        "the last"
    });
    let Served { mut client, serving, stop } = serve(Router::new().route("/", route), 4096);
    client.write_all(request("/?id=1").as_bytes()).await.unwrap();
    yield_now().await;
    stop.cancel();
    yield_now().await;
    release.send(true).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("the last"), "{answer}");
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_waits_for_no_further_request() {
    let (release, gate) = tokio::sync::watch::channel(false);
    let begun = get(async move || {
        let mut gate = gate.clone();
        let end = async move { gate.wait_for(|is_open| *is_open).await.map(|_| "end").map_err(|_| "closed") };
        Body::from_stream(stream::once(end))
    });
    let app = Router::new().route("/", begun);
    for stops_within in [true, false] {
        release.send_replace(false);
        let Served { mut client, serving, stop } = serve(app.clone(), 4096);
        client.write_all(request("/?id=1").as_bytes()).await.unwrap();
        yield_now().await;
        let start = tokio::time::Instant::now();
        if stops_within {
            stop.cancel();
            yield_now().await;
        }
        release.send_replace(true);
        let mut answer = Vec::new();
        while !answer.ends_with(b"0\r\n\r\n") {
            client.read_buf(&mut answer).await.unwrap();
        }
        stop.cancel();
        serving.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 0, "the client has left its connection open");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_request_has_its_time() {
    let Served { mut client, serving, .. } = serve(app(), 4096);
    let start = tokio::time::Instant::now();
    for target in ["/later?id=1", "/pieces?id=1"] {
        tokio::time::sleep(Duration::from_secs(100)).await;
        client.write_all(request(target).as_bytes()).await.unwrap();
    }
    serving.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 200 + 130);
}
