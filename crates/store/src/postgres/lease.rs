use sqlx_core::any::AnyConnectionBackend;

use crate::connection::Kind;
use crate::{Connection, StoreError};

/// A connection of the pool for one operation. One that is dropped in the middle of something is closed: what it would answer next
/// is somebody else's answer, and its transaction may be open.
pub(super) struct Lease {
    connection: Option<Connection>,
    is_clean: bool,
}

impl Lease {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection: Some(connection), is_clean: false }
    }

    /// The connection.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        self.connection.as_mut().ok_or_else(gone)
    }

    /// Gives it back to the pool when it is dropped.
    pub(super) fn keep(&mut self) {
        self.is_clean = true;
    }

    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        Ok(self.backend()?.begin(None).await?)
    }

    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        Ok(self.backend()?.commit().await?)
    }

    pub(super) async fn rollback(&mut self) -> Result<(), StoreError> {
        Ok(self.backend()?.rollback().await?)
    }

    fn backend(&mut self) -> Result<&mut dyn AnyConnectionBackend, StoreError> {
        match self.connection.as_mut().map(|connection| &mut connection.kind) {
            Some(Kind::Postgres(connection)) => Ok(&mut **connection),
            _ => Err(gone()),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(Connection { kind: Kind::Postgres(connection), .. }) = self.connection.take()
            && !self.is_clean
        {
            drop(connection.detach());
        }
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the connection has gone".to_owned())
}
