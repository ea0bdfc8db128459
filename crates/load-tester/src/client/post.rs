use std::fmt::{Debug, Formatter};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::client::error::{ConnectError, ConnectPhase, Disconnected};
use crate::client::network::Network;
use crate::client::options::ConnectOptions;
use crate::client::request;
use crate::wire::http::HttpConnection;
use crate::wire::hub_url::HubUrl;

/// Where the requests of one connection go, and what they carry.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) network: Arc<Network>,
    pub(crate) options: Arc<ConnectOptions>,
    pub(crate) url: HubUrl,
    /// Path and query, with the connection's `id`.
    pub(crate) target: String,
    pub(crate) token: Option<String>,
}

type Sending = Pin<Box<dyn Future<Output = Result<HttpConnection, Disconnected>> + Send>>;

/// Sends what a client says over server-sent events and long polls: one POST after the other, on a socket that is kept.
pub(crate) struct Post {
    pub(crate) route: Route,
    connection: Option<HttpConnection>,
    sending: Option<Sending>,
}

impl Debug for Post {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post").field("is_sending", &self.sending.is_some()).finish_non_exhaustive()
    }
}

impl Post {
    pub(crate) fn new(route: Route) -> Self {
        Self { route, connection: None, sending: None }
    }

    /// Sends everything in `unsent`; ready when the server has taken it all.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        unsent: &mut Vec<u8>,
    ) -> Poll<Result<(), Disconnected>> {
        loop {
            if let Some(sending) = &mut self.sending {
                let sent = ready!(sending.as_mut().poll(context));
                self.sending = None;
                self.connection = Some(sent?);
            }
            if unsent.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let body = std::mem::take(unsent);
            let Route { url, target, token, options, .. } = &self.route;
            let request = request::post(url, target, token.as_deref(), options, &body);
            self.sending = Some(Box::pin(send(self.route.clone(), self.connection.take(), request)));
        }
    }
}

/// No request is made twice, since the server may have taken it; a kept socket that the server has closed meanwhile is not used.
async fn send(
    route: Route,
    mut kept: Option<HttpConnection>,
    request: Vec<u8>,
) -> Result<HttpConnection, Disconnected> {
    let lost = |error: ConnectError| Disconnected::Lost(format!("POST: {error}"));
    let is_usable = kept.as_mut().is_some_and(HttpConnection::is_idle);
    let mut connection = match kept.filter(|_| is_usable) {
        Some(kept) => kept,
        None => HttpConnection::over(route.network.open(&route.url).await.map_err(lost)?.socket),
    };
    let answer = connection.ask(&request).await;
    let answer = answer.map_err(|error| lost(ConnectError::any(ConnectPhase::Upgrade, &error)))?;
    accepted(answer.status, &answer.body).map(|()| connection)
}

fn accepted(status: u16, body: &[u8]) -> Result<(), Disconnected> {
    if (200..300).contains(&status) {
        return Ok(());
    }
    let line = super::error::first_line(body);
    Err(Disconnected::Lost(format!("a POST was answered {status}: {line}")))
}
