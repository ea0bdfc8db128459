//! How does a hub become a part of my axum application?
//!
//! One state for handlers and hub methods, one middleware in front of both, sending to clients from an
//! ordinary handler, and a shutdown that sends everybody away politely.
//!
//!     cargo run -p hubline --example chat-in-axum
//!     curl -d 'Maintenance at noon' http://localhost:5000/announcements

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hubline::{Caller, Clients, Hub, HubContext, HubError, Server};
use tokio::net::TcpListener;

/// How long clients may take to go at the end.
const GRACE: Duration = Duration::from_secs(5);

/// What the application shares; hub methods and handlers see the same counter.
#[derive(Clone, Default)]
struct Statistics {
    messages: Arc<AtomicU64>,
}

/// axum's state: that of the hub and the hub itself. A handler takes either part.
#[derive(Clone)]
struct App {
    statistics: Statistics,
    chat: HubContext,
}

impl FromRef<App> for Statistics {
    fn from_ref(app: &App) -> Self {
        app.statistics.clone()
    }
}

impl FromRef<App> for HubContext {
    fn from_ref(app: &App) -> Self {
        app.chat.clone()
    }
}

/// A method of the hub. `hubline::State` is what axum's is to handlers.
async fn send_message(
    hubline::State(statistics): hubline::State<Statistics>,
    clients: Clients,
    caller: Caller,
    text: String,
) -> Result<u64, HubError> {
    let number = statistics.messages.fetch_add(1, Ordering::Relaxed) + 1;
    clients.all().send("ReceiveMessage", (caller.connection_id(), text)).await?;
    Ok(number)
}

/// An ordinary handler that sends to the hub's clients.
async fn announce(State(chat): State<HubContext>, text: String) -> Response {
    match chat.clients().all().send("ReceiveMessage", ("announcement", text)).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// An ordinary handler with the state of the hub.
async fn count(State(statistics): State<Statistics>) -> String {
    format!("{} messages\n", statistics.messages.load(Ordering::Relaxed))
}

/// Middleware of the application. It sees the hub's requests as any others: negotiations, WebSockets, polls.
async fn log(request: Request, next: Next) -> Response {
    // Without the query, where browsers put their tokens.
    let line = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    println!("{line}: {}", response.status());
    response
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::new();
    let statistics = Statistics::default();
    let hub = Hub::with_state("Chat", statistics.clone()).method("SendMessage", send_message);
    let chat = server.add_hub(hub);

    let app = Router::new()
        .route("/announcements", post(announce))
        .route("/statistics", get(count))
        .with_state(App { statistics, chat: chat.context().clone() })
        .merge(chat.map("/chathub"))
        .layer(middleware::from_fn(log));

    let listener = TcpListener::bind("localhost:5000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    hubline::run(listener, app, &server, GRACE).await
}
