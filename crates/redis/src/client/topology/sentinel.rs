//! Redis Sentinel: whom to ask for the master.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use backon::{BackoffBuilder, ExponentialBackoff};
use redis::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::client::link::{self, BACK_OFF, ConnectError, Link, LinkLost, Login, Role};
use crate::{RedisEndpoint, RedisOptions};

/// What a Sentinel publishes when it names another master from now on: the one that leads a failover does so
/// from the first of these on, the others from the second.
const EVENTS: [&str; 2] = ["+promoted-slave", "+switch-master"];

/// Those who know where the master is.
#[derive(Debug)]
pub(crate) struct Sentinels {
    service: String,
    endpoints: Vec<RedisEndpoint>,
    /// The one that answered last, or told of a failover.
    answering: AtomicUsize,
    /// How many failovers have been told of.
    failovers: watch::Sender<u64>,
}

impl Sentinels {
    pub(super) fn new(service: &str, endpoints: &[RedisEndpoint]) -> Self {
        Self {
            service: service.to_owned(),
            endpoints: endpoints.to_vec(),
            answering: AtomicUsize::new(0),
            failovers: watch::Sender::default(),
        }
    }

    /// A connection to the master, by its own word too. A Sentinel that names another server is asked no more;
    /// the next one may know better.
    pub(super) async fn open(&self, options: &RedisOptions, client_name: &str) -> Result<Link, ConnectError> {
        let mut failure = None;
        for n in self.in_turn() {
            match self.open_as_told_by(&self.endpoints[n], options, client_name).await {
                Ok(link) => {
                    self.answering.store(n, Ordering::Relaxed);
                    return Ok(link);
                }
                Err(error) => {
                    tracing::debug!(%error, "no connection to a master");
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.unwrap_or_else(|| unreachable!("options have an endpoint")))
    }

    async fn open_as_told_by(
        &self,
        sentinel: &RedisEndpoint,
        options: &RedisOptions,
        client_name: &str,
    ) -> Result<Link, ConnectError> {
        let mut sentinel = Link::open_as(Login::to_sentinel(options), sentinel, options, client_name).await?;
        let master = self.ask(&mut sentinel, options).await?;
        let link = Link::open(&master, options, client_name).await?;
        match link.server.role {
            Some(Role::Replica) => Err(ConnectError::NotMaster { endpoint: master }),
            Some(Role::Master) | None => Ok(link),
        }
    }

    async fn ask(&self, sentinel: &mut Link, options: &RedisOptions) -> Result<RedisEndpoint, ConnectError> {
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        let answer = sentinel.ask(&question, options).await;
        match answer.map_err(|lost| sentinel.not_ready(lost.to_string()))? {
            Value::Array(address) => endpoint(&address)
                .ok_or_else(|| sentinel.not_ready(format!("{address:?} is no address of a master"))),
            Value::Nil => Err(ConnectError::UnknownService {
                sentinel: sentinel.endpoint.clone(),
                service: self.service.clone(),
            }),
            Value::ServerError(error) => Err(sentinel.not_ready(format!(
                "{}; serviceName is for endpoints that are Sentinels",
                link::text(&error)
            ))),
            other => Err(sentinel.not_ready(format!("{other:?} is no address of a master"))),
        }
    }

    /// Ready when a Sentinel names another master: asked each `configCheckSeconds`, and when one tells of a failover.
    pub(super) async fn superseded(
        &self,
        current: &RedisEndpoint,
        options: &RedisOptions,
        client_name: &str,
    ) -> LinkLost {
        let mut failovers = self.failovers();
        let mut asked = None;
        loop {
            tokio::select! {
                () = sleep(options.config_check) => {}
                // Who has told it is asked, not who was asked before.
                _ = failovers.changed() => asked = None,
            }
            let mut sentinel = match asked.take() {
                Some(sentinel) => sentinel,
                None => match self.any(options, client_name).await {
                    Some((_, sentinel)) => sentinel,
                    None => continue,
                },
            };
            match self.ask(&mut sentinel, options).await {
                Ok(master) if master == *current => asked = Some(sentinel),
                Ok(master) => return LinkLost::Superseded(master.to_string()),
                Err(error) => tracing::debug!(%error, "a Sentinel does not tell the master"),
            }
        }
    }

    /// Changes when a Sentinel has told of a failover.
    pub(super) fn failovers(&self) -> watch::Receiver<u64> {
        self.failovers.subscribe()
    }

    /// Listens to one Sentinel after the other, for as long as it is not dropped. So all instances of a fleet
    /// hear of a failover at once, and none is at the new master long before the others.
    pub(super) async fn listen(&self, options: &RedisOptions, client_name: &str) -> Infallible {
        let mut delays = BACK_OFF.build();
        loop {
            if let Some((place, sentinel)) = self.any(options, client_name).await {
                match self.listen_to(sentinel, place, &mut delays, options).await {
                    Err(LinkLost::Refused(answer)) => {
                        tracing::info!(answer, "the Sentinels do not tell of failovers, and are asked only");
                        return pending().await;
                    }
                    Err(lost) => tracing::debug!(reason = %lost, "a Sentinel is not heard any more"),
                    Ok(never) => match never {},
                }
            }
            sleep(delays.next().unwrap_or(options.config_check)).await;
        }
    }

    async fn listen_to(
        &self,
        mut sentinel: Link,
        place: usize,
        delays: &mut ExponentialBackoff,
        options: &RedisOptions,
    ) -> Result<Infallible, LinkLost> {
        let mut subscribe = redis::cmd("SUBSCRIBE");
        subscribe.arg(&EVENTS);
        sentinel.writer.write_all(&subscribe.get_packed_command()).await?;
        let mut is_pinged = false;
        loop {
            match timeout(options.config_check, sentinel.replies.next()).await {
                Ok(said) => {
                    is_pinged = false;
                    match said? {
                        Value::ServerError(error) => return Err(LinkLost::Refused(link::text(&error))),
                        said if self.tells_of_failover(&said) => {
                            tracing::info!(sentinel = %sentinel.endpoint, "a failover of Redis");
                            self.answering.store(place, Ordering::Relaxed);
                            self.failovers.send_modify(|failovers| *failovers += 1);
                        }
                        _ => *delays = BACK_OFF.build(),
                    }
                }
                Err(_) if is_pinged => return Err(LinkLost::Silent(options.config_check)),
                Err(_) => {
                    sentinel.writer.write_all(&redis::cmd("PING").get_packed_command()).await?;
                    is_pinged = true;
                }
            }
        }
    }

    /// Sentinels may watch several masters: `mymaster 10.0.0.1 6379 10.0.0.2 6379`,
    /// `slave 10.0.0.2:6379 10.0.0.2 6379 @ mymaster 10.0.0.1 6379`.
    fn tells_of_failover(&self, said: &Value) -> bool {
        let Value::Array(items) = said else { return false };
        let [Value::BulkString(kind), _, Value::BulkString(event)] = &items[..] else { return false };
        kind == b"message" && event.split(|byte| *byte == b' ').any(|word| word == self.service.as_bytes())
    }

    /// A connection to the first that answers, and its place.
    async fn any(&self, options: &RedisOptions, client_name: &str) -> Option<(usize, Link)> {
        for n in self.in_turn() {
            let login = Login::to_sentinel(options);
            if let Ok(link) = Link::open_as(login, &self.endpoints[n], options, client_name).await {
                return Some((n, link));
            }
        }
        None
    }

    /// Places of all, the one first that is expected to answer.
    fn in_turn(&self) -> impl Iterator<Item = usize> {
        let (first, count) = (self.answering.load(Ordering::Relaxed), self.endpoints.len());
        (0..count).map(move |n| (first + n) % count)
    }
}

/// From host and port.
fn endpoint(address: &[Value]) -> Option<RedisEndpoint> {
    let [Value::BulkString(host), Value::BulkString(port)] = address else { return None };
    let host = String::from_utf8(host.clone()).ok()?;
    let port = std::str::from_utf8(port).ok()?.parse().ok()?;
    Some(RedisEndpoint { host, port })
}
