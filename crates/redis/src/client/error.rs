use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, ParsingError, RedisError, ServerErrorKind};

use crate::client::link::ConnectError;

/// Why a command has no answer.
///
/// After [`TimedOut`](Self::TimedOut) and [`Lost`](Self::Lost) it may have run or not; after the others it has
/// not, or Redis has said what became of it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no connection, and there could be none.
    #[error(transparent)]
    Unreachable(Arc<ConnectError>),
    /// There was no connection within `asyncTimeout`; the attempt goes on.
    #[error("no connection to Redis within {} ms", waited.as_millis())]
    NotConnected {
        /// How long.
        waited: Duration,
    },
    /// All places were taken for the whole of `asyncTimeout`.
    #[error("{limit} commands wait for Redis already, and none was answered within {} ms", waited.as_millis())]
    Busy {
        /// How many may be under way.
        limit: usize,
        /// How long.
        waited: Duration,
    },
    /// No answer within `asyncTimeout`.
    #[error("Redis does not answer within {} ms", waited.as_millis())]
    TimedOut {
        /// How long.
        waited: Duration,
    },
    /// The connection ended before the answer came.
    #[error("the connection to Redis was lost: {0}")]
    Lost(String),
    /// Redis' own words, such as `OOM command not allowed when used memory > 'maxmemory'.`
    #[error("Redis refuses: {answer}")]
    Refused {
        /// Its words, beginning with a code in capitals.
        answer: String,
        /// What redis-rs makes of it.
        source: Arc<RedisError>,
    },
    /// The answer is not of the type that was asked for.
    #[error("an answer of Redis is of another type than expected: {0}")]
    Unexpected(String),
}

impl CommandError {
    /// Whether the command may have run although there is no answer.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Lost(_))
    }

    pub(super) fn shutdown() -> Self {
        Self::Lost("the runtime is shutting down".to_owned())
    }

    pub(super) fn is_missing_script(&self) -> bool {
        self.server_error() == Some(ServerErrorKind::NoScript)
    }

    /// Whether the slot of its key belongs to another server of the cluster now.
    pub(super) fn has_moved(&self) -> bool {
        matches!(self.server_error(), Some(ServerErrorKind::Moved | ServerErrorKind::Ask))
    }

    /// Whether another connection could do better: this one has ended, or leads to what is no master any more.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(self, Self::Lost(_))
            || matches!(
                self.server_error(),
                Some(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading)
            )
    }

    fn server_error(&self) -> Option<ServerErrorKind> {
        match self {
            Self::Refused { source, .. } => match source.kind() {
                ErrorKind::Server(kind) => Some(kind),
                _ => None,
            },
            _ => None,
        }
    }
}

impl From<RedisError> for CommandError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => {
                Self::Refused { answer: words(&error), source: Arc::new(error) }
            }
            _ => Self::Lost(error.to_string()),
        }
    }
}

impl From<ParsingError> for CommandError {
    fn from(error: ParsingError) -> Self {
        Self::Unexpected(error.to_string())
    }
}

/// Code and details as Redis sent them.
fn words(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}
