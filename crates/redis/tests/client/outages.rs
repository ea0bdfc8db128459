use std::time::Duration;

use futures_util::future::join_all;
use hubline_redis::{CommandError, RedisClient};
use hubline_testkit::RedisServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::{back, client, command, run};

#[tokio::test]
async fn an_absent_redis_is_told_at_once() {
    let mut redis = RedisServer::absent().unwrap();
    // Would a command wait for its time-out, the test would.
    let client = client(&redis, ",asyncTimeout=600000");
    for _ in 0..100 {
        let error = run::<()>(&client, "PING").await.unwrap_err();
        let expected = format!("Redis at 127.0.0.1:{} cannot be reached: Connection refused", redis.port());
        assert!(error.to_string().starts_with(&expected) && !error.is_ambiguous(), "{error}");
    }
    redis.start_again().await.unwrap();
    back(&client).await;
}

#[tokio::test]
async fn a_restarted_redis_is_found_again() {
    let mut redis = RedisServer::start().await.unwrap();
    let client = client(&redis, "");
    for _ in 0..3 {
        back(&client).await;
        redis.stop().await.unwrap();
        while run::<()>(&client, "PING").await.is_ok() {}
        redis.start_again().await.unwrap();
    }
    back(&client).await;
}

#[tokio::test]
async fn a_killed_connection_costs_its_own_commands_only() {
    let redis = RedisServer::start().await.unwrap();
    let (client, admin) = (client(&redis, ",name=victim"), client(&redis, ""));
    back(&client).await;
    let id: i64 = run(&client, "CLIENT ID").await.unwrap();
    let stuck = tokio::spawn({
        let client = client.clone();
        async move { run::<()>(&client, "BLPOP nothing 0").await }
    });
    while !run::<String>(&admin, "CLIENT LIST").await.unwrap().contains("cmd=blpop") {}
    assert_eq!(run::<i64>(&admin, &format!("CLIENT KILL ID {id}")).await.unwrap(), 1);
    let error = stuck.await.unwrap().unwrap_err();
    assert!(matches!(error, CommandError::Lost(_)) && error.is_ambiguous(), "{error}");
    assert_eq!(run::<String>(&client, "PING").await.unwrap(), "PONG");
}

#[tokio::test]
async fn a_frozen_redis_is_waited_for_in_bounds() {
    let redis = RedisServer::start().await.unwrap();
    let client = client(&redis, ",asyncTimeout=200,connectTimeout=200");
    back(&client).await;
    redis.pause().unwrap();
    let error = run::<()>(&client, "SET k v").await.unwrap_err();
    assert_eq!(error.to_string(), "Redis does not answer within 200 ms");
    assert!(error.is_ambiguous());
    // More than may be under way: each is told, none waits for ever.
    let outcomes = join_all((0..3000).map(|_| run::<()>(&client, "PING"))).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(|error| !error.is_ambiguous())));
    redis.resume().unwrap();
    back(&client).await;
}

#[tokio::test]
async fn callers_that_go_away_free_no_place_before_the_answer() {
    let redis = RedisServer::start().await.unwrap();
    let client = client(&redis, ",asyncTimeout=300000");
    back(&client).await;
    redis.pause().unwrap();
    tokio::task::coop::unconstrained(async {
        for _ in 0..1024 {
            let mut pending = Box::pin(run::<i64>(&client, "INCR n"));
            assert!(futures_util::poll!(&mut pending).is_pending());
        }
    })
    .await;
    let mut next = Box::pin(client.query::<i64>(command("INCR n")));
    assert!(timeout(Duration::from_millis(50), &mut next).await.is_err());
    redis.resume().unwrap();
    assert_eq!(next.await.unwrap(), 1025);
}

#[tokio::test]
async fn a_silent_connection_is_noticed_without_traffic() {
    let redis = RedisServer::start().await.unwrap();
    let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = format!("{},asyncTimeout=200,keepAlive=1", front.local_addr().unwrap());
    let client = RedisClient::new(options.parse().unwrap()).unwrap();
    let accepted = async {
        let (near, _) = front.accept().await.unwrap();
        let far = TcpStream::connect(("127.0.0.1", redis.port())).await.unwrap();
        (near.into_split(), far.into_split())
    };
    let answered = tokio::spawn(async move { run::<String>(&client, "PING").await.map(|_| client) });
    let ((mut from_client, mut to_client), (mut from_redis, mut to_redis)) = accepted.await;
    tokio::spawn(async move { tokio::io::copy(&mut from_redis, &mut to_client).await });
    let given_up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_redis).await });
    let client = answered.await.unwrap().unwrap();
    redis.pause().unwrap();
    given_up.await.unwrap().unwrap();
    redis.resume().unwrap();
    drop(client);
}
