//! Calls, under the keys that other programs read.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_directory::local::{CALLS_ARE_KEPT, HeldCall};
use hubline_directory::{Call, CallDirectory, CallError, CallId, CallStatus};
use hubline_protocol::UserId;
use time::OffsetDateTime;

use super::scripts::CALL;
use super::{RedisDirectory, Shared};
use crate::CommandError;

/// Calls of which Redis is told at once.
const BATCH: usize = 64;
/// Somebody else was first this often: more than the states that a call can go through.
const ATTEMPTS: usize = 8;

#[derive(Debug)]
pub(super) struct Calls(RedisDirectory);

impl Calls {
    pub(super) fn new(directory: RedisDirectory) -> Self {
        Self(directory)
    }
}

impl CallDirectory for Calls {
    fn create(&self, call: Call) -> BoxFuture<'_, Result<(), CallError>> {
        async move {
            let Shared { calls, .. } = &*self.0.shared;
            if calls.get(&call.id).is_some() {
                return Err(CallError::Exists(call.id));
            }
            match self.0.shared.write_call("", &call, CALLS_ARE_KEPT).await {
                Ok(None) => {
                    calls.learned(call);
                    Ok(())
                }
                Ok(Some(_)) => Err(CallError::Exists(call.id)),
                Err(error) => {
                    tracing::debug!(%error, call = %call.id, "a call is known to this instance alone for now");
                    calls.create(call)
                }
            }
        }
        .boxed()
    }

    fn get(&self, id: CallId) -> BoxFuture<'_, Result<Option<Call>, CallError>> {
        async move { Ok(self.0.shared.find_call(&id).await?.map(|found| found.call)) }.boxed()
    }

    fn advance(&self, id: CallId, by: UserId, to: CallStatus) -> BoxFuture<'_, Result<Call, CallError>> {
        async move {
            let shared = &self.0.shared;
            for _ in 0..ATTEMPTS {
                let found = shared.find_call(&id).await?.ok_or_else(|| CallError::Unknown(id.clone()))?;
                let Some(in_redis) = found.in_redis else {
                    return shared.calls.advance(&id, &by, to);
                };
                let call = found.call.advanced(&by, to, OffsetDateTime::now_utc())?;
                match shared.write_call(&in_redis, &call, CALLS_ARE_KEPT).await {
                    Ok(None) => {
                        shared.calls.learned(call.clone());
                        return Ok(call);
                    }
                    Ok(Some(_)) => {}
                    Err(error) => {
                        tracing::debug!(%error, call = %id, "a call is changed on this instance alone for now");
                        shared.calls.learned(found.call);
                        return shared.calls.advance(&id, &by, to);
                    }
                }
            }
            Err(CallError::Unavailable("others change it all the time".to_owned()))
        }
        .boxed()
    }
}

/// A call, and what Redis has of it, if it could be asked and has it.
struct Found {
    call: Call,
    in_redis: Option<String>,
}

impl Shared {
    async fn find_call(&self, id: &CallId) -> Result<Option<Found>, CallError> {
        let held = self.calls.get(id);
        let read = self.read_call(id).await;
        match (read, held) {
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

    async fn read_call(&self, id: &CallId) -> Result<Option<(String, Call)>, String> {
        let command = redis::Cmd::hget(self.keys.call(id.as_str()), "data");
        let text: Option<String> = self.client.query(command).await.map_err(|error| error.to_string())?;
        let Some(text) = text else { return Ok(None) };
        let call = Call::from_json(&text).map_err(|error| format!("what Redis has is no call: {error}"))?;
        Ok(Some((text, call)))
    }

    /// Writes a call if what Redis has is `expected`; else says what it has.
    async fn write_call(
        &self,
        expected: &str,
        call: &Call,
        kept: std::time::Duration,
    ) -> Result<Option<String>, CommandError> {
        let arguments = [expected, &call.to_json(), &kept.as_millis().max(1).to_string()];
        self.client.invoke(&CALL, self.keys.call(call.id.as_str()), &arguments).await
    }

    /// Tells Redis of calls that it does not know as this instance does. Whoever is further along is right.
    pub(super) async fn tell_calls(&self) -> Result<(), CommandError> {
        loop {
            let untold = self.calls.untold(BATCH);
            if untold.is_empty() {
                return Ok(());
            }
            for held in untold {
                self.tell_call(held).await?;
            }
        }
    }

    async fn tell_call(&self, held: HeldCall) -> Result<(), CommandError> {
        let mut expected = String::new();
        for _ in 0..ATTEMPTS {
            let Some(current) = self.write_call(&expected, &held.call, held.left()).await? else { break };
            match Call::from_json(&current) {
                Ok(call) if call.status >= held.call.status => {
                    self.calls.told(&held.call);
                    self.calls.learned(call);
                    return Ok(());
                }
                _ => expected = current,
            }
        }
        self.calls.told(&held.call);
        Ok(())
    }
}
