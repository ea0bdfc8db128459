//! The middleware.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use hubline_pipe::ExpiredPrincipal;
use tower_layer::Layer;
use tower_service::Service;

use super::{BearerOptions, BearerOptionsError, challenge, presented};
use crate::Verifier;

/// A [`Layer`] that puts an `Arc<`[`Principal`](crate::Principal)`>` into the extensions of requests that bring a good bearer token.
///
/// Requests without one, or with a bad one, go on without: what they may do is for the wrapped service to
/// say. One that is merely expired leaves an [`ExpiredPrincipal`], which lets nobody in. If it answers 401, the layer adds the header `WWW-Authenticate`, with what is wrong with the token.
///
/// Clones share their keys.
#[derive(Debug, Clone)]
pub struct BearerAuthentication {
    verifier: Arc<Verifier>,
}

impl BearerAuthentication {
    /// Middleware for these options. With [`RemoteKeys`](crate::RemoteKeys), starts to fetch them.
    ///
    /// # Errors
    /// Those of [`Verifier::new`].
    pub fn new(options: BearerOptions) -> Result<Self, BearerOptionsError> {
        Ok(Self { verifier: Arc::new(Verifier::new(options)?) })
    }

    /// What verifies the tokens.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl<S> Layer<S> for BearerAuthentication {
    type Service = BearerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerService { inner, verifier: Arc::clone(&self.verifier) }
    }
}

/// A service with [`BearerAuthentication`] around it.
#[derive(Debug, Clone)]
pub struct BearerService<S> {
    inner: S,
    verifier: Arc<Verifier>,
}

impl<S, B, R> Service<Request<B>> for BearerService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The clone is not ready, the service that was asked is.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let verifier = Arc::clone(&self.verifier);
        Box::pin(async move {
            let options = verifier.options();
            let token = presented::token(request.uri(), request.headers(), options.token_from_query);
            let mut error = None;
            if let Some(token) = token {
                match verifier.authenticate(&token).await {
                    Ok(principal) => _ = request.extensions_mut().insert(Arc::new(principal)),
                    Err(refused) => {
                        tracing::debug!(error = %refused.error, "A bearer token was not believed");
                        if let Some(expired) = refused.expired {
                            request.extensions_mut().insert(ExpiredPrincipal(Arc::new(*expired)));
                        }
                        error = Some(refused.error);
                    }
                }
            }
            let mut response = inner.call(request).await?;
            challenge::add(&mut response, error.as_ref(), options.include_error_details);
            Ok(response)
        })
    }
}
