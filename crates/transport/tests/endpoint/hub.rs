//! An endpoint whose connections come to the test.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hubline_identity::Principal;
use hubline_pipe::Resumable;
use hubline_pipe::{
    Accepted, CloseCode, CloseOutcome, ConnectionHandler, ConnectionInfo, Frame, Pipe, PipeEnd,
};
use hubline_protocol::{Encoded, TransferFormat};
use hubline_transport::{Body, Connections, Endpoint, EndpointOptions};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Headers of a request for an event stream.
pub(crate) const EVENTS: [(&str, &str); 1] = [("accept", "text/event-stream")];
/// Headers of a request for a WebSocket.
pub(crate) const UPGRADE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// An endpoint and what comes out of it.
pub(crate) struct Hub {
    pub(crate) endpoint: Endpoint,
    accepted: mpsc::Receiver<Connection>,
}

/// An accepted connection. The handler is done with it when this is dropped.
pub(crate) struct Connection {
    pub(crate) pipe: Option<Box<dyn Pipe>>,
    pub(crate) info: ConnectionInfo,
    pub(crate) resumable: Option<Resumable>,
    _running: oneshot::Sender<()>,
}

struct Handler(Mutex<mpsc::Sender<Connection>>);

impl ConnectionHandler for Handler {
    fn run(&self, accepted: Accepted) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (running, ended) = oneshot::channel();
        let Accepted { pipe, info, resumable } = accepted;
        let connection = Connection { pipe: Some(pipe), info, resumable, _running: running };
        self.0.lock().unwrap().try_send(connection).unwrap();
        Box::pin(async move { _ = ended.await })
    }
}

/// A whole response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Hub {
    pub(crate) fn new(options: EndpointOptions) -> Self {
        Self::sharing(&Connections::default(), options)
    }

    /// An endpoint of the name `/hub`, unless the options say otherwise.
    pub(crate) fn sharing(connections: &Connections, options: EndpointOptions) -> Self {
        let (send, accepted) = mpsc::channel(16);
        let handler = Arc::new(Handler(Mutex::new(send)));
        let endpoint = Endpoint::new("/hub", handler, connections.clone(), options, TaskTracker::new());
        Self { endpoint, accepted }
    }

    /// The next connection that the endpoint accepts.
    pub(crate) async fn accept(&mut self) -> Connection {
        self.accepted.recv().await.unwrap()
    }

    /// Negotiates; returns the token.
    pub(crate) async fn negotiate(&self) -> String {
        self.negotiate_with("").await
    }

    pub(crate) async fn negotiate_with(&self, query: &str) -> String {
        self.negotiate_as(None, query).await
    }

    pub(crate) async fn negotiate_as(&self, principal: Option<Principal>, query: &str) -> String {
        let uri = format!("/hub/negotiate?negotiateVersion=1{query}");
        let answer = self.request("POST", &uri, &[], principal).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        body["connectionToken"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, token: &str) -> Answer {
        self.request("GET", &format!("/hub?id={token}"), &[], None).await
    }

    pub(crate) async fn post(&self, token: &str, body: &'static [u8]) -> Answer {
        let request = Request::post(format!("/hub?id={token}")).body(Full::<Bytes>::from(body)).unwrap();
        collect(self.endpoint.respond(request).await).await
    }

    pub(crate) async fn delete(&self, token: &str) -> Answer {
        self.request("DELETE", &format!("/hub?id={token}"), &[], None).await
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        principal: Option<Principal>,
    ) -> Answer {
        collect(self.endpoint.respond(request(method, uri, headers, principal)).await).await
    }

    /// Asks for another principal.
    pub(crate) async fn refresh(&self, token: &str, principal: Option<Principal>) -> Answer {
        let header = [("x-signalr-connection-token", token)];
        self.request("POST", "/hub/refresh", &header, principal).await
    }

    /// Opens an event stream.
    pub(crate) async fn events(&self, token: &str) -> Response<Body> {
        self.events_as(None, token).await
    }

    pub(crate) async fn events_as(&self, principal: Option<Principal>, token: &str) -> Response<Body> {
        let uri = format!("/hub?id={token}");
        self.endpoint.respond(request("GET", &uri, &EVENTS, principal)).await
    }
}

pub(crate) fn request(
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    principal: Option<Principal>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(principal) = principal {
        request = request.extension(Arc::new(principal));
    }
    request.body(Full::default()).unwrap()
}

pub(crate) async fn collect(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let announced = http_body::Body::size_hint(&body).exact();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(announced, Some(body.len() as u64), "the size is known, for Content-Length");
    Answer { status: parts.status, headers: parts.headers, body }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status, content type and body.
    pub(crate) fn summary(&self) -> (u16, Option<&str>, &str) {
        (self.status.as_u16(), self.header("content-type"), std::str::from_utf8(&self.body).unwrap())
    }
}

impl Connection {
    /// Every principal that has come since the last call. The first call tells the transport that the hub has shaken
    /// hands.
    pub(crate) async fn principals(&mut self) -> Vec<Option<Arc<Principal>>> {
        poll_fn(|cx| {
            let mut principals = Vec::new();
            while let Poll::Ready(principal) = self.pipe().poll_principal(cx) {
                principals.push(principal);
            }
            Poll::Ready(principals)
        })
        .await
    }

    fn pipe(&mut self) -> &mut Box<dyn Pipe> {
        self.pipe.as_mut().unwrap()
    }

    pub(crate) async fn receive(&mut self) -> Result<Bytes, PipeEnd> {
        let mut input = BytesMut::new();
        poll_fn(|cx| self.pipe().poll_receive(cx, &mut input)).await?;
        Ok(input.freeze())
    }

    pub(crate) async fn send(&mut self, text: &str) -> Result<(), PipeEnd> {
        let mut frames = VecDeque::from([frame(text)]);
        poll_fn(|cx| self.pipe().poll_send(cx, &mut frames)).await
    }

    pub(crate) async fn close(&mut self) -> CloseOutcome {
        self.close_with(CloseCode::Normal).await
    }

    pub(crate) async fn close_with(&mut self, code: CloseCode) -> CloseOutcome {
        self.pipe.take().unwrap().close(code).await
    }
}

pub(crate) fn frame(text: &str) -> Frame {
    Frame::new(Encoded::copy_from(text.as_bytes()), TransferFormat::Text)
}

/// What a future is ready with when it is polled now; `None` if it waits.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Whether a future waits when it is polled now.
pub(crate) async fn is_pending<F: Future>(future: Pin<&mut F>) -> bool {
    poll_once(future).await.is_none()
}

pub(crate) fn options() -> EndpointOptions {
    EndpointOptions::default()
}
