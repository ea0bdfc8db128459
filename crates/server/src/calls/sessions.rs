//! The calls: in Redis as far as it can be reached, and in memory.

use std::sync::Arc;
use std::time::Duration;

use hubline::{ConnectionId, UserId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::call::CallId;
use super::clock::{Clock, Millis};
use super::error::CallError;
use super::fleet::{Away, Claimed, Fleet, Stored, Written};
use super::held::{Held, HeldCall};
use super::session::{Role, Session};

/// How long a call is kept.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(4 * 60 * 60);
/// Candidates that are kept for one side of a call.
pub(super) const LIMIT_CANDIDATES: usize = 64;
/// How often a change is decided again because another instance was first.
const ATTEMPTS: usize = 16;
/// Calls that are written to Redis together.
const BATCH: usize = 64;

/// Calls that are read again at once, because another instance may have changed them.
const LIMIT_REFRESHED: usize = 512;

/// A candidate that waits for one side of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// For whom.
    pub(super) role: Role,
    /// Whose connection it comes from.
    pub(super) from: ConnectionId,
    /// The candidate, as JSON.
    pub(super) candidate: Arc<str>,
}

impl Kept {
    pub(super) fn to_text(&self) -> String {
        [self.from.as_str(), "\0", &self.candidate].concat()
    }

    pub(super) fn from_text(role: Role, text: &str) -> Option<Self> {
        let (from, candidate) = text.split_once('\0')?;
        Some(Self { role, from: from.into(), candidate: candidate.into() })
    }
}

/// A change of a call.
#[derive(Debug)]
pub(super) struct Change {
    /// As it is afterwards.
    pub(super) session: Session,
    /// Its offer, as JSON, when it begins.
    pub(super) offer: Option<Arc<str>>,
    /// Its answer, as JSON, when it is accepted.
    pub(super) answer: Option<Arc<str>>,
    /// A candidate to be kept.
    pub(super) keep: Option<Kept>,
    /// For whom kept candidates are taken.
    pub(super) take: &'static [Role],
}

/// Decides how a call changes; asked again if the call has changed meanwhile.
pub(super) type Decision<'a> = dyn Fn(&Session) -> Result<Change, CallError> + Send + Sync + 'a;

impl From<Session> for Change {
    fn from(session: Session) -> Self {
        Self { session, offer: None, answer: None, keep: None, take: &[] }
    }
}

#[derive(Debug)]
pub(super) struct Sessions {
    fleet: Option<Fleet>,
    pub(super) held: Held,
    pub(super) clock: Clock,
    /// There is something that Redis has to be told, or could not be asked.
    pub(super) is_unwritten: Notify,
}

impl Sessions {
    pub(super) fn new(fleet: Option<Fleet>) -> Self {
        Self { fleet, held: Held::default(), clock: Clock::new(), is_unwritten: Notify::new() }
    }

    /// Whether there is Redis and it has failed just now.
    pub(super) fn is_cut_off(&self) -> bool {
        self.fleet.as_ref().is_some_and(Fleet::is_away)
    }

    /// Begins a call.
    ///
    /// # Errors
    /// [`CallError::Full`].
    pub(super) async fn create(&self, session: Session, offer: Arc<str>) -> Result<(), CallError> {
        let (id, ring_until) = (session.call.id.clone(), session.state.ring_until);
        let change = Change { offer: Some(offer), ..Change::from(session) };
        let Some(fleet) = &self.fleet else { return self.held.create(&change, false) };
        let written = async {
            // First, so that the call is looked at whatever becomes of this instance.
            fleet.schedule(&id, ring_until).await?;
            fleet.write("", &change, KEPT_FOR).await
        };
        let is_unwritten = written.await != Ok(Written::Yes(Vec::new()));
        self.held.create(&change, is_unwritten)?;
        if is_unwritten {
            self.is_unwritten.notify_one();
        }
        Ok(())
    }

