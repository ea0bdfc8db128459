//! The keys that connection tokens are signed with, configured or agreed between the instances.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use hubline_backplane::{Fleet, Unreachable};
use hubline_protocol::random_bytes;
use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep_until};

/// Half of SHA-256, which nobody can guess.
pub(super) const TAG_BYTES: usize = 16;
/// Bytes of a key that is agreed upon.
const KEY_BYTES: usize = 32;
/// Keys that are remembered: that of today and those before it, by which requests of connections that live for long are
/// brought to where those are.
const LIMIT_KEYS: usize = 64;
/// How long the fleet signs with a key.
const PERIOD: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after that its last tokens may still open connections: until all instances know, and 15 s longer.
const OPENS_ON: Duration = Duration::from_secs(60);
/// Between questions for keys that are not known, so that forged tokens cost little.
const BETWEEN_LOOKUPS: Duration = Duration::from_millis(100);
/// How long a key that was never the fleet's but has signed tokens stays to be found.
const KEY_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The note with the keys of the fleet: that which signs, then earlier ones, 32 bytes each. It ends with the period.
const CURRENT: &str = "token-key";

/// A secret that signs connection tokens, so that every instance of a fleet can tell real ones.
///
/// Parsed from text it is base64 of 32 bytes or more: `openssl rand -base64 32`.
#[derive(Clone)]
pub struct TokenKey {
    secret: Vec<u8>,
    id: KeyId,
    /// Keyed already.
    mac: Hmac<Sha256>,
}

/// Error of parsing a [`TokenKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token key is base64 of 32 bytes or more, such as `openssl rand -base64 32` makes")]
pub struct TokenKeyError;

pub(super) use TokenKey as Key;

/// Names a key without telling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyId(pub(super) [u8; 4]);

/// The keys of a fleet as one instance knows them. The first signs; all tell where to bring a request.
pub(super) struct KeyRing {
    state: Mutex<State>,
    /// Whether other instances are told; configured keys they have already.
    is_agreed: bool,
    /// When the fleet was last asked for a key; who asks meanwhile waits for that answer.
    looked_up: tokio::sync::Mutex<Option<Instant>>,
    looked_up_by_id: Mutex<Option<Instant>>,
}

struct State {
    keys: Vec<Known>,
    /// Whether the first is or was the fleet's.
    is_published: bool,
    /// Whether the first has signed a token; then others may meet it when the fleet signs with another.
    has_signed: bool,
}

struct Known {
    key: Key,
    /// Until when its tokens may open connections whose negotiator is gone.
    opens: Opens,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opens {
    Always,
    Until(Instant),
    NoMore,
}

impl TokenKey {
    pub(crate) fn random() -> Self {
        Self::of(random_bytes::<KEY_BYTES>().into())
    }

    fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() >= 32).then(|| Self::of(bytes))
    }

    fn of(secret: Vec<u8>) -> Self {
        let digest = Sha256::digest(&secret);
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key of any length");
        Self { secret, id: KeyId([digest[0], digest[1], digest[2], digest[3]]), mac }
    }

    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn tag(&self, signed: &[u8]) -> [u8; TAG_BYTES] {
        let whole = self.mac(signed).finalize().into_bytes();
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&whole[..TAG_BYTES]);
        tag
    }

    /// In constant time.
    pub(super) fn verifies(&self, signed: &[u8], tag: &[u8]) -> bool {
        tag.len() == TAG_BYTES && self.mac(signed).verify_truncated_left(tag).is_ok()
    }

    fn mac(&self, signed: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(signed);
        mac
    }
}

impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}

impl Eq for TokenKey {}

impl FromStr for TokenKey {
    type Err = TokenKeyError;

