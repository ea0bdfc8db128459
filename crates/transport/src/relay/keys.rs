//! The keys that connection tokens are signed with, configured or agreed between the instances.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use hubline_backplane::{Fleet, Unreachable};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// Half of SHA-256, which nobody can guess.
pub(super) const TAG_BYTES: usize = 16;
/// Keys that are remembered besides the newest. More than a fleet ever has; past it the oldest is forgotten.
const LIMIT_KEYS: usize = 64;
/// Between questions for keys that are not known, so that forged tokens cost little.
const BETWEEN_LOOKUPS: Duration = Duration::from_millis(100);
/// How long a key that has signed tokens stays to be found by those who do not have it.
const KEY_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The note with the key that the fleet signs with.
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

/// Why a text is no [`TokenKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token key is base64 of 32 bytes or more, such as `openssl rand -base64 32` makes")]
pub struct TokenKeyError;

pub(super) use TokenKey as Key;

/// Names a key without telling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyId(pub(super) [u8; 4]);

/// The keys of a fleet as one instance knows them. The first signs, all verify.
pub(super) struct KeyRing {
    state: Mutex<State>,
    /// Whether other instances are told; configured keys they have already.
    is_agreed: bool,
}

struct State {
    keys: Vec<Key>,
    /// Whether the first has signed a token; then others may meet it when the fleet signs with another.
    has_signed: bool,
    looked_up: Option<Instant>,
}

impl TokenKey {
    pub(super) fn random() -> Self {
        let mut secret = vec![0; 32];
        #[expect(clippy::expect_used, reason = "without the system's random numbers no secret is safe")]
        getrandom::fill(&mut secret).expect("the operating system provides random numbers");
        Self::of(secret)
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
        Self { state: Mutex::new(State { keys, has_signed: false, looked_up: None }), is_agreed }
    }

    /// The key for a new token.
    pub(super) fn signing(&self) -> Key {
        let mut state = self.lock();
        state.has_signed = true;
        state.keys[0].clone()
    }

    pub(super) fn find(&self, id: KeyId) -> Option<Key> {
        self.lock().keys.iter().find(|key| key.id() == id).cloned()
    }

    /// Asks the fleet for a key that is not known here.
    pub(super) async fn look_up(&self, id: KeyId, fleet: &dyn Fleet) {
        {
            let mut state = self.lock();
            let now = Instant::now();
            if !self.is_agreed || state.looked_up.is_some_and(|last| now < last + BETWEEN_LOOKUPS) {
                return;
            }
            state.looked_up = Some(now);
        }
        for name in [CURRENT, &by_id(id)] {
            let Ok(Some(found)) = fleet.get(name).await else { continue };
            if let Some(key) = Key::from_bytes(found).filter(|key| key.id() == id) {
                self.lock().remember(key);
                return;
            }
        }
    }

    /// Signs with the fleet's key from now on, or makes this instance's the fleet's if it has none, as one
    /// that comes back empty. Asked again now and then: others may have been faster after such a loss.
    pub(super) async fn agree(&self, fleet: &dyn Fleet) -> Result<(), Unreachable> {
        if !self.is_agreed {
            return Ok(());
        }
        let own = self.lock().keys[0].clone();
        let current = fleet.put_if_absent(CURRENT, own.secret.clone(), None).await?;
        let Some(current) = current.and_then(Key::from_bytes).filter(|current| *current != own) else {
            return Ok(());
        };
        let has_signed = {
            let mut state = self.lock();
            state.keys.retain(|key| *key != current);
            state.keys.insert(0, current);
            state.keys.truncate(LIMIT_KEYS);
            std::mem::take(&mut state.has_signed)
        };
        if has_signed {
            fleet.put_if_absent(&by_id(own.id()), own.secret.clone(), Some(KEY_LIFETIME)).await?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first stays the first.
    fn remember(&mut self, key: Key) {
        if !self.keys.contains(&key) {
            self.keys.insert(1, key);
            self.keys.truncate(LIMIT_KEYS);
        }
    }
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
    use hubline_backplane::memory_fleet;

    use super::*;

    #[test]
    fn configured_keys_are_long_enough_and_never_shown() {
        let key: TokenKey = STANDARD.encode([7; 32]).parse().unwrap();
        assert_eq!(format!("{key:?}"), "TokenKey(..)");
        for bad in ["", "secret", &STANDARD.encode([7; 31])] {
            assert_eq!(bad.parse::<TokenKey>(), Err(TokenKeyError));
        }
    }

    #[tokio::test]
    async fn instances_agree_and_know_what_was_signed_before() {
        let fleet = memory_fleet(3);
        let rings: Vec<_> = (0..3).map(|_| KeyRing::of(Vec::new())).collect();
        let before = rings[1].signing();
        for (ring, member) in rings.iter().zip(&fleet) {
            ring.agree(&**member).await.unwrap();
        }
        let signing = rings[0].signing();
        assert!(rings.iter().all(|ring| ring.signing() == signing));
        assert!(rings[2].find(before.id()).is_none());
        rings[2].look_up(before.id(), &*fleet[2]).await;
        assert!(rings[2].find(before.id()).is_some());
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
    async fn unknown_keys_are_not_asked_for_all_the_time() {
        let fleet = memory_fleet(1);
        let (ring, unknown) = (KeyRing::of(Vec::new()), Key::random());
        ring.look_up(unknown.id(), &*fleet[0]).await;
        fleet[0].put_if_absent(&by_id(unknown.id()), unknown.secret.clone(), None).await.unwrap();
        ring.look_up(unknown.id(), &*fleet[0]).await;
        assert!(ring.find(unknown.id()).is_none());
        tokio::time::advance(BETWEEN_LOOKUPS).await;
        ring.look_up(unknown.id(), &*fleet[0]).await;
        assert!(ring.find(unknown.id()).is_some());
    }
}