    /// A call as it is now; `None` if no call of this id exists or it is older than 4 hours.
    ///
    /// # Errors
    /// [`CallError::Unavailable`].
    pub(super) async fn get(&self, id: &CallId) -> Result<Option<Session>, CallError> {
        Ok(match self.find(id).await? {
            Some(Found::InRedis(stored)) => Some(stored.session),
            Some(Found::Here) => self.held.session(id),
            None => None,
        })
    }

    /// Changes a call. If several try at the same time, one is first, and the others decide by what the call is then.
    ///
    /// # Errors
    /// [`CallError::Unknown`], [`CallError::Unavailable`], [`CallError::TooManyCandidates`], and what is decided.
    pub(super) async fn change(
        &self,
        id: &CallId,
        decide: &Decision<'_>,
    ) -> Result<(Session, Vec<Kept>), CallError> {
        for _ in 0..ATTEMPTS {
            match (self.find(id).await?, &self.fleet) {
                (None, _) => return Err(CallError::Unknown),
                (Some(Found::InRedis(stored)), Some(fleet)) => {
                    let change = decide(&stored.session)?;
                    match fleet.write(&stored.version, &change, KEPT_FOR).await {
                        Ok(Written::Yes(taken)) => {
                            self.held.follow(&change);
                            return Ok((change.session, taken));
                        }
                        Ok(Written::Full) => return Err(CallError::TooManyCandidates(LIMIT_CANDIDATES)),
                        Ok(Written::Changed) => {}
                        Err(Away) => self.held.learn(&stored.session),
                    }
                }
                _ => {
                    let changed = self.held.change(id, decide)?;
                    self.is_unwritten.notify_one();
                    return Ok(changed);
                }
            }
        }
        Err(CallError::Unavailable)
    }

    async fn find(&self, id: &CallId) -> Result<Option<Found>, CallError> {
        let held = self.held.session(id);
        let Some(fleet) = &self.fleet else { return Ok(held.map(|_| Found::Here)) };
        match (fleet.load(id).await, held) {
            // What Redis has lost, or not been told of yet, is known here.
            (Ok(None) | Err(Away), Some(_)) => Ok(Some(Found::Here)),
            (Ok(None), None) => Ok(None),
            (Err(Away), None) => Err(CallError::Unavailable),
            (Ok(Some(stored)), Some(held)) if held.rank() > stored.session.rank() => Ok(Some(Found::Here)),
            (Ok(Some(stored)), _) => {
                self.held.learn(&stored.session);
                Ok(Some(Found::InRedis(Box::new(stored))))
            }
        }
    }

    /// The offer and the answer of a call, as JSON.
    pub(super) async fn descriptions(&self, id: &CallId) -> [Option<Arc<str>>; 2] {
        let here = || self.held.get(id).map_or([None, None], |held| [held.offer, held.answer]);
        let Some(fleet) = &self.fleet else { return here() };
        match (fleet.descriptions(id).await, here()) {
            (Ok([offer, answer]), here) => {
                let [here_offer, here_answer] = here;
                [offer.map(Arc::from).or(here_offer), answer.map(Arc::from).or(here_answer)]
            }
            (Err(Away), here) => here,
        }
    }

    /// The call that a user takes part in, or did.
    ///
    /// # Errors
    /// Redis cannot be asked, and this instance knows of none.
    pub(super) async fn slot(&self, user: &UserId) -> Result<Option<CallId>, CallError> {
        let here = || self.held.slot(user);
        match &self.fleet {
            None => Ok(here()),
            Some(fleet) => match fleet.slot(user).await {
                Ok(id) => Ok(id.or_else(here)),
                Err(Away) => {
                    here().or_else(|| self.held.call_of(user)).map(Some).ok_or(CallError::Unavailable)
                }
            },
        }
    }

    /// Makes it the user's call, unless the user has another than `instead`, which is returned.
    pub(super) async fn take_slot(
        &self,
        user: &UserId,
        id: &CallId,
        instead: Option<&CallId>,
    ) -> Option<CallId> {
        if let Some(fleet) = &self.fleet {
            match fleet.take_slot(user, id, instead).await {
                Ok(None) => {
                    let before = self.held.slot(user);
                    self.held.take_slot(user, id, before.as_ref());
                    return None;
                }
                Ok(other) => return other,
                Err(Away) => {
                    self.held.is_to_be_written(id);
                    self.is_unwritten.notify_one();
                }
            }
        }
        self.held.take_slot(user, id, instead)
    }

