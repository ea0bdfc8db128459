//! Who a token for development says somebody is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hubline::Principal;
use hubline_auth::TokenError;

use super::keys::ID_PREFIX;
use super::{DevelopmentSignIn, token};
use crate::access_token;
use crate::refused::Refusals;

static IS_LOGGED: AtomicBool = AtomicBool::new(false);

/// Middleware in front of what verifies all other tokens: one for development becomes a principal, and is taken out of the
/// request, in which nobody else could make sense of it.
pub(crate) async fn authenticate(
    State((sign_in, told)): State<(DevelopmentSignIn, Refusals)>,
    mut request: Request,
    next: Next,
) -> Response {
    let presented = access_token::presented(&request);
    let Some(id) = presented.as_deref().and_then(token::key_id).filter(|id| id.starts_with(ID_PREFIX)) else {
        return next.run(request).await;
    };
    match sign_in.verify(&presented.unwrap_or_default(), &id).await {
        Ok(principal) => {
            request.extensions_mut().insert(Arc::new(principal));
            access_token::take(&mut request);
            next.run(request).await
        }
        Err(error) => {
            told.tell(request.uri().path(), request.extensions(), "development_token", None);
            refusal(&error)
        }
    }
}

impl DevelopmentSignIn {
    async fn verify(&self, token: &str, id: &str) -> Result<Principal, TokenError> {
        let verify = || {
            self.keys.verifier().map_or(Err(TokenError::SignatureKeyNotFound), |known| known.verify(token))
        };
        match verify() {
            Err(TokenError::SignatureKeyNotFound) if self.keys.look_up(id).await => verify(),
            verified => verified,
        }
    }
}

fn refusal(error: &TokenError) -> Response {
    if !IS_LOGGED.swap(true, Ordering::Relaxed) {
        tracing::info!(%error, "A token for development was refused; get a new one with POST /dev/token. More are logged at level Debug");
    }
    tracing::debug!(%error, "a token for development was refused");
    let why =
        format!("The token for development is not believed: {error}. POST /dev/token issues another.\n");
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")], why).into_response()
}
