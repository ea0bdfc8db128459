//! Who is let in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::http::{Extensions, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hubline::value::DateTime;
use hubline::{Caller, ExpiredPrincipal, HubError, HubFilter, NextCallback, Principal, Server, UserId};
use hubline_store::clinic::bans::{self, Banned, MAXIMUM};
use hubline_store::{Store, StoreError, Timestamp};
use hubline_supervision::Vital;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::announcements::Announcement;
use super::known_bans::KnownBans;
use super::sign_ins::SignIns;
use crate::refused::Refusals;
use crate::user_ids::LONGEST_USER_ID;

/// How often the database is asked who is kept out: so late, at most, an instance knows that no announcement has reached.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);
const PAGE: u32 = 1_000;
/// Announcements that wait to be written into a database of this machine's own.
const MOST_UNWRITTEN: usize = 100_000;
/// How often a reading is repeated because of announcements meanwhile.
const ATTEMPTS: u32 = 5;

/// Keeps users out of this instance. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    server: Server,
    store: Store,
    bans: KnownBans,
    reload: Notify,
    /// What was announced and may not be in this machine's own database.
    unwritten: Mutex<VecDeque<Announcement>>,
    refused: AtomicU64,
    unusable: AtomicU64,
    closed: AtomicU64,
}

impl Gate {
    pub(super) fn new(server: Server, store: Store) -> Self {
        Self(Arc::new(Shared {
            server,
            store,
            bans: KnownBans::default(),
            reload: Notify::new(),
            unwritten: Mutex::default(),
            refused: AtomicU64::new(0),
            unusable: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }))
    }

    /// Until when a user is kept out; `None` for one who is not.
    pub(super) fn out_until(&self, user: &UserId) -> Option<Timestamp> {
        self.0.bans.until(user.as_str(), Timestamp::now())
    }

    /// Does on this instance what was announced. Returns how many connections it closed.
    pub(super) fn act(&self, announcement: &Announcement) -> usize {
        match announcement {
            Announcement::Ban { user, until } => {
                if !self.0.bans.put(user, Timestamp(*until)) {
                    tracing::error!(
                        users = MAXIMUM,
                        "A user is not kept out by this instance, which cannot remember more users at once"
                    );
                }
                self.close(user)
            }
            Announcement::Close { user } => self.close(user),
            Announcement::Lift { user } => {
                self.0.bans.lift(user);
                0
            }
        }
    }

    /// Has what was announced written into the database, unless all instances have the same: then it is there. So it holds also when this
    /// program is started anew.
    pub(super) fn keep(&self, announcement: Announcement) {
        if self.0.store.is_shared() || matches!(announcement, Announcement::Close { .. }) {
            return;
        }
        let mut unwritten = self.0.unwritten.lock();
        if unwritten.len() == MOST_UNWRITTEN {
            tracing::error!(
                announcements = MOST_UNWRITTEN,
                "The database was away for so many announcements of other machines that the oldest holds only as long as this program runs"
            );
            unwritten.pop_front();
        }
        unwritten.push_back(announcement);
        drop(unwritten);
        self.reload_soon();
    }

    async fn write_announced(&self) -> Result<(), StoreError> {
        loop {
            let next = self.0.unwritten.lock().front().cloned();
            let Some(announcement) = next else { return Ok(()) };
            let written = announcement.clone();
            let done = self.0.store.write(move |db| {
                Box::pin(async move {
                    match &announcement {
                        Announcement::Ban { user, until } => {
                            bans::put_announced(db, user, Timestamp(*until)).await
                        }
                        Announcement::Lift { user } => {
                            bans::lift(db, user, Timestamp::now()).await.map(|_| Banned::Yes)
                        }
                        Announcement::Close { .. } => Ok(Banned::Yes),
                    }
                })
            });
            if done.await? == Banned::TooMany {
                tracing::error!(
                    users = MAXIMUM,
                    "A user whom another machine keeps out is not written into this machine's database, which keeps out as many as it can"
                );
            }
            let mut unwritten = self.0.unwritten.lock();
            if unwritten.front() == Some(&written) {
                unwritten.pop_front();
            }
        }
    }

    /// Has the database asked at once who is kept out.
    pub(super) fn reload_soon(&self) {
        self.0.reload.notify_one();
    }

    /// Users who are kept out, their requests that were refused, connections that were closed, and requests of users whose id cannot be used.
    pub(super) fn counts(&self) -> (usize, u64, u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { bans, refused, closed, unusable, .. } = &*self.0;
        (bans.count(Timestamp::now()), count(refused), count(closed), count(unusable))
    }

