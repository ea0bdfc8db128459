//! How often a user may do something.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hubline::{HubError, UserId};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Most users that are remembered at once, about 10 MB. Those beyond are not limited until there is room.
const MOST_USERS: usize = 100_000;
/// How long a full table is left alone before it is searched again for users to forget.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A limit of what each user does in a minute, over all connections of the user on this instance. As much as a minute has may
/// come at once.
#[derive(Debug)]
pub(crate) struct UserRate {
    setting: &'static str,
    what: &'static str,
    per_minute: u32,
    users: Mutex<Users>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Users {
    /// Until when each has paid, who pays a part of a minute each time.
    paid_until: HashMap<UserId, Instant>,
    swept: Option<Instant>,
    is_full: bool,
}

impl UserRate {
    /// A limit of `what`, like `messages`, that `setting` sets; 0 is none.
    pub(crate) fn new(setting: &'static str, what: &'static str, per_minute: u32) -> Self {
        Self { setting, what, per_minute, users: Mutex::default(), refused: AtomicU64::new(0) }
    }

    /// Counts one more for the user.
    ///
    /// # Errors
    /// The user has done as much as may be done in a minute; the text says when to go on.
    pub(crate) fn take(&self, user: &UserId) -> Result<(), HubError> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let price = MINUTE / self.per_minute;
        let mut users = self.users.lock();
        if !users.paid_until.contains_key(user) && !users.has_room(now, self.setting) {
            return Ok(());
        }
        let paid_until = users.paid_until.entry(user.clone()).or_insert(now);
        let until = (*paid_until).max(now) + price;
        let wait = until.saturating_duration_since(now + MINUTE);
        if wait.is_zero() {
            *paid_until = until;
            return Ok(());
        }
        drop(users);
        Err(self.refuse(user, wait))
    }

    /// Counts so many more for what the user has done already: what comes next waits for it.
    pub(crate) fn charge(&self, user: &UserId, more: usize) {
        if self.per_minute == 0 || more == 0 {
            return;
        }
        let now = Instant::now();
        let price = MINUTE / self.per_minute * u32::try_from(more).unwrap_or(u32::MAX);
        let mut users = self.users.lock();
        if users.paid_until.contains_key(user) || users.has_room(now, self.setting) {
            let paid_until = users.paid_until.entry(user.clone()).or_insert(now);
            *paid_until = (*paid_until).max(now) + price;
        }
    }

    /// How often somebody was refused since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn refuse(&self, user: &UserId, wait: Duration) -> HubError {
        let Self { setting, what, per_minute, .. } = self;
        if self.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::info!(
                %user,
                "A user has met the limit {setting}={per_minute}, which can be set (0: none). Further cases are counted, not logged"
            );
        }
        let seconds = wait.as_secs_f64().ceil();
        HubError::new(format!("At most {per_minute} {what} a minute ({setting}). Try again in {seconds} s."))
    }
}

impl Users {
    /// Forgets who has nothing to pay any more, if there are too many.
    fn has_room(&mut self, now: Instant, setting: &str) -> bool {
        if self.paid_until.len() < MOST_USERS {
            return true;
        }
        if self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP_INTERVAL) {
            self.swept = Some(now);
            self.paid_until.retain(|_, until| *until > now);
        }
        let has_room = self.paid_until.len() < MOST_USERS;
        if !has_room && !std::mem::replace(&mut self.is_full, true) {
            tracing::warn!(
                users = MOST_USERS,
                "{setting} does not limit further users: so many are active at once"
            );
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_at_once_and_then_one_at_a_time() {
        let rate = UserRate::new("Limits:ChatMessagesPerMinutePerUser", "messages", 6);
        let (ada, bob) = (UserId::from("ada"), UserId::from("bob"));
        for _ in 0..6 {
            rate.take(&ada).unwrap();
        }
        let refused = rate.take(&ada).unwrap_err().to_string();
        assert_eq!(
            refused,
            "HubException: At most 6 messages a minute (Limits:ChatMessagesPerMinutePerUser). Try again in 10 s."
        );
        rate.take(&bob).unwrap();
        advance(Duration::from_secs(10)).await;
        rate.take(&ada).unwrap();
        assert!(rate.take(&ada).is_err());
        assert_eq!(rate.refused(), 2);
        rate.charge(&bob, 6);
        let refused = rate.take(&bob).unwrap_err().to_string();
        assert!(refused.ends_with("Try again in 10 s."), "{refused}");
        advance(Duration::from_secs(10)).await;
        rate.take(&bob).unwrap();
        assert_eq!(rate.refused(), 3);
        advance(MINUTE).await;
        for _ in 0..6 {
            rate.take(&ada).unwrap();
        }
        assert!(rate.take(&ada).is_err());
        let none = UserRate::new("Limits:CallsPerMinutePerUser", "calls", 0);
        for _ in 0..100 {
            none.take(&ada).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_users_are_remembered_and_no_more() {
        let rate = UserRate::new("Limits:CallsPerMinutePerUser", "calls", 1);
        let user = |n: usize| UserId::from(n.to_string().as_str());
        for n in 0..MOST_USERS {
            rate.take(&user(n)).unwrap();
        }
        let late = user(MOST_USERS);
        rate.take(&late).unwrap();
        rate.take(&late).unwrap();
        assert!(rate.take(&user(0)).is_err(), "who is known stays limited");
        assert_eq!(rate.users.lock().paid_until.len(), MOST_USERS);
        advance(MINUTE).await;
        rate.take(&late).unwrap();
        assert!(rate.take(&late).is_err());
        assert_eq!(rate.users.lock().paid_until.len(), 1);
    }
}
