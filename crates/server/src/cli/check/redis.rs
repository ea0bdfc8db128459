//! Whether Redis is reached and what it is, and what is really seen on its channels.

use std::collections::BTreeMap;
use std::time::Duration;

use hubline::{Backplane, Status};
use hubline_redis::redis::cmd;
use hubline_redis::{
    CommandError, RawChannels, RawInbox, RawMessages, RawSubscription, RedisBackplane, RedisClient,
    RedisOptions,
};
use tokio::time::{Instant, timeout};

use super::http::PATIENCE;
use super::instances::{Instance, milliseconds};
use super::report::Report;
use crate::check::{NAME, group_channel};
use crate::config::Config;

const STEP: &str = "Redis";
/// What the links are listed under in `CLIENT LIST`.
const CLIENT_NAME: &str = "hubline-check";
/// For what is seen after the instances have got their messages, or have waited long enough.
const REMAINDER: Duration = Duration::from_secs(1);
/// Messages and bytes of them that wait to be counted.
const INBOX: (usize, u32) = (20_000, 16 * 1024 * 1024);

/// A Redis that answers.
pub(super) struct Listening {
    client: RedisClient,
    options: RedisOptions,
    is_cluster: bool,
}

/// Listens to the channel of a run.
pub(super) struct Listener {
    messages: RawMessages,
    _channels: RawChannels,
    _subscription: RawSubscription,
    _backplane: RedisBackplane,
}

/// Looks at the Redis that is named; `None` if there is none, or it does not answer.
pub(super) async fn check(config: &Config, report: &mut Report) -> Option<Listening> {
    let Some(mut options) = config.redis.options.clone() else {
        report.left_out(STEP, "left out", "--redis names it, or ConnectionStrings:RedisSignalR");
        return None;
    };
    let prefix = options.channel_prefix.clone();
    (options.name, options.abort_connect, options.channel_prefix) =
        (Some(CLIENT_NAME.to_owned()), None, None);
    let place = options.to_string().replace(&format!(", name '{CLIENT_NAME}'"), "");
    options.channel_prefix = prefix;
    let client = match RedisClient::new(options.clone()) {
        Ok(client) => client,
        Err(error) => {
            report.failed(
                STEP,
                format!("{place}: {error}"),
                "sslCaFile, sslCertFile and sslKeyFile name the files that TLS needs",
            );
            return None;
        }
    };
    match ping(&client).await {
        Ok(answered) => report.passed(STEP, format!("{place} answers PING after {answered}")),
        Err(error) => {
            let cure = "is it up, does this machine reach it, and is the password right? --redis or ConnectionStrings:RedisSignalR names it";
            report.failed(STEP, format!("{place} does not answer: {error}"), cure);
            return None;
        }
    }
    let information = information(&client, report).await;
    let is_cluster = information.get("cluster_enabled").is_some_and(|enabled| enabled == "1");
    Some(Listening { client, options, is_cluster })
}

/// The first one opens the link.
async fn ping(client: &RedisClient) -> Result<String, CommandError> {
    client.query::<String>(cmd("PING")).await?;
    let begun = Instant::now();
    client.query::<String>(cmd("PING")).await?;
    Ok(milliseconds(begun.elapsed()))
}

async fn information(client: &RedisClient, report: &mut Report) -> BTreeMap<String, String> {
    let text: String = match client.query(cmd("INFO")).await {
        Ok(text) => text,
        Err(error) => {
            report.left_out(
                STEP,
                format!("version, role and memory: {error}"),
                "its user may not INFO; the program does not need it",
            );
            return BTreeMap::new();
        }
    };
    let pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
    let known: BTreeMap<String, String> =
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let of = |key: &str| known.get(key).map_or("", String::as_str);
    let (product, version) = match of("valkey_version") {
        "" => ("Redis", of("redis_version")),
        version => ("Valkey", version),
    };
    let memory = match of("maxmemory") {
        "0" | "" => "no limit".to_owned(),
        _ => format!("of {}, {}", of("maxmemory_human"), of("maxmemory_policy")),
    };
    let kind = if of("cluster_enabled") == "1" { ", of a cluster" } else { "" };
    let text = format!(
        "{product} {version}, {}{kind}, {} of memory used, {memory}",
        of("role"),
        of("used_memory_human")
    );
    match of("role") {
        "slave" => report.failed(
            STEP,
            text,
            "it is a replica, which takes no keys: name the master, or the Sentinels with serviceName",
        ),
        _ => report.passed(STEP, text),
    }
    known
}

impl Listening {
    /// Takes the prefix that the instances use where none is named, and says where another one is used.
    pub(super) fn compare_prefix(&mut self, known: &[Instance], report: &mut Report) {
        let of_instances = || {
            known.iter().filter_map(|Instance { url, about, .. }| Some((url, about.channel_prefix.as_ref()?)))
        };
        let Some(mine) = &self.options.channel_prefix else {
            self.options.channel_prefix = of_instances().next().map(|(_, prefix)| prefix.clone());
            return;
        };
        for (url, theirs) in of_instances().filter(|(_, theirs)| *theirs != mine) {
            let text = format!("{url} has the channel prefix '{theirs}', and '{mine}' was looked for");
            let cure = "channelPrefix of --redis or SignalR:ChannelPrefix says which; all instances of a fleet need the same";
            report.failed("Channels", text, cure);
        }
    }

    /// What is in front of every channel.
    pub(super) fn prefix(&self) -> &str {
        self.options.channel_prefix.as_deref().unwrap_or_default()
    }

    /// Listens from now on.
    ///
    /// # Errors
    /// The link is not up in time; why.
    pub(super) async fn listen(&self, run: &str) -> Result<Listener, String> {
        let backplane =
            RedisBackplane::connect(self.options.clone()).await.map_err(|error| error.to_string())?;
        let mut status = Backplane::status(&backplane);
        let up = timeout(PATIENCE, status.wait_for(|status| matches!(status, Status::Connected))).await;
        if !matches!(up, Ok(Ok(_))) {
            return Err(match &*backplane.status().borrow() {
                Status::Disconnected(reason) => reason.clone(),
                _ => format!("no link within {} s", PATIENCE.as_secs()),
            });
        }
        let (inbox, messages) = RawInbox::new(INBOX.0, INBOX.1);
        let channels = backplane.raw_channels();
        let subscribing = timeout(PATIENCE, channels.subscribe(&group_channel(run), &inbox)).await;
        let subscription = subscribing.map_err(|_| "the channel cannot be subscribed to".to_owned())?;
        Ok(Listener { messages, _channels: channels, _subscription: subscription, _backplane: backplane })
    }

    /// How many instances listen to everything of the hub, those that were not asked among them. A node of a cluster knows its own
    /// links alone.
    pub(super) async fn instances(&self) -> Option<u64> {
        if self.is_cluster || self.options.spread_channels {
            return None;
        }
        let channel = format!("{}{NAME}:all", self.prefix());
        let mut command = cmd("PUBSUB");
        command.arg("NUMSUB").arg(channel);
        let (_, listening): (String, u64) = self.client.query(command).await.ok()?;
        Some(listening)
    }
}

impl Listener {
    /// Waits for so many messages, not for ever; returns how many came.
    pub(super) async fn seen(&mut self, expected: usize) -> usize {
        let mut seen = 0;
        let all = async {
            while seen < expected && self.messages.next().await.is_some() {
                seen += 1;
            }
        };
        _ = timeout(REMAINDER, all).await;
        seen
    }
}
