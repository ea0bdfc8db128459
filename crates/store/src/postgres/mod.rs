//! PostgreSQL: a pool, on the store's own thread.

mod lease;
pub(crate) mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, PgPool};
use tokio::time::{Instant, timeout};
use tracing::log::LevelFilter;

use crate::job::{Job, job};
use crate::{Connection, StoreError, StoreOptions};
use lease::Lease;

/// A connection that nobody has used for so long is asked whether it is still there before it is used.
const TRUSTED: Duration = Duration::from_secs(1);
/// How long that answer may take, and the probe's.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
const SLOW_STATEMENT: Duration = Duration::from_secs(1);
/// What a transaction may wait between two statements; longer waits are those of a client that has gone.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);

/// The pool. Its connections belong to the runtime that they are made on.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pool: PgPool,
    place: PgConnectOptions,
    distrust: Arc<Distrust>,
    connect_timeout: Duration,
    certificates: Arc<[(&'static str, PathBuf)]>,
    crowded: Arc<Crowded>,
}

/// Whether PostgreSQL takes no more connections, though those that there are may work.
#[derive(Debug, Default)]
struct Crowded {
    /// An operation has waited for a connection in vain, and nobody has looked why yet.
    suspected: AtomicBool,
    /// It was told so.
    why: Mutex<Option<String>>,
}

/// What a look at PostgreSQL has found.
pub(crate) enum Found {
    /// It answers.
    Works,
    /// It takes no more connections; those that there are may work.
    Crowded(StoreError),
    /// It does not.
    Away(StoreError),
}

/// What came of a job, besides what it has told whoever waits for it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) succeeded: bool,
    /// What the database itself was in the way with.
    pub(crate) trouble: Option<StoreError>,
}

impl Postgres {
    /// A pool that connects when it is used.
    pub(crate) fn new(place: &PgConnectOptions, options: &StoreOptions) -> Self {
        let distrust = Arc::new(Distrust::new());
        let place = place.clone().log_statements(LevelFilter::Off);
        let place = place.log_slow_statements(LevelFilter::Warn, SLOW_STATEMENT);
        let (settings, in_doubt) = (settings(options), Arc::clone(&distrust));
        let pool = PgPoolOptions::new()
            .max_connections(options.maximum_connections)
            .min_connections(options.minimum_connections.min(options.maximum_connections))
            .acquire_timeout(options.deadline)
            .idle_timeout(options.idle_timeout)
            .max_lifetime(options.maximum_lifetime)
            .test_before_acquire(false)
            .before_acquire(move |connection, about| {
                let is_distrusted = in_doubt.covers(about.age);
                async move { Ok(!is_distrusted && (about.idle_for < TRUSTED || answers(connection).await)) }
                    .boxed()
            })
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                // Not in the startup packet, which PgBouncer refuses.
                async move { sqlx::raw_sql(AssertSqlSafe(settings)).execute(connection).await.map(drop) }
                    .boxed()
            })
            .connect_lazy_with(place.clone());
        Self {
            pool,
            place,
            distrust,
            connect_timeout: options.connect_timeout.min(options.deadline * 9 / 10),
            certificates: options.certificates.as_slice().into(),
            crowded: Arc::default(),
        }
    }

    /// Carries a job out outside a transaction.
    pub(crate) async fn read(&self, mut job: Box<dyn Job>) -> Outcome {
        let mut lease = match self.lease().await {
            Ok(lease) => lease,
            Err(error) => return failed(job, error),
        };
        let done = self.work(&mut lease, &mut *job, true).await;
        drop(lease);
        match done {
            Ok(outcome) => {
                job.finish(Ok(()));
                outcome
            }
            Err(error) => failed(job, error),
        }
    }

    /// Carries a job out in a transaction, which is committed if it succeeds.
    pub(crate) async fn write(&self, mut job: Box<dyn Job>) -> Outcome {
        let mut lease = match self.transaction().await {
            Ok(lease) => lease,
            Err(error) => return failed(job, error),
        };
        let outcome = match self.work(&mut lease, &mut *job, false).await {
            Ok(outcome) => outcome,
            Err(error) => return failed(job, error),
        };
        let ended = match outcome.succeeded {
            true => lease.commit().await,
            false => lease.rollback().await,
        };
        if ended.is_ok() && outcome.trouble.is_none() {
            lease.keep();
        }
        drop(lease);
        match ended {
            Err(error) if outcome.succeeded => failed(job, error),
            _ => {
                job.finish(Ok(()));
                outcome
            }
        }
    }

    /// Whether statements are answered; if not, why. If it is `expected` to answer, a connection of the pool is asked first.
    pub(crate) async fn probe(&self, expected: bool) -> Found {
        let is_suspected = self.crowded.suspected.swap(false, Ordering::Relaxed);
        if expected && !is_suspected {
            let (job, _answer) = job(select_one);
            let asked = timeout(PING_TIMEOUT, self.read(job)).await;
            if asked.is_ok_and(|outcome| outcome.succeeded) {
                return Found::Works;
            }
        }
        let connected = self.connect().await;
        let is_crowded = matches!(&connected, Err(Some(error)) if is_too_many(error));
        let found = connected.map_err(|error| error.map_or_else(silent, StoreError::from));
        *self.crowded.why.lock() = found.as_ref().err().filter(|_| is_crowded).map(StoreError::reason);
        match found {
            Ok(()) => Found::Works,
            Err(error) if is_crowded => Found::Crowded(error),
            Err(error) => {
                self.distrust.all_so_far();
                Found::Away(error)
            }
        }
    }

    /// Makes a connection, beside the pool: that tries as long as it may, and does not say what is in the way.
    pub(crate) async fn reach(&self) -> Result<(), StoreError> {
        tls::check_files(&self.certificates)?;
        self.connect().await.map_err(|error| error.map_or_else(silent, StoreError::from))
    }

    /// As [`reach`](Self::reach); without an error if nothing is answered.
    async fn connect(&self) -> Result<(), Option<sqlx::Error>> {
        let connecting = timeout(PING_TIMEOUT, PgConnection::connect_with(&self.place)).await;
        let mut connection = connecting.map_err(|_| None)?.map_err(Some)?;
        let answered = timeout(PING_TIMEOUT, connection.ping()).await;
        answered.map_err(|_| None)?.map_err(Some)?;
        _ = connection.close().await;
        Ok(())
    }

    /// Connections, and those of them that are idle.
    pub(crate) fn connections(&self) -> (u64, u64) {
        (self.pool.size().into(), self.pool.num_idle() as u64)
    }

    /// Does not use the connections again that there are.
    pub(crate) fn distrust(&self) {
        self.distrust.all_so_far();
    }

    async fn work(&self, lease: &mut Lease, job: &mut dyn Job, is_all: bool) -> Result<Outcome, StoreError> {
        let connection = lease.connection()?;
        let succeeded = job.run(connection).await;
        let trouble = connection.trouble.take();
        if connection.is_lost {
            self.distrust.all_so_far();
        } else if is_all {
            lease.keep();
        }
        Ok(Outcome { succeeded, trouble })
    }

    /// A connection in a transaction. Nothing has been done yet, so if it was the connection, another one may do.
    async fn transaction(&self) -> Result<Lease, StoreError> {
        let mut lease = self.lease().await?;
        if lease.begin().await.is_err() {
            self.distrust.all_so_far();
            lease = self.lease().await?;
            lease.begin().await?;
        }
        Ok(lease)
    }

    async fn lease(&self) -> Result<Lease, StoreError> {
        let seconds = self.connect_timeout.as_secs_f64();
        match timeout(self.connect_timeout, self.pool.acquire()).await {
            Ok(Ok(connection)) => Ok(Lease::new(Connection::postgres(connection))),
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => {
                Err(StoreError::Unavailable(match self.pool.num_idle() {
                    0 if self.pool.size() >= self.pool.options().get_max_connections() => format!(
                        "all {} connections were busy for {seconds} s; Database:MaximumConnections allows more",
                        self.pool.size()
                    ),
                    _ => {
                        self.crowded.suspected.store(true, Ordering::Relaxed);
                        let why = self.crowded.why.lock().clone();
                        why.unwrap_or_else(|| format!("no connection within {seconds} s"))
                    }
                }))
            }
            Ok(Err(error)) => Err(error.into()),
        }
    }
}

