//! A hub path as a tower service.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::Full;
use hubline_transport::Endpoint;
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

impl<B> Service<Request<B>> for HubService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.0.respond(request)))
    }
}
