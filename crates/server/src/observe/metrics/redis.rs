//! How long Redis takes to answer this instance; and what it says of itself, asked for by one instance of the fleet.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hubline_redis::{CommandError, RedisClient, RedisScript, redis};
use hubline_supervision::Vital;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How often Redis is asked.
const PERIOD: Duration = Duration::from_secs(10);
/// After so long another instance asks, if the one that did has gone.
const LEASE: Duration = Duration::from_secs(30);

static TAKE_LEASE: LazyLock<RedisScript> = LazyLock::new(|| RedisScript::new(include_str!("lease.lua")));

/// The figures. Those of Redis itself are there on the instance that asks for them.
#[derive(Debug, Clone)]
pub(crate) struct RedisFigures {
    latest: Arc<Mutex<Option<Answer>>>,
    _asking: Arc<AbortOnDropHandle<()>>,
}

/// What Redis has answered.
#[derive(Debug, Clone)]
struct Answer {
    /// Of the script that takes the lease, which each instance runs.
    round_trip: Duration,
    /// `None` if another instance asks.
    info: Option<Info>,
}

/// What is taken from the answer to `INFO`. On a cluster it is that of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Info {
    connected_clients: u64,
    /// 0 where Redis does not say so, as before 7.0.
    maximum_clients: u64,
    commands_processed: u64,
    used_memory_bytes: u64,
    /// 0 is no limit.
    maximum_memory_bytes: u64,
    /// What Redis does at that limit.
    memory_policy: String,
    evicted_keys: u64,
}

impl RedisFigures {
    /// Asks from now on, as long as no other instance does.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn start(client: RedisClient) -> Self {
        let latest = Arc::default();
        let key = format!("{}{{hubline}}:metrics-lease", client.options().key_prefix());
        // Random in each process.
        let instance = format!("{:016x}", RandomState::new().build_hasher().finish());
        let asking = Asking { client, key, instance, latest: Arc::clone(&latest), has_warned: false };
        Self { latest, _asking: Arc::new(hubline_supervision::spawn(asking)) }
    }

    /// How long Redis took to answer last; `None` if it did not.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.latest.lock().as_ref().map(|answer| answer.round_trip)
    }
}

struct Asking {
    client: RedisClient,
    key: String,
    instance: String,
    latest: Arc<Mutex<Option<Answer>>>,
    has_warned: bool,
}

impl Vital for Asking {
    const NAME: &'static str = "figures of Redis";

    async fn run(&mut self) {
        loop {
            let answer = self.ask().await.inspect_err(|error| self.log(error));
            *self.latest.lock() = answer.ok();
            tokio::time::sleep(PERIOD).await;
        }
    }
}

impl Asking {
    async fn ask(&self) -> Result<Answer, CommandError> {
        let lease = LEASE.as_millis().to_string();
        let arguments = [self.instance.as_str(), lease.as_str()];
        let begun = Instant::now();
        let is_mine: bool = self.client.invoke(&TAKE_LEASE, self.key.as_str(), &arguments).await?;
        let round_trip = begun.elapsed();
        if !is_mine {
            return Ok(Answer { round_trip, info: None });
        }
        let info: String = self.client.query(redis::cmd("INFO")).await?;
        Ok(Answer { round_trip, info: Some(Info::parse(&info)) })
    }

    /// That Redis is away, or slow, is told by others.
    fn log(&mut self, error: &CommandError) {
        let is_refusal = matches!(error, CommandError::Refused { .. } | CommandError::Unexpected(_));
        if !is_refusal || std::mem::replace(&mut self.has_warned, true) {
            return;
        }
        tracing::warn!(
            %error,
            "Redis does not tell its own figures (connected clients, memory, commands), and they are missing in the metrics: \
             its user needs the commands INFO, GET, SET and EVALSHA. This is not logged again"
        );
    }
}

impl Info {
    fn parse(text: &str) -> Self {
        let text_of = |name: &str| {
            let mut fields = text.lines().filter_map(|line| line.split_once(':'));
            fields.find(|(field, _)| *field == name).map(|(_, value)| value.trim()).unwrap_or_default()
        };
        let value = |name: &str| text_of(name).parse().unwrap_or_default();
        Self {
            connected_clients: value("connected_clients"),
            maximum_clients: value("maxclients"),
            commands_processed: value("total_commands_processed"),
            used_memory_bytes: value("used_memory"),
            maximum_memory_bytes: value("maxmemory"),
            memory_policy: text_of("maxmemory_policy").to_owned(),
            evicted_keys: value("evicted_keys"),
        }
    }
}

