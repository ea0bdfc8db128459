//! What this instance answers to consoles.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use hubline::{Caller, ConnectionId, HubContext, LocalConnection, Server, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::NAME;
use super::figures::{self, ByProtocol, Figures, Readings, TimelineFill, count_protocol};
use super::fleet::{About, State};
use super::history::{History, Shown};
use super::host::{Host, Stage};
use super::named::Named;
use super::ring::{Ring, milliseconds};
use super::timeline::{self, Found, OfConnection};

/// Connections that an instance names at most.
pub(super) const MOST_FOUND: usize = 200;

/// What an instance may be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Question {
    /// Whether it is there.
    Hello,
    /// Its figures, with the connections of these users and addresses among those it names.
    Figures {
        users: Vec<String>,
        addresses: Vec<String>,
    },
    History {
        minutes: u32,
    },
    Find {
        query: Query,
        limit: usize,
    },
    Timeline {
        id: String,
    },
    /// How many connections there are of a target.
    Count {
        target: Target,
        hub: Option<String>,
    },
    /// To close those of a target.
    Close {
        target: Target,
        hub: Option<String>,
    },
    /// To call a method of one client, who is known by its public id.
    Send {
        id: String,
        hub: String,
        method: String,
        arguments: Vec<Value>,
    },
    /// To hand its clients over, if it is the one.
    Drain {
        instance: String,
    },
}

/// Whom something is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "camelCase")]
pub(super) enum Target {
    All,
    Group(String),
    User(String),
    /// A public id.
    Connection(String),
}

/// What is looked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Query {
    pub(super) by: By,
    pub(super) value: String,
    #[serde(default)]
    pub(super) hub: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum By {
    User,
    Id,
    Group,
    Address,
}

/// Figures with whom they are of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OfInstance {
    pub(super) figures: Figures,
    pub(super) users: Named,
    pub(super) addresses: Named,
}

/// This instance. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Local(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    about: About,
    server: Server,
    host: Arc<dyn Host>,
    ring: Option<Ring>,
    history: History,
    readings: Readings,
    hubs: Vec<(&'static str, String)>,
}

