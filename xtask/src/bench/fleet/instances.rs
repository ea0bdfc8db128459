//! Several instances of one server and their Redis.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use hubline_testkit::RedisServer;
use tokio::runtime::Runtime;

use crate::bench::candidate::StartCommand;
use crate::bench::server::Server;

pub(super) const INSTANCES: usize = 3;

/// Ends with its owner.
pub(super) struct Instances {
    pub(super) servers: Vec<Server>,
    redis: RedisServer,
    /// For the Redis of the tests.
    runtime: Runtime,
}

impl Instances {
    /// Starts Redis, then the instances.
    pub(super) fn start(command: &StartCommand) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let redis = runtime.block_on(RedisServer::start())?;
        let command = command.with(&["--redis", &redis.connection_string()]);
        let servers = (0..INSTANCES).map(|_| Server::start(&command)).collect::<Result<_>>()?;
        Ok(Self { servers, redis, runtime })
    }

    /// Kills Redis and starts it again after this time.
    pub(super) fn without_redis(&mut self, time: Duration) -> Result<()> {
        self.runtime.block_on(async {
            self.redis.stop().await?;
            tokio::time::sleep(time).await;
            self.redis.start_again().await
        })
    }

    /// Of all instances.
    pub(super) fn cpu_micros(&self) -> Result<u64> {
        self.servers.iter().map(Server::cpu_micros).sum()
    }

    /// `INFO`'s time on the processor.
    pub(super) fn redis_cpu_micros(&self) -> Result<f64> {
        let info = self.info()?;
        Ok((field(&info, "used_cpu_sys")? + field(&info, "used_cpu_user")?) * 1e6)
    }

    /// Memory in use, and channels that somebody is subscribed to.
    pub(super) fn redis_state(&self) -> Result<RedisState> {
        let memory_bytes = field(&self.info()?, "used_memory")?;
        // `*100004`, and then their names, which do not matter.
        let channels = self.ask("PUBSUB CHANNELS")?;
        let count = channels.lines().next().and_then(|line| line.strip_prefix('*'));
        Ok(RedisState { memory_bytes, channels: count.context("PUBSUB CHANNELS")?.parse()? })
    }

    fn info(&self) -> Result<String> {
        self.ask("INFO everything")
    }

    /// Asks on a connection of its own, which Redis ends after the answer.
    fn ask(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.redis.port()))?;
        write!(stream, "{command}\r\nQUIT\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct RedisState {
    pub(super) memory_bytes: f64,
    pub(super) channels: f64,
}

fn field(info: &str, name: &str) -> Result<f64> {
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.with_context(|| format!("INFO has no {name}"))?.trim().parse().context("INFO")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let info = "$42\r\n# Memory\r\nused_memory_peak:9\r\nused_memory:7\r\n";
        assert_eq!(field(info, "used_memory").unwrap(), 7.0);
        assert!(field(info, "used").is_err());
    }
}