    fn from_str(text: &str) -> Result<Self, TokenKeyError> {
        STANDARD.decode(text.trim()).ok().and_then(Self::from_bytes).ok_or(TokenKeyError)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

impl KeyRing {
    /// Those that are configured; without any, one that is to be agreed upon.
    pub(super) fn of(configured: Vec<Key>) -> Self {
        let is_agreed = configured.is_empty();
        let keys = if is_agreed { vec![Key::random()] } else { configured };
        let keys = keys.into_iter().map(|key| Known { key, opens: Opens::Always }).collect();
        Self {
            state: Mutex::new(State { keys, is_published: false, has_signed: false }),
            is_agreed,
            looked_up: tokio::sync::Mutex::default(),
            looked_up_by_id: Mutex::default(),
        }
    }

    pub(super) fn is_agreed(&self) -> bool {
        self.is_agreed
    }

    /// The key for a new token.
    pub(super) fn signing(&self) -> Key {
        let mut state = self.lock();
        state.has_signed = true;
        state.keys[0].key.clone()
    }

    pub(super) fn find(&self, id: KeyId) -> Option<Key> {
        self.lock().keys.iter().find(|known| known.key.id() == id).map(|known| known.key.clone())
    }

    /// Whether a token of this key may open a connection although its negotiator cannot be asked. Not if the fleet has
    /// signed with another key for a while: then whoever knows this one may have it from an old copy of Redis.
    pub(super) fn may_open(&self, id: KeyId) -> bool {
        let state = self.lock();
        let known = state.keys.iter().find(|known| known.key.id() == id);
        known.is_some_and(|known| match known.opens {
            Opens::Always => true,
            Opens::Until(end) => Instant::now() < end,
            Opens::NoMore => false,
        })
    }

    /// Asks the fleet for a key that is not known here. However many ask, Redis is asked twice in 100 ms.
    pub(super) async fn look_up(&self, id: KeyId, fleet: &dyn Fleet) {
        if !self.is_agreed {
            return;
        }
        let asked = Instant::now();
        let mut looked_up = self.looked_up.lock().await;
        if looked_up.is_none_or(|at| at < asked) {
            if let Some(last) = *looked_up {
                sleep_until(last + BETWEEN_LOOKUPS).await;
            }
            *looked_up = Some(Instant::now());
            if let Ok(Some(note)) = fleet.get(CURRENT).await {
                self.lock().learn(keys_of(&note), Opens::Until(Instant::now() + OPENS_ON));
            }
        }
        drop(looked_up);
        if self.find(id).is_none() && self.may_look_up_by_id() {
            let found = fleet.get(&by_id(id)).await.ok().flatten();
            let found = found.and_then(Key::from_bytes).filter(|key| key.id() == id);
            self.lock().learn(found.into_iter().collect(), Opens::NoMore);
        }
    }

    fn may_look_up_by_id(&self) -> bool {
        let mut last = self.looked_up_by_id.lock();
        let now = Instant::now();
        let may = last.is_none_or(|last| now >= last + BETWEEN_LOOKUPS);
        if may {
            *last = Some(now);
        }
        may
    }

    /// Signs with the fleet's key from now on, or gives it one if it has none: when it is new, when Redis has come back
    /// empty, and when the period of the last one has ended or somebody has deleted it. Asked again now and then.
    ///
    /// # Errors
    /// The notes cannot be reached, or what is noted is no key.
    pub(super) async fn agree(&self, fleet: &dyn Fleet) -> Result<(), Unreachable> {
        if !self.is_agreed {
            return Ok(());
        }
        let proposed = self.lock().proposal();
        let note = proposed.iter().flat_map(|key| key.secret.iter().copied()).collect();
        let keys = match fleet.put_if_absent(CURRENT, note, Some(PERIOD)).await? {
            None => proposed,
            Some(present) => keys_of(&present),
        };
        if keys.is_empty() {
            return Err(Unreachable(format!("what is noted as {CURRENT} is no key; delete it")));
        }
        let stranded = self.lock().sign_with(keys);
        if let Some(own) = stranded {
            fleet.put_if_absent(&by_id(own.id()), own.secret.clone(), Some(KEY_LIFETIME)).await?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// The keys for the fleet if it has none: a new one if that which signs has had its time.
    fn proposal(&self) -> Vec<Key> {
        let new = self.is_published.then(Key::random);
        let known = self.keys.iter().map(|known| known.key.clone());
        new.into_iter().chain(known).take(LIMIT_KEYS).collect()
    }

    /// Takes over the fleet's keys. Returns the key that signed before, if it has and the fleet does not know it.
    fn sign_with(&mut self, keys: Vec<Key>) -> Option<Key> {
        self.is_published = true;
        if self.keys.first().map(|known| &known.key) == keys.first() {
            return None;
        }
        let own = &mut self.keys[0];
        own.opens = Opens::Until(Instant::now() + OPENS_ON);
        let own = own.key.clone();
        let has_signed = std::mem::take(&mut self.has_signed);
        let is_known_to_all = keys.contains(&own);
        if let Some(first) = keys.first().cloned() {
            self.keys.retain(|known| known.key != first);
            self.keys.insert(0, Known { key: first, opens: Opens::Always });
        }
        self.learn(keys, Opens::NoMore);
        (has_signed && !is_known_to_all).then_some(own)
    }

    /// Remembers keys of the fleet, newest first, and as long as all. That which signs stays the first.
    fn learn(&mut self, keys: Vec<Key>, newest: Opens) {
        for (place, key) in keys.into_iter().enumerate() {
            if !self.keys.iter().any(|known| known.key == key) {
                let opens = if place == 0 { newest } else { Opens::NoMore };
                self.keys.push(Known { key, opens });
            }
        }
        self.keys.truncate(LIMIT_KEYS);
    }
}

/// The keys in a note; none if it is no such note.
fn keys_of(note: &[u8]) -> Vec<Key> {
    let (keys, []) = note.as_chunks::<KEY_BYTES>() else { return Vec::new() };
    keys.iter().take(LIMIT_KEYS).map(|key| Key::of(key.to_vec())).collect()
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("is_agreed", &self.is_agreed).finish_non_exhaustive()
    }
}

fn by_id(id: KeyId) -> String {
    let [a, b, c, d] = id.0;
    format!("{CURRENT}:{a:02x}{b:02x}{c:02x}{d:02x}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;
    use hubline_backplane::{MemoryFleet, memory_fleet};
    use tokio::time::advance;

    use super::*;

    #[test]
    fn configured_keys_are_long_enough_and_never_shown() {
        let key: TokenKey = STANDARD.encode([7; 32]).parse().unwrap();
        assert_eq!(format!("{key:?}"), "TokenKey(..)");
        for bad in ["", "secret", &STANDARD.encode([7; 31])] {
            assert_eq!(bad.parse::<TokenKey>(), Err(TokenKeyError));
        }
    }

    async fn agree(rings: &[KeyRing], fleet: &[Arc<MemoryFleet>]) {
        for (ring, member) in rings.iter().zip(fleet) {
            ring.agree(&**member).await.unwrap();
        }
    }

    #[tokio::test]
    async fn instances_agree_and_know_what_was_signed_before() {
        let fleet = memory_fleet(3);
        let rings = [(); 3].map(|()| KeyRing::of(Vec::new()));
        let before = rings[1].signing();
        agree(&rings, &fleet).await;
        let signing = rings[0].signing();
        assert!(rings.iter().all(|ring| ring.signing() == signing));
        assert!(rings[2].find(before.id()).is_none());
        rings[2].look_up(before.id(), &*fleet[2]).await;
        assert!(rings[2].find(before.id()).is_some());
        assert!(!rings[2].may_open(before.id()), "where it comes from nobody knows");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_signs_for_a_day_and_then_tells_the_way_only() {
        let fleet = memory_fleet(2);
        let rings = [(); 2].map(|()| KeyRing::of(Vec::new()));
        agree(&rings, &fleet).await;
        let first = rings[0].signing();
        advance(PERIOD - Duration::from_secs(1)).await;
        agree(&rings, &fleet).await;
        assert!(rings[1].signing() == first);
        advance(Duration::from_secs(1)).await;
        agree(&rings, &fleet).await;
        let second = rings[0].signing();
        assert!(second != first && second == rings[1].signing());
        // Who has negotiated just before may still come.
        assert!(rings.iter().all(|ring| ring.may_open(first.id())));
        advance(OPENS_ON).await;
        assert!(rings.iter().all(|ring| ring.find(first.id()).is_some() && !ring.may_open(first.id())));
        // A newcomer learns both, but opens nothing with the old one.
        let newcomer = KeyRing::of(Vec::new());
        newcomer.agree(&*fleet[1]).await.unwrap();
        assert!(newcomer.signing() == second && newcomer.find(first.id()).is_some());
        assert!(newcomer.may_open(second.id()) && !newcomer.may_open(first.id()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_somebody_deletes_is_followed_by_another() {
        let fleet = memory_fleet(2);
        let rings = [(); 2].map(|()| KeyRing::of(Vec::new()));
        agree(&rings, &fleet).await;
        let first = rings[0].signing();
        fleet[0].forget_notes();
        rings[1].agree(&*fleet[1]).await.unwrap();
        let second = rings[1].signing();
        assert!(second != first);
        // One that has not noticed yet knows a token of the new key all the same.
        rings[0].look_up(second.id(), &*fleet[0]).await;
        assert!(rings[0].signing() == first && rings[0].may_open(second.id()));
        rings[0].agree(&*fleet[0]).await.unwrap();
        assert!(rings[0].signing() == second);
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_keys_are_remembered_as_a_note_has_room_for() {
        let fleet = memory_fleet(1);
        let rings = [KeyRing::of(Vec::new())];
        agree(&rings, &fleet).await;
        let first = rings[0].signing();
        for _ in 1..LIMIT_KEYS {
            fleet[0].forget_notes();
            agree(&rings, &fleet).await;
        }
        assert!(rings[0].find(first.id()).is_some());
        fleet[0].forget_notes();
        agree(&rings, &fleet).await;
        assert!(rings[0].find(first.id()).is_none());
        assert_eq!(rings[0].lock().keys.len(), LIMIT_KEYS);
    }

    #[tokio::test(start_paused = true)]
    async fn notes_that_were_lost_are_put_back() {
        let fleet = memory_fleet(2);
        let old = KeyRing::of(Vec::new());
        old.agree(&*fleet[0]).await.unwrap();
        let signed = old.signing();
        fleet[0].forget_notes();
        // A newcomer is faster than the old instance.
        let new = KeyRing::of(Vec::new());
        new.agree(&*fleet[1]).await.unwrap();
        old.agree(&*fleet[0]).await.unwrap();
        assert!(old.signing() == new.signing() && old.find(signed.id()).is_some());
        new.look_up(signed.id(), &*fleet[1]).await;
        assert!(new.find(signed.id()).is_some(), "tokens from before are still good");
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_that_is_no_key_is_an_error_that_says_so() {
        let fleet = memory_fleet(1);
        fleet[0].put_if_absent(CURRENT, b"hello".to_vec(), None).await.unwrap();
        let error = KeyRing::of(Vec::new()).agree(&*fleet[0]).await.unwrap_err();
        assert!(error.to_string().contains("token-key is no key; delete it"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_keys_are_not_asked_for_all_the_time() {
        let fleet = memory_fleet(1);
        let (ring, unknown) = (KeyRing::of(Vec::new()), Key::random());
        let begin = Instant::now();
        let forged: Vec<Key> = (0..50).map(|_| Key::random()).collect();
        join_all(forged.iter().map(|key| ring.look_up(key.id(), &*fleet[0]))).await;
        assert!(fleet[0].notes_read() <= 4, "{}", fleet[0].notes_read());
        assert!(begin.elapsed() <= BETWEEN_LOOKUPS);
        fleet[0].put_if_absent(&by_id(unknown.id()), unknown.secret.clone(), None).await.unwrap();
        advance(BETWEEN_LOOKUPS).await;
        ring.look_up(unknown.id(), &*fleet[0]).await;
        assert!(ring.find(unknown.id()).is_some());
    }
}
