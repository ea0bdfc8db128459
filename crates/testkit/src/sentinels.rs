use anyhow::Result;

use crate::RedisServer;

/// How they call the master.
const SERVICE: &str = "mymaster";

/// A master, its replica, and three Sentinels that know each other. They take half a second of silence for
/// death.
#[derive(Debug)]
pub struct Sentinels {
    /// The master at first, and its replica.
    pub servers: [RedisServer; 2],
    /// Those who watch.
    pub sentinels: Vec<RedisServer>,
}

impl Sentinels {
    /// Starts all of them; a failover can be made when this returns.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub async fn start() -> Result<Self> {
        Self::begin(&[], &[], None).await
    }

    /// The same where both want a password, each their own.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub async fn start_with_passwords(of_servers: &str, of_sentinels: &str) -> Result<Self> {
        let options = ["--requirepass", of_servers, "--masterauth", of_servers];
        let lines = [
            format!("requirepass \"{of_sentinels}\""),
            format!("sentinel sentinel-pass \"{of_sentinels}\""),
            format!("sentinel auth-pass {SERVICE} \"{of_servers}\""),
        ];
        Self::begin(&options, &lines, Some(of_sentinels)).await
    }

    async fn begin(options: &[&str], lines: &[String], password: Option<&str>) -> Result<Self> {
        let master = RedisServer::start_with(options).await?;
        let replica = RedisServer::start_replica_of(&master, options).await?;
        let mut configuration = vec![
            format!("sentinel monitor {SERVICE} 127.0.0.1 {} 2", master.port()),
            format!("sentinel down-after-milliseconds {SERVICE} 500"),
            format!("sentinel failover-timeout {SERVICE} 3000"),
        ];
        configuration.extend_from_slice(lines);
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(RedisServer::start_sentinel(&configuration, password).await?);
        }
        let started = Self { servers: [master, replica], sentinels };
        for sentinel in &started.sentinels {
            let knows_all = |info: &str| info.ends_with(",slaves=1,sentinels=3");
            sentinel.command_until(&["INFO", "sentinel"], knows_all).await?;
        }
        Ok(started)
    }

    /// What servers are given to reach the master, in StackExchange.Redis syntax.
    pub fn connection_string(&self) -> String {
        let sentinels: Vec<_> = self.sentinels.iter().map(RedisServer::connection_string).collect();
        format!("{},serviceName={SERVICE}", sentinels.join(","))
    }

    /// Waits until all of them name this server, and it says itself that it is the master.
    ///
    /// # Errors
    /// When that does not happen.
    pub async fn agree_on(&self, server: usize) -> Result<()> {
        let server = &self.servers[server];
        let port = server.port().to_string();
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
        for sentinel in &self.sentinels {
            sentinel.command_until(&question, |answer| answer.ends_with(&port)).await?;
        }
        server.command_until(&["ROLE"], |role| role.starts_with("master")).await?;
        Ok(())
    }
}
