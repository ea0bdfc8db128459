//! What all instances know of calls, in Redis.
//!
//! | key, behind `Redis:InstanceName` | type | lives | content |
//! | --- | --- | --- | --- |
//! | `call:{id}` | hash | 4 h from the beginning of the call | an entry of .NET's `IDistributedCache`, with fields of our own: `state`, until the call is over `offer`, `answer` and `kept:…`, the candidates that wait |
//! | `call-of:{user}` | string | until the call is over, 4 h at most | the call that the user takes part in |
//! | `calls:deadlines` | sorted set | 4 h from the last call | calls by when somebody has to look at them, in milliseconds since 1970 by Redis' clock |

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use hubline::UserId;
use hubline_redis::{CommandError, RedisClient, RedisScript, redis};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::call::{Call, CallId};
use super::clock::Millis;
use super::session::{Role, Session};
use super::sessions::{Change, KEPT_FOR, Kept, LIMIT_CANDIDATES};

static WRITE: LazyLock<RedisScript> = LazyLock::new(|| RedisScript::new(include_str!("call.lua")));
static CLAIM: LazyLock<RedisScript> = LazyLock::new(|| RedisScript::new(include_str!("claim.lua")));
static SETTLE: LazyLock<RedisScript> = LazyLock::new(|| RedisScript::new(include_str!("settle.lua")));
static TAKE_SLOT: LazyLock<RedisScript> = LazyLock::new(|| RedisScript::new(include_str!("slot.lua")));
static RELEASE_SLOT: LazyLock<RedisScript> = LazyLock::new(|| RedisScript::new(include_str!("release.lua")));

/// How long Redis may take for an answer. A method asks several times, tells clients through Redis, and answers within 5 s all the same.
pub(super) const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long Redis is not asked after it has failed, or was silent. Then one question is asked, and nothing else until it is answered.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_OF_SILENCE: Duration = Duration::from_secs(3);
/// How long the call that somebody looks at is nobody else's to look at.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// Calls that are looked at together.
const LIMIT_CLAIMED: usize = 64;

/// Redis cannot be asked. The reason was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Away;

/// A call as Redis has it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) session: Session,
    /// Its state as text, which the next write must find.
    pub(super) version: String,
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was written; candidates that were taken.
    Yes(Vec<Kept>),
    /// Redis has another version.
    Changed,
    /// As many candidates are kept.
    Full,
}

/// Calls whose time has come.
#[derive(Debug)]
pub(super) struct Claimed {
    /// The time of Redis.
    pub(super) now: Millis,
    pub(super) until: Millis,
    pub(super) ids: Vec<CallId>,
}

/// The calls of the fleet.
#[derive(Debug)]
pub(super) struct Fleet {
    client: RedisClient,
    prefix: String,
    away_until: Mutex<Option<Instant>>,
}

impl Fleet {
    pub(super) fn new(client: RedisClient) -> Self {
        let prefix = client.options().instance_name.clone().unwrap_or_default();
        Self { client, prefix, away_until: Mutex::default() }
    }

    /// Whether Redis has failed just now.
    pub(super) fn is_away(&self) -> bool {
        self.away_until.lock().is_some_and(|until| Instant::now() < until)
    }

