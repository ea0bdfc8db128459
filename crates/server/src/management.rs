//! Who may see how the server is, besides whether it is well.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

/// Shortest key: guessing it takes longer than anybody lives.
const SHORTEST_BYTES: usize = 32;

/// What requests of operators bring as `Authorization: Bearer <key>`. It opens nothing else, and a user's token opens nothing here.
#[derive(Clone)]
pub(crate) struct ManagementKey {
    key: Arc<str>,
    refused: Arc<AtomicU64>,
}

/// What a request says of the management key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented {
    Nothing,
    Right,
    Wrong,
}

impl ManagementKey {
    /// Reads a key.
    ///
    /// # Errors
    /// It is too short, or no header can hold it; the text says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let key = text.trim();
        let is_sendable = key.bytes().all(|byte| byte.is_ascii_graphic());
        match key.len() >= SHORTEST_BYTES && is_sendable {
            true => Ok(Self { key: key.into(), refused: Arc::default() }),
            false => Err(
                "a secret of 32 printable ASCII characters or more without blanks, as openssl rand -base64 32 prints",
            ),
        }
    }

    /// Compares in a time that does not tell where a wrong key differs.
    pub(crate) fn presented(&self, headers: &HeaderMap) -> Presented {
        let Some(credentials) = headers.get(AUTHORIZATION) else { return Presented::Nothing };
        let scheme_and_key = credentials.as_bytes().split_at_checked("Bearer ".len());
        let is_right = scheme_and_key.is_some_and(|(scheme, key)| {
            scheme.eq_ignore_ascii_case(b"Bearer ") && key.trim_ascii().ct_eq(self.key.as_bytes()).into()
        });
        if is_right { Presented::Right } else { Presented::Wrong }
    }

    /// The answer to a request that needs the key and has another, or none.
    pub(crate) fn refusal(&self) -> Response {
        if self.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::info!(
                "A request without the right Management:Key was refused; further ones are counted in hubline_management_requests_refused_total"
            );
        }
        let why = "This needs Authorization: Bearer with the value of Management:Key.\n";
        (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer realm=\"management\"")], why).into_response()
    }

    /// Requests that were refused since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for ManagementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Middleware: only who has the key gets further.
pub(crate) async fn require(State(key): State<ManagementKey>, request: Request, next: Next) -> Response {
    match key.presented(request.headers()) {
        Presented::Right => next.run(request).await,
        Presented::Nothing | Presented::Wrong => key.refusal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789ABCDEF";

    #[test]
    fn only_the_whole_key_in_its_scheme_is_right() {
        let key = ManagementKey::parse(&format!(" {KEY}\n")).unwrap();
        let presented = |credentials: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, credentials.parse().unwrap());
            key.presented(&headers)
        };
        assert_eq!(key.presented(&HeaderMap::new()), Presented::Nothing);
        for right in [format!("Bearer {KEY}"), format!("bearer  {KEY} ")] {
            assert_eq!(presented(&right), Presented::Right, "{right}");
        }
        for wrong in [
            KEY,
            "",
            "Bearer",
            "Bearer ",
            &format!("Basic {KEY}"),
            &format!("Bearer {KEY}0"),
            &format!("Bearer {}", &KEY[1..]),
            &format!("Bearer {}", KEY.to_lowercase()),
        ] {
            assert_eq!(presented(wrong), Presented::Wrong, "{wrong}");
        }
        assert!(!format!("{key:?}").contains(KEY));
    }

    #[test]
    fn a_key_that_can_be_guessed_or_not_be_sent_is_none() {
        for bad in ["", &KEY[1..], &format!("{}  {}", &KEY[16..], &KEY[16..]), &format!("{KEY}ä")] {
            assert!(ManagementKey::parse(bad).is_err(), "{bad}");
        }
    }
}
