//! A hub path as a tower service.

use std::convert::Infallible;
#[cfg(feature = "axum")]
use std::net::SocketAddr;
use std::task::{Context, Poll};

use ::http::{Request, Response};
#[cfg(feature = "axum")]
use axum::extract::ConnectInfo;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
#[cfg(feature = "axum")]
use hubline_transport::RemoteAddress;
use hubline_transport::{Body, Endpoint};
use tower_service::Service;

/// An endpoint as a tower service, for axum or, by `TowerToHyperService`, for hyper alone. WebSockets need an HTTP connection
/// that is served with upgrades.
///
/// The client's address is the request's extension [`RemoteAddress`](crate::RemoteAddress) or, with the feature
/// `axum`, `axum::extract::ConnectInfo<SocketAddr>`, if it has one.
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
        #[cfg(feature = "axum")]
        let request = with_remote_address(request);
        let endpoint = self.0.clone();
        async move { Ok(endpoint.respond(request).await) }.boxed()
    }
}

#[cfg(feature = "axum")]
fn with_remote_address<B>(mut request: Request<B>) -> Request<B> {
    if let Some(ConnectInfo(remote)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = RemoteAddress(remote.ip().to_canonical());
        request.extensions_mut().insert(address);
    }
    request
}
