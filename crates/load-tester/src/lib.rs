//! Load on a SignalR server. [`run::load`] is `hubline load`, for any server; the functions at this level are single probes of this
//! machine's servers: idle connections, paced broadcasts, echo calls; broadcasts through a fleet, groups; users that chat, and the
//! judge of what they saw.
//!
//! The probes' client speaks just enough WebSocket, HTTP and hub protocol to be cheaper than the server it
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
//! For a probe the server needs a hub with `Echo(value)`, which returns the value, and `Broadcast(value)`, which
//! sends `OnBroadcast(value)` to all connections, the caller too; for groups one with `JoinGroup(name)` and `LeaveGroup(name)`.
//!
//! Probes do not leave the machine: a target that is not a loopback address is refused. `hubline load` does so with `--allow-remote`.

pub mod client;
pub mod live;
pub mod measure;
pub mod oracle;
pub mod plan;
mod probes;
pub mod report;
pub mod run;
pub mod self_test;
pub mod tools;
mod wire;

pub use probes::Phase;
pub use probes::broadcast::{BroadcastOptions, broadcast};
pub use probes::chat::history::{Conversation, Event, History, Stored, Way, read_stored};
pub use probes::chat::judge::{Verdict, judge};
pub use probes::chat::missed::{Missed, missed};
pub use probes::chat::scenario::{ChatOptions, chat};
pub use probes::echo::{EchoOptions, echo};
pub use probes::elsewhere::{ElsewhereOptions, Request, elsewhere};
pub use probes::fleet::{FleetOptions, fleet};
pub use probes::flood::{FloodOptions, flood};
pub use probes::floor::{FloorOptions, floor};
pub use probes::groups::{GroupsOptions, groups};
pub use probes::idle::{IdleOptions, idle};
pub use probes::navigation::{NavigationOptions, navigation};
pub use probes::report::{
    BroadcastReport, ChatReport, EchoReport, ElsewhereReport, FleetReport, FloodReport, GroupsReport,
    IdleReport, NavigationReport,
};
pub use probes::tally::Counts;
pub use wire::connection::Transport;
pub use wire::hub_url::{HubUrl, HubUrlError};
pub use wire::messages::Protocol;
pub use wire::target::{Target, TargetError};
