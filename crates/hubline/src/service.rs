//! A hub path as a tower service.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::http::{Request, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_transport::{Body, Endpoint};
use tower_service::Service;

/// One hub path. Works under axum, or over hyper alone with `TowerToHyperService`; the HTTP connection must
/// be served with upgrades.
#[derive(Debug, Clone)]
pub struct HubService(Endpoint);

impl HubService {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }
}

impl<B> Service<Request<B>> for HubService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = self.0.clone();
        async move { Ok(endpoint.respond(request).await) }.boxed()
    }
}
