//! One TCP connection to Redis: opening it, and why it ends.

mod server;

use std::fmt;
use std::io;
use std::time::Duration;

use backon::ExponentialBuilder;
use bytes::BytesMut;
use futures_util::StreamExt;
use redis::{ServerError, Value};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::client::TlsStream;
use tokio_util::codec::{Decoder, FramedRead};
use tokio_util::either::Either;

pub(crate) use self::server::{Mode, Role, Server};
use crate::client::tls::{self, RedisTlsError};
use crate::{RedisEndpoint, RedisOptions, RedisPassword};

/// Between attempts to connect: 50 ms at first, doubled up to 400 ms, each time up to twice that at random, so
/// that subscriptions are back within a second of Redis and a fleet does not return in one instant.
pub(crate) const BACK_OFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(Duration::from_millis(400))
    .without_max_times()
    .with_jitter();

/// A connection that has been let in. What is read and written is RESP2.
///
/// redis-rs encodes and decodes; the sockets are ours, because its own subscriptions queue without a bound and
/// its commands do not tell whether they were written before the link went.
pub(crate) struct Link {
    pub(crate) endpoint: RedisEndpoint,
    pub(crate) server: Server,
    pub(crate) replies: Replies,
    pub(crate) writer: Writer,
}

/// With what it connects to whom.
pub(crate) struct Login<'a> {
    user: Option<&'a str>,
    password: Option<&'a RedisPassword>,
    /// Whether to go on if they are not right, as long as nobody asks for others.
    on_trial: bool,
}

/// What Redis says on a link.
pub(crate) struct Replies(FramedRead<Either<OwnedReadHalf, ReadHalf<TlsStream<TcpStream>>>, Codec>);

/// What Redis is told on a link.
pub(crate) struct Writer {
    half: Either<OwnedWriteHalf, WriteHalf<TlsStream<TcpStream>>>,
    holds_back: bool,
}

#[derive(Default)]
struct Codec(redis::ValueCodec);

/// Why Redis could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// TLS is asked for and cannot be spoken, whatever Redis does.
    #[error(transparent)]
    Tls(#[from] RedisTlsError),
    /// No connection: refused, no such host, no route, or broken while opening.
    #[error("Redis at {endpoint} cannot be reached: {cause}")]
    Unreachable {
        /// Where.
        endpoint: RedisEndpoint,
        /// What the system says.
        cause: io::Error,
    },
    /// No connection, or no answer on it, within `connectTimeout`.
    #[error("Redis at {endpoint} does not answer within {} ms", waited.as_millis())]
    TimedOut {
        /// Where.
        endpoint: RedisEndpoint,
        /// How long.
        waited: Duration,
    },
    /// There is a connection, and no agreement on TLS: another certificate than expected, or no TLS there.
    #[error("no TLS with Redis at {endpoint}: {reason}")]
    NoTls {
        /// Where.
        endpoint: RedisEndpoint,
        /// Why, and what to do about it.
        reason: String,
    },
    /// User or password are missing or wrong.
    #[error("Redis at {endpoint} refuses user or password: {answer}")]
    AuthenticationFailed {
        /// Where.
        endpoint: RedisEndpoint,
        /// Redis' words.
        answer: String,
    },
    /// The Sentinels watch no master of that name.
    #[error(
        "the Sentinel at {sentinel} knows no master '{service}', expected the name in its 'sentinel monitor'"
    )]
    UnknownService {
        /// Which one was asked.
        sentinel: RedisEndpoint,
        /// `serviceName`
        service: String,
    },
    /// Who should be the master is none, during a failover for instance.
    #[error("Redis at {endpoint} is named as the master and is a replica")]
    NotMaster {
        /// Where.
        endpoint: RedisEndpoint,
    },
    /// The cluster has given the slots of this master to others.
    #[error("the master has left the cluster")]
    NoShard,
    /// Anything else that is not Redis ready for work, such as a replica still loading.
    #[error("Redis at {endpoint} is not ready: {answer}")]
    NotReady {
        /// Where.
        endpoint: RedisEndpoint,
        /// Its words.
        answer: String,
    },
}

/// Why a link that was up is gone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkLost {
    #[error("Redis closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("no answer within {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("Redis refuses: {0}")]
    Refused(String),
    #[error("not understood: {0}")]
    Malformed(String),
    #[error("another Redis is to be used now: {0}")]
    Superseded(String),
}

impl<'a> Login<'a> {
    pub(crate) fn to_redis(options: &'a RedisOptions) -> Self {
        Self { user: options.user.as_deref(), password: options.password.as_ref(), on_trial: false }
    }

