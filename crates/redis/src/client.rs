//! Commands for keys and scripts: one connection of a process to Redis, shared by all who need one.

mod connection;
mod error;
mod key;
mod script;

pub(crate) mod link;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod tls;
pub(crate) mod topology;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backon::{BackoffBuilder, ExponentialBackoff};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared as SharedFuture};
use parking_lot::{Mutex, MutexGuard};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, ToRedisArgs, Value};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use self::connection::Connection;
pub use self::error::CommandError;
use self::link::{BACK_OFF, ConnectError};
use self::names::machine_name;
use self::options::RedisOptions;
pub use self::script::RedisScript;
use self::topology::Location;

/// Commands and pipelines on their way to Redis or waiting for its answer, at most.
const LIMIT_IN_FLIGHT: usize = 1024;
/// How often a command follows a key to where it has moved.
const LIMIT_REDIRECTIONS: usize = 3;

/// Runs commands, pipelines and scripts in `defaultDatabase`; in database 0 of a cluster that has no other.
///
/// - **One connection**, opened by the first command and again by the next one after it was lost. While Redis
///   cannot be reached commands fail at once with the last attempt's reason, and an attempt is made at most
///   every 50 to 800 ms. A connection that is silent is pinged every `keepAlive`.
/// - **Bounded.** A command fails after `asyncTimeout`, whatever it waits for; 1,024 may be under way. After a
///   time-out the connection is given up: what is stuck on it is not waited for any longer.
/// - **A cluster** shows when it is reached; then there is a connection to each master that is needed. A command
///   or pipeline goes to whoever has the slot of its first key, and so have to do all its keys.
/// - **Order.** Commands that are awaited one after the other run in that order; those begun at the same
///   time share a write and run in any order.
/// - Nothing is sent twice: whether to repeat a command that may have run, only the caller knows.
///
/// Cheap to clone; clones share the connection. Needs a tokio runtime that outlives it.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use hubline_redis::{RedisClient, redis};
///
/// let client = RedisClient::new("redis:6379,defaultDatabase=2".parse()?)?;
/// let mut claim = redis::cmd("SET");
/// claim.arg("claim").arg("instance-1").arg("NX").arg("PX").arg(15_000);
/// let claimed: Option<String> = client.query(claim).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisClient {
    shared: Arc<Shared>,
}

struct Shared {
    options: Arc<RedisOptions>,
    location: Location,
    in_flight: Arc<Semaphore>,
    /// Whether the servers are a cluster that has no `defaultDatabase`.
    refuses_database: Arc<AtomicBool>,
    /// By place in a cluster; elsewhere there is one.
    nodes: Mutex<BTreeMap<usize, Arc<Node>>>,
}

/// What is run at once on one connection.
enum Work {
    Command(Cmd),
    Pipeline(Pipeline),
}

/// A server, and what is known of the connection to it.
struct Node {
    options: Arc<RedisOptions>,
    location: Location,
    refuses_database: Arc<AtomicBool>,
    state: Mutex<State>,
}

struct State {
    current: Option<Attempt>,
    /// Until when commands fail at once, and why the last one failed.
    pause: Option<(Instant, Arc<ConnectError>)>,
    delays: ExponentialBackoff,
    /// Attempts since there last was a connection.
    failures: u32,
}

type Attempt = SharedFuture<BoxFuture<'static, Result<Arc<Connection>, CommandError>>>;

impl RedisClient {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// The files that TLS needs cannot be used.
    pub fn new(options: RedisOptions) -> Result<Self, ConnectError> {
        tls::check(&options)?;
        let in_flight = Arc::new(Semaphore::new(LIMIT_IN_FLIGHT));
        let location = Location::of_keys(&options);
        let options = Arc::new(options);
        Ok(Self {
            shared: Arc::new(Shared {
                options,
                location,
                in_flight,
                refuses_database: Arc::default(),
                nodes: Mutex::default(),
            }),
        })
    }

