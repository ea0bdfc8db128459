//! Entries as .NET's `IDistributedCache` on Redis keeps them, for its `GetStringAsync` to read.
//!
//! Source: Microsoft.Extensions.Caching.StackExchangeRedis: a hash of `absexp` and `sldexp` in ticks, -1 for none, and
//! `data`.

use std::sync::LazyLock;
use std::time::Duration;

use hubline_redis::{CommandError, RedisClient, RedisScript, redis};

static WRITE: LazyLock<RedisScript> = LazyLock::new(|| RedisScript::new(include_str!("cache_entry.lua")));

/// How long an entry lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiration {
    pub(crate) absolute: Duration,
    pub(crate) sliding: Duration,
}

/// Writes an entry, whatever was there.
pub(crate) async fn write(
    client: &RedisClient,
    key: &str,
    data: &str,
    expiration: Expiration,
) -> Result<(), CommandError> {
    let Expiration { absolute, sliding } = expiration;
    let [absolute, sliding] = [absolute, sliding].map(|time| time.as_millis().to_string());
    client.invoke(&WRITE, key, &[data, &absolute, &sliding]).await
}

/// Removes an entry.
pub(crate) async fn remove(client: &RedisClient, key: &str) -> Result<(), CommandError> {
    client.query(redis::Cmd::del(key)).await
}
