use hubline_backplane::{Reach, Status, Target};
use hubline_redis::{ConnectError, RedisBackplane};
use hubline_testkit::RedisServer;

use crate::instance::{Instance, group};

async fn failure(connection_string: &str) -> ConnectError {
    RedisBackplane::connect(connection_string.parse().unwrap()).await.expect_err("it cannot connect")
}

#[tokio::test]
async fn redis_may_come_later() {
    let mut redis = RedisServer::absent().unwrap();
    let mut here = Instance::start(&redis.connection_string()).await;
    let Status::Disconnected(reason) = here.status(status_tells_why).await else { unreachable!() };
    assert!(reason.contains(&redis.port().to_string()) && reason.contains("refused"), "{reason}");

    here.hub.subscribe(group("g")).await;
    let published = here.publish(vec![Target::All, Target::Subject(group("nobody"))], "alone").await;
    assert_eq!((published.receivers, published.reach), (1, Reach::Queued));
    assert_eq!(here.next().await, (Target::All, "alone".to_owned()));
    assert_eq!(here.next().await.0, Target::Subject(group("nobody")));

    redis.start_again().await.unwrap();
    here.status(|status| *status == Status::Connected).await;
    let there = Instance::connected(&redis.connection_string()).await;
    assert_eq!(there.publish(vec![Target::Subject(group("g"))], "joined before").await.receivers, 1);
    assert_eq!(here.next().await.1, "joined before");
}

fn status_tells_why(status: &Status) -> bool {
    matches!(status, Status::Disconnected(reason) if reason.contains("127.0.0.1"))
}

#[tokio::test]
async fn abort_connect_fails_with_endpoint_and_cause() {
    let redis = RedisServer::absent().unwrap();
    let text = format!("{},abortConnect=true,connectRetry=2", redis.connection_string());
    let error = failure(&text).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }));
    let expected = format!("Redis at 127.0.0.1:{} cannot be reached: Connection refused", redis.port());
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[tokio::test]
async fn abort_connect_does_not_wait_for_a_frozen_redis() {
    let redis = RedisServer::start().await.unwrap();
    redis.pause().unwrap();
    let text = format!("{},abortConnect=true,connectRetry=1,connectTimeout=100", redis.connection_string());
    assert_eq!(
        failure(&text).await.to_string(),
        format!("Redis at 127.0.0.1:{} does not answer within 100 ms", redis.port())
    );
    redis.resume().unwrap();
}

#[tokio::test]
async fn abort_connect_with_a_redis_that_is_there_is_connected_at_once() {
    let redis = RedisServer::start().await.unwrap();
    Instance::connected(&format!("{},abortConnect=true", redis.connection_string())).await;
}

#[tokio::test]
async fn passwords_count() {
    let redis = RedisServer::start_with(&["--requirepass", "secret"]).await.unwrap();
    let at = redis.connection_string();
    let mut here = Instance::connected(&format!("{at},password=secret")).await;
    assert_eq!(here.publish(vec![Target::All], "in").await.reach, Reach::Fleet);
    assert_eq!(here.next().await.1, "in");
    Instance::connected(&format!("{at},user=default,password=secret")).await;

    for wrong in ["", ",password=wrong", ",user=nobody,password=secret"] {
        let error = failure(&format!("{at}{wrong},abortConnect=true,connectRetry=1")).await;
        assert!(matches!(error, ConnectError::AuthenticationFailed { .. }), "{wrong}: {error}");
        assert!(!error.to_string().contains("secret"));
        let alone = Instance::start(&format!("{at}{wrong}")).await;
        alone
            .status(|status| matches!(status, Status::Disconnected(reason) if reason.contains("password")))
            .await;
    }
}

#[tokio::test]
async fn a_password_that_redis_does_not_want_is_no_obstacle() {
    let redis = RedisServer::start().await.unwrap();
    Instance::connected(&format!("{},password=secret", redis.connection_string())).await;
}

#[tokio::test]
async fn the_first_endpoint_that_answers_is_used() {
    let (redis, absent) = (RedisServer::start().await.unwrap(), RedisServer::absent().unwrap());
    let text = format!("{},{},abortConnect=true", absent.connection_string(), redis.connection_string());
    Instance::connected(&text).await;
}

#[tokio::test]
async fn a_user_may_have_no_more_than_it_needs() {
    let user =
        "--user app on >secret resetchannels &chat:* -@all +subscribe +unsubscribe +publish +ping +hello";
    let user: Vec<_> = user.split(' ').collect();
    let redis = RedisServer::start_with(&user).await.unwrap();
    let at = format!("{},user=app,password=secret", redis.connection_string());
    let mut here = Instance::connected(&format!("{at},channelPrefix=chat:")).await;
    assert_eq!(here.publish(vec![Target::All], "in").await.reach, Reach::Fleet);
    assert_eq!(here.next().await.1, "in");

    let elsewhere = Instance::start(&format!("{at},channelPrefix=other:")).await;
    elsewhere
        .status(|status| matches!(status, Status::Disconnected(reason) if reason.contains("NOPERM")))
        .await;
}

#[tokio::test]
async fn refused_subscriptions_show_in_the_status() {
    let redis = RedisServer::start_with(&["--user", "default", "on", "nopass", "+@all", "resetchannels"])
        .await
        .unwrap();
    let here = Instance::start(&redis.connection_string()).await;
    let refused =
        here.status(|status| matches!(status, Status::Disconnected(reason) if reason.contains("NOPERM")));
    let Status::Disconnected(reason) = refused.await else { unreachable!() };
    assert!(reason.contains("channels of its ACL rule, such as &*"), "{reason}");
    assert_eq!(here.publish(vec![Target::All], "alone").await.reach, Reach::Queued);
}
