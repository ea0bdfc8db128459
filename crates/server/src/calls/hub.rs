//! The hub `/videocallhub`.

use std::sync::Arc;

use hubline::value::Any;
use hubline::{
    Caller, ConnectionId, ConnectionInfo, Hub, HubError, HubFilter, Invocation, Naming, Next, OrHubError,
    Returned, State, UserId,
};
use hubline_store::StoreError;
use hubline_store::calls::{CallFilter, CallRecord, LONGEST_REASON, of_user};
use hubline_store::clinic::Party;
use hubline_store::clinic::audit::{self, AuditEntry};
use parking_lot::Mutex;

use super::call::{CallId, CallStatus};
use super::counters::Counters;
use super::error::CallError;
use super::ice::{self, IceServerInfo};
use super::info::{CallInfo, HistoryRequest, PastCall};
use super::session::{Media, Role, Session};
use super::sessions::{Change, Kept};
use super::{Calls, Shared};
use crate::user_ids::LONGEST_USER_ID;

/// What the hub is called on Redis unless configured otherwise.
pub const NAME: &str = "VideoCallHub";

/// Largest offer and largest answer in bytes of JSON.
const LIMIT_DESCRIPTION: usize = 64 * 1024;
/// Largest candidate in bytes of JSON.
const LIMIT_CANDIDATE: usize = 4 * 1024;
/// How many past calls a page has if nobody says, and at most.
const PAGE: (u32, u32) = (50, 100);
/// How often a call may change while somebody sends a candidate.
const ATTEMPTS: usize = 8;

impl Calls {
    /// The hub. Its methods and events are in `docs/calls.md`.
    pub fn hub(&self) -> Hub<Self> {
        Hub::with_state(NAME, self.clone())
            .naming(Naming::DotNet)
            .user_id(user_id)
            .on_connected(on_connected)
            .on_disconnected(on_disconnected)
            .filter(Pace(Arc::clone(&self.shared)))
            .method("InitiateCall", initiate_call)
            .method("AcceptCall", accept_call)
            .method("RejectCall", reject_call)
            .method("EndCall", end_call)
            .method("SendICECandidate", send_ice_candidate)
            .method("ToggleVideo", toggle_video)
            .method("ToggleAudio", toggle_audio)
            .method("RejoinCall", rejoin_call)
            .method("GetActiveCalls", get_active_calls)
            .method("GetIceServers", get_ice_servers)
            .method("GetCallHistory", get_call_history)
            .map_error(|error: &CallError| HubError::new(error.to_string()))
    }
}

/// Bounds what a user does, whatever it is: each call costs Redis a few commands.
struct Pace(Arc<Shared>);

impl HubFilter for Pace {
    async fn invoke(&self, call: Invocation, next: Next) -> Result<Returned, HubError> {
        if let Some(user) = call.caller().user_id() {
            self.0.pace.take(user)?;
        }
        next.run().await
    }
}

/// Whoever is not signed in is known by the connection's id, or by another name where that is a secret.
fn user_id(connection: &ConnectionInfo) -> Option<UserId> {
    let signed_in = connection.principal.as_ref().and_then(|principal| principal.name_identifier.clone());
    signed_in.or_else(|| Some(connection.public_id().as_str().into()))
}

fn user(caller: &Caller) -> Result<&UserId, CallError> {
    caller.user_id().ok_or(CallError::Unknown)
}

fn id(text: &str) -> Result<CallId, CallError> {
    CallId::parse(text).ok_or(CallError::Unknown)
}

/// A user's id that may stand in Redis and in the database.
fn other_user<'a>(id: &'a str, what: &str) -> Result<&'a str, HubError> {
    match id {
        "" => Err(HubError::new(format!("{what} is the id of a user, and is empty"))),
        _ if id.len() > LONGEST_USER_ID => Err(HubError::new(format!(
            "{what} is the id of a user, which has {LONGEST_USER_ID} bytes at most"
        ))),
        _ if id.contains(char::is_control) => {
            Err(HubError::new(format!("{what} is the id of a user, and has control characters in it")))
        }
        _ => Ok(id),
    }
}

/// What a client has sent, as JSON.
fn json(value: &Any, what: &str, limit: usize) -> Result<Arc<str>, HubError> {
    let json = serde_json::to_string(value).or_hub_error(format!("{what} cannot be written as JSON"))?;
    match json.len() {
        size if size > limit => {
            Err(HubError::new(format!("{what} has {size} bytes, and may have {limit} at most")))
        }
        _ if value.is_null() => Err(HubError::new(format!("{what} is null"))),
        _ => Ok(json.into()),
    }
}

async fn on_connected(caller: Caller, State(calls): State<Calls>) {
    if let Some(user) = caller.user_id() {
        let connection = caller.connection_id();
        calls.shared.arrived(user);
        tokio::join!(calls.shared.ring_late(user, connection), calls.shared.is_noticed(connection));
    }
}

