//! Who is at a console: signed in once, looked at again before everything else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use hubline::{Caller, HubError};
use hubline_store::keys::AdminScope;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::host::Host;
use crate::api::{AdminPrincipal, Problem};

/// Another header than `Authorization` that a key may be brought in.
const KEY_HEADER: &str = "x-admin-key";
/// What may be done with one key in a minute, and asked in a second, on one instance.
const ACTS_PER_MINUTE: u32 = 30;
const QUESTIONS_PER_SECOND: u32 = 20;
/// Times that one connection may try to sign in, in a minute.
const SIGN_INS_PER_MINUTE: u32 = 10;
/// Keys after which those are forgotten that did nothing of late.
const MOST_KEYS: usize = 1_024;
/// How long it counts that a key was good, for what only looks; and while the database, which knows keys, cannot be asked.
const STAYS_GOOD: Duration = Duration::from_secs(5);
const STAYS_GOOD_UNASKED: Duration = Duration::from_secs(10 * 60);

/// Kept with the connection. `Debug` hides the key.
#[derive(Clone, Default)]
pub(super) struct Session(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    key: Option<String>,
    /// When the key was good last.
    who: Option<(AdminPrincipal, Instant)>,
    sign_ins: Rate,
}

/// Until when has been paid for what was done.
#[derive(Debug, Default)]
struct Rate(Option<Instant>);

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Signs a connection in, with this key or the one of its request.
///
/// # Errors
/// The host's, in its words.
pub(super) async fn sign_in(
    host: &dyn Host,
    caller: &Caller,
    key: Option<String>,
) -> Result<AdminPrincipal, HubError> {
    let info = caller.info();
    let none = HeaderMap::new();
    let headers = info.request.as_ref().map_or(&none, |request| &request.headers);
    let key = key.filter(|key| !key.trim().is_empty()).or_else(|| key_of(headers));
    let session = caller.items().update(|session: &mut Session| session.clone());
    if !session.0.lock().sign_ins.take(SIGN_INS_PER_MINUTE, Duration::from_secs(60)) {
        return Err(HubError::new(format!("Too many keys: {SIGN_INS_PER_MINUTE} a minute may be tried.")));
    }
    let who =
        host.sign_in(info.remote_address, key.as_deref().map(str::trim), headers).await.map_err(told)?;
    let mut inner = session.0.lock();
    inner.key = key;
    inner.who = Some((who.clone(), Instant::now()));
    Ok(who)
}

/// Who a connection is signed in as, asked again if it is to do something, or was not for long.
///
/// # Errors
/// It is not signed in, the key is not good any more, or its scope is too small.
pub(super) async fn signed_in(
    host: &dyn Host,
    caller: &Caller,
    scope: AdminScope,
) -> Result<AdminPrincipal, HubError> {
    let session = caller.items().get::<Session>();
    let known = session.as_ref().and_then(|session| {
        let inner = session.0.lock();
        inner.who.clone().map(|(who, good)| (who, good, inner.key.clone()))
    });
    let (Some(session), Some((who, good, key))) = (session, known) else {
        return Err(HubError::new("Sign in first."));
    };
    let who = match scope == AdminScope::Read && good.elapsed() < STAYS_GOOD {
        true => who,
        false => {
            let info = caller.info();
            let none = HeaderMap::new();
            let headers = info.request.as_ref().map_or(&none, |request| &request.headers);
            let again = host.sign_in(info.remote_address, key.as_deref().map(str::trim), headers).await;
            let mut inner = session.0.lock();
            match again {
                Ok(who) => {
                    inner.who = Some((who.clone(), Instant::now()));
                    who
                }
                // Somebody wants to see then what is wrong.
                Err(problem)
                    if problem.status().is_server_error()
                        && scope == AdminScope::Read
                        && good.elapsed() < STAYS_GOOD_UNASKED =>
                {
                    who
                }
                Err(problem) => {
                    if problem.status().is_client_error() {
                        (inner.who, inner.key) = (None, None);
                    }
                    return Err(told(problem));
                }
            }
        }
    };
    who.require(scope).map_err(told)?;
    Ok(who)
}

