//! What has happened to a connection, in words, and connections that have ended: read from the ring of an instance.

use std::collections::HashMap;
use std::net::IpAddr;

use hubline::{HubProtocol, TransportKind};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

use super::NAME;
use super::alike::Times;
use super::local::{By, Query};
use super::reasons::reason_words;
use super::ring::{Connected, Contents, Entry, Hash, Record, Refused, Ring, What, kept_user};

/// What an instance knows of a connection.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfConnection {
    pub(super) is_connected: bool,
    /// Oldest first.
    pub(super) entries: Vec<Event>,
}

/// Something that has happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    /// In milliseconds since 1970.
    pub(super) at: u64,
    pub(super) kind: Kind,
    /// A sentence, to be shown.
    pub(super) words: String,
    /// Why, as metrics call it, or which method.
    pub(super) detail: Option<String>,
    /// Whether it is worth a second look.
    pub(super) is_problem: bool,
    /// With `connected` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) connection: Option<Box<Connection>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Kind {
    Negotiated,
    Refused,
    Connected,
    Resumed,
    CallFailed,
    Slow,
    Lost,
    Closed,
}

/// A connection that is, or was, there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection {
    /// Its public id.
    pub(super) id: String,
    pub(super) hub: Option<String>,
    pub(super) user: Option<String>,
    pub(super) address: Option<String>,
    pub(super) transport: Option<String>,
    pub(super) protocol: Option<String>,
    /// In milliseconds since 1970; of one that was refused, when that was, for the first time if it was more often.
    pub(super) connected_at: u64,
    pub(super) ended_at: Option<u64>,
    pub(super) reason: Option<String>,
    pub(super) is_console: bool,
}

/// Connections of an instance that were looked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    pub(super) connections: Vec<Connection>,
    pub(super) is_more: bool,
}

impl Found {
    /// The first of those that are there and of those that have ended, the newest of each first.
    pub(super) fn new(mut here: Vec<Connection>, ended: Vec<Connection>, limit: usize) -> Self {
        here.extend(ended);
        here.sort_by_key(|connection| {
            (
                connection.ended_at.is_some(),
                std::cmp::Reverse(connection.ended_at.unwrap_or(connection.connected_at)),
            )
        });
        let is_more = here.len() > limit;
        here.truncate(limit);
        Self { connections: here, is_more }
    }
}

/// What has happened to the connection with this public id, or to requests for it that were refused, oldest first.
pub(super) async fn of(ring: &Ring, id: &str) -> Vec<Event> {
    let hash = ring.hash(id);
    let (mut events, mut connected_at) = (Vec::new(), None);
    for contents in std::iter::once(ring.contents()).chain(ring.refusals()) {
        for segment in contents.segments() {
            let of_it = segment.filter(|record| record.connection == hash);
            for entry in of_it.filter_map(|record| contents.read(record)) {
                if matches!(entry.what, What::Connected(_)) {
                    connected_at = Some(entry.at);
                }
                events.push(event(entry, connected_at));
            }
            // Others of this thread have their turn.
            yield_now().await;
        }
    }
    // The sort is stable: what happened in the same millisecond stays in its order.
    events.sort_by_key(|event| event.at);
    events
}

/// The newest connections that have ended, and requests that were refused, which fit a query; one more than `limit` of each at most.
/// `hub_at` names the hub at a path.
pub(super) async fn ended(
    ring: &Ring,
    query: &Query,
    address: Option<IpAddr>,
    limit: usize,
    hub_at: impl Fn(&str) -> String,
) -> Vec<Connection> {
    let search = Search { query, address, id: ring.hash(&query.value), limit };
    let mut found = search.lives(&ring.contents()).await;
    for contents in ring.refusals() {
        found.extend(search.refused(&contents, &hub_at).await);
    }
    found
}

/// What is looked for in a ring.
struct Search<'a> {
    query: &'a Query,
    address: Option<IpAddr>,
    /// The hash of what is looked for, if that is an id.
    id: Hash,
    limit: usize,
}

