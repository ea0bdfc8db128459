//! The store's own thread.

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::StoreError;
use crate::sqlite::READERS;

/// A runtime on a thread of its own, which ends when this is dropped. The store may be used from any runtime so, also from one whose
/// clock is paused.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) handle: Handle,
    _lives: oneshot::Sender<()>,
}

impl Runtime {
    pub(crate) fn start() -> Result<Self, StoreError> {
        let unavailable = |error: std::io::Error| StoreError::Unavailable(error.to_string());
        let runtime = Builder::new_current_thread().max_blocking_threads(READERS).enable_all().build();
        let runtime = runtime.map_err(unavailable)?;
        let handle = runtime.handle().clone();
        let (lives, gone) = oneshot::channel::<()>();
        let run = move || {
            _ = runtime.block_on(gone);
            // What blocks reads a file, and has nowhere to give its result to.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("hubline-store".to_owned()).spawn(run).map_err(unavailable)?;
        Ok(Self { handle, _lives: lives })
    }
}
