//! The hub `/console/hub`.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use hubline::value::Any;
use hubline::{Caller, Hub, HubError, State};
use hubline_store::keys::AdminScope;
use serde::Serialize;
use serde_json::Value;

use super::acts::{Act, Done, Preview, checked_name};
use super::fleet::{Instance, State as InstanceState};
use super::history::{FIELDS, STEP, Shown};
use super::host::{ShownKey, Stage};
use super::local::{By, MOST_FOUND, Query, Question, now};
use super::session::{self, signed_in};
use super::timeline::{Connection, Event, Found, OfConnection};
use super::watching::{Sent, UPDATE};
use super::{Console, NAME};

/// Minutes of history that may be asked for.
const MOST_MINUTES: u32 = 60;
/// How often a key is looked at again of who only watches.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Who has signed in, and where.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedIn {
    name: String,
    scope: AdminScope,
    /// Whether nobody needs a key.
    is_open: bool,
    environment: String,
    version: &'static str,
    instance: Instance,
    hubs: Vec<String>,
    /// Whether this instance remembers what has happened to connections.
    timeline: bool,
    update_seconds: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct History {
    at: u64,
    step_seconds: u64,
    fields: [&'static str; FIELDS.len()],
    instances: Vec<OfInstance>,
}

#[derive(Debug, Serialize)]
struct OfInstance {
    id: String,
    name: String,
    state: InstanceState,
    /// `None` if the instance does not answer.
    points: Option<Vec<Shown>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundConnections {
    connections: Vec<FoundConnection>,
    is_more: bool,
    silent: Vec<Instance>,
}

#[derive(Debug, Serialize)]
struct FoundConnection {
    #[serde(flatten)]
    connection: Connection,
    instance: Instance,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Timeline {
    id: String,
    hub: Option<String>,
    user: Option<String>,
    address: Option<String>,
    is_connected: bool,
    entries: Vec<Entry>,
    silent: Vec<Instance>,
    /// Whether this instance remembers anything.
    is_on: bool,
}

#[derive(Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    event: Event,
    instance: Instance,
}

/// The hub.
pub(super) fn hub(console: Console) -> Hub<Console> {
    Hub::with_state(NAME, console)
        .method("SignIn", sign_in)
        .stream("Watch", watch)
        .method("History", history)
        .method("Find", find)
        .method("Timeline", timeline)
        .method("Keys", keys)
        .method("Preview", preview)
        .method("Act", act)
}

async fn sign_in(
    State(console): State<Console>,
    caller: Caller,
    key: Option<String>,
) -> Result<SignedIn, HubError> {
    let local = console.0.fleet.local();
    let who = session::sign_in(local.host(), &caller, key).await?;
    Ok(SignedIn {
        name: who.name,
        scope: who.scope,
        is_open: who.is_keyless,
        environment: console.0.environment.clone(),
        version: env!("CARGO_PKG_VERSION"),
        instance: local.about().instance(),
        hubs: local.hub_names(),
        timeline: local.has_timeline(),
        update_seconds: UPDATE.as_secs(),
    })
}

async fn watch(
    State(console): State<Console>,
    caller: Caller,
) -> Result<impl Stream<Item = Result<Sent, HubError>>, HubError> {
    may_ask(&console, &caller, AdminScope::Read).await?;
    let snapshots = Box::pin(console.0.watching.watch());
    let looked = tokio::time::Instant::now();
    Ok(stream::unfold(Some((snapshots, console, caller, looked)), async |state| {
        let (mut snapshots, console, caller, mut looked) = state?;
        let snapshot = snapshots.next().await?;
        // Whoever hands clients over waits for their streams.
        if console.0.fleet.local().host().stage() != Stage::Up {
            return Some((Ok(snapshot), None));
        }
        if looked.elapsed() >= LOOK_AGAIN {
            looked = tokio::time::Instant::now();
            if let Err(error) = signed_in(console.0.fleet.local().host(), &caller, AdminScope::Read).await {
                return Some((Err(error), None));
            }
        }
        Some((Ok(snapshot), Some((snapshots, console, caller, looked))))
    }))
}

/// Lets somebody ask something, which costs every instance a little.
async fn may_ask(console: &Console, caller: &Caller, scope: AdminScope) -> Result<(), HubError> {
    let who = signed_in(console.0.fleet.local().host(), caller, scope).await?;
    console.0.rates.ask(&who)
}

async fn history(State(console): State<Console>, caller: Caller, minutes: u32) -> Result<History, HubError> {
    may_ask(&console, &caller, AdminScope::Read).await?;
    if !(1..=MOST_MINUTES).contains(&minutes) {
        return Err(HubError::new(format!("Expected 1 to {MOST_MINUTES} minutes.")));
    }
    let fleet = &console.0.fleet;
    let asked = fleet.ask::<Vec<Shown>>(&Question::History { minutes }).await;
    let mut instances: Vec<_> = asked
        .answers
        .into_iter()
        .map(|answer| OfInstance {
            id: answer.from.id,
            name: answer.from.name,
            state: answer.from.state,
            points: Some(answer.answer),
        })
        .collect();
    for other in fleet.others().into_iter().map(|seen| seen.about) {
        if !instances.iter().any(|instance| instance.id == other.id) {
            instances.push(OfInstance { id: other.id, name: other.name, state: other.state, points: None });
        }
    }
    instances.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(History { at: now(), step_seconds: STEP.as_secs(), fields: FIELDS, instances })
}

async fn find(
    State(console): State<Console>,
    caller: Caller,
    query: Any,
    limit: usize,
) -> Result<FoundConnections, HubError> {
    may_ask(&console, &caller, AdminScope::Read).await?;
    let query: Query =
        read(&query, "{\"by\":\"user\",\"value\":\"ada\",\"hub\":null}, by user, id, group or address")?;
    checked_name(word(query.by), &query.value)?;
    if let Some(hub) = &query.hub {
        checked_name("hub", hub)?;
    }
    if query.by == By::Address && query.value.parse::<std::net::IpAddr>().is_err() {
        return Err(HubError::new("Expected an address such as 10.0.0.7 or 2001:db8::7."));
    }
    if !(1..=MOST_FOUND).contains(&limit) {
        return Err(HubError::new(format!("Expected a limit of 1 to {MOST_FOUND}.")));
    }
    let asked = console.0.fleet.ask::<Found>(&Question::Find { query, limit }).await;
    let (mut connections, mut is_more) = (Vec::new(), false);
    for answer in asked.answers {
        is_more |= answer.answer.is_more;
        let instance = answer.from.instance();
        let shown = |connection| FoundConnection { connection, instance: instance.clone() };
        connections.extend(answer.answer.connections.into_iter().map(shown));
    }
    connections.sort_by_key(|FoundConnection { connection, .. }| {
        let at = connection.ended_at.unwrap_or(connection.connected_at);
        (connection.ended_at.is_some(), std::cmp::Reverse(at))
    });
    is_more |= connections.len() > limit;
    connections.truncate(limit);
    Ok(FoundConnections { connections, is_more, silent: asked.silent })
}

async fn timeline(State(console): State<Console>, caller: Caller, id: String) -> Result<Timeline, HubError> {
    may_ask(&console, &caller, AdminScope::Read).await?;
    checked_name("connection", &id)?;
    let is_on = console.0.fleet.local().has_timeline();
    let asked = console.0.fleet.ask::<OfConnection>(&Question::Timeline { id: id.clone() }).await;
    let is_connected = asked.answers.iter().any(|answer| answer.answer.is_connected);
    let mut entries = Vec::new();
    for answer in asked.answers {
        let instance = answer.from.instance();
        let entry = |event| Entry { event, instance: instance.clone() };
        entries.extend(answer.answer.entries.into_iter().map(entry));
    }
    // The sort is stable: what one instance says stays in its order.
    entries.sort_by_key(|entry| entry.event.at);
    let connection = entries.iter_mut().filter_map(|entry| entry.event.connection.take()).last();
    let (hub, user, address) = match connection {
        Some(connection) => (connection.hub, connection.user, connection.address),
        None => (None, None, None),
    };
    Ok(Timeline { id, hub, user, address, is_connected, entries, silent: asked.silent, is_on })
}

async fn keys(State(console): State<Console>, caller: Caller) -> Result<Vec<ShownKey>, HubError> {
    let host = console.0.fleet.local().host();
    let who = signed_in(host, &caller, AdminScope::Full).await?;
    console.0.rates.ask(&who)?;
    host.keys(who).await.map_err(session::told)
}

async fn preview(State(console): State<Console>, caller: Caller, act: Any) -> Result<Preview, HubError> {
    let who = signed_in(console.0.fleet.local().host(), &caller, AdminScope::Read).await?;
    console.0.rates.ask(&who)?;
    console.0.acts.preview(&act_of(&act)?, &who).await
}

async fn act(State(console): State<Console>, caller: Caller, act: Any) -> Result<Done, HubError> {
    let act = act_of(&act)?;
    let who = signed_in(console.0.fleet.local().host(), &caller, act.scope()).await?;
    console.0.rates.act(&who)?;
    console.0.acts.act(act, who).await
}

fn act_of(act: &Any) -> Result<Act, HubError> {
    read(act, "an act: send, close, ban, drain or revokeKey, with what docs/console.md says of it")
}

fn read<T: serde::de::DeserializeOwned>(value: &Any, expected: &str) -> Result<T, HubError> {
    let value: Value = serde_json::to_value(value).unwrap_or_default();
    serde_json::from_value(value).map_err(|error| HubError::new(format!("Expected {expected}: {error}.")))
}

fn word(by: By) -> &'static str {
    match by {
        By::User => "user",
        By::Id => "connection",
        By::Group => "group",
        By::Address => "address",
    }
}
