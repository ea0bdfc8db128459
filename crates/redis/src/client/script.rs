use std::fmt;

use redis::{Cmd, ToRedisArgs};
use sha1::{Digest, Sha1};

/// A Lua script, known to Redis by the SHA-1 of its text.
///
/// On Redis Cluster all keys of a call have to be in one hash slot.
///
/// ```no_run
/// # async fn example(client: hubline_redis::RedisClient) -> Result<(), hubline_redis::CommandError> {
/// use hubline_redis::RedisScript;
///
/// let script = RedisScript::new("return redis.call('incrby', KEYS[1], ARGV[1])");
/// let count: i64 = client.invoke(&script, "counter", 5).await?;
/// # Ok(())
/// # }
/// ```
pub struct RedisScript {
    text: &'static str,
    hash: String,
}

impl RedisScript {
    /// A script of this text.
    pub fn new(text: &'static str) -> Self {
        Self { text, hash: Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    pub(super) fn by_hash(&self, keys: &impl ToRedisArgs, arguments: &impl ToRedisArgs) -> Cmd {
        call("EVALSHA", &self.hash, keys, arguments)
    }

    /// Redis keeps the text, so that the next call can be by hash.
    pub(super) fn by_text(&self, keys: &impl ToRedisArgs, arguments: &impl ToRedisArgs) -> Cmd {
        call("EVAL", self.text, keys, arguments)
    }
}

fn call(command: &str, script: &str, keys: &impl ToRedisArgs, arguments: &impl ToRedisArgs) -> Cmd {
    let mut call = redis::cmd(command);
    call.arg(script).arg(keys.num_of_args()).arg(keys).arg(arguments);
    call
}

impl fmt::Debug for RedisScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisScript").field(&self.hash).finish()
    }
}
