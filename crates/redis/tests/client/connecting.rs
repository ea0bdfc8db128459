use hubline_redis::{CommandError, ConnectError, RedisClient};
use hubline_testkit::RedisServer;

use crate::{client, run};

#[tokio::test]
async fn nothing_is_connected_before_it_is_needed() {
    let mut redis = RedisServer::absent().unwrap();
    let client = client(&redis, "");
    redis.start_again().await.unwrap();
    assert_eq!(run::<String>(&client, "PING").await.unwrap(), "PONG");
}

#[tokio::test]
async fn the_string_is_honoured() {
    let user = ["--user", "worker", "on", ">secret", "~*", "&*", "+@all"];
    let redis = RedisServer::start_with(&user).await.unwrap();
    let there = client(&redis, ",user=worker,password=secret,name=my name,defaultDatabase=3");
    run::<()>(&there, "SET where here").await.unwrap();
    let about: String = run(&there, "CLIENT INFO").await.unwrap();
    for part in [" name=myname ", " db=3 ", " user=worker "] {
        assert!(about.contains(part), "{part} in {about}");
    }
    let unnamed = client(&redis, ",user=worker,password=secret");
    assert_eq!(run::<Option<String>>(&unnamed, "GET where").await.unwrap(), None);
    let about: String = run(&unnamed, "CLIENT INFO").await.unwrap();
    assert!(about.contains("(Hubline-v"), "{about}");
    assert!(!format!("{there:?}").contains("secret"));
}

#[tokio::test]
async fn wrong_credentials_and_databases_are_named() {
    let redis = RedisServer::start_with(&["--requirepass", "secret"]).await.unwrap();
    for wrong in ["", ",password=hunter2", ",user=nobody,password=secret"] {
        let error = run::<()>(&client(&redis, wrong), "PING").await.unwrap_err();
        let CommandError::Unreachable(reason) = &error else { panic!("{error}") };
        assert!(matches!(**reason, ConnectError::AuthenticationFailed { .. }), "{error}");
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("hunter2"), "{error}");
    }
    let error = run::<()>(&client(&redis, ",password=secret,defaultDatabase=99"), "PING")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("is not ready") && error.contains("DB index is out of range"), "{error}");
}

#[tokio::test]
async fn the_first_endpoint_that_answers_is_used() {
    let (redis, absent) = (RedisServer::start().await.unwrap(), RedisServer::absent().unwrap());
    let options = format!("{},{}", absent.connection_string(), redis.connection_string());
    let client = RedisClient::new(options.parse().unwrap()).unwrap();
    assert_eq!(run::<String>(&client, "PING").await.unwrap(), "PONG");
}
