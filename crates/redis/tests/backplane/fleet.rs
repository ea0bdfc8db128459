//! What instances tell each other beside their hubs.

use std::sync::Arc;
use std::time::Duration;

use hubline_backplane::{Address, Backplane, Fleet, FleetInbox, InstanceId, NotUnderstood, Status};
use hubline_testkit::RedisServer;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::instance::Instance;

struct Inbox(mpsc::Sender<Vec<u8>>);

impl FleetInbox for Inbox {
    fn received(&self, message: &[u8]) -> Result<(), NotUnderstood> {
        if message == b"garbage" {
            return Err(NotUnderstood);
        }
        self.0.try_send(message.to_vec()).unwrap();
        Ok(())
    }
}

struct Member {
    instance: Instance,
    fleet: Arc<dyn Fleet>,
    received: mpsc::Receiver<Vec<u8>>,
}

impl Member {
    async fn join(connection_string: &str) -> Self {
        let instance = Instance::connected(connection_string).await;
        let fleet = instance.backplane.fleet().unwrap();
        let (send, received) = mpsc::channel(64);
        fleet.join(Arc::new(Inbox(send)));
        Self { instance, fleet, received }
    }

    /// Sends until somebody listens.
    async fn send(&self, to: &Address, text: &str) {
        let heard = async {
            while !matches!(self.fleet.send(to, text.into()).await, Ok(1..)) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), heard).await.unwrap();
    }

    async fn next(&mut self) -> String {
        let message = timeout(Duration::from_secs(10), self.received.recv()).await.unwrap();
        String::from_utf8(message.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn messages_reach_an_instance_and_whoever_has_a_connection_also_after_redis_was_killed() {
    let mut redis = RedisServer::start().await.unwrap();
    let here = Member::join(&redis.connection_string()).await;
    let mut there = Member::join(&redis.connection_string()).await;
    let (instance, connection) = (Address::Instance(there.fleet.instance()), "a connection".into());
    there.fleet.listen(&connection).await;
    let connection_address = Address::Connection(connection.clone());
    here.send(&instance, "garbage").await;
    for round in 0..2 {
        here.send(&instance, "to you").await;
        here.send(&connection_address, "to your connection").await;
        assert_eq!((there.next().await, there.next().await), ("to you".into(), "to your connection".into()));
        let nobody = Address::Instance(InstanceId::random());
        assert_eq!(here.fleet.send(&nobody, Vec::new()).await, Ok(0));
        if round == 0 {
            redis.stop().await.unwrap();
            here.instance.lost().await;
            assert!(here.fleet.send(&instance, Vec::new()).await.is_err());
            redis.start_again().await.unwrap();
            here.instance.status(|status| *status == Status::Connected).await;
        }
    }
    assert_eq!(there.instance.backplane.statistics().garbage, 1);
    there.fleet.stop_listening(&connection);
    while here.fleet.send(&connection_address, Vec::new()).await != Ok(0) {}
}

#[tokio::test]
async fn the_first_note_of_a_name_stays() {
    let redis = RedisServer::start().await.unwrap();
    let one = Member::join(&format!("{},channelPrefix=conduit:", redis.connection_string())).await.fleet;
    let other = Member::join(&format!("{},channelPrefix=conduit:", redis.connection_string())).await.fleet;
    let second = Some(Duration::from_secs(1));
    assert_eq!(one.put_if_absent("n", b"first".to_vec(), second).await, Ok(None));
    assert_eq!(other.put_if_absent("n", b"second".to_vec(), None).await, Ok(Some(b"first".to_vec())));
    assert_eq!(other.get("n").await, Ok(Some(b"first".to_vec())));
    assert_eq!(other.get("m").await, Ok(None));
    let forgotten = async { while one.get("n").await != Ok(None) {} };
    timeout(Duration::from_secs(10), forgotten).await.unwrap();

    let stranger = Member::join(&redis.connection_string()).await.fleet;
    assert_eq!(one.put_if_absent("n", b"first".to_vec(), None).await, Ok(None));
    assert_eq!(stranger.get("n").await, Ok(None), "another prefix is another fleet");
}
