//! Signing in during development: `POST /dev/token` issues a token for whatever user is asked for.
//!
//! Nothing of this exists in another environment than Development. The keys are agreed between the instances through
//! Redis ([`keys`]), so a token of one instance is good on all of them. They do not count as configured keys: whether
//! anonymous users may come is decided as if there were none.

mod endpoint;
mod keys;
mod layer;
mod token;

pub(crate) use endpoint::{LIMIT_BODY_BYTES, issue};
pub(crate) use layer::authenticate;

use std::sync::Arc;

use hubline::Status;
use hubline_auth::AllowedOrigins;
use hubline_redis::RedisClient;
use tokio::sync::watch;

use keys::Keys;

/// What issues tokens for development and verifies them. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct DevelopmentSignIn {
    keys: Arc<Keys>,
    allowed_origins: AllowedOrigins,
}

impl DevelopmentSignIn {
    /// Agrees on keys through Redis if there is one, else makes one for this process. `status` is that of anything on
    /// this Redis, which notices when Redis is back.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn start(
        redis: Option<RedisClient>,
        status: watch::Receiver<Status>,
        allowed_origins: AllowedOrigins,
    ) -> Self {
        Self { keys: Keys::start(redis, status), allowed_origins }
    }
}
