use anyhow::{Context, Result};

use crate::{Certificates, RedisServer, free_port};

const SLOTS: usize = 16384;

/// A Redis Cluster: masters with equal shares of the slots, in their order, and a replica of each if wanted.
/// A server that is silent for a second counts as failed.
#[derive(Debug)]
pub struct Cluster {
    /// The masters, then the replica of each.
    pub servers: Vec<RedisServer>,
    masters: usize,
}

impl Cluster {
    /// Starts this many masters.
    ///
    /// # Errors
    /// When they do not come up or do not come together.
    pub async fn start(masters: usize) -> Result<Self> {
        Self::begin(masters, masters, None).await
    }

    /// As [`start`](Self::start), with TLS ports, which the [connection string](Self::connection_string) names.
    ///
    /// # Errors
    /// When they do not come up or do not come together.
    pub async fn start_with_tls(masters: usize, certificates: &Certificates) -> Result<Self> {
        Self::begin(masters, masters, Some(certificates)).await
    }

    /// As [`start`](Self::start), with a replica of each master.
    ///
    /// # Errors
    /// When they do not come up or do not come together.
    pub async fn start_with_replicas(masters: usize) -> Result<Self> {
        Self::begin(masters, 2 * masters, None).await
    }

    async fn begin(masters: usize, count: usize, certificates: Option<&Certificates>) -> Result<Self> {
        let mut cluster = Self { servers: Vec::new(), masters };
        for _ in 0..count {
            let bus = free_port();
            cluster.servers.push(start(bus, certificates).await?);
            let place = cluster.servers.len() - 1;
            let server = &cluster.servers[place];
            let epoch = (place + 1).to_string();
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
            if place < masters {
                let [first, last] = [place, place + 1].map(|n| n * SLOTS / masters);
                let (first, last) = (first.to_string(), (last - 1).to_string());
                server.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await?;
            }
            let (port, bus) = (server.known_port().to_string(), bus.to_string());
            cluster.servers[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await?;
        }
        let known = format!("cluster_known_nodes:{count}\r");
        for server in &cluster.servers {
            server.command_until(&["CLUSTER", "INFO"], |info| info.contains(&known)).await?;
        }
        for (replica, master) in cluster.servers[masters..].iter().zip(&cluster.servers) {
            let id = master.command(&["CLUSTER", "MYID"]).await?;
            replica.command_until(&["CLUSTER", "REPLICATE", &id], |answer| answer == "OK").await?;
        }
        cluster.agree().await?;
        Ok(cluster)
    }

    /// Starts one more master, without slots. Returns its index in `servers`.
    ///
    /// # Errors
    /// When it does not come up or does not come together with the others.
    pub async fn add_master(&mut self) -> Result<usize> {
        let bus = free_port();
        let server = start(bus, None).await?;
        let port = server.port().to_string();
        self.servers[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus.to_string()]).await?;
        self.servers.push(server);
        let known = format!("cluster_known_nodes:{}\r", self.servers.len());
        for server in &self.servers {
            server.command_until(&["CLUSTER", "INFO"], |info| info.contains(&known)).await?;
        }
        Ok(self.servers.len() - 1)
    }

    /// Waits until every running server reports that all slots are served.
    async fn agree(&self) -> Result<()> {
        for server in &self.servers {
            server.command_until(&["CLUSTER", "INFO"], |info| info.starts_with("cluster_state:ok")).await?;
        }
        for replica in &self.servers[self.masters..] {
            replica.command_until(&["ROLE"], |role| role.contains("connected")).await?;
        }
        // A replica that has not been heard of by the others could not be voted for.
        let replicas = self.servers.len() - self.masters;
        let knows_them =
            |nodes: &str| nodes.matches(" slave ").count() + nodes.matches(",slave ").count() == replicas;
        for server in &self.servers {
            server.command_until(&["CLUSTER", "NODES"], knows_them).await?;
        }
        Ok(())
    }

    /// Moves slots, which have no keys, from one master to another.
    ///
    /// # Errors
    /// When one of them refuses.
    pub async fn move_slots(
        &self,
        slots: impl IntoIterator<Item = u16>,
        from: usize,
        to: usize,
    ) -> Result<()> {
        let id = self.servers[to].command(&["CLUSTER", "MYID"]).await?;
        // Others believe whoever has the highest epoch, and it can only go beyond those it has heard of: if it has not, the
        // two would for ever say of each other that the slots are there.
        let of_giver = self.servers[from].command(&["CLUSTER", "INFO"]).await?;
        let of_giver = epoch(&of_giver, "cluster_my_epoch").context("the epoch of who gives")?;
        let knows_it =
            |info: &str| epoch(info, "cluster_current_epoch").is_some_and(|known| known >= of_giver);
        self.servers[to].command_until(&["CLUSTER", "INFO"], knows_it).await?;
        self.servers[to].command(&["CLUSTER", "BUMPEPOCH"]).await?;
        for slot in slots {
            let slot = slot.to_string();
            for server in [to, from] {
                let answer =
                    self.servers[server].command(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]).await?;
                // Who gives its last slot becomes a replica, and may have heard of it from the other before it is told here.
                let knows_already = server == from && answer.contains("only with masters");
                anyhow::ensure!(answer == "OK" || knows_already, "slot {slot}: {answer}");
            }
        }
        Ok(())
    }

    /// The slot of a name.
    ///
    /// # Errors
    /// When the first server cannot be asked.
    pub async fn slot_of(&self, name: &str) -> Result<u16> {
        self.servers[0].command(&["CLUSTER", "KEYSLOT", name]).await?.parse().context("a slot")
    }

    /// The StackExchange.Redis connection string, with all servers.
    pub fn connection_string(&self) -> String {
        let port = |server: &RedisServer| server.tls_port().unwrap_or(server.port());
        let servers: Vec<_> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", port(server))).collect();
        servers.join(",")
    }
}

/// A line of `CLUSTER INFO`.
fn epoch(info: &str, name: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
}

async fn start(bus: u16, certificates: Option<&Certificates>) -> Result<RedisServer> {
    let bus = bus.to_string();
    let options = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"];
    match certificates {
        // Only nodes that talk to each other by TLS tell its ports.
        Some(certificates) => {
            let options = [&options[..], &["--tls-cluster", "yes"]].concat();
            RedisServer::start_with_tls(certificates, &options).await
        }
        None => RedisServer::start_with(&options).await,
    }
}
