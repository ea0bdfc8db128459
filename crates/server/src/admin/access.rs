//! Who may use the admin API.
//!
//! 1. A configured key that nobody can guess gets in, whatever else there is.
//! 2. An address that has tried too many wrong keys waits.
//! 3. Any other configured key gets in, and any key in the database that is good. While the database cannot be asked, 503.
//! 4. Where no key is configured and none was ever in the database, the API is open in Development, and off elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hubline_store::keys::{self, AdminScope, Key, KeyKind, KeyScope, PresentedKey};
use hubline_store::{Store, StoreError, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::browsers;
use super::config::{AdminConfig, digest_of};
use super::wrong_keys::WrongKeys;
use crate::api::{AdminPrincipal, Problem};

/// Longest key that is looked at, in bytes.
const LONGEST_KEY: usize = 1_024;

/// How long an API that is off for want of keys stays so without asking the database again, which strangers could keep busy.
const STAYS_OFF: Duration = Duration::from_secs(1);

/// Requests to the admin API since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdminStatistics {
    /// Refused for want of a key, or for a wrong one.
    pub unauthorized: u64,
    /// Refused because their address had tried too many wrong keys.
    pub limited: u64,
    /// Refused because of the page they came from, or because the API is off.
    pub forbidden: u64,
    /// Requests to hubs refused for want of a virtual key, or for a wrong one.
    pub virtual_keys: u64,
}

#[derive(Debug)]
pub(super) struct Access {
    config: AdminConfig,
    store: Store,
    wrong: WrongKeys,
    /// Whether a key was ever seen in the database; it stays so.
    has_stored_keys: AtomicBool,
    /// Where the API is off without keys: until when it need not be asked again whether there are any.
    off_until: Mutex<Option<Instant>>,
    has_warned_of_open: AtomicBool,
    unauthorized: AtomicU64,
    limited: AtomicU64,
    forbidden: AtomicU64,
}

/// Middleware: only who may use the API gets further.
pub(super) async fn authenticate(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|client| client.0.ip());
    let principal = match access.admit(client, bearer(request.headers()), request.headers()).await {
        Ok(principal) => principal,
        Err(refusal) => return access.refused(client, refusal),
    };
    let needed = match *request.method() {
        Method::GET | Method::HEAD => AdminScope::Read,
        _ => AdminScope::Write,
    };
    if let Err(problem) = principal.require(needed) {
        return problem.into_response();
    }
    request.extensions_mut().insert(principal);
    next.run(request).await
}

