//! What a hub is told while its backplane is down.

use hubline::{BackplaneFailureMode, Hub, HubOptions, Reach, SendError, Server, Status};
use hubline_redis::{OutboxOptions, RedisBackplane, RedisOptions};
use hubline_testkit::RedisServer;

#[tokio::test]
async fn a_send_that_does_not_reach_the_others_is_told_as_the_hub_wants_it() {
    let mut redis = RedisServer::absent().unwrap();
    let mut options: RedisOptions = redis.connection_string().parse().unwrap();
    options.outbox = OutboxOptions { limit_messages: 3, ..OutboxOptions::default() };
    let backplane = RedisBackplane::connect(options).await.unwrap();
    let server = Server::builder().backplane(backplane).build();
    let mut strict = HubOptions::default();
    strict.backplane_failure_mode = BackplaneFailureMode::Fail;
    let lenient = server.add_hub(Hub::new("Lenient"));
    let strict = server.add_hub_with(Hub::new("Strict"), strict);
    let (lenient, strict) = (lenient.context().clients(), strict.context().clients());

    lenient.all().send("Receive", (1,)).await.unwrap();
    assert_eq!(lenient.all().send_with_reach("Receive", (1,)).await.unwrap(), Reach::Queued);
    let error = strict.all().send("Receive", (1,)).await.unwrap_err();
    assert!(matches!(error, SendError::NotEverywhere(Reach::Queued)), "{error}");
    let error = strict.all().send("Receive", (1,)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the message has reached the clients of this instance only: the other instances cannot be reached, and \
         will not get it"
    );
    let statistics = server.backplane_statistics();
    assert_eq!((statistics.queued, statistics.overflowed), (3, 1));

    redis.start_again().await.unwrap();
    server.backplane_status().wait_for(|status| *status == Status::Connected).await.unwrap();
    strict.all().send("Receive", (1,)).await.unwrap();
}
