//! What a fleet of the program tells other programs about its users through Redis.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod client;

use std::time::Duration;

use hubline::{ConnectionInfo, TransportKind};
use hubline_redis::{RedisClient, redis};
use hubline_testkit::{Launch, RedisServer, ServerProcess};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

const PREFIX: &str = "Tele:";
/// What the users of the keys were promised.
const GONE_AFTER: Duration = Duration::from_secs(30);

struct Fleet {
    redis: RedisServer,
    servers: Vec<ServerProcess>,
    ports: Vec<u16>,
    keys: RedisClient,
}

impl Fleet {
    async fn start(size: usize) -> Self {
        let redis = RedisServer::start().await.unwrap();
        let connection_string = format!("{},defaultDatabase=2,channelPrefix=p:", redis.connection_string());
        let (mut servers, mut ports) = (Vec::new(), Vec::new());
        for _ in 0..size {
            let launch = Launch::new(env!("CARGO_BIN_EXE_hubline")).arg("serve").arg("--dev");
            let launch = launch
                .arg("--redis")
                .arg(&connection_string)
                .env("Redis__InstanceName", PREFIX)
                .arg("--shutdown-timeout")
                .arg("1");
            ports.push(launch.port());
            servers.push(ServerProcess::start(launch).await.unwrap());
        }
        let keys = RedisClient::new(connection_string.parse().unwrap()).unwrap();
        Self { redis, servers, ports, keys }
    }

    async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        self.keys.query(command).await.unwrap()
    }

    /// Users of the chat, who are named after their connections because nobody is signed in.
    async fn users(&self) -> Vec<String> {
        self.ask(&["ZRANGE", "Tele:{hubline}:users:ChatHub", "0", "-1"]).await
    }

    async fn users_become(&self, count: usize, within: Duration) -> Vec<String> {
        let become_so_many = async {
            loop {
                let users = self.users().await;
                if users.len() == count {
                    return users;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(within, become_so_many).await {
            Ok(users) => users,
            Err(_) => panic!("{count} users expected, there are {}", self.users().await.len()),
        }
    }

    /// Ready when just these users have entries for other programs.
    async fn entries_are_of(&self, users: &[String], within: Duration) {
        for kind in ["connection:", "connections:"] {
            let mut expected: Vec<String> = users.iter().map(|user| [PREFIX, kind, user].concat()).collect();
            expected.sort();
            let pattern = [PREFIX, kind, "*"].concat();
            let become_those = async {
                loop {
                    let mut keys: Vec<String> = self.ask(&["KEYS", &pattern]).await;
                    keys.sort();
                    if keys == expected {
                        return;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            };
            if timeout(within, become_those).await.is_err() {
                panic!(
                    "{kind} expected of {} users: {:?}",
                    users.len(),
                    self.ask::<Vec<String>>(&["KEYS", &pattern]).await
                );
            }
        }
    }

    async fn connect(&self, server: usize, path: &str) -> TcpStream {
        client::connect(self.ports[server], path).await
    }
}

/// Who somebody is to others that has connected without a negotiation.
fn shown(id: &str) -> String {
    let info = ConnectionInfo { is_id_secret: true, ..ConnectionInfo::new(id, TransportKind::WebSockets) };
    info.public_id().to_string()
}

#[tokio::test]
async fn what_a_killed_instance_held_is_gone_within_thirty_seconds() {
    let mut fleet = Fleet::start(3).await;
    let mut sockets = Vec::new();
    for server in 0..3 {
        for _ in 0..20 {
            sockets.push(fleet.connect(server, "/chathub").await);
        }
        sockets.push(fleet.connect(server, "/hubs/navigation-state").await);
    }
    let before = fleet.users_become(60, GONE_AFTER).await;
    fleet.entries_are_of(&before, GONE_AFTER).await;
    for user in &before {
        let newest: String = fleet.ask(&["HGET", &format!("{PREFIX}connection:{user}"), "data"]).await;
        assert_eq!(shown(&newest), *user);
    }
    fleet.servers[1].kill().await.unwrap();
    let killed = Instant::now();
    let after = fleet.users_become(40, GONE_AFTER).await;
    fleet.entries_are_of(&after, GONE_AFTER - killed.elapsed()).await;
    let others: usize = fleet.ask(&["ZCARD", "Tele:{hubline}:connections:NavigationStateHub"]).await;
    assert_eq!(others, 2);

    // One that is asked to end leaves at once, with clients that do not go.
    fleet.servers[0].terminate().unwrap();
    fleet.servers[0].exit_status(GONE_AFTER).await.unwrap();
    assert_eq!(fleet.users().await.len(), 20);
    fleet.entries_are_of(&fleet.users().await, GONE_AFTER).await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_knows_everybody_again() {
    let mut fleet = Fleet::start(2).await;
    let mut sockets = Vec::new();
    for server in [0, 1, 0] {
        sockets.push(fleet.connect(server, "/chathub").await);
    }
    let before = fleet.users_become(3, GONE_AFTER).await;
    fleet.redis.stop().await.unwrap();
    sockets.push(fleet.connect(1, "/chathub").await);
    fleet.redis.start_again().await.unwrap();
    fleet.keys = RedisClient::new(fleet.keys.options().clone()).unwrap();
    let after = fleet.users_become(4, GONE_AFTER).await;
    assert!(before.iter().all(|user| after.contains(user)));
    sockets.clear();
    fleet.users_become(0, GONE_AFTER).await;
}