/// Middleware: serves what belongs to administrators and gives nothing away, unless there is no key and one would be needed.
pub(super) async fn unless_off(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.is_off().await {
        Ok(false) => next.run(request).await,
        Ok(true) => {
            let text = "This is off, because no admin key is configured; Admin__ApiKey sets one, and --dev needs none.\n";
            (StatusCode::FORBIDDEN, text).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

impl Access {
    pub(super) fn new(config: AdminConfig, store: Store) -> Self {
        Self {
            wrong: WrongKeys::new(config.wrong_keys_per_minute),
            config,
            store,
            has_stored_keys: AtomicBool::default(),
            off_until: Mutex::default(),
            has_warned_of_open: AtomicBool::default(),
            unauthorized: AtomicU64::default(),
            limited: AtomicU64::default(),
            forbidden: AtomicU64::default(),
        }
    }

    pub(super) fn statistics(&self) -> AdminStatistics {
        AdminStatistics {
            unauthorized: self.unauthorized.load(Ordering::Relaxed),
            limited: self.limited.load(Ordering::Relaxed),
            forbidden: self.forbidden.load(Ordering::Relaxed),
            virtual_keys: 0,
        }
    }

    /// Whether nobody gets in, for want of any key.
    async fn is_off(&self) -> Result<bool, Problem> {
        Ok(!self.config.is_open_without_keys && !self.has_keys().await?)
    }

    pub(super) async fn has_keys(&self) -> Result<bool, Problem> {
        Ok(!self.config.keys.is_empty() || self.ever_had_stored_keys().await?)
    }

    /// Who a key belongs to that was brought in another way than by a request to the API.
    ///
    /// # Errors
    /// As the API refuses it; it is counted there.
    pub(super) async fn sign_in(
        &self,
        client: Option<IpAddr>,
        key: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<AdminPrincipal, Problem> {
        let key = key.filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
        let admitted = self.admit(client, key, headers).await;
        admitted.inspect_err(|problem| self.count_refusal(client, problem))
    }

    async fn admit(
        &self,
        client: Option<IpAddr>,
        key: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<AdminPrincipal, Problem> {
        let digest = key.map(digest_of);
        if let Some(configured) = self.configured(digest, |is_strong| is_strong) {
            return Ok(configured);
        }
        if let Some(wait) = key.and_then(|_| self.wrong.wait(client)) {
            let problem = Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong admin keys came from this address",
            );
            return Err(problem.retry_after(wait.as_secs() + 1));
        }
        if let Some(configured) = self.configured(digest, |_| true) {
            return Ok(configured);
        }
        if let Some(stored) = self.stored(key).await? {
            return Ok(stored);
        }
        match self.config.keys.is_empty() && !self.ever_had_stored_keys().await? {
            true => self.without_keys(headers),
            false if key.is_some() => {
                self.wrong.add(client);
                Err(Problem::unauthorized("this is no admin key, or it is expired or revoked"))
            }
            false => Err(Problem::unauthorized("this needs an admin key, as Authorization: Bearer <key>")),
        }
    }

    /// Compares with every key that may be compared, so that the time tells nothing of which one it was.
    fn configured(
        &self,
        digest: Option<[u8; 32]>,
        may_compare: impl Fn(bool) -> bool,
    ) -> Option<AdminPrincipal> {
        let digest = digest?;
        let keys = self.config.keys.iter().filter(|key| may_compare(key.is_strong));
        let right = keys.fold(None, |right, key| if key.is(&digest) { Some(key) } else { right })?;
        Some(AdminPrincipal { name: right.setting.clone(), scope: AdminScope::Full, is_keyless: false })
    }

    async fn stored(&self, key: Option<&str>) -> Result<Option<AdminPrincipal>, Problem> {
        let Some(presented) = key.and_then(|key| PresentedKey::parse(KeyKind::Admin, key)) else {
            return Ok(None);
        };
        let now = Timestamp::now();
        let verify =
            self.store.read(move |db| Box::pin(async move { keys::verify(db, &presented, now).await }));
        let Some(key) = verify.await.map_err(unavailable)? else { return Ok(None) };
        self.note_use(&key, now).await;
        Ok(match key.scope {
            KeyScope::Admin(scope) => Some(AdminPrincipal { name: key.name, scope, is_keyless: false }),
            KeyScope::Models(_) => None,
        })
    }

    /// A use that cannot be noted is no reason to refuse it.
    async fn note_use(&self, key: &Key, now: Timestamp) {
        if key.is_use_due(now) {
            let id = key.id.clone();
            let noted = self.store.write(move |db| Box::pin(async move { keys::touch(db, &id, now).await }));
            if let Err(error) = noted.await {
                tracing::debug!(%error, "The use of an admin key could not be noted");
            }
        }
    }

    async fn ever_had_stored_keys(&self) -> Result<bool, Problem> {
        if self.has_stored_keys.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let now = Instant::now();
        if self.off_until.lock().is_some_and(|until| now < until) {
            return Ok(false);
        }
        let exists = self.store.read(|db| Box::pin(async move { keys::exists(db, KeyKind::Admin).await }));
        let exists = exists.await.map_err(unavailable)?;
        self.has_stored_keys.fetch_or(exists, Ordering::Relaxed);
        if !exists && !self.config.is_open_without_keys {
            *self.off_until.lock() = Some(now + STAYS_OFF);
        }
        Ok(exists)
    }

    /// There is no key at all.
    fn without_keys(&self, headers: &HeaderMap) -> Result<AdminPrincipal, Problem> {
        if !self.config.is_open_without_keys {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the admin API is off, because no key is configured; Admin__ApiKey sets one",
            ));
        }
        if let Some(refusal) = browsers::refusal(&self.config, headers) {
            return Err(Problem::new(StatusCode::FORBIDDEN, refusal));
        }
        if !self.has_warned_of_open.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "The admin API is used without a key: there is none, and the environment is Development. \
                 Admin__ApiKey closes it to others"
            );
        }
        Ok(AdminPrincipal { name: "(no key)".to_owned(), scope: AdminScope::Full, is_keyless: true })
    }

    fn refused(&self, client: Option<IpAddr>, problem: Problem) -> Response {
        self.count_refusal(client, &problem);
        problem.into_response()
    }

    /// Counts a refusal; the first of each kind is logged.
    fn count_refusal(&self, client: Option<IpAddr>, problem: &Problem) {
        let (counter, cure) = match problem.status() {
            StatusCode::UNAUTHORIZED => {
                (&self.unauthorized, "Keys are those of Admin__ApiKey and /api/admin/keys")
            }
            StatusCode::TOO_MANY_REQUESTS => {
                (&self.limited, "If the address is a proxy's, name it in ForwardedHeaders:KnownProxies")
            }
            StatusCode::FORBIDDEN => (&self.forbidden, "Admin__ApiKey sets a key"),
            _ => return,
        };
        if counter.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                client = client.map(tracing::field::display),
                problem = problem.detail(),
                "A request to the admin API was refused. {cure}. Further ones are counted in hubline_admin_requests_refused_total"
            );
        }
    }
}

fn unavailable(error: StoreError) -> Problem {
    let problem = Problem::from(error);
    match problem.status() {
        StatusCode::SERVICE_UNAVAILABLE => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database, which knows the admin keys, cannot be asked now; a configured key (Admin__ApiKey) needs none",
        )
        .retry_after(5),
        _ => problem,
    }
}

/// The key of a request: from the header alone, since addresses end up in logs.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    let is_key = scheme.eq_ignore_ascii_case("Bearer") && !key.is_empty() && key.len() <= LONGEST_KEY;
    is_key.then_some(key)
}
