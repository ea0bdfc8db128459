//! The pub/sub backplane: ASP.NET Core's channels and payloads over two links to one Redis.
//!
//! One task drives both links. They live and die together: whoever publishes relies on its own echo, so
//! nothing is published through Redis before every wanted channel is confirmed, and when one link is lost the
//! other is given up with it.

mod channels;
mod commands;
mod driver;
mod echoes;
mod garbage;
mod hub;
mod outgoing;
mod publisher;
mod subscriber;
mod subscriptions;

pub mod wire;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubline_backplane::{
    Backplane, GroupChange, GroupError, HubBackplane, Inbox, Publication, PublishError, Published, Reach,
    ReturnAddress, Status, Subject, Target,
};
use hubline_protocol::{Encoded, HubProtocol};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::channels::{Channels, machine_name, new_server_name};
use self::commands::Commands;
use self::driver::Links;
use self::echoes::Echoes;
use self::garbage::Garbage;
use self::hub::Hub;
use self::outgoing::{Outcome, Outgoing, Queue};
use self::subscriptions::{Addressee, Route, Subscriptions};
use crate::RedisOptions;
use crate::link::ConnectError;

/// As it is shipped (`client-output-buffer-limit pubsub 32mb`), Redis cuts off every subscriber of a message
/// that is larger than this, ASP.NET Core's too.
const LIMIT_PAYLOAD_BYTES: usize = 30 * 1024 * 1024;

/// A backplane on Redis' pub/sub, compatible with Microsoft.AspNetCore.SignalR.StackExchangeRedis.
///
/// One publishing and one subscribing link per value, shared by all hubs. While they are down publications
/// reach this instance's own connections, and [`Reach::ThisInstance`] says so.
///
/// - **Order.** What one publisher sends, each awaited, arrives in that order. A hub has one inbox per
///   instance.
/// - **Echo.** While the links are up, this instance's own connections too get a publication when Redis brings
///   it back. If the links are lost before it is answered, it is delivered here unless its echo, or a later
///   one's, has come; an echo that comes afterwards is dropped. So never twice. What other instances publish
///   while the links are down does not come, as ever with pub/sub.
/// - **Bounds.** A message may have 30 MiB, both protocols together. Publishers wait while 1,024 publications
///   or 16 MiB are on their way, or while this instance is 6 MiB behind in reading its own. The subscribing
///   link is not read while 1,024 messages or 8 MiB wait for a hub; what waits in Redis then is bounded by its
///   `client-output-buffer-limit pubsub`, past which it cuts the link off.
/// - **Group commands and client results** go to the instance with the connection, and its answer comes back.
///   A command that nobody answers fails after 30 s, one without a link to Redis at once.
///
/// Cheap to share behind an `Arc`; the links end when it and every attached hub are dropped.
pub struct RedisBackplane {
    shared: Arc<Shared>,
    task: Arc<AbortOnDropHandle<()>>,
}

/// What the task and the hubs share.
struct Shared {
    options: RedisOptions,
    client_name: String,
    subscriptions: Subscriptions,
    echoes: Mutex<Echoes>,
    queue: Queue,
    status: watch::Sender<Status>,
    garbage: Arc<Garbage>,
}

impl RedisBackplane {
    /// Starts connecting, and keeps at it in the background: returns at once, whether Redis is there or not.
    ///
    /// With an explicit `abortConnect=true` it waits for the first connection, in `connectRetry` attempts of
    /// `connectTimeout` each. Needs a tokio runtime.
    ///
    /// # Errors
    /// The options ask for something unsupported; or, with `abortConnect=true`, Redis cannot be reached.
    pub async fn connect(options: RedisOptions) -> Result<Self, ConnectError> {
        options.check_supported()?;
        let client_name = options.name.clone().unwrap_or_else(|| {
            format!(
                "{}(Hubline-v{})",
                machine_name().replace(char::is_whitespace, ""),
                env!("CARGO_PKG_VERSION")
            )
        });
        tracing::info!(redis = %options, %client_name, "connecting to Redis");
        let first = match options.aborts_on_connect_fail() {
            true => Some(Links::first(&options, &client_name).await?),
            false => None,
        };
        let (queue, waiting) = Queue::new();
        let shared = Arc::new(Shared {
            options,
            client_name,
            subscriptions: Subscriptions::default(),
            echoes: Mutex::default(),
            queue,
            status: watch::Sender::new(Status::Disconnected("connecting".to_owned())),
            garbage: Arc::default(),
        });
        let task = tokio::spawn(Arc::clone(&shared).drive(first, waiting));
        Ok(Self { shared, task: Arc::new(AbortOnDropHandle::new(task)) })
    }

    /// Payloads from Redis that could not be used, so far.
    pub fn garbage_count(&self) -> u64 {
        self.shared.garbage.count()
    }
}