    /// How Redis is reached.
    pub fn options(&self) -> &RedisOptions {
        &self.shared.options
    }

    /// The database of the keys: `defaultDatabase`, but 0 as soon as a Redis Cluster has refused another one.
    pub fn database(&self) -> u32 {
        match self.shared.refuses_database.load(Ordering::Relaxed) {
            true => 0,
            false => self.shared.options.default_database,
        }
    }

    /// Runs one command. Not for `SUBSCRIBE`, `MULTI`, blocking commands and others that change what the
    /// connection, which is shared, does next.
    ///
    /// # Errors
    /// See [`CommandError`].
    ///
    /// # Cancel safety
    /// Dropped after it was first polled, the command may run all the same, or may not.
    pub async fn query<T: FromRedisValue>(&self, command: Cmd) -> Result<T, CommandError> {
        Ok(redis::from_redis_value(self.run(Work::Command(command)).await?)?)
    }

    /// Runs the commands of a pipeline in order, nothing of this client between them;
    /// [atomic](Pipeline::atomic) ones as a transaction.
    ///
    /// # Errors
    /// See [`CommandError`]. If one command is refused, the others have run, other than in a transaction.
    ///
    /// # Cancel safety
    /// As [`query`](Self::query).
    pub async fn query_pipeline<T: FromRedisValue>(&self, pipeline: Pipeline) -> Result<T, CommandError> {
        Ok(redis::from_redis_value(self.run(Work::Pipeline(pipeline)).await?)?)
    }

    /// Runs a script: by its hash, and with its text where Redis does not have it yet.
    ///
    /// # Errors
    /// See [`CommandError`].
    ///
    /// # Cancel safety
    /// As [`query`](Self::query).
    pub async fn invoke<T: FromRedisValue>(
        &self,
        script: &RedisScript,
        keys: impl ToRedisArgs,
        arguments: impl ToRedisArgs,
    ) -> Result<T, CommandError> {
        let by_hash = script.by_hash(&keys, &arguments);
        match self.query(by_hash).await {
            Err(error) if error.is_missing_script() => self.query(script.by_text(&keys, &arguments)).await,
            outcome => outcome,
        }
    }

    /// In a task of its own: a caller that goes away leaves its answer to be read, and that counts as long as
    /// it takes.
    async fn run(&self, work: Work) -> Result<Value, CommandError> {
        let waited = self.shared.options.async_timeout;
        let deadline = Instant::now() + waited;
        let permit = timeout_at(deadline, Arc::clone(&self.shared.in_flight).acquire_owned()).await;
        let permit = permit.map_err(|_| CommandError::Busy { limit: LIMIT_IN_FLIGHT, waited })?;
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            let _permit = permit;
            let (key, mut redirections) = (work.key(), 0);
            loop {
                let connection = timeout_at(deadline, shared.connection_for(key.as_deref())).await;
                let connection = connection.map_err(|_| CommandError::NotConnected { waited })??;
                match timeout_at(deadline, work.run(connection.commands())).await {
                    Ok(Err(error)) => {
                        let error = connection.failed(error);
                        // It has not run there.
                        if !error.has_moved() || redirections == LIMIT_REDIRECTIONS {
                            return Err(error);
                        }
                        redirections += 1;
                        shared.location.learn(&shared.options, &client_name(&shared.options)).await;
                    }
                    Ok(Ok(answer)) => return Ok(answer),
                    Err(_) => {
                        connection.give_up();
                        return Err(CommandError::TimedOut { waited });
                    }
                }
            }
        });
        task.await.unwrap_or_else(|_| Err(CommandError::shutdown()))
    }
}

impl Work {
    fn key(&self) -> Option<Vec<u8>> {
        match self {
            Self::Command(command) => key::of_command(command),
            Self::Pipeline(pipeline) => pipeline.cmd_iter().find_map(key::of_command),
        }
    }