/// Connections that were made before something failed are not used again: after an outage all of them are dead.
#[derive(Debug)]
struct Distrust {
    begun: Instant,
    /// Milliseconds after that; 0 before the first failure.
    until: AtomicU64,
}

impl Distrust {
    fn new() -> Self {
        Self { begun: Instant::now(), until: AtomicU64::new(0) }
    }

    fn all_so_far(&self) {
        self.until.fetch_max(self.now().max(1), Ordering::Relaxed);
    }

    fn covers(&self, age: Duration) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until > 0 && milliseconds(age) >= self.now().saturating_sub(until)
    }

    fn now(&self) -> u64 {
        milliseconds(self.begun.elapsed())
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn failed(job: Box<dyn Job>, error: StoreError) -> Outcome {
    let trouble = Some(error.again());
    job.finish(Err(error));
    Outcome { succeeded: false, trouble }
}

fn is_too_many(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|refusal| refusal.code()).is_some_and(|code| code == "53300")
}

fn silent() -> StoreError {
    StoreError::Unavailable(format!("no answer within {} s", PING_TIMEOUT.as_secs()))
}

async fn answers(connection: &mut PgConnection) -> bool {
    matches!(timeout(PING_TIMEOUT, connection.ping()).await, Ok(Ok(())))
}

fn select_one(db: &mut Connection) -> BoxFuture<'_, Result<(), StoreError>> {
    Box::pin(async move {
        sqlx::query("SELECT 1").execute(&mut *db).await?;
        Ok(())
    })
}

/// What bounds the server's side of an operation, a little before its deadline, so that its error says what it was and nothing goes
/// on there that was given up here.
fn settings(options: &StoreOptions) -> String {
    let statement = options.statement_timeout.min(options.deadline * 9 / 10).as_millis();
    format!(
        "SET statement_timeout = {statement}; SET lock_timeout = {statement}; SET idle_in_transaction_session_timeout = {}",
        IDLE_IN_TRANSACTION.as_millis()
    )
}
