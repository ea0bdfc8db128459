//! Who is kept out, as far as this instance knows.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hubline_store::Timestamp;
use hubline_store::clinic::bans::MAXIMUM;
use parking_lot::RwLock;

/// Users who are kept out. Asking costs a read of one number while there are none.
///
/// A ban that was announced by another instance holds until its time is over, also if this instance's database knows nothing of it: on
/// several machines with SQLite each has its own. One that the database has confirmed ends when it is gone from there.
#[derive(Debug, Default)]
pub(super) struct KnownBans {
    users: RwLock<HashMap<Box<str>, Known>>,
    /// Users in `users`.
    count: AtomicUsize,
    /// Changes by announcements, by which a reading of the database knows that it is out of date.
    changes: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    until: Timestamp,
    is_in_database: bool,
}

impl KnownBans {
    /// Until when a user is kept out; `None` for one who is not.
    pub(super) fn until(&self, user: &str, now: Timestamp) -> Option<Timestamp> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let until = self.users.read().get(user)?.until;
        (until > now).then_some(until)
    }

    /// How many users are kept out.
    pub(super) fn count(&self, now: Timestamp) -> usize {
        self.users.read().values().filter(|known| known.until > now).count()
    }

    /// Keeps a user out from now on. `false` if so many are that there is no room for another.
    pub(super) fn put(&self, user: &str, until: Timestamp) -> bool {
        self.changes.fetch_add(1, Ordering::AcqRel);
        let mut users = self.users.write();
        let has_room = users.len() < MAXIMUM as usize || users.contains_key(user);
        if has_room {
            users.insert(user.into(), Known { until, is_in_database: false });
        }
        self.count.store(users.len(), Ordering::Release);
        has_room
    }

    /// Lets a user in again.
    pub(super) fn lift(&self, user: &str) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        let mut users = self.users.write();
        users.remove(user);
        self.count.store(users.len(), Ordering::Release);
    }

    /// A mark of what was announced so far, to be taken before the database is read.
    pub(super) fn mark(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Takes over what the database says. Returns who was not kept out before; `None`, and nothing has changed, if something was announced
    /// since `mark` was taken.
    pub(super) fn reload(
        &self,
        mark: u64,
        bans: impl IntoIterator<Item = (String, Timestamp)>,
        now: Timestamp,
    ) -> Option<Vec<String>> {
        let mut users = self.users.write();
        if self.mark() != mark {
            return None;
        }
        let mut new = Vec::new();
        let mut seen: HashSet<Box<str>> = HashSet::new();
        for (user, until) in bans {
            seen.insert(user.as_str().into());
            let known = Known { until, is_in_database: true };
            if users.insert(user.as_str().into(), known).is_none_or(|before| before.until <= now) {
                new.push(user);
            }
        }
        users.retain(|user, known| known.until > now && (!known.is_in_database || seen.contains(user)));
        self.count.store(users.len(), Ordering::Release);
        Some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(users: &[(&str, i64)]) -> Vec<(String, Timestamp)> {
        users.iter().map(|&(user, until)| (user.to_owned(), Timestamp(until))).collect()
    }

    #[test]
    fn the_database_confirms_what_was_announced_and_ends_only_that() {
        let bans = KnownBans::default();
        let until = |user: &str, now| bans.until(user, Timestamp(now)).map(|time| time.0);
        let reload = |users: &[(&str, i64)], now| bans.reload(bans.mark(), of(users), Timestamp(now));
        assert_eq!(until("ada", 0), None);
        assert!(bans.put("ada", Timestamp(100)) && bans.put("bob", Timestamp(100)));
        assert_eq!((until("ada", 99), until("ada", 100), until("eve", 0)), (Some(100), None, None));
        assert_eq!(reload(&[("ada", 100), ("eve", 50)], 10), Some(vec!["eve".to_owned()]));
        assert_eq!((until("bob", 20), bans.count(Timestamp(20))), (Some(100), 3), "it was announced");
        assert_eq!(reload(&[("eve", 60)], 20), Some(vec![]));
        assert_eq!((until("ada", 20), until("eve", 55), until("bob", 20)), (None, Some(60), Some(100)));
        assert_eq!(reload(&[("eve", 500)], 100), Some(vec!["eve".to_owned()]), "kept out anew");
        bans.lift("eve");
        assert_eq!((until("eve", 100), bans.count(Timestamp(100))), (None, 0));
    }

    #[test]
    fn a_reading_from_before_an_announcement_changes_nothing() {
        let bans = KnownBans::default();
        let mark = bans.mark();
        bans.put("ada", Timestamp(100));
        assert_eq!(bans.reload(mark, of(&[("bob", 100)]), Timestamp(0)), None);
        assert_eq!(bans.until("bob", Timestamp(0)), None);
        let mark = bans.mark();
        bans.lift("ada");
        assert_eq!(bans.reload(mark, of(&[("ada", 100)]), Timestamp(0)), None);
        assert_eq!(bans.until("ada", Timestamp(0)), None);
    }
}