async fn on_disconnected(caller: Caller, State(calls): State<Calls>) {
    if let Some(user) = caller.user_id() {
        calls.shared.departed(user);
    }
    calls.shared.disconnected(caller.connection_id()).await;
}

async fn initiate_call(
    caller: Caller,
    State(calls): State<Calls>,
    recipient: UserId,
    offer: Any,
) -> Result<CallId, HubError> {
    other_user(recipient.as_str(), "the recipient")?;
    let offer = json(&offer, "the offer", LIMIT_DESCRIPTION)?;
    calls.shared.initiate(&caller, recipient, offer).await
}

async fn accept_call(
    caller: Caller,
    State(calls): State<Calls>,
    call: String,
    answer: Any,
) -> Result<(), HubError> {
    let (shared, id, user) = (&calls.shared, id(&call)?, user(&caller)?);
    let answer = json(&answer, "the answer", LIMIT_DESCRIPTION)?;
    let now = shared.now();
    let accepted = |session: &Session| {
        let session = session.accepted(user, caller.connection_id(), now)?;
        let take = &[Role::Caller, Role::Recipient];
        Ok(Change { answer: Some(Arc::clone(&answer)), take, ..session.into() })
    };
    shared.change_status(&id, accepted).await?;
    Counters::count(&shared.counters.accepted);
    tracing::info!(call = %id, "Call accepted");
    shared.carry(&caller, &id).await;
    Ok(())
}

async fn reject_call(
    caller: Caller,
    State(calls): State<Calls>,
    call: String,
    reason: Option<String>,
) -> Result<(), HubError> {
    let (shared, id, user) = (&calls.shared, id(&call)?, user(&caller)?);
    let reason = reason.unwrap_or_default();
    if reason.chars().count() > LONGEST_REASON {
        return Err(HubError::new(format!("the reason may have {LONGEST_REASON} characters at most")));
    }
    let now = shared.now();
    let rejected =
        |session: &Session| Ok(session.rejected(user, caller.connection_id(), &reason, now)?.into());
    shared.change_status(&id, rejected).await?;
    tracing::info!(call = %id, "Call rejected");
    Ok(())
}