    pub(super) async fn release_slots(&self, session: &Session) {
        for user in [&session.call.caller, &session.call.recipient] {
            self.held.release_slot(user, &session.call.id);
            if let Some(fleet) = &self.fleet {
                // Who finds it looks at the call, and sees that it is over.
                _ = fleet.release_slot(user, &session.call.id).await;
            }
        }
    }

    /// Has the call looked at then by whoever is there.
    pub(super) async fn schedule(&self, id: &CallId, at: Millis) {
        if let Some(fleet) = &self.fleet {
            _ = fleet.schedule(id, at).await;
        }
    }

    /// Nothing is left to be done for a call that is over.
    pub(super) async fn unschedule(&self, id: &CallId) {
        if let Some(fleet) = &self.fleet {
            _ = fleet.unschedule(id).await;
        }
    }

    /// Takes calls of the fleet whose time has come, and learns the time. `None` without Redis.
    pub(super) async fn claim(&self) -> Option<Claimed> {
        let asked = Instant::now();
        let claimed = self.fleet.as_ref()?.claim().await.ok()?;
        self.clock.learn(claimed.now, asked);
        Some(claimed)
    }

    pub(super) async fn settle(&self, id: &CallId, until: Millis, next: Option<Millis>) {
        if let Some(fleet) = &self.fleet {
            _ = fleet.settle(id, until, next).await;
        }
    }

    /// Learns what has become of calls that another instance may have changed since `before`; of those that ring, since `ringing_before`.
    pub(super) async fn refresh(&self, before: Instant, ringing_before: Instant) {
        self.held.prune();
        let Some(fleet) = &self.fleet else { return };
        for id in self.held.unseen(before, ringing_before, LIMIT_REFRESHED) {
            match fleet.load(&id).await {
                Ok(Some(stored)) if stored.session.is_over() => self.held.forget(&id),
                Ok(Some(stored)) => self.held.learn(&stored.session),
                Ok(None) => {}
                Err(Away) => return,
            }
        }
    }

    /// Writes what Redis does not have as it is here.
    pub(super) async fn write_unwritten(&self) -> Result<(), Away> {
        let Some(fleet) = &self.fleet else { return Ok(()) };
        loop {
            let unwritten = self.held.unwritten(BATCH);
            if unwritten.is_empty() {
                return Ok(());
            }
            for held in unwritten {
                self.write_held(fleet, held).await?;
            }
        }
    }

    async fn write_held(&self, fleet: &Fleet, held: HeldCall) -> Result<(), Away> {
        let kept_for = held.left();
        let HeldCall { session, offer, answer, .. } = held;
        let id = session.call.id.clone();
        for _ in 0..ATTEMPTS {
            let known = match fleet.load(&id).await? {
                Some(theirs) if theirs.session.rank() >= session.rank() => theirs.session,
                stored => {
                    let change =
                        Change { offer: offer.clone(), answer: answer.clone(), ..session.clone().into() };
                    let version = stored.map(|stored| stored.version).unwrap_or_default();
                    // Whoever is to look at it, looks at once: there may be something to do that was done for clients here alone.
                    fleet.schedule(&id, session.deadline().unwrap_or_else(|| self.clock.now())).await?;
                    if !matches!(fleet.write(&version, &change, kept_for).await?, Written::Yes(_)) {
                        continue;
                    }
                    session
                }
            };
            for user in [&known.call.caller, &known.call.recipient] {
                match known.is_over() {
                    true => fleet.release_slot(user, &id).await?,
                    false => _ = fleet.take_slot(user, &id, None).await?,
                }
            }
            self.held.written(&known);
            self.held.learn(&known);
            return Ok(());
        }
        self.held.written(&session);
        Ok(())
    }
}

/// Where a call is.
enum Found {
    InRedis(Box<Stored>),
    /// In the memory of this instance, further along than in Redis.
    Here,
}
