//! How do I serve a hub without axum?
//!
//! A hub is a tower service from request to response. hyper serves it, with upgrades for the WebSockets.
//!
//!     cargo run -p hubline --example plain-hyper

use std::convert::Infallible;

use hubline::{Body, Clients, EndpointOptions, Hub, HubError, HubService, Server};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

async fn send_message(clients: Clients, text: String) -> Result<(), HubError> {
    clients.all().send("ReceiveMessage", (text,)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::new();
    let chat = server.add_hub(Hub::new("Chat").method("SendMessage", send_message));
    let chat = chat.service("/chat", EndpointOptions::default());

    let listener = TcpListener::bind("localhost:5000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(serve_connection(socket, chat.clone()));
    }
}

async fn serve_connection(socket: TcpStream, chat: HubService) {
    let service = service_fn(move |request| route(chat.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        eprintln!("a connection ended with an error: {error}");
    }
}

/// The hub answers everything below its path, and knows a negotiation by the end of the path.
async fn route(mut chat: HubService, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    match request.uri().path() {
        "/chathub" | "/chathub/negotiate" => chat.call(request).await,
        _ => {
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            Ok(response)
        }
    }
}