/// If both end it at once, both have ended it.
async fn end_call(caller: Caller, State(calls): State<Calls>, call: String) -> Result<(), HubError> {
    let (shared, id, user) = (&calls.shared, id(&call)?, user(&caller)?);
    let now = shared.now();
    match shared.change_status(&id, |session| Ok(session.ended(user, now)?.into())).await {
        Ok(_) => {
            tracing::info!(call = %id, "Call ended");
            Ok(())
        }
        Err(CallError::Over) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn send_ice_candidate(
    caller: Caller,
    State(calls): State<Calls>,
    call: String,
    recipient: UserId,
    candidate: Any,
) -> Result<(), HubError> {
    let (shared, id, user) = (&calls.shared, id(&call)?, user(&caller)?);
    let candidate = json(&candidate, "the candidate", LIMIT_CANDIDATE)?;
    for _ in 0..ATTEMPTS {
        let session = shared.sessions.get(&id).await?.ok_or(CallError::Unknown)?;
        let role = session.carried_by(user, caller.connection_id())?;
        if *session.user(role.other()) != recipient {
            return Err(HubError::new("the recipient of a candidate is the other participant of the call"));
        }
        if let Some(to) = reached(&session, role.other()) {
            let Some(events) = shared.events() else { return Ok(()) };
            return Ok(events.candidate(&session, to, &candidate).await?);
        }
        match shared.keep(&id, &caller, role, &candidate).await {
            // It was accepted just now, or the other side has come back.
            Err(CallError::NotPossible(_)) => {}
            kept => return Ok(kept?),
        }
    }
    Err(CallError::Unavailable.into())
}

/// Where candidates for a side go to now; `None` if they have to wait.
fn reached(session: &Session, role: Role) -> Option<&ConnectionId> {
    let side = session.side(role);
    let is_there = session.call.status == CallStatus::Active && side.lost_until.is_none();
    side.connection.as_ref().filter(|_| is_there)
}

impl Shared {
    async fn keep(
        &self,
        id: &CallId,
        caller: &Caller,
        role: Role,
        candidate: &Arc<str>,
    ) -> Result<(), CallError> {
        let (user, from) = (user(caller)?, caller.connection_id());
        let keep = |session: &Session| {
            session.carried_by(user, from)?;
            if reached(session, role.other()).is_some() {
                return Err(CallError::NotPossible(session.call.status));
            }
            let kept = Kept { role: role.other(), from: from.clone(), candidate: Arc::clone(candidate) };
            Ok(Change { keep: Some(kept), ..session.clone().into() })
        };
        self.sessions.change(id, &keep).await.map(drop)
    }
}

async fn toggle_video(
    caller: Caller,
    State(calls): State<Calls>,
    call: String,
    is_muted: bool,
) -> Result<(), HubError> {
    toggle(&calls.shared, &caller, &call, Media::Video, is_muted).await
}

async fn toggle_audio(
    caller: Caller,
    State(calls): State<Calls>,
    call: String,
    is_muted: bool,
) -> Result<(), HubError> {
    toggle(&calls.shared, &caller, &call, Media::Audio, is_muted).await
}

async fn toggle(
    shared: &Shared,
    caller: &Caller,
    call: &str,
    media: Media,
    is_muted: bool,
) -> Result<(), HubError> {
    let (id, user) = (id(call)?, user(caller)?);
    let toggled =
        |session: &Session| Ok(session.toggled(user, caller.connection_id(), media, is_muted)?.into());
    let (session, _) = shared.sessions.change(&id, &toggled).await?;
    let method = match media {
        Media::Video => "VideoToggled",
        Media::Audio => "AudioToggled",
    };
    let other = session.role_of(user)?.other();
    let (Some(to), Some(events)) = (&session.side(other).connection, shared.events()) else { return Ok(()) };
    Ok(events.toggled(to, method, user, is_muted).await?)
}

async fn rejoin_call(caller: Caller, State(calls): State<Calls>, call: String) -> Result<CallInfo, HubError> {
    let (shared, id, user) = (&calls.shared, id(&call)?, user(&caller)?);
    let (connection, now) = (caller.connection_id(), shared.now());
    let before = Mutex::new(None);
    let rejoined = |session: &Session| {
        let take: &'static [Role] = match session.role_of(user)? {
            Role::Caller => &[Role::Caller],
            Role::Recipient => &[Role::Recipient],
        };
        // Candidates of the recipient's devices wait for an answer, not for the caller.
        let take = if session.call.status == CallStatus::Active { take } else { &[] };
        let next = session.rejoined(user, connection, now)?;
        *before.lock() = session.side(session.role_of(user)?).connection.clone();
        Ok(Change { take, ..next.into() })
    };
    let (session, taken) = shared.sessions.change(&id, &rejoined).await?;
    let before = before.lock().take().filter(|before| before != connection);
    Counters::count(&shared.counters.rejoined);
    tracing::info!(call = %id, "A participant has come back to a call");
    shared.carry(&caller, &id).await;
    if let Some(events) = shared.events() {
        if let Some(before) = before {
            shared.carried.lock().remove(&before);
            events.moved_elsewhere(&session, &before).await;
        }
        shared.give(&events, &session, &taken).await;
        // A caller who was away when it was accepted has not been told.
        let is_untold = session.call.status == CallStatus::Active && !session.state.is_announced;
        if is_untold && session.role_of(user)? == Role::Caller {
            shared.announce(&session, &[]).await;
        }
    }
    Ok(CallInfo::new(&session, shared.sessions.descriptions(&id).await))
}

async fn get_active_calls(caller: Caller, State(calls): State<Calls>) -> Result<Vec<CallInfo>, HubError> {
    let (sessions, user) = (&calls.shared.sessions, user(&caller)?);
    let Some(id) = sessions.slot(user).await? else { return Ok(Vec::new()) };
    let session = sessions.get(&id).await?.filter(|session| !session.is_over());
    let Some(session) = session.filter(|session| session.role_of(user).is_ok()) else {
        return Ok(Vec::new());
    };
    Ok(vec![CallInfo::new(&session, sessions.descriptions(&id).await)])
}

async fn get_ice_servers(caller: Caller, State(calls): State<Calls>) -> Result<Vec<IceServerInfo>, HubError> {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    Ok(ice::servers(&calls.shared.options, user(&caller)?, now))
}

/// A user's own calls. Who cannot be written into the audit reads nothing.
async fn get_call_history(
    caller: Caller,
    State(calls): State<Calls>,
    request: Option<HistoryRequest>,
) -> Result<Vec<PastCall>, HubError> {
    let HistoryRequest { with, before, limit } = request.unwrap_or_default();
    if let Some(with) = &with {
        other_user(with, "with")?;
    }
    let before = before.map(|before| CallId::parse(&before).or_hub_error("before is the id of a call"));
    let before = before.transpose()?.map(|id| id.as_str().to_owned());
    let (usual, most) = PAGE;
    let limit = limit.map_or(Some(usual), |limit| u32::try_from(limit).ok());
    let limit = limit.filter(|limit| (1..=most).contains(limit));
    let limit = limit.or_hub_error(format!("limit is from 1 to {most}"))?;
    let store = calls.shared.store.as_ref().or_hub_error("this server keeps no history")?;
    let user = user(&caller)?.as_str().to_owned();
    let filter = CallFilter { with, before };
    let read = store.write(move |db| {
        Box::pin(async move {
            let party = Party::user(&user);
            let entry = AuditEntry::now(party.clone(), "history.read", party).details("calls");
            audit::record(db, &entry).await?;
            of_user(db, &user, &filter, limit).await
        })
    });
    let calls: Result<Vec<CallRecord>, StoreError> = read.await;
    let calls = calls.or_hub_error("the history cannot be read now, try again in a moment")?;
    Ok(calls.into_iter().map(PastCall::from).collect())
}
