//! How other instances find a connection whose token does not tell where it is.

use std::fmt;
use std::sync::Arc;

use hubline_backplane::Fleet;
use hubline_protocol::ConnectionId;

/// Listens for a connection that is here and may be looked for by others.
pub(super) struct Listening {
    fleet: Arc<dyn Fleet>,
    id: ConnectionId,
}

impl Listening {
    /// Listens at the connection's own address; ready when other instances find it.
    pub(super) async fn begin(fleet: &Arc<dyn Fleet>, id: &ConnectionId) -> Self {
        let listening = Self { fleet: Arc::clone(fleet), id: id.clone() };
        fleet.listen(id).await;
        listening
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.fleet.stop_listening(&self.id);
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listening({})", self.id)
    }
}