    /// Sentinels may have their own users, or those of Redis, or none.
    pub(crate) fn to_sentinel(options: &'a RedisOptions) -> Self {
        match &options.sentinel_password {
            Some(password) => {
                Self { user: options.sentinel_user.as_deref(), password: Some(password), on_trial: false }
            }
            None => Self { on_trial: true, ..Self::to_redis(options) },
        }
    }

    fn refuses(&self, answer: &ServerError) -> bool {
        match answer.code() {
            "NOAUTH" => true,
            "WRONGPASS" => !self.on_trial,
            _ => false,
        }
    }
}

impl LinkLost {
    pub(crate) fn refused(error: &ServerError) -> Self {
        let hint = match error.code() {
            "NOPERM" => {
                "; the user needs subscribe, unsubscribe, publish and ping, and the channels of its ACL rule, such as &*"
            }
            _ => "",
        };
        Self::Refused(text(error) + hint)
    }

    /// Whether Redis has ended it and so will run nothing more of what it may still have unread.
    pub(crate) fn by_redis(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Broken(error) => {
                matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
            }
            Self::Silent(_) | Self::Refused(_) | Self::Malformed(_) | Self::Superseded(_) => false,
        }
    }
}

impl Link {
    /// Connects, says who we are, and waits for a sign of life, all within `connectTimeout`.
    pub(crate) async fn open(
        endpoint: &RedisEndpoint,
        options: &RedisOptions,
        name: &str,
    ) -> Result<Self, ConnectError> {
        Self::open_as(Login::to_redis(options), endpoint, options, name).await
    }

    /// The same as another user.
    pub(crate) async fn open_as(
        login: Login<'_>,
        endpoint: &RedisEndpoint,
        options: &RedisOptions,
        name: &str,
    ) -> Result<Self, ConnectError> {
        let waited = options.connect_timeout;
        let deadline = Instant::now() + waited;
        let timed_out = || ConnectError::TimedOut { endpoint: endpoint.clone(), waited };
        let connector = options.ssl.then(|| tls::connector(options)).transpose()?;

        let stream = TcpStream::connect((&*endpoint.host, endpoint.port));
        let stream = timeout_at(deadline, stream).await.map_err(|_| timed_out())?;
        let unreachable = |cause| ConnectError::Unreachable { endpoint: endpoint.clone(), cause };
        let stream = stream.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let mut link = match connector {
            None => Self::plain(endpoint, stream),
            Some(connector) => {
                let stream =
                    timeout_at(deadline, tls::handshake(&connector, options, endpoint, stream)).await;
                let stream = stream.unwrap_or_else(|_| Err(tls::silent(waited)));
                let no_tls = |reason| ConnectError::NoTls { endpoint: endpoint.clone(), reason };
                Self::encrypted(endpoint, stream.map_err(no_tls)?)
            }
        };
        match timeout_at(deadline, link.greet(&login, options, name)).await {
            Ok(greeted) => greeted.map(|()| link),
            Err(_) => Err(timed_out()),
        }
    }

    /// What it was opened on, for a client that frames for itself; nothing is left unread.
    pub(crate) fn into_stream(self) -> impl AsyncRead + AsyncWrite + Send + Unpin {
        tokio::io::join(self.replies.0.into_inner(), self.writer.half)
    }

    fn plain(endpoint: &RedisEndpoint, stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self::new(endpoint, Either::Left(reader), Either::Left(writer))
    }

    fn encrypted(endpoint: &RedisEndpoint, stream: TlsStream<TcpStream>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self::new(endpoint, Either::Right(reader), Either::Right(writer))
    }

    fn new(
        endpoint: &RedisEndpoint,
        reader: Either<OwnedReadHalf, ReadHalf<TlsStream<TcpStream>>>,
        half: Either<OwnedWriteHalf, WriteHalf<TlsStream<TcpStream>>>,
    ) -> Self {
        let replies = Replies(FramedRead::new(reader, Codec::default()));
        let writer = Writer { half, holds_back: false };
        Self { endpoint: endpoint.clone(), server: Server::default(), replies, writer }
    }

    async fn greet(
        &mut self,
        login: &Login<'_>,
        options: &RedisOptions,
        name: &str,
    ) -> Result<(), ConnectError> {
        let greetings = greetings(login, name);
        let packed: Vec<u8> = greetings.iter().flat_map(redis::Cmd::get_packed_command).collect();
        let written = self.writer.write_all(&packed).await;
        written.map_err(|cause| ConnectError::Unreachable { endpoint: self.endpoint.clone(), cause })?;
        // Only the last answer, PING's, has to be good: a Redis without passwords or names refuses the others.
        let mut answers = Vec::with_capacity(greetings.len());
        for n in 0..greetings.len() {
            let next = self.replies.next().await;
            let answer = next.map_err(|lost| not_greeted(lost, &self.endpoint, options, n == 0))?;
            if let Value::ServerError(error) = &answer
                && login.refuses(error)
            {
                let answer = text(error);
                return Err(ConnectError::AuthenticationFailed { endpoint: self.endpoint.clone(), answer });
            }
            answers.push(answer);
        }
        let pong = answers.pop().unwrap_or(Value::Nil);
        self.server = answers.pop().map(Server::of_hello).unwrap_or_default();
        match pong {
            Value::SimpleString(pong) if pong == "PONG" => Ok(()),
            Value::ServerError(error) => Err(self.not_ready(text(&error))),
            other => Err(self.not_ready(format!("{other:?} to PING"))),
        }
    }

