//! Calls between two users, each kept for 4 hours and known to all instances.

mod call;
mod held_calls;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hubline::{Status, UserId};
use hubline_redis::{CommandError, RedisClient, RedisScript, redis};
use hubline_supervision::{Vital, spawn};
use time::OffsetDateTime;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

pub use call::{Call, CallError, CallId, CallStatus};
use held_calls::{HeldCall, HeldCalls};

static WRITE: LazyLock<RedisScript> = LazyLock::new(|| RedisScript::new(include_str!("call.lua")));

/// How long a call is kept.
const KEPT_FOR: Duration = Duration::from_secs(4 * 60 * 60);
/// Calls that are written to Redis at once after an outage.
const BATCH: usize = 64;
/// How often a write is repeated because another instance was first: more than a call can change its status.
const ATTEMPTS: usize = 8;
/// Between attempts to write what Redis has not taken.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// The calls of a fleet.
///
/// With Redis, `call:{id}` behind `Redis:InstanceName` is an entry of .NET's `IDistributedCache` that holds
/// [`Call::to_json`], for 4 hours absolute. While Redis is away, calls that this instance knows can be created and changed;
/// they are written when it is back. If instances have changed one call meanwhile, the later [`CallStatus`] counts.
///
/// Cloning shares it.
#[derive(Clone)]
pub struct Calls {
    shared: Arc<Shared>,
    _writing: Option<Arc<AbortOnDropHandle<()>>>,
}

struct Shared {
    redis: Option<RedisClient>,
    held: HeldCalls,
    is_unwritten: Notify,
}

/// A call, and its text in Redis if that could be read.
struct Found {
    call: Call,
    in_redis: Option<String>,
}

impl Calls {
    /// Calls of a single instance, in its memory.
    pub fn in_process() -> Self {
        Self { shared: Arc::new(Shared::new(None)), _writing: None }
    }

    /// Calls of a fleet. `status` is that of the session directory on the same Redis, which notices when Redis has lost
    /// data; the calls of this instance are then written again.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(client: RedisClient, status: watch::Receiver<Status>) -> Self {
        let shared = Arc::new(Shared::new(Some(client)));
        let writing = spawn(Writing { shared: Arc::clone(&shared), status });
        Self { shared, _writing: Some(Arc::new(writing)) }
    }

    /// Starts a call, as [`Call::ringing`] makes it.
    ///
    /// # Errors
    /// [`CallError::Exists`]; [`CallError::Full`].
    ///
    /// # Cancel safety
    /// Dropped after it was first polled, the call may exist or not.
    pub async fn create(&self, call: Call) -> Result<(), CallError> {
        let Shared { held, redis, .. } = &*self.shared;
        if held.get(&call.id).is_some() {
            return Err(CallError::Exists(call.id));
        }
        let Some(client) = redis else { return held.create(call) };
        match write(client, "", &call, KEPT_FOR).await {
            Ok(None) => {
                held.hold(call);
                Ok(())
            }
            Ok(Some(_)) => Err(CallError::Exists(call.id)),
            Err(error) => {
                tracing::debug!(%error, call = %call.id, "a call is known to this instance alone for now");
                held.create(call)?;
                self.shared.is_unwritten.notify_one();
                Ok(())
            }
        }
    }

    /// The call as it is now; `None` if no call of this id exists or it is older than 4 hours.
    ///
    /// # Errors
    /// [`CallError::Unavailable`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn get(&self, id: &CallId) -> Result<Option<Call>, CallError> {
        Ok(self.shared.find(id).await?.map(|found| found.call))
    }

    /// Changes a call's status on behalf of one of its participants. If several try at the same time, one succeeds and the
    /// others are judged by the status that the call has then.
    ///
    /// # Errors
    /// [`CallError::Unknown`], [`CallError::Unavailable`], and those of [`Call::advanced`].
    ///
    /// # Cancel safety
    /// Dropped after it was first polled, the change may have been made or not.
    pub async fn advance(&self, id: &CallId, by: &UserId, to: CallStatus) -> Result<Call, CallError> {
        let Shared { held, redis, is_unwritten } = &*self.shared;
        for _ in 0..ATTEMPTS {
            let found = self.shared.find(id).await?.ok_or_else(|| CallError::Unknown(id.clone()))?;
            let (Some(in_redis), Some(client)) = (found.in_redis, redis) else {
                let call = held.advance(id, by, to)?;
                is_unwritten.notify_one();
                return Ok(call);
            };
            let call = found.call.advanced(by, to, OffsetDateTime::now_utc())?;
            match write(client, &in_redis, &call, KEPT_FOR).await {
                Ok(None) => {
                    held.hold(call.clone());
                    return Ok(call);
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    tracing::debug!(%error, call = %id, "a call is changed on this instance alone for now");
                    held.hold(found.call);
                    let call = held.advance(id, by, to)?;
                    is_unwritten.notify_one();
                    return Ok(call);
                }
            }
        }
        Err(CallError::Unavailable("other instances change it all the time".to_owned()))
    }
}