impl Search<'_> {
    /// Whether a record is worth reading.
    fn may_fit(&self, record: &Record<'_>) -> bool {
        match self.query.by {
            By::Id => record.connection == self.id,
            By::User => record.has(kept_user(&self.query.value)),
            By::Address => true,
            By::Group => false,
        }
    }

    async fn lives(&self, contents: &Contents) -> Vec<Connection> {
        let (mut found, mut open) = (Vec::new(), HashMap::<Hash, Connection>::new());
        for segment in contents.segments() {
            for record in segment.filter(Record::is_of_a_life) {
                let is_wanted = match record.is_end() {
                    true => open.contains_key(&record.connection),
                    false => self.may_fit(&record),
                };
                let Some(Entry { at, connection: hash, what }) =
                    is_wanted.then(|| contents.read(record)).flatten()
                else {
                    continue;
                };
                match what {
                    What::Connected(connected) if fits(&connected, self.query, self.address) => {
                        open.insert(hash, shown(connected, at));
                    }
                    What::HandshakeFailed { id, address: from, hub, reason }
                        if is_of(self.query, &id, None, &hub, from, self.address) =>
                    {
                        let shown = shown(refused(id, from, hub), at);
                        let (transport, protocol) = (None, None);
                        let (ended_at, reason) = (Some(at), Some(reason));
                        found.push(Connection { transport, protocol, ended_at, reason, ..shown });
                    }
                    What::Closed { reason, .. } => {
                        if let Some(connection) = open.remove(&hash) {
                            found.push(Connection { ended_at: Some(at), reason: Some(reason), ..connection });
                        }
                    }
                    _ => {}
                }
            }
            self.leave_newest(&mut found);
            yield_now().await;
        }
        found
    }

    /// Requests that are alike are one.
    async fn refused(&self, contents: &Contents, hub_at: &impl Fn(&str) -> String) -> Vec<Connection> {
        let mut found = Vec::<Connection>::new();
        for segment in contents.segments() {
            let records = segment.filter(|record| self.may_fit(record));
            for Entry { at, what, .. } in records.filter_map(|record| contents.read(record)) {
                let What::Refused(Refused { id, address, path, reason, user, times }) = what else {
                    continue;
                };
                let hub = hub_at(&path);
                if !is_of(self.query, &id, user.as_deref(), &hub, address, self.address) {
                    continue;
                }
                let one = Connection { user, ..shown(refused(id, address, hub), times.since(at)) };
                let is_alike = |known: &Connection| {
                    (&known.id, &known.user, known.reason.as_ref()) == (&one.id, &one.user, Some(&reason))
                };
                found.retain(|known| !is_alike(known));
                let (transport, protocol) = (None, None);
                let (ended_at, reason) = (Some(at), Some(reason));
                found.push(Connection { transport, protocol, ended_at, reason, ..one });
            }
            self.leave_newest(&mut found);
            yield_now().await;
        }
        found
    }

    fn leave_newest(&self, found: &mut Vec<Connection>) {
        let surplus = found.len().saturating_sub(self.limit.saturating_add(1));
        found.drain(..surplus);
    }
}

/// Of a connection whose transport and protocol do not matter.
fn refused(id: String, address: Option<IpAddr>, hub: String) -> Connected {
    let (transport, protocol) = (TransportKind::WebSockets, HubProtocol::Json);
    Connected { id, address, hub, user: None, transport, protocol }
}

fn fits(connected: &Connected, query: &Query, address: Option<IpAddr>) -> bool {
    let Connected { id, user, hub, address: from, .. } = connected;
    is_of(query, id, user.as_deref(), hub, *from, address)
}

fn is_of(
    query: &Query,
    id: &str,
    user: Option<&str>,
    hub: &str,
    from: Option<IpAddr>,
    address: Option<IpAddr>,
) -> bool {
    query.hub.as_deref().is_none_or(|wanted| wanted == hub)
        && match query.by {
            By::Id => id == query.value,
            By::User => user == Some(kept_user(&query.value)),
            By::Address => address.is_some() && from == address,
            By::Group => false,
        }
}

fn shown(connected: Connected, at: u64) -> Connection {
    let Connected { id, address, hub, user, transport, protocol } = connected;
    Connection {
        is_console: hub == NAME,
        id,
        hub: Some(hub),
        user,
        address: address.map(|address| address.to_string()),
        transport: Some(transport_word(transport)),
        protocol: Some(protocol_word(protocol)),
        connected_at: at,
        ended_at: None,
        reason: None,
    }
}

