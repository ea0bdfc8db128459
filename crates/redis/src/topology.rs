//! Which Redis nodes there are, where each is found, and which channel belongs to which.

use std::fmt;

use crate::link::{ConnectError, Link};
use crate::{RedisEndpoint, RedisOptions};

/// The nodes that a backplane's channels are spread over. Their number never changes; where one is found may.
#[derive(Debug)]
pub(crate) struct Topology {
    locations: Vec<Location>,
}

impl Topology {
    pub(crate) fn of(options: &RedisOptions) -> Self {
        Self { locations: vec![Location::FirstOf(options.endpoints.clone())] }
    }

    /// Where the nodes are found; never empty.
    pub(crate) fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// The node of a channel, prefix included: its place among the locations. Always the same for a channel.
    pub(crate) fn node_of(&self, _channel: &str) -> usize {
        0
    }
}

/// Where one node is, or whom to ask.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    /// The first of these that can be reached.
    FirstOf(Vec<RedisEndpoint>),
}

/// The two connections to a node, both to the same server.
pub(crate) struct Links {
    pub(crate) publishing: Link,
    pub(crate) subscribing: Link,
}

impl Location {
    /// Finds the node and connects, once.
    ///
    /// # Errors
    /// It cannot be reached, for the reason that was met first.
    pub(crate) async fn open(
        &self,
        options: &RedisOptions,
        client_name: &str,
    ) -> Result<Links, ConnectError> {
        let Self::FirstOf(endpoints) = self;
        let mut failure = None;
        for endpoint in endpoints {
            let link = || Link::open(endpoint, options, client_name);
            match tokio::try_join!(link(), link()) {
                Ok((publishing, subscribing)) => return Ok(Links { publishing, subscribing }),
                Err(error) => {
                    tracing::debug!(%error, "no connection to Redis");
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.unwrap_or_else(|| unreachable!("options have an endpoint")))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::FirstOf(endpoints) = self;
        for (n, endpoint) in endpoints.iter().enumerate() {
            write!(f, "{}{endpoint}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
