//! Which Redis, if any.

use hubline_redis::{OutboxOptions, RedisOptions};

use super::keys;
use super::reader::Reader;
use super::report::Problem;

/// Reads the connection string, and the keys that stand over or under it.
pub(super) fn read(reader: &mut Reader) -> Option<RedisOptions> {
    let key = reader.preferred(&[keys::REDIS_SIGNALR, keys::REDIS_CONNECTION_STRING]);
    let connection_string = reader.setting(key);
    let abort_on_connect_fail = reader.optional_boolean(keys::REDIS_ABORT_ON_CONNECT_FAIL);
    let use_redis = reader.optional_boolean(keys::USE_REDIS_BACKPLANE);
    let channel_prefix = reader.text(keys::CHANNEL_PREFIX);
    let default_database = reader.default_database(keys::REDIS_DEFAULT_DATABASE);
    let client_name = reader.text(keys::REDIS_CLIENT_NAME).map(|name| name.replace(char::is_whitespace, ""));
    // Told with the settings that follow.
    let instance_name =
        reader.settings.get(keys::REDIS_INSTANCE_NAME).map(|setting| setting.value.trim().to_owned());
    let outbox = outbox(reader);

    if use_redis == Some(false) {
        return None;
    }
    let Some(connection_string) = connection_string else {
        if use_redis == Some(true)
            && let Some(setting) = reader.settings.get(keys::USE_REDIS_BACKPLANE).cloned()
        {
            reader.mistake(keys::USE_REDIS_BACKPLANE, &setting, Problem::NoRedisConnectionString);
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
                reader.mistake(key, &connection_string, Problem::Redis(mistake.clone()));
            }
            None
        }
    }
}

/// `SignalR:Outbox`.
fn outbox(reader: &mut Reader) -> OutboxOptions {
    let default = OutboxOptions::default();
    OutboxOptions {
        limit_messages: reader.count(keys::OUTBOX_MAXIMUM_MESSAGES, default.limit_messages),
        limit_bytes: reader.bytes(keys::OUTBOX_MAXIMUM_BYTES, default.limit_bytes),
        max_age: reader.interval(keys::OUTBOX_MAXIMUM_AGE, default.max_age),
    }
}
