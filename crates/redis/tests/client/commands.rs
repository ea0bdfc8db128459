use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use hubline_redis::{CommandError, RedisScript, redis};
use hubline_testkit::RedisServer;

use crate::{client, run};

#[tokio::test]
async fn claims_and_rings_can_be_kept() {
    let redis = RedisServer::start().await.unwrap();
    let client = client(&redis, "");
    assert_eq!(
        run::<Option<String>>(&client, "SET claim a NX PX 15000").await.unwrap().as_deref(),
        Some("OK")
    );
    assert_eq!(run::<Option<String>>(&client, "SET claim b NX PX 15000").await.unwrap(), None);
    assert_eq!(run::<String>(&client, "GET claim").await.unwrap(), "a");
    assert!(run::<bool>(&client, "HSETNX ring k1 v1").await.unwrap());
    assert!(!run::<bool>(&client, "HSETNX ring k1 v2").await.unwrap());
    let ring: HashMap<String, String> = run(&client, "HGETALL ring").await.unwrap();
    assert_eq!(ring, [("k1".to_owned(), "v1".to_owned())].into());
}

#[tokio::test]
async fn a_pipeline_runs_in_order() {
    let redis = RedisServer::start().await.unwrap();
    let client = client(&redis, "");
    for atomic in [false, true] {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg("n").arg(1).ignore().cmd("INCR").arg("n").cmd("INCR").arg("n");
        if atomic {
            pipeline.atomic();
        }
        assert_eq!(client.query_pipeline::<(i64, i64)>(pipeline).await.unwrap(), (2, 3));
    }
}

#[tokio::test]
async fn a_script_runs_whether_redis_knows_it_or_not() {
    let redis = RedisServer::start().await.unwrap();
    let client = client(&redis, "");
    let script = RedisScript::new("return {redis.call('incrby', KEYS[1], ARGV[1]), #KEYS, #ARGV}");
    for round in 1..=3 {
        assert_eq!(client.invoke::<[i64; 3]>(&script, &["n"], &[5, 6]).await.unwrap(), [5 * round, 1, 2]);
        if round == 2 {
            run::<()>(&client, "SCRIPT FLUSH").await.unwrap();
        }
    }
    let nothing: &[&str] = &[];
    let plain = RedisScript::new("return {#KEYS, #ARGV}");
    assert_eq!(client.invoke::<[i64; 2]>(&plain, nothing, nothing).await.unwrap(), [0, 0]);
}

#[tokio::test]
async fn redis_own_words_are_told() {
    let redis = RedisServer::start().await.unwrap();
    let client = client(&redis, "");
    run::<()>(&client, "SET text x").await.unwrap();
    let error = run::<i64>(&client, "INCR text").await.unwrap_err();
    assert_eq!(error.to_string(), "Redis refuses: ERR value is not an integer or out of range");
    assert!(!error.is_ambiguous());
    let error = run::<i64>(&client, "LPUSH text x").await.unwrap_err();
    assert!(error.to_string().starts_with("Redis refuses: WRONGTYPE "), "{error}");
    let error =
        client.invoke::<()>(&RedisScript::new("return redis.call('nonsense')"), "k", "a").await.unwrap_err();
    assert!(error.to_string().contains("Unknown Redis command"), "{error}");
    let error = run::<i64>(&client, "GET text").await.unwrap_err();
    assert!(matches!(error, CommandError::Unexpected(_)), "{error}");
    assert_eq!(run::<String>(&client, "GET text").await.unwrap(), "x");
}

#[tokio::test]
async fn all_clones_share_one_connection() {
    let redis = RedisServer::start().await.unwrap();
    let first = client(&redis, ",name=shared");
    let answers = join_all((0..5000).map(|n| {
        let clone = first.clone();
        async move { run::<i64>(&clone, &format!("ECHO {n}")).await.unwrap() }
    }));
    assert!(answers.await.into_iter().eq(0..5000));
    let clients: String = run(&first, "CLIENT LIST").await.unwrap();
    assert_eq!(clients.matches("name=shared").count(), 1, "{clients}");
    let stats: String = run(&first, "INFO stats").await.unwrap();
    let stats: BTreeMap<_, _> = stats.lines().filter_map(|line| line.split_once(':')).collect();
    // The other one is how the test waited for Redis.
    assert_eq!(stats["total_connections_received"], "2");
}