/// Whether somebody has signed in.
pub(super) fn is_signed_in(caller: &Caller) -> bool {
    caller.items().get::<Session>().is_some_and(|session| session.0.lock().who.is_some())
}

/// What is done with each key on this instance.
#[derive(Debug, Default)]
pub(super) struct Rates {
    acts: Mutex<HashMap<String, Rate>>,
    questions: Mutex<HashMap<String, Rate>>,
}

impl Rates {
    /// Counts an act.
    ///
    /// # Errors
    /// There were too many.
    pub(super) fn act(&self, who: &AdminPrincipal) -> Result<(), HubError> {
        match take(&self.acts, who, ACTS_PER_MINUTE, Duration::from_secs(60)) {
            true => Ok(()),
            false => Err(HubError::new(format!("Too many acts: {ACTS_PER_MINUTE} a minute are allowed."))),
        }
    }

    /// Counts a question.
    ///
    /// # Errors
    /// There were too many.
    pub(super) fn ask(&self, who: &AdminPrincipal) -> Result<(), HubError> {
        match take(&self.questions, who, QUESTIONS_PER_SECOND, Duration::from_secs(1)) {
            true => Ok(()),
            false => Err(HubError::new(format!(
                "Too many questions: {QUESTIONS_PER_SECOND} a second are allowed."
            ))),
        }
    }
}

fn take(rates: &Mutex<HashMap<String, Rate>>, who: &AdminPrincipal, count: u32, span: Duration) -> bool {
    let mut rates = rates.lock();
    if rates.len() >= MOST_KEYS && !rates.contains_key(&who.name) {
        let now = Instant::now();
        rates.retain(|_, rate| rate.0.is_some_and(|paid| paid > now));
    }
    rates.entry(who.name.clone()).or_default().take(count, span)
}

impl Rate {
    /// Whether one more may be done; so many in the span, which may come at once.
    fn take(&mut self, count: u32, span: Duration) -> bool {
        let now = Instant::now();
        let until = self.0.map_or(now, |paid| paid.max(now)) + span / count;
        let may = until <= now + span;
        if may {
            self.0 = Some(until);
        }
        may
    }
}

fn key_of(headers: &HeaderMap) -> Option<String> {
    let bearer = || {
        let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then(|| key.trim().to_owned())
    };
    let own = || headers.get(KEY_HEADER)?.to_str().ok().map(|key| key.trim().to_owned());
    own().or_else(bearer).filter(|key| !key.is_empty())
}

/// A problem as people at a console read it: a sentence.
pub(super) fn told(problem: Problem) -> HubError {
    let detail = problem.detail();
    let mut letters = detail.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if detail.ends_with(['.', '!', '?']) { "" } else { "." };
    HubError::new(format!("{first}{}{end}", letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_are_let_through_in_a_span() {
        let mut rate = Rate::default();
        let second = Duration::from_secs(1);
        let taken = (0..9).filter(|_| rate.take(5, second)).count();
        assert_eq!(taken, 5);
        tokio::time::advance(second * 2 / 5).await;
        assert_eq!((0..9).filter(|_| rate.take(5, second)).count(), 2);
    }

    #[test]
    fn a_problem_is_told_as_a_sentence_and_a_key_is_never_shown() {
        let problem = Problem::unauthorized("this needs an admin key");
        assert_eq!(told(problem).to_string(), "HubException: This needs an admin key.");
        let session = Session::default();
        session.0.lock().key = Some("secret".to_owned());
        assert!(!format!("{session:?}").contains("secret"));
        let mut headers = HeaderMap::new();
        assert_eq!(key_of(&headers), None);
        headers.insert(AUTHORIZATION, "bearer  a-key ".parse().unwrap());
        assert_eq!(key_of(&headers).as_deref(), Some("a-key"));
        headers.insert(KEY_HEADER, "another".parse().unwrap());
        assert_eq!(key_of(&headers).as_deref(), Some("another"));
    }
}
