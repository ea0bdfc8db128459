//! The tower layer that authenticates requests by bearer token.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use hubline_identity::{ExpiredPrincipal, Principal};
use tower_layer::Layer;
use tower_service::Service;

use super::{BearerOptions, BearerOptionsError, TokenRefusals, challenge, presented};
use crate::refusals::{Hook, LayerRefusal};
use crate::verifier::Refused;
use crate::{TokenError, Verifier};

/// A [`Layer`] that puts an `Arc<`[`Principal`](crate::Principal)`>` into the extensions of requests that bring a good bearer token.
///
/// Requests without a token, or with one that does not verify, reach the wrapped service without a principal, unless
/// [invalid tokens are refused](BearerOptions::refuse_invalid_tokens). A token that is valid but for its expiry leaves an
/// [`ExpiredPrincipal`], which grants no access. To each 401 the layer adds the header `WWW-Authenticate` with the reason.
///
/// Clones share their keys and counts.
#[derive(Debug, Clone)]
pub struct BearerAuthentication {
    verifier: Arc<Verifier>,
    refusals: TokenRefusals,
    hook: Hook,
}

impl BearerAuthentication {
    /// Middleware for these options. With [`RemoteKeys`](crate::RemoteKeys), starts to fetch them.
    ///
    /// # Errors
    /// As [`Verifier::new`].
    pub fn new(options: BearerOptions) -> Result<Self, BearerOptionsError> {
        let verifier = Arc::new(Verifier::new(options)?);
        Ok(Self { verifier, refusals: TokenRefusals::default(), hook: Hook::default() })
    }

    /// Has something told of each request that is [refused](BearerOptions::refuse_invalid_tokens) for its token, by the kinds of
    /// [`TokenRefusals::counts`] behind `token_`, such as `token_signature_invalid`. It is called on the thread of the request and has to be
    /// quick.
    #[must_use]
    pub fn on_refusal(self, told: impl Fn(&LayerRefusal<'_>) + Send + Sync + 'static) -> Self {
        Self { hook: Hook::new(told), ..self }
    }

    /// Counts of the requests whose token was refused, by reason.
    pub fn refusals(&self) -> &TokenRefusals {
        &self.refusals
    }

    /// The verifier of the tokens.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl<S> Layer<S> for BearerAuthentication {
    type Service = BearerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerService { inner, authentication: self.clone() }
    }
}

/// The service that [`BearerAuthentication`] makes of another one.
#[derive(Debug, Clone)]
pub struct BearerService<S> {
    inner: S,
    authentication: BearerAuthentication,
}

impl<S, B, R> Service<Request<B>> for BearerService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
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
        let authentication = self.authentication.clone();
        Box::pin(async move {
            let shown = authentication.authenticate(&mut request).await;
            let options = authentication.verifier.options();
            let mut response = match &shown {
                Shown::Invalid(error) if options.refuse_invalid_tokens => {
                    authentication.hook.tell(&request, TokenRefusals::reason(error));
                    unauthorized()
                }
                _ => inner.call(request).await?,
            };
            authentication.count(&shown, response.status());
            challenge::add(&mut response, shown.error(), options.include_error_details);
            Ok(response)
        })
    }
}

/// The identity that a request's token proves.
enum Shown {
    Nothing,
    Good,
    /// A token that is valid but for its expiry.
    Expired(TokenError),
    Invalid(TokenError),
}

impl Shown {
    fn error(&self) -> Option<&TokenError> {
        match self {
            Self::Nothing | Self::Good => None,
            Self::Expired(error) | Self::Invalid(error) => Some(error),
        }
    }
}

impl BearerAuthentication {
    /// Puts the identity into the request's extensions.
    async fn authenticate<B>(&self, request: &mut Request<B>) -> Shown {
        let options = self.verifier.options();
        let token = presented::token(request.uri(), request.headers(), options.token_from_query);
        let Some(token) = token else { return Shown::Nothing };
        match self.verifier.authenticate(&token).await {
            Ok(principal) => {
                request.extensions_mut().insert::<Arc<Principal>>(principal);
                Shown::Good
            }
            Err(Refused { error, expired: Some(expired) }) => {
                request.extensions_mut().insert(ExpiredPrincipal(Arc::new(*expired)));
                Shown::Expired(error)
            }
            Err(Refused { error, expired: None }) => Shown::Invalid(error),
        }
    }

    fn count(&self, shown: &Shown, status: StatusCode) {
        let is_refused = status == StatusCode::UNAUTHORIZED;
        match shown {
            Shown::Nothing if is_refused => self.refusals.add(None),
            // Where invalid tokens are refused, an expired one may be good enough for what was asked.
            Shown::Expired(_) if !is_refused && self.verifier.options().refuse_invalid_tokens => {}
            Shown::Expired(error) | Shown::Invalid(error) => self.refusals.add(Some(error)),
            Shown::Nothing | Shown::Good => {}
        }
    }
}

fn unauthorized<R: Default>() -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}