fn event(entry: Entry, connected_at: Option<u64>) -> Event {
    let at = entry.at;
    let from =
        |address: Option<IpAddr>| address.map(|address| format!(" from {address}")).unwrap_or_default();
    let plain =
        |kind, words: String| Event { at, kind, words, detail: None, is_problem: false, connection: None };
    match entry.what {
        What::Negotiated { address, path, .. } => {
            plain(Kind::Negotiated, format!("negotiated at {path}{}", from(address)))
        }
        What::HandshakeFailed { address, hub, reason, .. } => Event {
            detail: Some(reason.clone()),
            is_problem: true,
            ..plain(
                Kind::Refused,
                format!("did not get into {hub}{}: {}", from(address), reason_words(&reason).0),
            )
        },
        What::Refused(Refused { address, path, reason, user, times, .. }) => {
            let (why, is_problem) = reason_words(&reason);
            let user = user.map(|user| format!(" as {user}")).unwrap_or_default();
            let many = many_times(times);
            let words = format!("refused at {path}{user}{}: {why}{many}", from(address));
            Event { detail: Some(reason), is_problem, ..plain(Kind::Refused, words) }
        }
        What::Connected(connected) => {
            let Connected { hub, transport, protocol, .. } = &connected;
            let over = match transport {
                TransportKind::WebSockets => "a WebSocket",
                TransportKind::ServerSentEvents => "server-sent events",
                TransportKind::LongPolling => "long polling",
            };
            let protocol = match protocol {
                HubProtocol::Json => "JSON",
                HubProtocol::MessagePack => "MessagePack",
            };
            let user = connected.user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
            let words =
                format!("connected to {hub}{user}{} over {over}, in {protocol}", from(connected.address));
            let shown = shown(connected, at);
            Event { connection: Some(Box::new(shown)), ..plain(Kind::Connected, words) }
        }
        What::TransportLost => Event {
            is_problem: true,
            ..plain(Kind::Lost, "lost its transport; the client may come back".to_owned())
        },
        What::Resumed { address } => plain(Kind::Resumed, format!("came back{}", from(address))),
        What::Slow => Event {
            is_problem: true,
            ..plain(Kind::Slow, "reads too slowly: more than half of what may wait for it does".to_owned())
        },
        What::CallFailed { method } => {
            let words = format!("a call of {method} failed");
            Event { detail: Some(method), is_problem: true, ..plain(Kind::CallFailed, words) }
        }
        What::Closed { reason, calls, failed } => {
            let (why, is_problem) = reason_words(&reason);
            let lasted = connected_at.map(|since| format!("after {}, ", span(at.saturating_sub(since))));
            let calls = match (calls, failed) {
                (1, 0) => "1 call".to_owned(),
                (calls, 0) => format!("{calls} calls"),
                (1, _) => "1 call, which failed".to_owned(),
                (calls, failed) => format!("{calls} calls, {failed} of which failed"),
            };
            let words = format!("closed: {why} ({}{calls})", lasted.unwrap_or_default());
            Event { detail: Some(reason), is_problem, ..plain(Kind::Closed, words) }
        }
    }
}

fn many_times(Times { count, seconds }: Times) -> String {
    match count {
        ..=1 => String::new(),
        count => format!(", {count} times in {}", span(u64::from(seconds) * 1_000)),
    }
}

