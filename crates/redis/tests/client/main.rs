//! Commands, pipelines and scripts over a real `redis-server`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod commands;
mod connecting;
mod outages;

use hubline_redis::{CommandError, RedisClient, RedisOptions, redis};
use hubline_testkit::RedisServer;

fn client(redis: &RedisServer, more: &str) -> RedisClient {
    let options: RedisOptions = format!("{}{more}", redis.connection_string()).parse().unwrap();
    RedisClient::new(options).unwrap()
}

fn command(text: &str) -> redis::Cmd {
    let mut words = text.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command
}

async fn run<T: redis::FromRedisValue>(client: &RedisClient, text: &str) -> Result<T, CommandError> {
    client.query(command(text)).await
}

/// Until Redis answers again.
async fn back(client: &RedisClient) {
    while run::<String>(client, "PING").await.is_err() {
        tokio::task::yield_now().await;
    }
}
