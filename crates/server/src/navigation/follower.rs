//! The one place from which clients of this instance are told of changes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hubline::{ClientArguments, GroupName, HubContext, SendError};
use hubline_store::navigation::{Change, NavigationError, StateSnapshot, changes_between, state, version};
use hubline_supervision::Vital;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::event::{Event, MappingEvent};
use super::scope::Scope;
use super::shared::{Shared, Signals};
use super::view::{NavigationState, UnixSeconds, View};

/// What changes so soon after something was sent is sent together.
const QUIET: Duration = Duration::from_millis(25);
/// Changes that are told one by one. Who is further behind is told the state alone.
const MOST_CHANGES: u32 = 10_000;

/// Follows the version in the database and tells the clients of this instance, so that they see one order whichever instance took
/// a change.
pub(super) struct Follower {
    shared: Arc<Shared>,
    hub: HubContext,
    written: watch::Receiver<()>,
    /// As clients have been told.
    told: Option<Arc<View>>,
    /// What they have not been told yet.
    events: Vec<Event>,
    is_due: bool,
    is_forced: bool,
    /// When somebody last gave a reason to tell them.
    asked_at: Option<UnixSeconds>,
    quiet_until: Instant,
    check: Interval,
    is_away: bool,
}

/// What the database says.
enum Found {
    Nothing,
    New(StateSnapshot, Vec<Change>),
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, hub: HubContext) -> Self {
        let mut check = interval(shared.config.version_check_interval);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            written: shared.store.written(),
            shared,
            hub,
            told: None,
            events: Vec::new(),
            is_due: false,
            is_forced: false,
            asked_at: None,
            quiet_until: Instant::now(),
            check,
            is_away: false,
        }
    }

    /// Waits for a reason to go on. Returns whether the database is to be looked at at once.
    async fn reason(&mut self) -> bool {
        tokio::select! {
            Ok(()) = self.written.changed() => {
                let now = UnixSeconds::now();
                (self.is_due, self.asked_at) = (true, Some(now));
                self.shared.announce(now);
            }
            () = self.shared.woken() => {}
            _ = self.check.tick() => return true,
            () = sleep_until(self.quiet_until), if self.is_due => {}
        }
        let Signals { changed, triggered } = self.shared.take_signals();
        for at in [changed, triggered].into_iter().flatten() {
            self.is_due = true;
            self.asked_at = self.asked_at.filter(|earlier| *earlier > at).or(Some(at));
        }
        self.is_forced |= triggered.is_some();
        self.shared.is_asked()
    }

    /// Reads what is new.
    async fn look(&mut self) {
        let asked = self.shared.asked();
        let known = self.shared.latest().map(|view| view.version);
        let found = self.shared.store.read(move |db| {
            Box::pin(async move {
                if Some(version(db).await?) == known {
                    return Ok::<_, NavigationError>(Found::Nothing);
                }
                let state = state(db).await?;
                let changes = match known {
                    Some(known) => changes_between(db, known, state.version, MOST_CHANGES + 1).await?,
                    None => Vec::new(),
                };
                Ok(Found::New(state, changes))
            })
        });
        match found.await {
            Ok(found) => self.found(known, found),
            Err(error) => self.failed(&error),
        }
        self.shared.answer(asked);
    }

    fn found(&mut self, known: Option<i64>, found: Found) {
        if let Found::New(state, changes) = found {
            if known.is_some_and(|known| known > state.version) {
                tracing::warn!(
                    known,
                    version = state.version,
                    "The version of the navigation state has gone back: another database, or an older copy. Clients are told the \
                     lower version"
                );
                self.events.clear();
            }
            match u32::try_from(changes.len()) {
                Ok(count) if count <= MOST_CHANGES => {
                    self.events.extend(changes.into_iter().filter_map(Event::of))
                }
                _ => tracing::info!(
                    known,
                    version = state.version,
                    "Clients are told the state alone: too many changes"
                ),
            }
            let view = Arc::new(View::from(state));
            // The first state is no news, unless clients have asked for it in vain.
            match known.is_some() || self.is_away {
                true => self.is_due = true,
                false => self.told = Some(Arc::clone(&view)),
            }
            self.shared.set_latest(view);
        }
        if std::mem::take(&mut self.is_away) {
            tracing::info!("The navigation state can be read again");
        }
    }

    fn failed(&mut self, error: &NavigationError) {
        self.shared.counters.reads_failed.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!(
                %error,
                "The navigation state cannot be read (ConnectionStrings:Database). Clients get the last one that was, if there is \
                 one; further failures are counted"
            );
        }
    }

    /// Tells the clients what is new, or that nothing is.
    async fn tell(&mut self) -> Result<(), SendError> {
        let shared = Arc::clone(&self.shared);
        let _in_order = shared.order.write().await;
        self.is_due = false;
        self.quiet_until = Instant::now() + QUIET;
        let forced = std::mem::take(&mut self.is_forced);
        let timestamp = self.asked_at.take().unwrap_or_else(UnixSeconds::now);
        let Some(view) = shared.latest() else { return Ok(()) };
        let told = self.told.replace(Arc::clone(&view));
        let events = std::mem::take(&mut self.events);
        let scopes: Vec<Scope> = [Scope::default()].into_iter().chain(shared.scopes.bounded()).collect();
        for event in &events {
            self.tell_event(event, &scopes, &view).await?;
        }
        if !forced && told.as_ref().is_some_and(|told| told.version == view.version) {
            return Ok(());
        }
        for scope in &scopes {
            let seen = view.within(scope);
            let is_news = !scope.is_bounded()
                || told.as_ref().is_none_or(|told| !told.within(scope).says_the_same(&seen));
            if forced || is_news {
                self.send(scope.group(), "NavigationStateChanged", (NavigationState::new(seen, timestamp),))
                    .await?;
            }
        }
        shared.counters.states_sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn tell_event(&self, event: &Event, scopes: &[Scope], view: &Arc<View>) -> Result<(), SendError> {
        match event {
            Event::Provider(changed) => {
                for scope in scopes {
                    if view.within(scope).has_provider(&changed.name) {
                        self.send(scope.group(), "ProviderHealthChanged", (changed,)).await?;
                    }
                }
            }
            Event::Mapping(changed) => self.tell_mapping(changed, scopes).await?,
        }
        Ok(())
    }

    async fn tell_mapping(&self, changed: &MappingEvent, scopes: &[Scope]) -> Result<(), SendError> {
        for scope in scopes.iter().filter(|_| !changed.in_bulk) {
            if let Some(seen) = changed.seen_by(|model| scope.sees(model)) {
                self.shared.counters.changes_sent.fetch_add(1, Ordering::Relaxed);
                self.send(scope.group(), "ModelMappingChanged", (seen,)).await?;
            }
        }
        for alias in changed.aliases() {
            if let Some(seen) = changed.seen_by(|model| model == alias) {
                self.send(super::model_group(alias), "ModelUpdate", (seen,)).await?;
            }
        }
        Ok(())
    }

    /// Sends to those members of the group that are here.
    async fn send(
        &self,
        group: GroupName,
        method: &str,
        arguments: impl ClientArguments,
    ) -> Result<(), SendError> {
        self.hub.clients().group(group).send_here(method, arguments).await
    }
}

impl Vital for Follower {
    const NAME: &'static str = "navigation state";

    async fn run(&mut self) {
        loop {
            let at_once = self.reason().await;
            let may_tell = |follower: &Self| follower.is_due && Instant::now() >= follower.quiet_until;
            if at_once || may_tell(self) {
                self.look().await;
            }
            if may_tell(self)
                && let Err(error) = self.tell().await
            {
                tracing::error!(%error, "The navigation state cannot be sent");
            }
        }
    }
}
