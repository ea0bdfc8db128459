//! One TCP connection to Redis: opening it, and why it ends.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use redis::{RedisError, ServerError, Value};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use tokio_util::codec::{Decoder, FramedRead};

use crate::{RedisEndpoint, RedisOptions, RedisOptionsError};

/// A connection that has been let in. What is read and written is RESP2.
///
/// redis-rs encodes and decodes; the sockets are ours, because its own subscriptions queue without a bound and
/// its commands do not tell whether they were written before the link went.
pub(crate) struct Link {
    pub(crate) replies: Replies,
    pub(crate) writer: OwnedWriteHalf,
}

/// What Redis says on a link.
pub(crate) struct Replies(FramedRead<OwnedReadHalf, Codec>);

#[derive(Default)]
struct Codec(redis::ValueCodec);

/// Why Redis could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The string asks for something that is not supported yet.
    #[error(transparent)]
    Unsupported(#[from] RedisOptionsError),
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
    /// User or password are missing or wrong.
    #[error("Redis at {endpoint} refuses user or password: {answer}")]
    AuthenticationFailed {
        /// Where.
        endpoint: RedisEndpoint,
        /// Redis' words.
        answer: String,
    },
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
}

impl LinkLost {
    /// Whether Redis has ended it and so will run nothing more of what it may still have unread.
    pub(crate) fn by_redis(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Broken(error) => {
                matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
            }
            Self::Silent(_) | Self::Refused(_) | Self::Malformed(_) => false,
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
        let waited = options.connect_timeout;
        match timeout(waited, Self::open_at_leisure(endpoint, options, name)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectError::TimedOut { endpoint: endpoint.clone(), waited }),
        }
    }

    /// What it was opened on, for a client that frames for itself; nothing is left unread.
    pub(crate) fn into_stream(self) -> impl AsyncRead + AsyncWrite + Send + Unpin {
        tokio::io::join(self.replies.0.into_inner(), self.writer)
    }

    async fn open_at_leisure(
        endpoint: &RedisEndpoint,
        options: &RedisOptions,
        name: &str,
    ) -> Result<Self, ConnectError> {
        let unreachable = |cause| ConnectError::Unreachable { endpoint: endpoint.clone(), cause };
        let stream = TcpStream::connect((&*endpoint.host, endpoint.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let (reader, writer) = stream.into_split();
        let mut link = Self { replies: Replies(FramedRead::new(reader, Codec::default())), writer };

        let greetings = greetings(options, name);
        let packed: Vec<u8> = greetings.iter().flat_map(redis::Cmd::get_packed_command).collect();
        link.writer.write_all(&packed).await.map_err(unreachable)?;
        // Only the last answer, PING's, has to be good: a Redis without passwords or names refuses the others.
        let mut answer = Value::Nil;
        for _ in greetings {
            answer = link.replies.next().await.map_err(|lost| match lost {
                LinkLost::Broken(cause) => unreachable(cause),
                other => ConnectError::NotReady { endpoint: endpoint.clone(), answer: other.to_string() },
            })?;
            if let Value::ServerError(error) = &answer
                && matches!(error.code(), "NOAUTH" | "WRONGPASS")
            {
                let answer = text(error);
                return Err(ConnectError::AuthenticationFailed { endpoint: endpoint.clone(), answer });
            }
        }
        match answer {
            Value::SimpleString(pong) if pong == "PONG" => Ok(link),
            Value::ServerError(error) => {
                Err(ConnectError::NotReady { endpoint: endpoint.clone(), answer: text(&error) })
            }
            other => Err(ConnectError::NotReady {
                endpoint: endpoint.clone(),
                answer: format!("{other:?} to PING"),
            }),
        }
    }
}

impl Replies {
    /// The next reply or message.
    ///
    /// # Cancel safety
    /// Safe: bytes leave the buffer only as a whole value.
    pub(crate) async fn next(&mut self) -> Result<Value, LinkLost> {
        match self.0.next().await {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(lost(error)),
            None => Err(LinkLost::Closed),
        }
    }
}

impl Decoder for Codec {
    type Item = Value;
    type Error = RedisError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Value>, RedisError> {
        self.0.decode(bytes)
    }

    /// The end within a value is an end like any other, not a malformed value.
    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Value>, RedisError> {
        self.0.decode(bytes)
    }
}

/// An error reply in Redis' own words.
pub(crate) fn text(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

fn greetings(options: &RedisOptions, name: &str) -> Vec<redis::Cmd> {
    let mut commands = Vec::new();
    if let Some(password) = &options.password {
        let mut auth = redis::cmd("AUTH");
        if let Some(user) = &options.user {
            auth.arg(user);
        }
        auth.arg(password.expose());
        commands.push(auth);
    }
    let mut set_name = redis::cmd("CLIENT");
    set_name.arg("SETNAME").arg(name);
    commands.push(set_name);
    commands.push(redis::cmd("PING"));
    commands
}

fn lost(error: RedisError) -> LinkLost {
    match (error.is_connection_dropped(), error.is_io_error()) {
        (true, _) => LinkLost::Closed,
        (false, true) => LinkLost::Broken(io::Error::other(error)),
        (false, false) => LinkLost::Malformed(error.to_string()),
    }
}
