//! A host whose log panics, which is what brought these tasks down once.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use hubline_backplane::{Reach, Status, Target};
use hubline_redis::RedisOptions;
use hubline_testkit::RedisServer;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};

use crate::instance::{Instance, publication};

/// Panics once at each of these messages.
#[derive(Clone)]
struct Fragile(Arc<Mutex<Vec<&'static str>>>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").unwrap();
        }
    }
}

impl Subscriber for Fragile {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let mut left = self.0.lock().unwrap();
        if let Some(at) = left.iter().position(|text| message.0.starts_with(text)) {
            let text = left.swap_remove(at);
            drop(left);
            panic!("the log panics at '{text}'");
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_log_that_panics_cuts_nobody_off_for_good() {
    let fragile = Fragile(Arc::new(Mutex::new(vec![
        "connected to Redis",
        "payload from Redis dropped",
        "connection to Redis lost",
        "connection to Redis restored",
    ])));
    // While there is only one, a message is asked for or not for ever by the subscriber of whichever thread meets it first, and
    // other tests have none.
    let _another = Dispatch::new(fragile.clone());
    let _logging = tracing::subscriber::set_default(fragile.clone());
    let before = hubline_supervision::restarts();
    let mut redis = RedisServer::start().await.unwrap();
    let mut options: RedisOptions = redis.connection_string().parse().unwrap();
    options.channel_prefix = Some("panics:".to_owned());
    let mut here = Instance::with(options).await;

    here.status(|status| *status == Status::Connected).await;
    let published = here.publish(vec![Target::All], "connected").await;
    assert_eq!((here.next().await.1, published.reach), ("connected".to_owned(), Reach::Fleet));

    redis.command(&["PUBLISH", "panics:Chat:all", "garbage"]).await.unwrap();
    here.publish(vec![Target::All], "after garbage").await;
    assert_eq!(here.next().await.1, "after garbage");

    redis.pause().unwrap();
    let on_its_way = tokio::spawn({
        let hub = Arc::clone(&here.hub);
        async move { hub.publish(publication(vec![Target::All], "on its way")).await.unwrap().reach }
    });
    tokio::task::yield_now().await;
    redis.stop().await.unwrap();
    assert_eq!(here.next().await.1, "on its way");
    assert!(matches!(on_its_way.await.unwrap(), Reach::Unknown | Reach::Queued));
    here.lost().await;
    let published = here.publish(vec![Target::All], "alone").await;
    assert_eq!((here.next().await.1, published.reach), ("alone".to_owned(), Reach::Queued));

    redis.start_again().await.unwrap();
    here.status(|status| *status == Status::Connected).await;
    let published = here.publish(vec![Target::All], "restored").await;
    assert_eq!((here.next().await.1, published.reach), ("restored".to_owned(), Reach::Fleet));
    assert!(fragile.0.lock().unwrap().is_empty(), "each was met");
    assert_eq!(hubline_supervision::restarts(), before + 4);
}
