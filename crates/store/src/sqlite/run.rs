//! Work on a thread of SQLite, where every statement is done when it is awaited.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use futures_util::task::noop_waker_ref;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::job::Job;
use crate::{Connection, StoreError};

/// Does the work; true if it succeeded.
///
/// # Errors
/// It has panicked, or awaits something else until the deadline.
pub(super) fn run(
    job: &mut dyn Job,
    connection: &mut Connection,
    runtime: &Handle,
    deadline: Instant,
) -> Result<bool, StoreError> {
    let working = AssertUnwindSafe(|| {
        let mut work = job.run(connection);
        match work.as_mut().poll(&mut Context::from_waker(noop_waker_ref())) {
            Poll::Ready(succeeded) => Ok(succeeded),
            Poll::Pending => runtime
                .block_on(async { timeout_at(deadline, work).await })
                .map_err(|_| StoreError::Unavailable("the work took too long".to_owned())),
        }
    });
    catch_unwind(working).unwrap_or_else(|_| Err(StoreError::Unavailable("the work has panicked".to_owned())))
}
