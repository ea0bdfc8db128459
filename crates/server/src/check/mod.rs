//! What `hubline check` asks of an instance, with an admin key: a hub that it sends messages through, and what the instance says of itself.
//!
//! Both are behind the admin API's door. They say nothing that an admin key does not show elsewhere, other than whether instances are
//! configured alike ([`Comparison`]).

mod comparison;
mod hub;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use hubline::{EndpointOptions, HubHandle, Server};
use hubline_redis::RedisClient;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::Config;
use comparison::Comparison;
pub(crate) use comparison::{Compared, Print, Prints};
pub(crate) use hub::{JOIN, NAME, RECEIVED, SEND, group_channel};

/// Where the hub is.
pub(crate) const HUB: &str = "/hubline/check";
/// Where an instance says what it is.
pub(crate) const INSTANCE: &str = "/hubline/check/instance";

/// What an instance says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct About {
    /// Made up at its start.
    pub(crate) instance: String,
    /// Of the program.
    pub(crate) version: String,
    /// Its clock, in milliseconds since 1970.
    pub(crate) time: f64,
    /// What it puts in front of every channel; `None` without Redis.
    pub(crate) channel_prefix: Option<String>,
    /// Its configuration, to be compared with that of others.
    pub(crate) configuration: Compared,
}

/// The hub, and what the instance says. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    hub: HubHandle,
    instance: Arc<Instance>,
}

#[derive(Debug)]
struct Instance {
    id: String,
    channel_prefix: Option<String>,
    comparison: Comparison,
}

impl Check {
    /// Adds the hub to the server.
    pub(crate) fn start(server: &Server, config: &Config, redis: Option<RedisClient>) -> Self {
        let prefix = |redis: &RedisClient| redis.options().channel_prefix.clone().unwrap_or_default();
        let instance = Instance {
            id: Uuid::from_u128(random()).simple().to_string(),
            channel_prefix: redis.as_ref().map(prefix),
            comparison: Comparison::new(Arc::clone(&config.prints), redis),
        };
        Self { hub: server.add_hub(hub::hub()), instance: Arc::new(instance) }
    }

    /// Both paths; who may use them is up to the caller.
    pub(crate) fn routes(&self, options: EndpointOptions) -> Router {
        let about = get(about).with_state(Arc::clone(&self.instance));
        self.hub.map_with(HUB, options).route(INSTANCE, about)
    }
}

async fn about(State(instance): State<Arc<Instance>>) -> Json<About> {
    // Before the time is taken: it may have to ask Redis.
    let configuration = instance.comparison.compared().await;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Json(About {
        instance: instance.id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: since.as_secs_f64() * 1_000.0,
        channel_prefix: instance.channel_prefix.clone(),
        configuration,
    })
}

/// Numbers that nobody guesses; 0 where the system has none.
pub(crate) fn random() -> u128 {
    let mut bytes = [0; 16];
    _ = getrandom::getrandom(&mut bytes);
    u128::from_be_bytes(bytes)
}