impl Collector for RedisFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(Answer { round_trip, info }) = self.latest.lock().clone() else { return Ok(()) };
        let help = "How long Redis took to answer this instance when it was asked last, the way there and back included.";
        let seconds = Some(&Unit::Seconds);
        let descriptor =
            encoder.encode_descriptor("hubline_redis_round_trip", help, seconds, MetricType::Gauge)?;
        ConstGauge::new(round_trip.as_secs_f64()).encode(descriptor)?;
        match info {
            Some(info) => info.encode(&mut encoder),
            None => Ok(()),
        }
    }
}

impl Info {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let gauges = [
            (
                "redis_connected_clients",
                "Clients of Redis, these instances among them.",
                self.connected_clients,
            ),
            (
                "redis_clients_maximum",
                "Clients that Redis takes (maxclients); 0 if it does not say.",
                self.maximum_clients,
            ),
            ("redis_memory_used_bytes", "Bytes that Redis has taken.", self.used_memory_bytes),
            (
                "redis_memory_maximum_bytes",
                "Bytes that Redis may take (maxmemory); 0 is no limit.",
                self.maximum_memory_bytes,
            ),
        ];
        for (name, help, value) in gauges {
            ConstGauge::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                MetricType::Gauge,
            )?)?;
        }
        let help = "What Redis does when its memory is full (maxmemory_policy).";
        let mut policy = encoder.encode_descriptor("redis_memory_policy", help, None, MetricType::Info)?;
        policy.encode_info(&[("policy", self.memory_policy.as_str())])?;
        let counters = [
            (
                "redis_commands_processed",
                "Commands that Redis has carried out since its start.",
                self.commands_processed,
            ),
            (
                "redis_evicted_keys",
                "Keys that Redis has thrown away because its memory was full.",
                self.evicted_keys,
            ),
        ];
        for (name, help, value) in counters {
            let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(counter)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_instance_asks_until_it_has_gone() {
        let redis = hubline_testkit::RedisServer::start().await.unwrap();
        let client = RedisClient::new(redis.connection_string().parse().unwrap()).unwrap();
        let asking = |instance: &str| Asking {
            client: client.clone(),
            key: "{hubline}:metrics-lease".to_owned(),
            instance: instance.to_owned(),
            latest: Arc::default(),
            has_warned: false,
        };
        let (one, other) = (asking("one"), asking("other"));
        assert!(one.ask().await.unwrap().info.is_some_and(|info| info.connected_clients > 0));
        let of_other = other.ask().await.unwrap();
        assert_eq!((of_other.info, one.ask().await.unwrap().info.is_some()), (None, true));
        assert!(of_other.round_trip > Duration::ZERO, "each knows how long Redis takes");
        let left: u64 = client.query(redis::Cmd::pttl("{hubline}:metrics-lease")).await.unwrap();
        assert!((1..=30_000).contains(&left), "it has an end: {left} ms");
        client.query::<()>(redis::Cmd::del("{hubline}:metrics-lease")).await.unwrap();
        assert!(other.ask().await.unwrap().info.is_some());
        assert_eq!(one.ask().await.unwrap().info, None);
    }

    #[test]
    fn figures_stand_one_a_line() {
        let text = "# Clients\r\nconnected_clients:7\r\nmaxclients:10000\r\n# Memory\r\nused_memory:1024\r\n\
                    used_memory_human:1K\r\nmaxmemory:4096\r\nmaxmemory_human:4K\r\nmaxmemory_policy:noeviction\r\n\
                    # Stats\r\ntotal_commands_processed:42\r\nevicted_keys:3\r\n";
        let expected = Info {
            connected_clients: 7,
            maximum_clients: 10_000,
            commands_processed: 42,
            used_memory_bytes: 1024,
            maximum_memory_bytes: 4096,
            memory_policy: "noeviction".to_owned(),
            evicted_keys: 3,
        };
        assert_eq!(Info::parse(text), expected);
    }
}
