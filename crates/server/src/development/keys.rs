//! The keys of tokens for development, agreed between the instances.
//!
//! They are members of one set in Redis. An instance that finds none adds one; all sign with the smallest member and verify with
//! all, so that two instances that add one at the same time need not decide who was first. An instance whose
//! Redis comes back empty adds what it knows.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubline::Status;
use hubline_auth::{BearerOptions, VerificationKey, Verifier};
use hubline_redis::{CommandError, RedisClient, redis};
use hubline_supervision::{Vital, spawn};
use parking_lot::{Mutex, RwLock};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::token::ISSUER;

/// Behind the prefix of Hubline's own keys.
const NAME: &str = "hubline:development-keys";
/// How long the set stays when the last instance has ended.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a running instance prolongs that.
const RENEWAL: Duration = Duration::from_secs(60 * 60);
/// Between attempts while Redis does not answer.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);
/// Between questions for keys that are not known, so that forged tokens cost little.
const BETWEEN_LOOKUPS: Duration = Duration::from_millis(100);
/// Keys that are believed. Two instances that start at once make two; a Redis that is emptied now and then makes more.
const LIMIT_KEYS: usize = 64;
const KEY_BYTES: usize = 32;

/// What every `kid` of these tokens begins with, so that no other token is taken for one.
pub(super) const ID_PREFIX: &str = "hubline-development-";

/// A secret that signs tokens for development.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u8; KEY_BYTES]);

/// The keys as this instance knows them.
pub(super) struct Keys {
    redis: Option<RedisClient>,
    /// Sorted. Empty until Redis has been asked for the first time.
    known: RwLock<Vec<Key>>,
    verifier: RwLock<Option<Arc<Verifier>>>,
    /// When Redis was last asked for a key; who asks meanwhile waits for that answer.
    looked_up: tokio::sync::Mutex<Option<Instant>>,
    agreeing: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Key {
    /// `None` if the system has no random bytes.
    fn random() -> Option<Self> {
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(STANDARD.decode(text).ok()?.try_into().ok()?))
    }

    fn text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Names the key without telling it.
    pub(super) fn id(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.0);
        let start = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}"));
        [ID_PREFIX.to_owned(), start.collect()].concat()
    }

    /// The signature of HS256.
    pub(super) fn sign(&self, message: &[u8]) -> impl AsRef<[u8]> + use<> {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), message)
    }
}

impl Keys {
    pub(super) fn start(redis: Option<RedisClient>, status: watch::Receiver<Status>) -> Arc<Self> {
        let keys = Arc::new(Self {
            redis,
            known: RwLock::default(),
            verifier: RwLock::default(),
            looked_up: tokio::sync::Mutex::default(),
            agreeing: Mutex::default(),
        });
        if keys.redis.is_some() {
            let agreeing = Agreeing { keys: Arc::downgrade(&keys), status, is_told: false };
            *keys.agreeing.lock() = Some(spawn(agreeing));
        } else {
            keys.learn(Key::random());
        }
        keys
    }

    /// The key for a new token; `None` while the instances have not agreed on one.
    pub(super) fn signing(&self) -> Option<Key> {
        self.known.read().first().cloned()
    }

    /// What verifies tokens by all keys; `None` while there are none.
    pub(super) fn verifier(&self) -> Option<Arc<Verifier>> {
        self.verifier.read().clone()
    }

    /// Asks Redis for a key that is not known here; whether it is known then. However many ask, Redis is asked ten
    /// times a second.
    pub(super) async fn look_up(&self, id: &str) -> bool {
        let asked = Instant::now();
        let mut looked_up = self.looked_up.lock().await;
        if !self.knows(id) && looked_up.is_none_or(|at| at < asked) {
            if let Some(last) = *looked_up {
                sleep_until(last + BETWEEN_LOOKUPS).await;
            }
            *looked_up = Some(Instant::now());
            if let Err(error) = self.agree().await {
                tracing::debug!(%error, "keys of tokens for development cannot be asked for");
            }
        }
        self.knows(id)
    }

    fn knows(&self, id: &str) -> bool {
        self.known.read().iter().any(|key| key.id() == id)
    }

    /// Tells Redis what is known here, and learns what others know.
    async fn agree(&self) -> Result<(), CommandError> {
        let Some(redis) = &self.redis else { return Ok(()) };
        let name = [redis.options().key_prefix(), NAME].concat();
        let in_redis: Vec<String> = redis.query(redis::Cmd::smembers(&name)).await?;
        self.learn(in_redis.iter().filter_map(|text| Key::from_text(text)));
        if self.known.read().is_empty() {
            self.learn(Key::random());
        }
        let mine: Vec<String> = self.known.read().iter().map(Key::text).collect();
        let mut pipeline = redis::pipe();
        pipeline.sadd(&name, mine).ignore();
        pipeline.pexpire(&name, i64::try_from(KEPT_FOR.as_millis()).unwrap_or(i64::MAX)).ignore();
        pipeline.smembers(&name);
        let (all,): (Vec<String>,) = redis.query_pipeline(pipeline).await?;
        self.learn(all.iter().filter_map(|text| Key::from_text(text)));
        Ok(())
    }

    fn learn(&self, keys: impl IntoIterator<Item = Key>) {
        let mut known = self.known.write();
        let before = known.len();
        known.extend(keys);
        known.sort();
        known.dedup();
        known.truncate(LIMIT_KEYS);
        if known.len() != before {
            *self.verifier.write() = verifier(&known);
        }
    }
}

fn verifier(keys: &[Key]) -> Option<Arc<Verifier>> {
    let keys = keys.iter().filter_map(|key| Some(VerificationKey::secret(&key.0).ok()?.with_id(&key.id())));
    let options = keys.fold(BearerOptions::default().issuer(ISSUER), BearerOptions::key);
    Verifier::new(options).ok().map(Arc::new)
}

/// Agrees at start, whenever Redis is back, and now and then.
struct Agreeing {
    keys: Weak<Keys>,
    status: watch::Receiver<Status>,
    /// Whether it was logged that Redis refuses.
    is_told: bool,
}

impl Vital for Agreeing {
    const NAME: &'static str = "development keys";

    async fn run(&mut self) {
        loop {
            let Some(keys) = self.keys.upgrade() else { return };
            let agreed = keys.agree().await;
            drop(keys);
            if let Err(error) = agreed {
                self.log(&error);
                sleep(BETWEEN_ATTEMPTS).await;
                continue;
            }
            tokio::select! {
                changed = self.status.changed() => if changed.is_err() {
                    return;
                },
                () = sleep(RENEWAL) => {}
            }
        }
    }
}

impl Agreeing {
    /// That Redis is away is told by others.
    fn log(&mut self, error: &CommandError) {
        if matches!(error, CommandError::Refused { .. }) && !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(
                %error,
                "POST /dev/token cannot sign tokens: the user of Redis needs the commands SADD, SMEMBERS and PEXPIRE. This is not \
                 logged again"
            );
        } else {
            tracing::debug!(%error, "keys of tokens for development are not agreed upon yet");
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("count", &self.known.read().len()).finish_non_exhaustive()
    }
}
