//! Which Redis, if any.

use hubline_redis::{OutboxOptions, RedisOptions};

use super::Section;
use super::hub_names::HubNames;
use super::key::Key;
use super::reader::Reader;
use super::report::Problem;

pub(super) const REDIS_SIGNALR: Key = Key::new(
    "ConnectionStrings:RedisSignalR",
    "Redis (--redis): a StackExchange.Redis connection string or a redis:// or rediss:// URL; without it the instance serves alone",
)
.redis_connection_string();
pub(super) const REDIS_CONNECTION_STRING: Key =
    Key::new("Redis:ConnectionString", "the same as ConnectionStrings:RedisSignalR, which goes before it")
        .redis_connection_string();
const ABORT_ON_CONNECT_FAIL: Key = Key::new(
    "Redis:AbortOnConnectFail",
    "whether the program ends where Redis cannot be reached at its start; abortConnect of the connection string goes before it",
)
.unset("false");
const DEFAULT_DATABASE: Key =
    Key::new("Redis:DefaultDatabase", "database, where the connection string has no defaultDatabase or 0")
        .unset("0");
const CLIENT_NAME: Key = Key::new(
    "Redis:ClientName",
    "name that Redis lists the clients under, where the connection string has none",
);
const INSTANCE_NAME: Key = Key::new(
    "Redis:InstanceName",
    "stands in front of every key in Redis, nothing between; without it SignalR:ChannelPrefix stands before Hubline's own keys",
);
const USE_REDIS_BACKPLANE: Key =
    Key::new("SignalR:UseRedisBackplane", "false ignores the connection string, true demands one")
        .unset("true where Redis is named");
const CHANNEL_PREFIX: Key = Key::new(
    "SignalR:ChannelPrefix",
    "stands in front of every channel; goes before channelPrefix of the connection string",
);
const OUTBOX_MAXIMUM_MESSAGES: Key =
    Key::new("SignalR:Outbox:MaximumMessages", "messages kept for the other instances while Redis is away")
        .unit("messages");
const OUTBOX_MAXIMUM_BYTES: Key =
    Key::new("SignalR:Outbox:MaximumBytes", "bytes kept for the other instances while Redis is away");
const OUTBOX_MAXIMUM_AGE: Key =
    Key::new("SignalR:Outbox:MaximumAge", "how long a message is kept for the other instances");

/// Redis, and what is called how in it.
#[derive(Debug, Clone)]
pub(crate) struct RedisConfig {
    /// `None` means the in-process backplane.
    pub(crate) options: Option<RedisOptions>,
    /// The setting that names it, and where that stands; empty without one.
    pub(crate) named_by: String,
    /// Stands before the name of every key in Redis, nothing between. `None`: then the channel prefix stands before the names of
    /// Hubline's own keys, and nothing before those for other programs.
    pub(crate) instance_name: Option<String>,
    /// What other servers call the hubs.
    pub(crate) hub_names: HubNames,
}

impl Section for RedisConfig {
    const TITLE: &'static str = "Redis";

    fn read(reader: &mut Reader) -> Self {
        let options = options(reader);
        let named_by = [REDIS_SIGNALR, REDIS_CONNECTION_STRING].into_iter().find_map(|key| {
            let setting = reader.settings.get(key.name).filter(|_| reader.is_set(key))?;
            Some(format!("{} ({})", key.name, setting.source))
        });
        let named_by = named_by.unwrap_or_default();
        Self {
            options,
            named_by,
            instance_name: reader.text(INSTANCE_NAME),
            hub_names: HubNames::read(reader),
        }
    }
}

/// Reads the connection string, and the keys that stand over or under it.
fn options(reader: &mut Reader) -> Option<RedisOptions> {
    let key = reader.preferred(&[REDIS_SIGNALR, REDIS_CONNECTION_STRING]);
    let connection_string = reader.setting(key);
    let abort_on_connect_fail = reader.optional_boolean(ABORT_ON_CONNECT_FAIL);
    let use_redis = reader.optional_boolean(USE_REDIS_BACKPLANE);
    let channel_prefix = reader.text(CHANNEL_PREFIX);
    let default_database = reader.default_database(DEFAULT_DATABASE);
    let client_name = reader.text(CLIENT_NAME).map(|name| name.replace(char::is_whitespace, ""));
    // Told with the settings that follow.
    let instance_name =
        reader.settings.get(INSTANCE_NAME.name).map(|setting| setting.value.trim().to_owned());
    let outbox = outbox(reader);

    if use_redis == Some(false) {
        return None;
    }
    let Some(connection_string) = connection_string else {
        if use_redis == Some(true)
            && let Some(setting) = reader.settings.get(USE_REDIS_BACKPLANE.name).cloned()
        {
            reader.mistake(USE_REDIS_BACKPLANE.name, &setting, Problem::NoRedisConnectionString);
        }
        return None;
    };
    match connection_string.value.parse::<RedisOptions>() {
        Ok(mut options) => {
            options.abort_connect = options.abort_connect.or(abort_on_connect_fail);
            options.channel_prefix = channel_prefix.or(options.channel_prefix);
            if options.default_database == 0 {
                options.default_database = default_database.unwrap_or(0);
            }
            options.name = options.name.or(client_name);
            options.outbox = outbox;
            options.instance_name = instance_name;
            Some(options)
        }
        Err(error) => {
            for mistake in error.mistakes() {
                reader.mistake(key.name, &connection_string, Problem::Redis(mistake.clone()));
            }
            None
        }
    }
}

/// `SignalR:Outbox`.
fn outbox(reader: &mut Reader) -> OutboxOptions {
    let default = OutboxOptions::default();
    OutboxOptions {
        limit_messages: reader.count(OUTBOX_MAXIMUM_MESSAGES, default.limit_messages),
        limit_bytes: reader.bytes(OUTBOX_MAXIMUM_BYTES, default.limit_bytes),
        max_age: reader.interval(OUTBOX_MAXIMUM_AGE, default.max_age),
    }
}
