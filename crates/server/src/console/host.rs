//! What the console needs of the rest of the program.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderMap;
use futures_util::future::BoxFuture;
use hubline::Status;
use serde::Serialize;

use crate::api::{AdminPrincipal, Problem};

/// The program around the console: who may do what, and what other applications do when they are asked to. `app` knows them, the console
/// does not.
pub(crate) trait Host: fmt::Debug + Send + Sync + 'static {
    /// Who an admin key belongs to; without a key, who may come without one. `headers` are those of the request that opened the
    /// connection.
    ///
    /// # Errors
    /// The key is none, or there is none and one is needed; the problem's detail says so.
    fn sign_in<'a>(
        &'a self,
        client: Option<IpAddr>,
        key: Option<&'a str>,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Result<AdminPrincipal, Problem>>;

    /// What was refused in front of the hubs since the start, by why.
    fn refusals(&self) -> Vec<(String, u64)>;

    /// How long Redis took to answer last; `None` without Redis, or if it does not answer.
    fn redis_round_trip(&self) -> Option<Duration>;

    /// Whether the database can be used.
    fn database(&self) -> Status;

    /// Whether this instance serves, hands its clients over, or has.
    fn stage(&self) -> Stage;

    /// Hands this instance's clients over to the others. Whether somebody had asked for that before.
    fn drain(&self) -> bool;

    /// Keeps a user out for so long, on all instances, and closes the user's connections; in the audit.
    fn ban(
        &self,
        who: AdminPrincipal,
        user: String,
        out_for: Duration,
        reason: String,
    ) -> BoxFuture<'_, Result<(), Problem>>;

    /// The keys in the database, those of administrators first.
    fn keys(&self, who: AdminPrincipal) -> BoxFuture<'_, Result<Vec<ShownKey>, Problem>>;

    /// Ends a key, and what was opened with it; in the audit.
    fn revoke_key(&self, who: AdminPrincipal, id: String) -> BoxFuture<'_, Result<ShownKey, Problem>>;
}

/// How far draining is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Up,
    Draining,
    Drained,
}

/// A key, without its secrets.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownKey {
    pub(crate) id: String,
    pub(crate) name: String,
    /// `admin` or `virtual`.
    pub(crate) kind: &'static str,
    /// What an admin key may do.
    pub(crate) scope: Option<&'static str>,
    /// Whose connections a virtual one opens.
    pub(crate) user: Option<String>,
    pub(crate) is_revoked: bool,
    /// In milliseconds since 1970.
    pub(crate) expires_at: Option<u64>,
}
