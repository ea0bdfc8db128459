use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::{Phase, tell};
use crate::probes::chat::token;
use crate::probes::crowd::{Crowd, Listener, check_room};
use crate::probes::report::IdleReport;
use crate::wire::connection::{KEEP_ALIVE, Transport};
use crate::wire::messages::Protocol;
use crate::wire::target::Target;

/// Many connections that only keep alive.
#[derive(Debug, Clone, Args)]
pub struct IdleOptions {
    /// How messages travel
    #[arg(long, value_enum, default_value_t = Transport::WebSockets)]
    pub transport: Transport,
    /// Connections to hold
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=25_000))]
    pub connections: u32,
    /// Seconds to hold them once all are open
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub seconds: u64,
    /// Connections being opened at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=25_000))]
    pub connecting: u32,
    /// The secret of the server's Jwt:Key: each connection has a user of its own then, whose token is signed with it
    #[arg(long, env = "JWT_KEY", hide_env_values = true)]
    pub jwt_key: Option<String>,
}

#[derive(Debug, Default)]
struct PingCount(u64);

impl Listener for PingCount {
    fn message(&mut self, kind: u8, _: &[u8]) {
        self.0 += u64::from(kind == KEEP_ALIVE);
    }
}

/// Opens the connections, holds them, pings every 15 s (not over long polling), and closes them.
///
/// # Errors
/// A connection could not be opened. One that is lost later is counted instead.
pub async fn idle(
    target: &Target,
    options: &IdleOptions,
    progress: &mut dyn FnMut(Phase),
) -> anyhow::Result<IdleReport> {
    let connections = options.connections as usize;
    let connecting = options.connecting as usize;
    // The others open a second socket for their handshake.
    let is_web_socket = matches!(options.transport, Transport::WebSockets | Transport::NegotiatedWebSockets);
    check_room(connections + if is_web_socket { 0 } else { connecting })?;
    let (transport, listener) = (options.transport, PingCount::default);
    let own = |number| Arc::new(with_user(target, options.jwt_key.as_deref(), number));
    let crowd = Crowd::gather_each(own, transport, Protocol::Json, connections, connecting, listener).await?;
    tell(progress, Phase::Connected).await;
    let (connect_time, connect_latency) = (crowd.connect_time, crowd.connect_latency);
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    tell(progress, Phase::Finished).await;
    let members = crowd.leave().await;
    Ok(IdleReport {
        transport: options.transport,
        connections,
        connect_seconds: connect_time.as_secs_f64(),
        connect_latency,
        seconds: options.seconds,
        pings: members.iter().map(|member| member.listener.0).sum(),
        lost: members.iter().filter(|member| member.lost.is_some()).count(),
        lost_reason: members.into_iter().find_map(|member| member.lost),
    })
}

fn with_user(target: &Target, jwt_key: Option<&str>, number: usize) -> Target {
    let Some(key) = jwt_key else { return target.clone() };
    let token = token::sign(key, &format!("user-{number}"));
    Target { path: target.path_with("", &format!("access_token={token}")), ..target.clone() }
}
