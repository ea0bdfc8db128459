//! The console behind `/console`: what the fleet does, what has happened to a connection, and what an operator does about it.
//!
//! It has a hub ([`hub`]), which asks all instances ([`fleet`]) for what each of them knows of itself ([`local`]): its figures, the last hour
//! ([`history`]), and what has happened to its connections, which is in a [`ring`] and is read by [`timeline`]. [`acts`] are told in words
//! before they are done. It needs of the rest of the program what [`host`] says. An instance asks nothing of others while nobody watches.

mod acts;
mod alike;
mod config;
mod figures;
mod fleet;
mod history;
mod host;
mod hub;
mod listening;
mod local;
mod named;
mod own_origin;
mod reasons;
mod ring;
mod session;
mod timeline;
mod watching;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use hubline::{EndpointOptions, HubHandle, Server};
use hubline_redis::{RawChannels, RedisClient};
use hubline_store::Store;
use hubline_supervision::spawn;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use acts::Acts;
pub(crate) use config::ConsoleConfig;
use fleet::{About, Fleet, State};
use history::{History, Recording};
pub(crate) use host::{Host, ShownKey, Stage};
use listening::{Doorkeeping, Listening};
use local::{Local, now};
pub(crate) use ring::Ring;
use session::Rates;
use watching::{Asking, Remembered, Watching};

/// What the hub is called on Redis.
pub(crate) const NAME: &str = "ConsoleHub";
/// Where it is.
pub(crate) const HUB: &str = "/console/hub";
/// The hub of `hubline check`, whose clients are no users either.
const CHECK: &str = "HublineCheck";

/// Characters of what people call an instance.
const LONGEST_INSTANCE: usize = 100;

/// What a console is made from.
#[derive(Debug)]
pub(crate) struct ConsoleParts {
    pub(crate) server: Server,
    pub(crate) store: Store,
    /// `None` without Redis, and so is the next.
    pub(crate) redis: Option<RedisClient>,
    pub(crate) channels: Option<RawChannels>,
    /// What happens to the connections of `server` is in it; `None` if nothing is remembered.
    pub(crate) ring: Option<Ring>,
    /// What people call this instance.
    pub(crate) instance: String,
    pub(crate) environment: String,
    /// The paths of the hubs, with the hubs' names.
    pub(crate) hubs: Vec<(&'static str, String)>,
    pub(crate) host: Arc<dyn Host>,
}

/// The console of an instance. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Console(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    fleet: Fleet,
    watching: Watching,
    acts: Acts,
    rates: Rates,
    environment: String,
}

/// A console that is served, until this is dropped. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    console: Console,
    hub: HubHandle,
    _tasks: Arc<[AbortOnDropHandle<()>]>,
}

impl Console {
    /// Adds the hub to the server, answers the consoles of other instances, and keeps this instance's history.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn start(parts: ConsoleParts) -> Served {
        let ConsoleParts { server, store, redis, channels, ring, instance, environment, hubs, host } = parts;
        let history = History::default();
        let about = About {
            id: new_id(),
            name: instance.chars().take(LONGEST_INSTANCE).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: now(),
            state: State::Up,
        };
        let local = Local::new(about, server.clone(), Arc::clone(&host), ring, history.clone(), hubs);
        let fleet = Fleet::new(local, channels.clone());
        let watching = Watching::new();
        let console = Self(Arc::new(Shared {
            fleet: fleet.clone(),
            watching: watching.clone(),
            acts: Acts { fleet: fleet.clone(), store },
            rates: Rates::default(),
            environment,
        }));
        let hub = server.add_hub(hub::hub(console.clone()));
        let mut tasks = vec![
            spawn(Recording { history, server, host }),
            spawn(Asking { watching, fleet: fleet.clone(), redis, seen: Mutex::<Remembered>::default() }),
            spawn(Doorkeeping { hub: hub.context().clone() }),
        ];
        if let Some(channels) = channels {
            tasks.push(spawn(Listening { fleet, channels }));
        }
        Served { console, hub, _tasks: tasks.into() }
    }
}

impl Served {
    /// The hub's path, for pages of this server alone. Headers are kept, which a key may be in.
    pub(crate) fn routes(&self, options: EndpointOptions) -> Router {
        let routes = self.hub.map_with(HUB, options.keep_headers());
        routes.route_layer(from_fn_with_state((), own_origin::require))
    }

    /// Messages of other consoles that made no sense.
    pub(crate) fn not_understood(&self) -> u64 {
        self.console.0.fleet.not_understood()
    }

    /// Tells the other instances that this one ends.
    pub(crate) async fn close(&self) {
        self.console.0.fleet.end().await;
    }
}

/// 8 hexadecimal digits.
fn new_id() -> String {
    let mut bytes = [0; 4];
    _ = getrandom::getrandom(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
