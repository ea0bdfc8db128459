//! Who a token for development says somebody is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hubline::Principal;
use hubline_auth::TokenError;

use super::keys::ID_PREFIX;
use super::{DevelopmentSignIn, token};

/// The query parameter of SignalR's clients.
const QUERY_PARAMETER: &str = "access_token";

static IS_LOGGED: AtomicBool = AtomicBool::new(false);

/// Middleware in front of what verifies all other tokens: one for development becomes a principal, and is taken out of the
/// request, in which nobody else could make sense of it.
pub(crate) async fn authenticate(
    State(sign_in): State<DevelopmentSignIn>,
    mut request: Request,
    next: Next,
) -> Response {
    let presented = presented(&request);
    let Some(id) = presented.as_deref().and_then(token::key_id).filter(|id| id.starts_with(ID_PREFIX)) else {
        return next.run(request).await;
    };
    match sign_in.verify(&presented.unwrap_or_default(), &id).await {
        Ok(principal) => {
            request.extensions_mut().insert(Arc::new(principal));
            request.headers_mut().remove(AUTHORIZATION);
            *request.uri_mut() = without_token(request.uri());
            next.run(request).await
        }
        Err(error) => refusal(&error),
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

/// The token of a request, from its query before its header, as everywhere.
fn presented(request: &Request) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let in_query = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name.eq_ignore_ascii_case(QUERY_PARAMETER))
        .map(|(_, token)| token.into_owned());
    let in_header = || {
        let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = header.split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case("Bearer ").then(|| token.trim().to_owned())
    };
    in_query.filter(|token| !token.is_empty()).or_else(in_header)
}

fn without_token(uri: &Uri) -> Uri {
    let Some(query) = uri.query() else { return uri.clone() };
    let is_other = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name.into_owned());
        name.is_none_or(|name| !name.eq_ignore_ascii_case(QUERY_PARAMETER))
    };
    let rest = query.split('&').filter(is_other).collect::<Vec<_>>().join("&");
    let path_and_query =
        if rest.is_empty() { uri.path().to_owned() } else { [uri.path(), "?", &rest].concat() };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_query_stays() {
        for (uri, expected) in [
            ("/chathub?id=a&access_token=b", "/chathub?id=a"),
            ("/chathub?ACCESS%5Ftoken=b&id=%26", "/chathub?id=%26"),
            ("/chathub?access_token=b", "/chathub"),
            ("/chathub", "/chathub"),
            ("http://h/c?access_token=b&x", "http://h/c?x"),
        ] {
            assert_eq!(without_token(&uri.parse().unwrap()).to_string(), expected);
        }
    }
}
