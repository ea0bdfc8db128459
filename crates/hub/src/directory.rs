//! Who is connected, for hub methods.

use std::ops::Deref;
use std::sync::Arc;

use hubline_directory::HubDirectory;

/// The hub's part of the session directory: a parameter of hub methods, or [`crate::HubContext::directory`].
///
/// As a parameter it needs a server that has a directory; without one every invocation of the method fails.
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
pub struct Directory(Arc<dyn HubDirectory>);

impl Directory {
    pub(crate) fn new(hub: Arc<dyn HubDirectory>) -> Self {
        Self(hub)
    }
}

impl Deref for Directory {
    type Target = dyn HubDirectory;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
