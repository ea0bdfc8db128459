use anyhow::Result;

use crate::{Certificates, RedisServer};

/// How they call the master.
const SERVICE: &str = "mymaster";

/// A master, its replica, and three Sentinels that know each other. They take half a second of silence for
/// death.
#[derive(Debug)]
pub struct Sentinels {
    /// The master at first, and its replica.
    pub servers: [RedisServer; 2],
    /// The Sentinels.
    pub sentinels: Vec<RedisServer>,
}

impl Sentinels {
    /// Starts all of them; a failover can be made when this returns.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub async fn start() -> Result<Self> {
        let servers = servers(&[]).await?;
        Self::watch(servers, &[], None, None).await
    }

    /// As `start`, with one password for the servers and another one for the Sentinels.
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
        Self::watch(servers(&options).await?, &lines, Some(of_sentinels), None).await
    }

    /// As `start`, with TLS between all of them.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub async fn start_with_tls(certificates: &Certificates) -> Result<Self> {
        let options = ["--tls-replication", "yes"];
        let master = RedisServer::start_with_tls(certificates, &options).await?;
        let port = master.known_port().to_string();
        let options = [&options[..], &["--replicaof", "127.0.0.1", &port]].concat();
        let replica = RedisServer::start_with_tls(certificates, &options).await?;
        Self::watch([master, replica], &[], None, Some(certificates)).await
    }

    async fn watch(
        servers: [RedisServer; 2],
        lines: &[String],
        password: Option<&str>,
        certificates: Option<&Certificates>,
    ) -> Result<Self> {
        let mut configuration = vec![
            format!("sentinel monitor {SERVICE} 127.0.0.1 {} 2", servers[0].known_port()),
            format!("sentinel down-after-milliseconds {SERVICE} 1500"),
            format!("sentinel failover-timeout {SERVICE} 3000"),
        ];
        configuration.extend_from_slice(lines);
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(RedisServer::start_sentinel(&configuration, password, certificates).await?);
        }
        let started = Self { servers, sentinels };
        for sentinel in &started.sentinels {
            let knows_all = |info: &str| info.ends_with(",slaves=1,sentinels=3");
            sentinel.command_until(&["INFO", "sentinel"], knows_all).await?;
        }
        Ok(started)
    }

    /// The StackExchange.Redis connection string of the master.
    pub fn connection_string(&self) -> String {
        let sentinels = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.known_port()));
        let sentinels: Vec<_> = sentinels.collect();
        format!("{},serviceName={SERVICE}", sentinels.join(","))
    }

    /// Waits until all of them name this server, and it says itself that it is the master.
    ///
    /// # Errors
    /// When that does not happen.
    pub async fn agree_on(&self, server: usize) -> Result<()> {
        let server = &self.servers[server];
        let port = server.known_port().to_string();
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
        for sentinel in &self.sentinels {
            sentinel.command_until(&question, |answer| answer.ends_with(&port)).await?;
        }
        server.command_until(&["ROLE"], |role| role.starts_with("master")).await?;
        Ok(())
    }
}

/// A master and its replica.
async fn servers(options: &[&str]) -> Result<[RedisServer; 2]> {
    let master = RedisServer::start_with(options).await?;
    let replica = RedisServer::start_replica_of(&master, options).await?;
    Ok([master, replica])
}