    /// Asks the database who is kept out, and closes what those have open here who were not before.
    ///
    /// # Errors
    /// The database cannot be used; what is known holds.
    pub(super) async fn reload(&self) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let mark = self.0.bans.mark();
            self.write_announced().await?;
            let now = Timestamp::now();
            let bans = self.read(now).await?;
            if let Some(new) = self.0.bans.reload(mark, bans, now) {
                for user in new {
                    self.close(&user);
                }
                break;
            }
        }
        Ok(())
    }

    async fn read(&self, now: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let mut all: Vec<(String, Timestamp)> = Vec::new();
        loop {
            let after = all.last().map(|(user, _)| user.clone());
            let page = self
                .0
                .store
                .read(move |db| Box::pin(async move { bans::list(db, now, after.as_deref(), PAGE).await }));
            let page = page.await?;
            let is_last = page.len() < PAGE as usize;
            all.extend(page.into_iter().map(|ban| (ban.user, ban.until)));
            if is_last {
                return Ok(all);
            }
        }
    }

    fn close(&self, user: &str) -> usize {
        let connections = self.0.server.abort_user(&user.into());
        self.0.closed.fetch_add(connections as u64, Ordering::Relaxed);
        if connections > 0 {
            tracing::info!(user, connections, "The connections of a user were closed");
        }
        connections
    }

    /// The answer to a user of whom nothing could be written down, neither sign-in nor message.
    fn unusable(&self, user: &UserId) -> Option<Response> {
        let bytes = user.as_str().len();
        let text = match user.as_str().contains(char::is_control) {
            true => "The id of the user whom the token names has control characters in it.\n".to_owned(),
            false if bytes > LONGEST_USER_ID => format!(
                "The id of the user whom the token names has {bytes} bytes, and may have {LONGEST_USER_ID} at most.\n"
            ),
            false => return None,
        };
        if self.0.unusable.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                why = text.trim_end(),
                "A request was answered 403; who issues the tokens has to name users otherwise. Further ones are counted in hubline_unusable_user_ids_refused_total"
            );
        }
        Some((StatusCode::FORBIDDEN, [(CACHE_CONTROL, "no-store")], text).into_response())
    }

    fn refusal(&self, user: &UserId, until: Timestamp) -> Response {
        if self.0.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::info!(
                %user,
                "A request of a user who is kept out was answered 403; DELETE /api/admin/bans/{{user}} lets a user in again. Further ones are counted in hubline_banned_requests_refused_total"
            );
        }
        let seconds = until.0.abs_diff(Timestamp::now().0).div_ceil(10_000_000);
        let time = DateTime::from(OffsetDateTime::from(until));
        let headers = [(RETRY_AFTER, seconds.to_string()), (CACHE_CONTROL, "no-store".to_owned())];
        let text = format!("You are kept out until {time}.\n");
        (StatusCode::FORBIDDEN, headers, text).into_response()
    }
}

/// Middleware behind the one that authenticates: refuses every request of a user who is kept out, or whose id the database could not keep. Negotiations, first transports,
/// refreshes and resumptions are requests, whichever instance has the connection.
pub(super) async fn refuse(
    State((gate, told)): State<(Gate, Refusals)>,
    request: Request,
    next: Next,
) -> Response {
    let out = signed_in(request.extensions()).and_then(|principal| {
        let user = principal.name_identifier.clone()?;
        let tell = |reason| told.tell(request.uri().path(), request.extensions(), reason, Some(&user));
        if let Some(refusal) = gate.unusable(&user) {
            tell("unusable_user_id");
            return Some(refusal);
        }
        let until = gate.out_until(&user)?;
        tell("banned");
        Some(gate.refusal(&user, until))
    });
    match out {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

fn signed_in(extensions: &Extensions) -> Option<&Arc<Principal>> {
    let expired = || extensions.get::<ExpiredPrincipal>().map(|ExpiredPrincipal(principal)| principal);
    extensions.get::<Arc<Principal>>().or_else(expired)
}

/// Looks at connections of one hub once they are registered: a user may have been banned since the request came. Who is let in and is
/// signed in is noted for the audit.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) gate: Gate,
    pub(super) sign_ins: Arc<SignIns>,
    pub(super) hub: &'static str,
}

impl HubFilter for Admission {
    const WRAPS_CALLS: bool = false;

    async fn connected(&self, caller: Caller, next: NextCallback) -> Result<(), HubError> {
        let info = caller.info();
        if let Some(user) = info.principal.as_ref().and_then(|principal| principal.name_identifier.as_ref()) {
            match self.gate.out_until(user) {
                Some(_) => caller.abort(),
                None => self.sign_ins.add(user, self.hub, info.remote_address),
            }
        }
        next.run().await
    }
}

/// Asks the database now and then.
pub(super) struct Reloading {
    pub(super) gate: Gate,
    /// Whether the last time failed.
    pub(super) has_failed: bool,
}

impl Vital for Reloading {
    const NAME: &'static str = "reading who is kept out";

    async fn run(&mut self) {
        loop {
            match self.gate.reload().await {
                Ok(()) if self.has_failed => {
                    self.has_failed = false;
                    tracing::info!("The database says again who is kept out");
                }
                Ok(()) => {}
                Err(error) if !self.has_failed => {
                    self.has_failed = true;
                    tracing::warn!(
                        %error,
                        "The database cannot be asked who is kept out. What this instance knows, and what others announce over Redis, holds"
                    );
                }
                Err(_) => {}
            }
            _ = timeout(RELOAD_INTERVAL, self.gate.0.reload.notified()).await;
        }
    }
}