    /// Runs one command on a link that is used for nothing else, within `connectTimeout`.
    pub(crate) async fn ask(
        &mut self,
        command: &redis::Cmd,
        options: &RedisOptions,
    ) -> Result<Value, LinkLost> {
        let waited = options.connect_timeout;
        let answer = async {
            self.writer.write_all(&command.get_packed_command()).await?;
            self.replies.next().await
        };
        timeout(waited, answer).await.unwrap_or(Err(LinkLost::Silent(waited)))
    }

    pub(crate) async fn ask_what_it_is(&mut self, options: &RedisOptions) -> Result<Server, LinkLost> {
        Ok(Server::of_hello(self.ask(&redis::cmd("HELLO"), options).await?))
    }

    pub(crate) fn not_ready(&self, answer: String) -> ConnectError {
        ConnectError::NotReady { endpoint: self.endpoint.clone(), answer }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Why there is no answer to a greeting; the first one tells most.
fn not_greeted(
    lost: LinkLost,
    endpoint: &RedisEndpoint,
    options: &RedisOptions,
    first: bool,
) -> ConnectError {
    let endpoint = endpoint.clone();
    match lost {
        LinkLost::Broken(cause) if options.ssl => {
            let reason = tls::explain(&cause, options.ssl_host.as_deref().unwrap_or(&endpoint.host));
            ConnectError::NoTls { endpoint, reason }
        }
        LinkLost::Broken(cause) => ConnectError::Unreachable { endpoint, cause },
        LinkLost::Closed | LinkLost::Malformed(_) if first && !options.ssl => {
            let answer = format!("{lost}; is this its port for TLS, which ssl=true speaks?");
            ConnectError::NotReady { endpoint, answer }
        }
        other => ConnectError::NotReady { endpoint, answer: other.to_string() },
    }
}

impl Writer {
    /// Writes some of the bytes. Without bytes to write, it sees to it that TLS [holds nothing
    /// back](Self::holds_back).
    ///
    /// # Cancel safety
    /// Safe: nothing is written if it is dropped before it is ready.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            self.half.flush().await?;
            self.holds_back = false;
            return Ok(0);
        }
        let written = self.half.write(bytes).await?;
        self.holds_back = matches!(self.half, Either::Right(_));
        Ok(written)
    }

    /// Whether written bytes may be encrypted and not sent yet.
    pub(crate) fn holds_back(&self) -> bool {
        self.holds_back
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.half.write_all(bytes).await?;
        self.half.flush().await
    }

    /// Says that nothing more will come.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.half.shutdown().await
    }
}

impl Replies {
    /// The next reply or message.
    ///
    /// # Cancel safety
    /// Safe: bytes leave the buffer only as a whole value.
    pub(crate) async fn next(&mut self) -> Result<Value, LinkLost> {
        match self.0.next().await {
            Some(Err(LinkLost::Broken(error))) if is_end(&error) => Err(LinkLost::Closed),
            Some(next) => next,
            None => Err(LinkLost::Closed),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

impl Decoder for Codec {
    type Item = Value;
    type Error = LinkLost;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Value>, LinkLost> {
        self.0.decode(bytes).map_err(|error| LinkLost::Malformed(error.to_string()))
    }

    /// The end within a value is an end like any other, not a malformed value.
    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Value>, LinkLost> {
        self.decode(bytes)
    }
}

/// An error reply in Redis' own words.
pub(crate) fn text(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

/// `HELLO` and `PING` are the last ones.
fn greetings(login: &Login<'_>, name: &str) -> Vec<redis::Cmd> {
    let mut commands = Vec::new();
    if let Some(password) = login.password {
        let mut auth = redis::cmd("AUTH");
        if let Some(user) = login.user {
            auth.arg(user);
        }
        auth.arg(password.expose());
        commands.push(auth);
    }
    let mut set_name = redis::cmd("CLIENT");
    set_name.arg("SETNAME").arg(name);
    // Without a version of RESP it only tells what the server is.
    commands.extend([set_name, redis::cmd("HELLO"), redis::cmd("PING")]);
    commands
}
