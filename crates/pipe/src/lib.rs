//! The seam between a SignalR transport and a hub connection.
//!
//! A transport gives every connection that it accepts to a [`ConnectionHandler`], as a [`Pipe`] and a
//! [`ConnectionInfo`]. Above the seam nobody serves HTTP, below it nobody knows hubs.
//!
//! What goes out are [`Frame`]s: a hub message is encoded once, gets its WebSocket header once, and all its
//! receivers share the same bytes.

mod frame;
mod handler;
mod lifecycle;
mod memory;
mod pipe;
mod request;
mod resume;

pub use frame::Frame;
pub use handler::{Accepted, ConnectionHandler, ConnectionInfo};
pub use lifecycle::{LifecycleEvent, LifecycleKind, LifecycleObserver, RefusedRequest};
pub use memory::{MemoryClient, MemorySender, memory};
pub use pipe::{CloseCode, CloseOutcome, Pipe, PipeEnd};
pub use request::{RequestContext, RequestParts};
pub use resume::{Resumable, ResumeError, ResumePermit, ResumeRequest, Resumer, resumption};
