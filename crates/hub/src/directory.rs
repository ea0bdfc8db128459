//! Who is connected, for hub methods.

use std::ops::Deref;
use std::sync::Arc;

use hubline_directory::{CallDirectory, HubDirectory};

/// The hub's part of the session directory, and the calls: a parameter of hub methods, or
/// [`crate::HubContext::directory`].
///
/// As a parameter it needs a server that has a directory; without one the call fails.
///
/// ```
/// use hubline_directory::{HubDirectory, Scope};
/// use hubline_hub::{Directory, Hub};
///
/// async fn online(directory: Directory) -> (u64, bool) {
///     let users = directory.user_count().await;
///     (users.value, users.scope == Scope::Fleet)
/// }
/// let hub: Hub = Hub::new("Example").method("Online", online);
/// ```
#[derive(Debug, Clone)]
pub struct Directory {
    hub: Arc<dyn HubDirectory>,
    calls: Arc<dyn CallDirectory>,
}

impl Directory {
    pub(crate) fn new(hub: Arc<dyn HubDirectory>, calls: Arc<dyn CallDirectory>) -> Self {
        Self { hub, calls }
    }

    /// The calls, which are the same for all hubs.
    pub fn calls(&self) -> &dyn CallDirectory {
        &*self.calls
    }
}

impl Deref for Directory {
    type Target = dyn HubDirectory;

    fn deref(&self) -> &Self::Target {
        &*self.hub
    }
}