    async fn run(&self, mut connection: MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Self::Command(command) => command.query_async(&mut connection).await,
            Self::Pipeline(pipeline) => pipeline.query_async(&mut connection).await,
        }
    }
}

impl Shared {
    /// To the server that has the key. That the servers are a cluster shows with the first connection.
    async fn connection_for(&self, key: Option<&[u8]>) -> Result<Arc<Connection>, CommandError> {
        loop {
            let place = self.location.place_of(key);
            let connection = self.node(place).attempt()?.await?;
            if self.location.place_of(key) == place {
                return Ok(connection);
            }
        }
    }

    fn new_node(&self, place: usize) -> Arc<Node> {
        let (location, refuses_database) = (self.location.at(place), Arc::clone(&self.refuses_database));
        Arc::new(Node::new(&self.options, location, refuses_database))
    }

    fn node(&self, place: usize) -> Arc<Node> {
        let mut nodes = self.nodes.lock();
        let node = nodes.entry(place).or_insert_with(|| self.new_node(place));
        Arc::clone(node)
    }
}

impl Node {
    fn new(options: &Arc<RedisOptions>, location: Location, refuses_database: Arc<AtomicBool>) -> Self {
        let state = State { current: None, pause: None, delays: BACK_OFF.build(), failures: 0 };
        Self { options: Arc::clone(options), location, refuses_database, state: Mutex::new(state) }
    }

    /// The connection there is, or the one that is being opened, or a new one.
    fn attempt(self: &Arc<Self>) -> Result<Attempt, CommandError> {
        let mut state = self.state();
        if let Some(attempt) = &state.current
            && attempt.peek().is_none_or(|outcome| outcome.as_ref().is_ok_and(|c| c.is_alive()))
        {
            return Ok(attempt.clone());
        }
        if let Some((until, reason)) = &state.pause
            && Instant::now() < *until
        {
            return Err(CommandError::Unreachable(Arc::clone(reason)));
        }
        let shared = Arc::clone(self);
        let task = tokio::spawn(async move { shared.open().await });
        let attempt = async move { task.await.unwrap_or_else(|_| Err(CommandError::shutdown())) };
        Ok(state.current.insert(attempt.boxed().shared()).clone())
    }

    async fn open(&self) -> Result<Arc<Connection>, CommandError> {
        let opened = Connection::open(&self.location, &self.options).await;
        let mut state = self.state();
        match opened {
            Ok(connection) => {
                tracing::debug!(redis = %self.options, attempts = state.failures + 1, "connected for commands");
                (state.pause, state.failures, state.delays) = (None, 0, BACK_OFF.build());
                if let Some(answer) = &connection.refused_database
                    && !self.refuses_database.swap(true, Ordering::Relaxed)
                {
                    tracing::warn!(
                        redis = %self.options,
                        answer,
                        "defaultDatabase is not used, keys are in database 0: a Redis Cluster has no other. Fleets that share a cluster need a Redis:InstanceName or channelPrefix each"
                    );
                }
                Ok(Arc::new(connection))
            }
            Err(error) => {
                let error = Arc::new(error);
                state.failures += 1;
                if state.failures == 1 {
                    tracing::warn!(%error, "commands cannot reach Redis");
                }
                let delay = state.delays.next().unwrap_or_default();
                (state.pause, state.current) = (Some((Instant::now() + delay, Arc::clone(&error))), None);
                Err(CommandError::Unreachable(error))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// What `CLIENT SETNAME` gets: `name`, or one that tells machine and version as StackExchange.Redis' does.
pub(crate) fn client_name(options: &RedisOptions) -> String {
    options.name.clone().unwrap_or_else(|| {
        let machine = machine_name().replace(char::is_whitespace, "");
        format!("{machine}(Hubline-v{})", env!("CARGO_PKG_VERSION"))
    })
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClient").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
