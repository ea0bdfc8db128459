//! Load on a SignalR server: idle connections, paced broadcasts, echo calls; broadcasts through a fleet, groups; users that chat,
//! and the judge of what they saw.
//!
//! The client speaks just enough WebSocket, HTTP and hub protocol to be cheaper than the server it
//! measures, and shares no code with it. WebSockets skip negotiation, so one socket is one connection.
//! Idle connections may also be server-sent events or long polls, with JSON.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use hubline_load_tester::{EchoOptions, Protocol, Target, echo};
//!
//! let target: Target = "http://127.0.0.1:5000/benchhub".parse()?;
//! let options = EchoOptions { protocol: Protocol::Json, in_flight: 16, seconds: 5, warm_up: 1 };
//! let report = echo(&target, &options, &mut |phase| println!("{phase:?}")).await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! The server needs a hub with `Echo(value)`, which returns the value, and `Broadcast(value)`, which
//! sends `OnBroadcast(value)` to all connections, the caller too; for groups one with `JoinGroup(name)` and `LeaveGroup(name)`.
//!
//! It does not judge protocol details and does not leave the machine: a target that is not a loopback
//! address is refused.

mod target;

mod framing;
mod http;
mod messages;
mod socket;
mod tls;

mod connection;
mod event_stream;
mod long_polling;
mod web_socket;

mod chat;
mod crowd;
mod tally;

mod scenario;

mod report;

pub use chat::history::{Conversation, Event, History, Stored, Way, read_stored};
pub use chat::judge::{Verdict, judge};
pub use chat::missed::{Missed, missed};
pub use connection::Transport;
pub use messages::Protocol;
pub use report::{
    BroadcastReport, ChatReport, EchoReport, ElsewhereReport, FleetReport, FloodReport, GroupsReport,
    IdleReport, Latency, NavigationReport,
};
pub use scenario::Phase;
pub use scenario::broadcast::{BroadcastOptions, broadcast};
pub use scenario::chat::{ChatOptions, chat};
pub use scenario::echo::{EchoOptions, echo};
pub use scenario::elsewhere::{ElsewhereOptions, Request, elsewhere};
pub use scenario::fleet::{FleetOptions, fleet};
pub use scenario::flood::{FloodOptions, flood};
pub use scenario::groups::{GroupsOptions, groups};
pub use scenario::idle::{IdleOptions, idle};
pub use scenario::navigation::{NavigationOptions, navigation};
pub use tally::Counts;
pub use target::{Target, TargetError};