impl Shared {
    fn new(redis: Option<RedisClient>) -> Self {
        Self { redis, held: HeldCalls::default(), is_unwritten: Notify::new() }
    }

    async fn find(&self, id: &CallId) -> Result<Option<Found>, CallError> {
        let held = self.held.get(id);
        let Some(client) = &self.redis else {
            return Ok(held.map(|call| Found { call, in_redis: None }));
        };
        match (read(client, id).await, held) {
            // What Redis has lost, or not been told of yet, is known here.
            (Ok(None), held) => Ok(held.map(|call| Found { call, in_redis: None })),
            (Ok(Some((_, call))), Some(held)) if held.status > call.status => {
                Ok(Some(Found { call: held, in_redis: None }))
            }
            (Ok(Some((text, call))), _) => Ok(Some(Found { call, in_redis: Some(text) })),
            (Err(_), Some(call)) => Ok(Some(Found { call, in_redis: None })),
            (Err(reason), None) => Err(CallError::Unavailable(reason)),
        }
    }

    /// Writes what Redis does not have as it is here.
    async fn write_unwritten(&self, client: &RedisClient) -> Result<(), CommandError> {
        loop {
            let unwritten = self.held.unwritten(BATCH);
            if unwritten.is_empty() {
                return Ok(());
            }
            for held in unwritten {
                self.write_held(client, held).await?;
            }
        }
    }

    async fn write_held(&self, client: &RedisClient, held: HeldCall) -> Result<(), CommandError> {
        let mut expected = String::new();
        for _ in 0..ATTEMPTS {
            let Some(current) = write(client, &expected, &held.call, held.left()).await? else { break };
            match Call::from_json(&current) {
                Ok(call) if call.status >= held.call.status => {
                    self.held.written(&held.call);
                    self.held.hold(call);
                    return Ok(());
                }
                _ => expected = current,
            }
        }
        self.held.written(&held.call);
        Ok(())
    }
}

fn key(client: &RedisClient, id: &CallId) -> String {
    [client.options().instance_name.as_deref().unwrap_or_default(), "call:", id.as_str()].concat()
}

async fn read(client: &RedisClient, id: &CallId) -> Result<Option<(String, Call)>, String> {
    let command = redis::Cmd::hget(key(client, id), "data");
    let text: Option<String> = client.query(command).await.map_err(|error| error.to_string())?;
    let Some(text) = text else { return Ok(None) };
    let call = Call::from_json(&text).map_err(|error| format!("what Redis has is no call: {error}"))?;
    Ok(Some((text, call)))
}

/// Writes a call if Redis has `expected`; else returns what Redis has.
async fn write(
    client: &RedisClient,
    expected: &str,
    call: &Call,
    kept_for: Duration,
) -> Result<Option<String>, CommandError> {
    let arguments = [expected, &call.to_json(), &kept_for.as_millis().max(1).to_string()];
    client.invoke(&WRITE, key(client, &call.id), &arguments).await
}

/// Writes to Redis what it could not take at once, or has lost.
struct Writing {
    shared: Arc<Shared>,
    status: watch::Receiver<Status>,
}

impl Vital for Writing {
    const NAME: &'static str = "calls";

    async fn run(&mut self) {
        let Some(client) = &self.shared.redis else { return };
        loop {
            tokio::select! {
                changed = self.status.changed() => match changed {
                    // Redis may have lost what it had.
                    Ok(()) if *self.status.borrow() == Status::Connected => self.shared.held.all_unwritten(),
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = self.shared.is_unwritten.notified() => {}
            }
            while let Err(error) = self.shared.write_unwritten(client).await {
                tracing::debug!(%error, "calls cannot be written to Redis");
                sleep(BETWEEN_ATTEMPTS).await;
            }
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("redis", &self.shared.redis).finish_non_exhaustive()
    }
}
