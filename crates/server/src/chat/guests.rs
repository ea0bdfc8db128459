//! Anonymous members of rooms: their memberships end with their connection, also if the instance dies that has it.
//!
//! The database has them beside the id that this process has given itself, and a number that it raises while it has any
//! ([`hubline_store::chat::guests`]). An instance whose number stays the same for 20 s is taken for dead by every other, and by itself when it
//! is started anew.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hubline_store::chat::guests::{self, GuestInstance};
use hubline_store::chat::{JoinError, JoinLimits, join};
use hubline_store::{Store, StoreError, Timestamp};
use hubline_supervision::Vital;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::ChatConfig;
use super::counters::Counters;

/// How often is looked while an instance is not taken for dead yet.
const LOOKS: u32 = 4;
/// Instances that are looked at.
const LOOKED_AT: u32 = 1_000;
/// Users whose memberships end in one transaction.
const REMOVED: u32 = 50;
/// Users who are gone while the database is away; those beyond are forgotten with this instance.
const MOST_DEPARTING: usize = 100_000;

/// The anonymous members that are connected to this instance.
#[derive(Debug)]
pub(super) struct Guests {
    /// What this process is called in the database.
    pub(super) instance: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The rooms of each.
    rooms: HashMap<String, BTreeSet<String>>,
    /// Those who are gone, and may still be in the database.
    departing: Vec<String>,
}

impl Default for Guests {
    fn default() -> Self {
        let mut random = [0; 8];
        // Without random numbers the time and the process tell instances apart.
        _ = getrandom::getrandom(&mut random);
        let (now, process) = (Timestamp::now().0, std::process::id());
        let instance = format!("{now:x}-{process:x}-{:016x}", u64::from_be_bytes(random));
        Self { instance: instance.into(), state: Mutex::default() }
    }
}

impl Guests {
    /// A user is about to become a member of a room.
    pub(super) fn enter(&self, user: &str, room: &str) {
        self.state.lock().rooms.entry(user.to_owned()).or_default().insert(room.to_owned());
    }

    /// A user is no member of a room any more.
    pub(super) fn exit(&self, user: &str, room: &str) {
        if let Some(rooms) = self.state.lock().rooms.get_mut(user) {
            rooms.remove(room);
        }
    }

    /// A user's connection has ended.
    pub(super) async fn depart(&self, store: &Store, user: &str) -> Result<(), StoreError> {
        if self.state.lock().rooms.remove(user).is_none() {
            return Ok(());
        }
        let departed = end_memberships(store, user).await;
        if departed.is_err() {
            let departing = &mut self.state.lock().departing;
            if departing.len() < MOST_DEPARTING {
                departing.push(user.to_owned());
            }
        }
        departed
    }

    fn is_here(&self, user: &str) -> bool {
        self.state.lock().rooms.contains_key(user)
    }
}

async fn end_memberships(store: &Store, user: &str) -> Result<(), StoreError> {
    let user = user.to_owned();
    store.write(move |db| async move { guests::depart(db, &user).await }.boxed()).await
}

/// Ends the memberships of those whose instance has died.
pub(super) struct GuestKeeper {
    store: Store,
    guests: Arc<Guests>,
    counters: Arc<Counters>,
    limits: JoinLimits,
    /// How long an instance may be silent.
    patience: Duration,
    /// Other instances, by since when each has the same beat.
    seen: HashMap<GuestInstance, Instant>,
    looked: Instant,
}

impl Vital for GuestKeeper {
    const NAME: &'static str = "anonymous members of rooms";

    async fn run(&mut self) {
        let mut looks = interval(self.patience / LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let looked = self.look().await;
            if looked.is_err() {
                // Others cannot raise their beats either.
                self.seen.clear();
            }
            _ = self.counters.told(looked, "the memberships of anonymous users are not looked at");
        }
    }
}

impl GuestKeeper {
    pub(super) fn new(
        store: Store,
        guests: Arc<Guests>,
        counters: Arc<Counters>,
        config: &ChatConfig,
    ) -> Self {
        let (limits, patience) = (config.join_limits(), config.guests_lost_after);
        Self { store, guests, counters, limits, patience, seen: HashMap::new(), looked: Instant::now() }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        self.settle_departing().await?;
        self.stay().await?;
        let now = Instant::now();
        if now.duration_since(self.looked) >= self.patience / 2 {
            // This machine has slept, and perhaps the others with it.
            self.seen.clear();
        }
        self.looked = now;
        let instances = self.store.read(|db| guests::instances(db, LOOKED_AT).boxed()).await?;
        let before = std::mem::take(&mut self.seen);
        let others = instances.into_iter().filter(|instance| *instance.id != *self.guests.instance);
        self.seen = others
            .map(|instance| {
                let since = before.get(&instance).copied().unwrap_or(now);
                (instance, since)
            })
            .collect();
        let dead = self.seen.iter().filter(|(_, since)| now.duration_since(**since) >= self.patience);
        for (instance, _) in dead {
            self.remove(instance).await?;
        }
        Ok(())
    }

    async fn settle_departing(&self) -> Result<(), StoreError> {
        let departing = self.guests.state.lock().departing.clone();
        for user in departing {
            end_memberships(&self.store, &user).await?;
            self.guests.state.lock().departing.retain(|other| *other != user);
        }
        Ok(())
    }

    /// Says that this instance lives. If others took it for dead, its anonymous members become members again.
    async fn stay(&self) -> Result<(), StoreError> {
        if self.guests.state.lock().rooms.is_empty() {
            return Ok(());
        }
        let instance = Arc::clone(&self.guests.instance);
        if self.store.write(move |db| async move { guests::beat(db, &instance).await }.boxed()).await? {
            return Ok(());
        }
        let members: Vec<(String, BTreeSet<String>)> = self
            .guests
            .state
            .lock()
            .rooms
            .iter()
            .map(|(user, rooms)| (user.clone(), rooms.clone()))
            .collect();
        for (user, rooms) in members {
            self.admit_again(user, rooms).await?;
        }
        Ok(())
    }

    async fn admit_again(&self, user: String, rooms: BTreeSet<String>) -> Result<(), StoreError> {
        let (instance, limits, guest) = (Arc::clone(&self.guests.instance), self.limits, user.clone());
        let admitted = self.store.write(move |db| {
            async move {
                guests::arrive(db, &guest, &instance).await?;
                for room in &rooms {
                    join(db, &guest, room, limits).await?;
                }
                Ok(())
            }
            .boxed()
        });
        match admitted.await {
            Err(JoinError::Store(error)) => return Err(error),
            Err(error) => tracing::warn!(%user, %error, "An anonymous user could not come back into a room"),
            Ok(()) => {}
        }
        if !self.guests.is_here(&user) {
            end_memberships(&self.store, &user).await?;
        }
        Ok(())
    }

    async fn remove(&self, dead: &GuestInstance) -> Result<(), StoreError> {
        let mut removed = 0;
        loop {
            let instance = dead.clone();
            let work = self
                .store
                .write(move |db| async move { guests::remove_of(db, &instance, REMOVED).await }.boxed());
            let users = work.await?;
            removed += users;
            if users < REMOVED as usize {
                break;
            }
        }
        if removed > 0 {
            tracing::info!(
                users = removed,
                "Anonymous users whose instance has ended are members of no room any more"
            );
        }
        Ok(())
    }
}