    pub(super) async fn load(&self, id: &CallId) -> Result<Option<Stored>, Away> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.call_key(id)).arg(&["data", "state"]);
        let (data, version): (Option<String>, Option<String>) = self.ask(self.client.query(command)).await?;
        let (Some(data), Some(version)) = (data, version) else { return Ok(None) };
        match (Call::from_json(&data), serde_json::from_str(&version)) {
            (Ok(call), Ok(state)) => Ok(Some(Stored { session: Session { call, state }, version })),
            (call, state) => {
                let error = call.err().or(state.err());
                tracing::warn!(call = %id, ?error, "What Redis has is no call of ours: it is left alone");
                Ok(None)
            }
        }
    }

    /// The offer and the answer.
    pub(super) async fn descriptions(&self, id: &CallId) -> Result<[Option<String>; 2], Away> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.call_key(id)).arg(&["offer", "answer"]);
        let (offer, answer) = self.ask(self.client.query(command)).await?;
        Ok([offer, answer])
    }

    /// Writes a call if Redis has this version, '' for none.
    pub(super) async fn write(
        &self,
        version: &str,
        change: &Change,
        kept_for: Duration,
    ) -> Result<Written, Away> {
        let Change { session, offer, answer, keep, take } = change;
        let mut command = vec![
            version.to_owned(),
            serde_json::to_string(&session.state).unwrap_or_default(),
            session.call.to_json(),
            kept_for.as_millis().max(1).to_string(),
            if session.is_over() { "cr".to_owned() } else { take.iter().map(|role| letter(*role)).collect() },
            keep.as_ref().map(|kept| letter(kept.role).to_string()).unwrap_or_default(),
            keep.as_ref().map(Kept::to_text).unwrap_or_default(),
            LIMIT_CANDIDATES.to_string(),
            if session.is_over() { "1".to_owned() } else { String::new() },
        ];
        for (field, value) in [("offer", offer), ("answer", answer)] {
            command.extend(value.iter().flat_map(|value| [field.to_owned(), value.to_string()]));
        }
        let key = self.call_key(&session.call.id);
        let answer: Vec<String> = self.ask(self.client.invoke(&WRITE, key, &command)).await?;
        Ok(match answer.split_first() {
            Some((outcome, taken)) if outcome == "ok" => {
                Written::Yes(taken.iter().filter_map(|text| read_kept(text)).collect())
            }
            Some((outcome, _)) if outcome == "full" => Written::Full,
            _ => Written::Changed,
        })
    }

    /// The call that a user takes part in, or did.
    pub(super) async fn slot(&self, user: &UserId) -> Result<Option<CallId>, Away> {
        let id: Option<String> = self.ask(self.client.query(redis::Cmd::get(self.slot_key(user)))).await?;
        Ok(id.map(CallId::from))
    }

    /// Makes it the user's call, unless the user has another than `instead`, which is returned.
    pub(super) async fn take_slot(
        &self,
        user: &UserId,
        id: &CallId,
        instead: Option<&CallId>,
    ) -> Result<Option<CallId>, Away> {
        let lives = KEPT_FOR.as_millis().to_string();
        let arguments = [id.as_str(), instead.map(CallId::as_str).unwrap_or_default(), &lives];
        let taken = self.client.invoke(&TAKE_SLOT, self.slot_key(user), &arguments);
        let other: Option<String> = self.ask(taken).await?;
        Ok(other.map(CallId::from))
    }

    pub(super) async fn release_slot(&self, user: &UserId, id: &CallId) -> Result<(), Away> {
        self.ask(self.client.invoke(&RELEASE_SLOT, self.slot_key(user), id.as_str())).await
    }

    /// Has the call looked at then, in the place of when it was to be before.
    pub(super) async fn schedule(&self, id: &CallId, at: Millis) -> Result<(), Away> {
        let (key, lives) = (self.deadlines_key(), i64::try_from(KEPT_FOR.as_millis()).unwrap_or(i64::MAX));
        let mut pipeline = redis::pipe();
        pipeline.zadd(&key, id.as_str(), at).ignore().pexpire(&key, lives).ignore();
        self.ask(self.client.query_pipeline(pipeline)).await
    }

    /// Has the call not looked at any more.
    pub(super) async fn unschedule(&self, id: &CallId) -> Result<(), Away> {
        self.ask(self.client.query(redis::Cmd::zrem(self.deadlines_key(), id.as_str()))).await
    }

    /// Takes calls whose time has come.
    pub(super) async fn claim(&self) -> Result<Claimed, Away> {
        let arguments = [LEASE.as_millis().to_string(), LIMIT_CLAIMED.to_string()];
        let claimed = self.client.invoke(&CLAIM, self.deadlines_key(), &arguments);
        let answer: Vec<String> = self.ask(claimed).await?;
        let time = |place: usize| answer.get(place).and_then(|text| text.parse().ok()).unwrap_or_default();
        let ids = answer.iter().skip(2).map(|id| CallId::from(id.as_str())).collect();
        Ok(Claimed { now: time(0), until: time(1), ids })
    }

    /// Says when a call that was claimed is to be looked at next.
    pub(super) async fn settle(&self, id: &CallId, until: Millis, next: Option<Millis>) -> Result<(), Away> {
        let next = next.map(|next| next.to_string()).unwrap_or_default();
        let arguments = [id.as_str(), &until.to_string(), &next];
        self.ask(self.client.invoke(&SETTLE, self.deadlines_key(), &arguments)).await
    }

    async fn ask<T>(&self, answer: impl Future<Output = Result<T, CommandError>>) -> Result<T, Away> {
        let is_first = self.may_ask()?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => {
                if is_first {
                    *self.away_until.lock() = None;
                    tracing::info!("Redis answers again: calls are known to all instances");
                }
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.failed(&error, PAUSE)),
            Err(_) => Err(self.failed(&"Redis has not answered within 1.5 s", PAUSE_OF_SILENCE)),
        }
    }

    /// Whether Redis is asked for the first time after it has failed. Until it has answered, nothing else is asked.
    fn may_ask(&self) -> Result<bool, Away> {
        let (mut away_until, now) = (self.away_until.lock(), Instant::now());
        match *away_until {
            None => Ok(false),
            Some(until) if now < until => Err(Away),
            Some(_) => {
                *away_until = Some(now + PATIENCE);
                Ok(true)
            }
        }
    }

    fn failed(&self, error: &dyn fmt::Display, pause: Duration) -> Away {
        match self.away_until.lock().replace(Instant::now() + pause) {
            None => {
                tracing::warn!(%error, "Calls cannot ask Redis: each instance goes on with the calls that it knows, and calls between instances cannot begin");
            }
            Some(_) => tracing::debug!(%error, "calls cannot ask Redis"),
        }
        Away
    }

    fn call_key(&self, id: &CallId) -> String {
        [&self.prefix, "call:", id.as_str()].concat()
    }

    fn slot_key(&self, user: &UserId) -> String {
        [&self.prefix, "call-of:", user.as_str()].concat()
    }

    fn deadlines_key(&self) -> String {
        [&self.prefix, "calls:deadlines"].concat()
    }
}

fn letter(role: Role) -> char {
    match role {
        Role::Caller => 'c',
        Role::Recipient => 'r',
    }
}

fn read_kept(text: &str) -> Option<Kept> {
    let role = match text.as_bytes().first()? {
        b'c' => Role::Caller,
        _ => Role::Recipient,
    };
    Kept::from_text(role, text.get(1..)?)
}