impl Local {
    pub(super) fn new(
        about: About,
        server: Server,
        host: Arc<dyn Host>,
        ring: Option<Ring>,
        history: History,
        hubs: Vec<(&'static str, String)>,
    ) -> Self {
        let readings = Readings::default();
        Self(Arc::new(Shared { about, server, host, ring, history, readings, hubs }))
    }

    pub(super) fn about(&self) -> About {
        let state = match self.0.host.stage() {
            Stage::Up => State::Up,
            Stage::Draining => State::Draining,
            Stage::Drained => State::Drained,
        };
        About { state, ..self.0.about.clone() }
    }

    pub(super) fn host(&self) -> &dyn Host {
        &*self.0.host
    }

    pub(super) fn has_timeline(&self) -> bool {
        self.0.ring.is_some()
    }

    pub(super) fn hub(&self, name: &str) -> Option<HubContext> {
        self.0.server.hubs().into_iter().find(|hub| hub.name() == name)
    }

    /// Names of the hubs that users connect to.
    pub(super) fn hub_names(&self) -> Vec<String> {
        let hubs = self.0.server.hubs();
        let names =
            hubs.iter().map(HubContext::name).filter(|name| *name != NAME && *name != crate::console::CHECK);
        names.map(str::to_owned).collect()
    }

    /// The name of the hub at a path, or the path.
    fn hub_at(&self, path: &str) -> String {
        let hub = self.0.hubs.iter().find(|(known, _)| *known == path);
        hub.map_or_else(|| path.to_owned(), |(_, name)| name.clone())
    }

    /// Answers a question; null if it could not.
    pub(super) async fn answer(&self, question: &Question) -> Value {
        let answer = match question {
            Question::Hello => Ok(Value::Bool(true)),
            Question::Figures { users, addresses } => serde_json::to_value(self.figures(users, addresses)),
            Question::History { minutes } => {
                serde_json::to_value::<Vec<Shown>>(self.0.history.last(*minutes))
            }
            Question::Find { query, limit } => {
                serde_json::to_value(self.find(query, (*limit).min(MOST_FOUND)).await)
            }
            Question::Timeline { id } => serde_json::to_value(self.timeline(id).await),
            Question::Count { target, hub } => Ok(self.connections(target, hub.as_deref()).len().into()),
            Question::Close { target, hub } => Ok(self.close(target, hub.as_deref()).into()),
            Question::Send { id, hub, method, arguments } => {
                Ok(self.send(id, hub, method, arguments).await.into())
            }
            Question::Drain { instance } => Ok((self.0.about.id == *instance && {
                self.0.host.drain();
                true
            })
            .into()),
        };
        answer.unwrap_or_default()
    }

    fn figures(&self, users: &[String], addresses: &[String]) -> OfInstance {
        let Shared { server, host, ring, readings, .. } = &*self.0;
        let mut figures = figures::read(server, &**host, readings);
        figures.timeline = ring.as_ref().map(|ring| {
            let fill = ring.fill();
            TimelineFill { bytes: fill.bytes, limit_bytes: fill.limit_bytes, oldest_at: fill.oldest_at }
        });
        let mut protocols = ByProtocol::default();
        let mut of_users = HashMap::<UserId, u64>::new();
        let mut of_addresses = HashMap::<IpAddr, u64>::new();
        for hub in server.hubs() {
            for connection in hub.connections_here() {
                let caller = connection.caller();
                count_protocol(&mut protocols, caller.protocol());
                if hub.name() == NAME {
                    continue;
                }
                if let Some(user) = user(caller) {
                    *of_users.entry(user.clone()).or_default() += 1;
                }
                if let Some(address) = caller.info().remote_address {
                    *of_addresses.entry(address).or_default() += 1;
                }
            }
        }
        figures.by_protocol = protocols;
        let of_users = of_users.into_iter().map(|(user, count)| (user.as_str().to_owned(), count)).collect();
        let of_addresses =
            of_addresses.into_iter().map(|(address, count)| (address.to_string(), count)).collect();
        OfInstance {
            figures,
            users: Named::of::<String>(of_users, users),
            addresses: Named::of::<String>(of_addresses, addresses),
        }
    }

    async fn find(&self, query: &Query, limit: usize) -> Found {
        let target = match query.by {
            By::User => Target::User(query.value.clone()),
            By::Group => Target::Group(query.value.clone()),
            By::Id => Target::Connection(query.value.clone()),
            By::Address => Target::All,
        };
        let address = query.value.parse::<IpAddr>().ok();
        let mut connections = self.connections(&target, query.hub.as_deref());
        connections.retain(|(_, connection)| {
            query.by != By::Address || connection.caller().info().remote_address == address
        });
        let here = connections.iter().map(|(hub, connection)| shown(hub, connection)).collect();
        let ended = match &self.0.ring {
            Some(ring) if query.by != By::Group => {
                timeline::ended(ring, query, address, limit, |path| self.hub_at(path)).await
            }
            _ => Vec::new(),
        };
        Found::new(here, ended, limit)
    }

    async fn timeline(&self, id: &str) -> OfConnection {
        let is_connected = !self.connections(&Target::Connection(id.to_owned()), None).is_empty();
        let entries = match &self.0.ring {
            Some(ring) => timeline::of(ring, id).await,
            None => Vec::new(),
        };
        OfConnection { is_connected, entries }
    }

    /// The connections of a target here, of one hub or of all, each with the name of its hub.
    fn connections(&self, target: &Target, hub: Option<&str>) -> Vec<(String, LocalConnection)> {
        let hubs = self.0.server.hubs().into_iter().filter(|found| hub.is_none_or(|hub| found.name() == hub));
        let of_hub = |hub: HubContext| {
            let found = match target {
                Target::All => hub.connections_here(),
                Target::Group(group) => hub.members_here(&group.as_str().into()),
                Target::User(user) => hub.connections_of_user_here(&user.as_str().into()),
                Target::Connection(id) => {
                    let id = ConnectionId::from(id.as_str());
                    let all = hub.connections_here().into_iter();
                    all.filter(|connection| connection.caller().public_id() == id).collect()
                }
            };
            found.into_iter().map(move |connection| (hub.name().to_owned(), connection))
        };
        hubs.flat_map(of_hub).collect()
    }

    /// Closes the connections of a target here, which no console asks for all of. Returns how many.
    fn close(&self, target: &Target, hub: Option<&str>) -> usize {
        if *target == Target::All {
            return 0;
        }
        let connections = self.connections(target, hub);
        for (_, connection) in &connections {
            connection.caller().abort();
        }
        connections.len()
    }

    /// Calls a method of the client with this public id, if it is here. Returns how many there are.
    async fn send(&self, id: &str, hub: &str, method: &str, arguments: &[Value]) -> usize {
        let Some(context) = self.hub(hub) else { return 0 };
        let found = self.connections(&Target::Connection(id.to_owned()), Some(hub));
        let mut sent = 0;
        for (_, connection) in &found {
            let (id, clients) = (connection.caller().connection_id().clone(), context.clients());
            sent += usize::from(clients.clients([id]).send_here(method, arguments.to_vec()).await.is_ok());
        }
        sent
    }
}

/// A connection that is there, as it is shown.
fn shown(hub: &str, connection: &LocalConnection) -> timeline::Connection {
    let caller = connection.caller();
    let info = caller.info();
    timeline::Connection {
        id: info.public_id().as_str().to_owned(),
        hub: Some(hub.to_owned()),
        user: user(caller).map(|user| user.as_str().to_owned()),
        address: info.remote_address.map(|address| address.to_string()),
        transport: Some(timeline::transport_word(info.transport)),
        protocol: Some(timeline::protocol_word(caller.protocol())),
        connected_at: milliseconds(connection.since()),
        ended_at: None,
        reason: None,
        is_console: hub == NAME,
    }
}

/// Whom a connection belongs to; `None` if nobody has signed in, whom the applications know by the id of the connection.
fn user(caller: &Caller) -> Option<&UserId> {
    caller.user_id().filter(|user| user.as_str() != caller.public_id().as_str())
}

/// The time now, in milliseconds since 1970.
pub(super) fn now() -> u64 {
    milliseconds(SystemTime::now())
}
