//! Virtual keys of hubs: who brings one is known by it, and sees its models alone.
//!
//! A key is checked in the database, and its answer is good for 10 s; one that was right is still taken while the database cannot be asked, for
//! 10 minutes. A key that is revoked does not open anything meanwhile, because its user is kept out as well.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hubline::Principal;
use hubline_store::keys::{self, Key, KeyKind, KeyScope, PresentedKey};
use hubline_store::{Store, StoreError, Timestamp};
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::AdminConfig;
use super::wrong_keys::WrongKeys;
use crate::access_token;
use crate::api::Problem;
use crate::refused::Refusals;

/// How long an answer of the database is good.
const FRESH: Duration = Duration::from_secs(10);

/// How long a key that was right is taken while the database cannot be asked.
const STALE: Duration = Duration::from_secs(10 * 60);

/// Answers that are remembered.
const MOST_KNOWN: usize = 10_000;

/// Who vouches for these users.
const ISSUER: &str = "hubline:virtual-keys";

#[derive(Debug)]
pub(super) struct VirtualKeys {
    store: Store,
    /// Whether nobody comes in without one.
    is_required: bool,
    /// The claim that holds the models.
    scope_claim: &'static str,
    known: Mutex<HashMap<PresentedKey, Known>>,
    wrong: WrongKeys,
    refused: AtomicU64,
}

/// What the database said of a key.
#[derive(Debug, Clone)]
struct Known {
    at: Instant,
    /// `None` for a wrong one.
    principal: Option<Arc<Principal>>,
}

/// The user whom a virtual key makes of who brings it.
pub(crate) fn user_of(key_id: &str) -> String {
    format!("virtual-key:{key_id}")
}

/// Middleware in front of what verifies other tokens: a virtual key becomes a principal, and is taken out of the request.
pub(super) async fn authenticate(
    State((keys, told)): State<(Arc<VirtualKeys>, Refusals)>,
    mut request: Request,
    next: Next,
) -> Response {
    let presented = access_token::presented(&request);
    let presented = presented.and_then(|token| PresentedKey::parse(KeyKind::Virtual, &token));
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|client| client.0.ip());
    let principal = match presented {
        Some(presented) => keys.principal(client, presented).await,
        None if keys.is_required => {
            Err(Problem::unauthorized("this needs a virtual key, as bearer token or access_token"))
        }
        None => return next.run(request).await,
    };
    match principal {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            access_token::take(&mut request);
            next.run(request).await
        }
        Err(problem) => {
            let reason = match problem.status() {
                StatusCode::SERVICE_UNAVAILABLE => "virtual_key_unknown",
                _ => "virtual_key",
            };
            told.tell(request.uri().path(), request.extensions(), reason, None);
            keys.refusal(client, problem)
        }
    }
}

impl VirtualKeys {
    pub(super) fn new(store: Store, config: &AdminConfig) -> Self {
        Self {
            store,
            is_required: config.requires_virtual_key,
            scope_claim: config.model_scope_claim,
            known: Mutex::default(),
            wrong: WrongKeys::new(config.wrong_keys_per_minute),
            refused: AtomicU64::default(),
        }
    }

    /// Requests that were refused since the start.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    async fn principal(
        &self,
        client: Option<IpAddr>,
        presented: PresentedKey,
    ) -> Result<Arc<Principal>, Problem> {
        let known = self.known.lock().get(&presented).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.is_good_for(FRESH)) {
            return known.principal.clone().ok_or_else(wrong);
        }
        if let Some(wait) = self.wrong.wait(client) {
            let problem = Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong virtual keys came from this address",
            );
            return Err(problem.retry_after(wait.as_secs() + 1));
        }
        match self.ask(presented.clone()).await {
            Ok(key) => {
                let principal = key.map(|key| Arc::new(self.principal_of(key)));
                self.remember(presented, principal.clone());
                principal.ok_or_else(|| {
                    self.wrong.add(client);
                    wrong()
                })
            }
            Err(error) => match known.filter(|known| known.is_good_for(STALE)) {
                Some(Known { principal: Some(principal), .. }) => Ok(principal),
                _ => Err(error.into()),
            },
        }
    }

    async fn ask(&self, presented: PresentedKey) -> Result<Option<Key>, StoreError> {
        let now = Timestamp::now();
        let verify =
            self.store.read(move |db| Box::pin(async move { keys::verify(db, &presented, now).await }));
        let key = verify.await?;
        if let Some(key) = key.as_ref().filter(|key| key.is_use_due(now)) {
            let id = key.id.clone();
            let noted = self.store.write(move |db| Box::pin(async move { keys::touch(db, &id, now).await }));
            if let Err(error) = noted.await {
                tracing::debug!(%error, "The use of a virtual key could not be noted");
            }
        }
        Ok(key)
    }

    fn principal_of(&self, key: Key) -> Principal {
        let mut principal = Principal::builder().user(user_of(&key.id)).issuer(ISSUER).name(key.name);
        if let Some(end) = key.expires_at {
            principal = principal.expires(SystemTime::from(OffsetDateTime::from(end)));
        }
        let KeyScope::Models(Some(models)) = key.scope else { return principal.build() };
        if models.is_empty() {
            principal = principal.claim(self.scope_claim, "");
        }
        models
            .into_iter()
            .fold(principal, |principal, model| principal.claim(self.scope_claim, model))
            .build()
    }

    fn remember(&self, presented: PresentedKey, principal: Option<Arc<Principal>>) {
        let mut known = self.known.lock();
        if known.len() >= MOST_KNOWN {
            known.retain(|_, known| known.is_good_for(FRESH));
        }
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(presented, Known { at: Instant::now(), principal });
    }

    /// Counts a refusal; the first is logged.
    fn refusal(&self, client: Option<IpAddr>, problem: Problem) -> Response {
        let is_counted = problem.status() != StatusCode::SERVICE_UNAVAILABLE;
        if is_counted && self.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                client = client.map(tracing::field::display),
                problem = problem.detail(),
                "A request to the navigation state without a right virtual key was refused. /api/admin/virtual-keys makes keys, \
                 Navigation:RequireVirtualKey says whether they are needed. Further ones are counted in hubline_virtual_keys_refused_total"
            );
        }
        problem.into_response()
    }
}

impl Known {
    fn is_good_for(&self, span: Duration) -> bool {
        let ends = self.principal.as_ref().and_then(|principal| principal.expires);
        self.at.elapsed() < span && ends.is_none_or(|end| SystemTime::now() < end)
    }
}

fn wrong() -> Problem {
    Problem::unauthorized("this is no virtual key, or it is expired or revoked")
}
