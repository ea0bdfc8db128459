//! What Redis is asked, as `MONITOR` shows it.

use hubline_backplane::Target;
use hubline_testkit::RedisServer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

use crate::instance::{Instance, group};

/// The commands that Redis runs from now on.
pub(crate) async fn monitor(redis: &RedisServer) -> Lines<BufReader<TcpStream>> {
    let mut monitor = BufReader::new(TcpStream::connect(redis.connection_string()).await.unwrap());
    monitor.write_all(b"MONITOR\r\n").await.unwrap();
    let mut lines = monitor.lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "+OK");
    lines
}

#[tokio::test]
async fn an_idle_instance_asks_redis_nothing_but_whether_it_lives() {
    let redis = RedisServer::start().await.unwrap();
    let here = Instance::connected(&format!("{},keepAlive=1", redis.connection_string())).await;
    here.hub.subscribe(group("g")).await;
    let mut lines = monitor(&redis).await;
    published_and_counted(&here, &mut lines).await;
    let mut pings = 0;
    while pings < 6 {
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.ends_with("\"PING\""), "{line}");
        pings += 1;
    }
    published_and_counted(&here, &mut lines).await;
}

async fn published_and_counted(instance: &Instance, lines: &mut Lines<BufReader<TcpStream>>) {
    instance.publish(vec![Target::All], "hello").await;
    for command in ["\"PUBLISH\"", "\"PUBSUB\""] {
        while !lines.next_line().await.unwrap().unwrap().contains(command) {}
    }
}
