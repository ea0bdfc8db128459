//! Redis Sentinel: whom to ask for the master.

use std::sync::atomic::{AtomicUsize, Ordering};

use redis::Value;
use tokio::time::sleep;

use crate::link::{self, ConnectError, Link, LinkLost, Login, Role};
use crate::{RedisEndpoint, RedisOptions};

/// Those who know where the master is.
#[derive(Debug)]
pub(crate) struct Sentinels {
    service: String,
    endpoints: Vec<RedisEndpoint>,
    /// The one that answered last.
    answering: AtomicUsize,
}

impl Sentinels {
    pub(super) fn new(service: &str, endpoints: &[RedisEndpoint]) -> Self {
        Self { service: service.to_owned(), endpoints: endpoints.to_vec(), answering: AtomicUsize::new(0) }
    }

    /// A connection to the master, by its own word too. A Sentinel that names another server is asked no more;
    /// the next one may know better.
    pub(super) async fn open(&self, options: &RedisOptions, client_name: &str) -> Result<Link, ConnectError> {
        let mut failure = None;
        let first = self.answering.load(Ordering::Relaxed);
        for n in 0..self.endpoints.len() {
            let n = (first + n) % self.endpoints.len();
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

    /// Ready when a Sentinel names another master.
    pub(super) async fn superseded(
        &self,
        current: &RedisEndpoint,
        options: &RedisOptions,
        client_name: &str,
    ) -> LinkLost {
        let mut asked = None;
        loop {
            sleep(options.config_check).await;
            let mut sentinel = match asked.take() {
                Some(sentinel) => sentinel,
                None => match self.any(options, client_name).await {
                    Some(sentinel) => sentinel,
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

    async fn any(&self, options: &RedisOptions, client_name: &str) -> Option<Link> {
        for sentinel in &self.endpoints {
            let login = Login::to_sentinel(options);
            if let Ok(link) = Link::open_as(login, sentinel, options, client_name).await {
                return Some(link);
            }
        }
        None
    }
}

/// From host and port.
fn endpoint(address: &[Value]) -> Option<RedisEndpoint> {
    let [Value::BulkString(host), Value::BulkString(port)] = address else { return None };
    let host = String::from_utf8(host.clone()).ok()?;
    let port = std::str::from_utf8(port).ok()?.parse().ok()?;
    Some(RedisEndpoint { host, port })
}
