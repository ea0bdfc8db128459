//! Which of Redis' two kinds of channels are used.

use crate::RedisOptions;

/// Channels of a cluster reach all its nodes, or stay within the shard that has their slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Dialect {
    #[default]
    Classic,
    Sharded,
}

impl Dialect {
    pub(super) fn of(options: &RedisOptions) -> Self {
        if options.sharded_channels { Self::Sharded } else { Self::Classic }
    }

    pub(super) fn subscribe(self) -> &'static str {
        match self {
            Self::Classic => "SUBSCRIBE",
            Self::Sharded => "SSUBSCRIBE",
        }
    }

    pub(super) fn unsubscribe(self) -> &'static str {
        match self {
            Self::Classic => "UNSUBSCRIBE",
            Self::Sharded => "SUNSUBSCRIBE",
        }
    }

    /// Behind `PUBSUB`.
    pub(super) fn count(self) -> &'static str {
        match self {
            Self::Classic => "NUMSUB",
            Self::Sharded => "SHARDNUMSUB",
        }
    }

    pub(super) fn publish(self) -> &'static str {
        match self {
            Self::Classic => "PUBLISH",
            Self::Sharded => "SPUBLISH",
        }
    }
}
