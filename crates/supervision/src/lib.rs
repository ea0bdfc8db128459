//! Tasks that are restarted after a panic, for as long as their handle lives.
//!
//! A task that panics ends, and tokio reports that only to the task that joins it. For the task behind a link to Redis that would
//! mean a server that looks healthy and delivers nothing any more. Such a task is a [`Vital`] one: its panic is logged and counted
//! ([`restarts`]), and it is run again with the state that it left. A task that returns is not run again.
//!
//! ```
//! use hubline_supervision::{Vital, spawn};
//! use tokio::sync::mpsc;
//!
//! struct Deliveries(mpsc::Receiver<u32>);
//!
//! impl Vital for Deliveries {
//!     const NAME: &'static str = "deliveries";
//!
//!     async fn run(&mut self) {
//!         while let Some(delivery) = self.0.recv().await {
//!             println!("{delivery}");
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (send, receive) = mpsc::channel(8);
//! let task = spawn(Deliveries(receive));
//! drop(send);
//! task.await.expect("nobody has aborted it");
//! # }
//! ```
//!
//! Nothing here ends a process. A task that was aborted, or whose runtime has ended, is not run again.

mod pauses;
mod task;
mod thread;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use task::{Vital, spawn, spawn_on, supervise};
pub use thread::supervise_thread;

static RESTARTS: AtomicU64 = AtomicU64::new(0);

/// How often a task or thread of this process was run again after a panic.
pub fn restarts() -> u64 {
    RESTARTS.load(Ordering::Relaxed)
}

/// Counts and logs a panic. A panic of the subscriber that takes the log is caught.
fn panicked(name: &str, panic: &(dyn Any + Send), pause: Duration) {
    RESTARTS.fetch_add(1, Ordering::Relaxed);
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
    let log =
        || tracing::error!(task = name, panic = said, ?pause, "A task has panicked and is started again");
    _ = catch_unwind(AssertUnwindSafe(log));
}