/// Like `12 min`.
fn span(ms: u64) -> String {
    match ms / 1_000 {
        0 => format!("{ms} ms"),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

pub(super) fn transport_word(transport: TransportKind) -> String {
    let word = match transport {
        TransportKind::WebSockets => "webSockets",
        TransportKind::ServerSentEvents => "serverSentEvents",
        TransportKind::LongPolling => "longPolling",
    };
    word.to_owned()
}

pub(super) fn protocol_word(protocol: HubProtocol) -> String {
    let word = match protocol {
        HubProtocol::Json => "json",
        HubProtocol::MessagePack => "messagePack",
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use hubline::{ConnectionId, LifecycleEvent, LifecycleKind, LifecycleObserver, RefusedRequest, UserId};

    use super::*;

    fn query(by: By, value: &str) -> Query {
        Query { by, value: value.to_owned(), hub: None }
    }

    #[tokio::test]
    async fn a_connection_is_found_after_its_end_by_whatever_is_known_of_it() {
        let ring = Ring::new(0);
        let (ada, address) = (UserId::from("ada"), Some("10.0.0.7".parse().unwrap()));
        let tell = |id: &str, kind| ring.observe(&LifecycleEvent::new(&ConnectionId::from(id), kind));
        let (sockets, json) = (TransportKind::WebSockets, HubProtocol::Json);
        for id in ["one", "two", "three"] {
            tell(id, LifecycleKind::negotiated("/chathub/negotiate", address));
            tell(id, LifecycleKind::connected("ChatHub", Some(&ada), sockets, json, address));
        }
        tell("other", LifecycleKind::connected("ChatHub", None, sockets, json, None));
        tell("other", LifecycleKind::closed("client_closed", 0, 0));
        tell("one", LifecycleKind::Slow);
        tell("one", LifecycleKind::closed("slow_client", 341, 2));
        tell("two", LifecycleKind::closed("client_closed", 1, 0));
        tell("four", LifecycleKind::handshake_failed("ChatHub", "handshake_refused", address));

        let ids = async |query: Query, limit| {
            let address = query.value.parse().ok();
            let found =
                Found::new(Vec::new(), ended(&ring, &query, address, limit, str::to_owned).await, limit);
            let ids: Vec<_> = found.connections.iter().map(|found| found.id.clone()).collect();
            (ids, found.is_more)
        };
        let (of_ada, _) = ids(query(By::User, "ada"), 9).await;
        assert_eq!(of_ada.len(), 2, "three has not ended: {of_ada:?}");
        assert!(ids(query(By::User, "ada"), 1).await.1, "there are more than one");
        assert_eq!(ids(query(By::Id, "one"), 9).await.0, ["one"]);
        assert_eq!(ids(query(By::Address, "10.0.0.7"), 9).await.0.len(), 3, "one was refused");
        for nothing in [query(By::Group, "ada"), query(By::Address, "ada"), query(By::User, "ad")] {
            assert_eq!(ids(nothing, 9).await, (vec![], false));
        }
        let elsewhere = Query { hub: Some("VideoCallHub".to_owned()), ..query(By::User, "ada") };
        assert_eq!(ids(elsewhere, 9).await.0, [""; 0]);

        let timeline = of(&ring, "one").await;
        let kinds: Vec<_> = timeline.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [Kind::Negotiated, Kind::Connected, Kind::Slow, Kind::Closed]);
        assert_eq!(timeline[1].words, "connected to ChatHub as ada from 10.0.0.7 over a WebSocket, in JSON");
        let closed = &timeline[3];
        assert!(
            closed.words.starts_with("closed: the client read its messages too slowly (after "),
            "{closed:?}"
        );
        assert!(closed.words.ends_with("341 calls, 2 of which failed)"), "{closed:?}");
        assert_eq!((closed.detail.as_deref(), closed.is_problem), (Some("slow_client"), true));
        assert!(of(&ring, "nobody").await.is_empty());

        // So is a request that was refused, and among what happened to the connection that it was for.
        let bob = UserId::from("bob");
        ring.refused(&RefusedRequest::new("/chathub/negotiate", "banned").user(Some(&bob)).address(address));
        let another = RefusedRequest::new("/chathub", "another_user").user(Some(&bob));
        ring.refused(&another.connection(Some(&ConnectionId::from("one"))));
        let found = ended(&ring, &query(By::User, "bob"), None, 9, |_| "ChatHub".to_owned()).await;
        let [banned, another] = &found[..] else { panic!("{found:?}") };
        assert_eq!((banned.reason.as_deref(), banned.hub.as_deref()), (Some("banned"), Some("ChatHub")));
        assert_eq!((banned.ended_at.is_some(), &banned.transport), (true, &None));
        assert_eq!((&*another.id, another.reason.as_deref()), ("one", Some("another_user")));
        let words = of(&ring, &banned.id).await[0].words.clone();
        assert_eq!(words, "refused at /chathub as bob from 10.0.0.7: the user is kept out");
        let last = of(&ring, "one").await.pop().unwrap();
        assert_eq!((last.kind, last.is_problem), (Kind::Refused, true));
        assert_eq!(ids(query(By::Address, "10.0.0.7"), 9).await.0.len(), 4);
        assert_eq!(ids(query(By::Id, &banned.id), 9).await.0, [&*banned.id]);
    }
}