impl Backplane for RedisBackplane {
    /// # Panics
    /// If a hub of that name is attached already: both would have the same channels.
    fn attach(&self, hub_name: &str, inbox: Arc<dyn Inbox>) -> Arc<dyn HubBackplane> {
        let prefix = self.shared.options.channel_prefix.as_deref().unwrap_or_default();
        let server_name = new_server_name();
        tracing::debug!(hub_name, server_name, "hub attached to Redis");
        let (hub, waiting) = Hub::new(Channels::new(prefix, hub_name, server_name));
        let all = hub.channels.of(&Target::All);
        assert!(!self.shared.subscriptions.wants(&all), "a hub named {hub_name} is attached already");
        for (channel, to) in [
            (all, Addressee::Connections(Target::All)),
            (hub.channels.group_commands(), Addressee::GroupCommands),
            (hub.channels.acks(), Addressee::Acks),
            (hub.channels.answers(), Addressee::Answers),
        ] {
            let _ = self.shared.subscriptions.count_up(&channel, Route { hub: Arc::clone(&hub), to });
        }
        let worker = tokio::spawn(hub::deliver_in_order(
            waiting,
            inbox,
            Commands::new(&hub, &self.shared),
            Arc::clone(&self.shared.garbage),
        ));
        Arc::new(Attached {
            hub,
            shared: Arc::clone(&self.shared),
            _worker: AbortOnDropHandle::new(worker),
            _task: Arc::clone(&self.task),
        })
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }
}

impl fmt::Debug for RedisBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackplane").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// A hub's side.
struct Attached {
    hub: Arc<Hub>,
    shared: Arc<Shared>,
    _worker: AbortOnDropHandle<()>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl HubBackplane for Attached {
    /// # Cancel safety
    /// Dropped early, it may or may not have been published.
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Published, PublishError>> {
        self.publish_in_order(publication).boxed()
    }

    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, ()> {
        async move {
            let target = Target::Subject(subject);
            let channel = self.hub.channels.of(&target);
            let route = Route { hub: Arc::clone(&self.hub), to: Addressee::Connections(target) };
            self.shared.subscriptions.add(&channel, route).await;
        }
        .boxed()
    }

    fn change_group(&self, change: GroupChange) -> BoxFuture<'_, Result<(), GroupError>> {
        commands::ask(&self.hub, &self.shared, change).boxed()
    }

    fn answer(&self, to: ReturnAddress, protocol: HubProtocol, completion: Encoded) -> BoxFuture<'_, ()> {
        async move {
            let answer = wire::Completion { protocol: protocol.name(), message: completion.payload() };
            let channel = self.hub.channels.named(&to.channel);
            _ = self.shared.send_internal(&self.hub, channel, answer.encode()).await;
        }
        .boxed()
    }

    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, ()> {
        async move { self.shared.subscriptions.remove(&self.hub.channels.of(&Target::Subject(subject))) }
            .boxed()
    }
}

impl Attached {
    async fn publish_in_order(&self, mut publication: Publication) -> Result<Published, PublishError> {
        if publication.targets.len() > 1 {
            publication.targets.retain(|target| !is_nameless_group(target));
        }
        if publication.targets.is_empty() {
            return Ok(Published { receivers: 0, reach: Reach::Fleet });
        }
        let return_address = self.hub.channels.return_address();
        let answer_to = publication.asks.as_deref();
        let answer_to =
            answer_to.map(|invocation_id| wire::AnswerTo { invocation_id, channel: &return_address });
        let payload = wire::publication(&publication.excluded, &publication.frames, answer_to);
        if payload.len() > LIMIT_PAYLOAD_BYTES {
            let refused = format!(
                "{} bytes in both protocols are over the limit of {LIMIT_PAYLOAD_BYTES}",
                payload.len()
            );
            return Err(PublishError::Refused(refused));
        }
        let channels = publication.targets.iter().map(|target| self.hub.channels.of(target)).collect();
        let (outgoing, outcome) = Outgoing::new(&self.hub, publication, channels, payload);
        self.shared.publish(outgoing, outcome).await
    }
}

impl Shared {
    /// Through Redis, or to this instance's own connections while it cannot be.
    async fn publish(&self, outgoing: Outgoing, outcome: Outcome) -> Result<Published, PublishError> {
        if outgoing.hub.listening.load(Ordering::Acquire) {
            self.queue.put(outgoing).await?;
        } else {
            outgoing.deliver_here(&self.subscriptions).await;
        }
        outcome
            .await
            .unwrap_or_else(|_| Err(PublishError::Refused("the backplane has been shut down".to_owned())))
    }
}

/// ASP.NET Core skips it among several and publishes to it alone.
fn is_nameless_group(target: &Target) -> bool {
    matches!(target, Target::Subject(Subject::Group(group)) if group.as_str().is_empty())
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.shared.subscriptions.remove_hub(&self.hub);
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackplane").field("channels", &self.hub.channels).finish_non_exhaustive()
    }
}
