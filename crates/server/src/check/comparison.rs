//! Whether instances are configured alike, without telling how.
//!
//! Each value is shown as a code under a key that the instances agree on through Redis and tell nobody, so whoever has an admin key learns
//! which values are equal and can try none. Of what must not be shown, such as passwords, the code has 16 bits: even who reads Redis too,
//! and so knows the key, finds one in 65,536 of all guesses to be right. An instance takes one key in its life, so that nobody gets more
//! bits by putting other keys there. The price is one difference in 65,536 of such values that is not seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use hubline_redis::{CommandError, RedisClient, redis};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

/// Behind the prefix of Hubline's own keys: a string of 32 bytes.
const KEY: &str = "hubline:check-key";
/// From the last check on.
const KEPT_FOR_SECONDS: u64 = 30 * 24 * 60 * 60;
const SHOWN_BYTES: usize = 8;
const SECRET_BYTES: usize = 2;

/// The values of all keys of the configuration, to be compared.
pub(crate) type Prints = Arc<[(String, Print)]>;

/// A value, as far as it is needed to compare it.
#[derive(Clone)]
pub(crate) struct Print {
    /// Of what `hubline config` shows.
    shown: [u8; digest::SHA256_OUTPUT_LEN],
    /// Of what it hides.
    secret: Option<[u8; digest::SHA256_OUTPUT_LEN]>,
}

/// The configuration of an instance as others may see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Compared {
    /// Without Redis there is nobody to compare with.
    Alone,
    /// Redis does not say the key; why.
    Unavailable(String),
    /// Comparable with those of the same key.
    #[serde(rename_all = "camelCase")]
    Codes {
        /// Names the key without telling it.
        key: String,
        /// By keys of the configuration.
        codes: BTreeMap<String, String>,
    },
}

#[derive(Debug)]
pub(super) struct Comparison {
    prints: Prints,
    redis: Option<RedisClient>,
    key: OnceCell<Key>,
}

struct Key([u8; 32]);

impl Print {
    /// Of a value as `hubline config` shows it, with everything that was written for it if a part of that is hidden.
    pub(crate) fn of(shown: Option<&str>, hidden: Option<&str>) -> Self {
        let digest = |text: &str| {
            let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
            bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
            bytes
        };
        Self { shown: digest(shown.unwrap_or_default()), secret: hidden.map(digest) }
    }
}

impl std::fmt::Debug for Print {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Print").field("is_secret", &self.secret.is_some()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Comparison {
    pub(super) fn new(prints: Prints, redis: Option<RedisClient>) -> Self {
        Self { prints, redis, key: OnceCell::new() }
    }

    pub(super) async fn compared(&self) -> Compared {
        let Some(redis) = &self.redis else { return Compared::Alone };
        match self.agree(redis).await {
            Ok(key) => {
                let codes = self.prints.iter().map(|(name, print)| (name.clone(), key.code(name, print)));
                Compared::Codes { key: key.id(), codes: codes.collect() }
            }
            Err(error) => Compared::Unavailable(error.to_string()),
        }
    }

    /// The key that is there, or else this instance's. One that is known here is written again where Redis has lost it.
    async fn agree(&self, redis: &RedisClient) -> Result<&Key, CommandError> {
        let name = [redis.options().key_prefix(), KEY].concat();
        let mine = match self.key.get() {
            Some(key) => key.0,
            None => Key::random().0,
        };
        let mut pipeline = redis::pipe();
        let mut set = redis::cmd("SET");
        set.arg(&name).arg(&mine).arg("NX").arg("EX").arg(KEPT_FOR_SECONDS);
        pipeline.add_command(set).ignore();
        pipeline.expire(&name, i64::try_from(KEPT_FOR_SECONDS).unwrap_or(i64::MAX)).ignore();
        pipeline.get(&name);
        let (found,): (Vec<u8>,) = redis.query_pipeline(pipeline).await?;
        let agreed = found.try_into().map_or(mine, |found| found);
        Ok(self.key.get_or_init(|| async { Key(agreed) }).await)
    }
}

impl Key {
    fn random() -> Self {
        let mut bytes = [0; 32];
        for half in bytes.chunks_mut(16) {
            half.copy_from_slice(&super::random().to_be_bytes());
        }
        Self(bytes)
    }

    fn id(&self) -> String {
        hex(self.sign(&[b"id"]).as_ref(), SHOWN_BYTES)
    }

    fn code(&self, name: &str, print: &Print) -> String {
        let name = name.to_ascii_lowercase();
        let shown = hex(self.sign(&[b"shown", name.as_bytes(), &print.shown]).as_ref(), SHOWN_BYTES);
        match &print.secret {
            Some(secret) => {
                let secret = self.sign(&[b"secret", name.as_bytes(), secret]);
                format!("{shown}.{}", hex(secret.as_ref(), SECRET_BYTES))
            }
            None => shown,
        }
    }

    fn sign(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        for part in parts {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        context.sign()
    }
}

fn hex(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(value: &str, hidden: Option<&str>) -> Print {
        Print::of(Some(value), hidden)
    }

    #[test]
    fn codes_are_equal_where_values_are_and_tell_little_of_secrets() {
        let (key, other) = (Key::random(), Key::random());
        let plain = key.code("SignalR:ChannelPrefix", &print("a", None));
        assert_eq!(plain, key.code("signalr:channelprefix", &print("a", None)));
        assert_ne!(plain, key.code("SignalR:ChannelPrefix", &print("b", None)));
        assert_ne!(
            plain,
            key.code("Redis:InstanceName", &print("a", None)),
            "one key says nothing of another"
        );
        assert_ne!(plain, other.code("SignalR:ChannelPrefix", &print("a", None)));
        assert_ne!(key.id(), other.id());
        assert_eq!(plain.len(), 2 * SHOWN_BYTES);

        let secret = key.code("Jwt:Key", &print("***", Some("conduit123")));
        assert_eq!(secret, key.code("Jwt:Key", &print("***", Some("conduit123"))));
        assert_eq!(secret.split_once('.').unwrap().1.len(), 2 * SECRET_BYTES);
        let guesses = (0..200).map(|guess| key.code("Jwt:Key", &print("***", Some(&guess.to_string()))));
        assert!(guesses.collect::<std::collections::BTreeSet<_>>().len() > 190, "they differ");
        assert!(!format!("{key:?} {:?}", print("***", Some("conduit123"))).contains("123"));
    }
}
