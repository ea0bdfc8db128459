//! Options of a hub.

use std::sync::Arc;
use std::time::Duration;

use hubline_backplane::TraceParent;
use hubline_pipe::LifecycleObserver;
use hubline_protocol::HubProtocol;
use hubline_protocol::handshake::DetailedErrors;

/// Options of a hub, under ASP.NET Core's names and with its defaults (`HubOptions`), and some of our own.
///
/// ```
/// use std::time::Duration;
/// use hubline_hub::{HubLimits, HubOptions};
///
/// let options = HubOptions::default()
///     .keep_alive_interval(Duration::from_secs(10))
///     .maximum_receive_message_size(Some(65536))
///     .detailed_errors(true)
///     .limits(HubLimits::default().messages_per_second(100));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HubOptions {
    /// How often the server pings, whatever else it sends. Default: 15 s.
    pub keep_alive_interval: Duration,
    /// How long a client that has pinged once may be silent. Default: 30 s.
    pub client_timeout_interval: Duration,
    /// How long a client may take for its handshake. Default: 15 s.
    pub handshake_timeout: Duration,
    /// Largest hub message from a client in bytes, framing included; `None`: no limit. Default: 32768.
    pub maximum_receive_message_size: Option<usize>,
    /// Whether clients see the texts of errors that are not [`crate::HubError`]s of the application's own
    /// making. Default: hidden.
    pub detailed_errors: DetailedErrors,
    /// How many invocations of one client run at once, at least 1. Further ones wait; of the messages behind one that waits
    /// only cancellations in the next 64 KiB are acted on. Default: 1.
    pub maximum_parallel_invocations_per_client: usize,
    /// Items of an upload stream that may wait for their method. While as many wait, nothing more is read from the client.
    /// Default: 10.
    pub stream_buffer_capacity: usize,
    /// Bytes kept for a client with stateful reconnect until it acknowledges them. While as many are kept, no further
    /// messages are sent to it, except pings and acknowledgements. Default: 100000.
    pub stateful_reconnect_buffer_size: usize,
    /// Hub protocols that a client may ask for. Default: all.
    pub supported_protocols: Vec<HubProtocol>,
    /// Bytes that may wait for one client to read them. When more are to be added, the connection is closed with
    /// `allowReconnect`. The limit is checked before a message is added, so one message of any size fits. Default: 1 MiB.
    pub outbound_limit_bytes: usize,
    /// Messages that may wait for one client. Default: 8192.
    pub outbound_limit_messages: usize,
    /// Longest time that a client's next invocation waits for slow receivers: connections of this instance that the client
    /// has sent to and whose queue is more than half full. Zero: it never waits. Default: 1 s.
    pub sender_hold_timeout: Duration,
    /// A connection that has read less than a 64th of `outbound_limit_bytes` for this time is stalled: no sender waits for it,
    /// and it is closed when its queue is full. Default: 250 ms.
    pub stalled_reader_timeout: Duration,
    /// Limits of each client. Default: none.
    pub limits: HubLimits,
    /// What a send returns whose message does not reach the other instances at once, because the backplane is down. Default:
    /// [`BackplaneFailureMode::DeliverLocally`].
    pub backplane_failure_mode: BackplaneFailureMode,
    /// Names the span in which a message is sent, for the instances that deliver it, or `None` if that is not exported: of each message
    /// that a hub sends in a call it is asked while the call's span is entered. What another instance delivers is then in a span of its
    /// own there (`Hubline.Delivery`, below the one that is named). Default: none, and a message costs nothing for it.
    pub trace_parent: Option<fn() -> Option<TraceParent>>,
    /// Is told what happens in the life of the hub's connections. Default: none, and nothing is done for it.
    pub lifecycle_observer: Option<Arc<dyn LifecycleObserver>>,
}

/// Limits of each client. 0, the default, is no limit, as in ASP.NET Core.
///
/// A client that sends faster than a rate allows is not read for a while, and never closed for it: it may send the amount of
/// one second at once, and its timeout does not run while it is not read. All messages count, also pings, items of streams
/// and invocations of methods that do not exist. An invocation that is over another limit fails with a
/// [`crate::HubError`] that the client is told, which names the limit as the standalone program's settings do
/// (`Limits:MethodNameBytes`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubLimits {
    /// Messages of one client in a second.
    pub messages_per_second: usize,
    /// Bytes of one client in a second, framing included, that of WebSockets and HTTP not.
    pub bytes_per_second: usize,
    /// Groups that a client may be in by its own invocations: what [`crate::Groups`] in an invocation adds its caller to.
    /// Hub code is not bound by it that adds other connections, or through a [`crate::HubContext`], or in
    /// `on_connected`; nor are other servers.
    pub groups_per_connection: usize,
    /// Bytes of a group's name, for the same.
    pub group_name_bytes: usize,
    /// Bytes of a method's name in an invocation.
    pub method_name_bytes: usize,
}

/// What a send returns when its message does not reach the other instances at once.
///
/// In both modes the clients of this instance get the message at once, and the backplane keeps it for the other instances if
/// it can.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BackplaneFailureMode {
    /// `Ok`. [`crate::ClientProxy::send_with_reach`] returns how far the message got.
    #[default]
    DeliverLocally,
    /// [`crate::SendError::NotEverywhere`], as ASP.NET Core's sends fail after 5 s.
    Fail,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            keep_alive_interval: Duration::from_secs(15),
            client_timeout_interval: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(15),
            maximum_receive_message_size: Some(32768),
            detailed_errors: DetailedErrors::Hidden,
            maximum_parallel_invocations_per_client: 1,
            stream_buffer_capacity: 10,
            stateful_reconnect_buffer_size: 100_000,
            supported_protocols: HubProtocol::ALL.to_vec(),
            outbound_limit_bytes: 1024 * 1024,
            outbound_limit_messages: 8192,
            sender_hold_timeout: Duration::from_secs(1),
            stalled_reader_timeout: Duration::from_millis(250),
            limits: HubLimits::default(),
            backplane_failure_mode: BackplaneFailureMode::default(),
            trace_parent: None,
            lifecycle_observer: None,
        }
    }
}

macro_rules! builder_methods {
    ($options:ident: $($field:ident: $type:ty,)+) => {
        impl $options {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.$field = $field.into();
                    self
                }
            )+
        }
    };
}

builder_methods! { HubOptions:
    keep_alive_interval: Duration,
    client_timeout_interval: Duration,
    handshake_timeout: Duration,
    maximum_receive_message_size: Option<usize>,
    detailed_errors: impl Into<DetailedErrors>,
    maximum_parallel_invocations_per_client: usize,
    stream_buffer_capacity: usize,
    stateful_reconnect_buffer_size: usize,
    supported_protocols: impl Into<Vec<HubProtocol>>,
    outbound_limit_bytes: usize,
    outbound_limit_messages: usize,
    sender_hold_timeout: Duration,
    stalled_reader_timeout: Duration,
    limits: HubLimits,
    backplane_failure_mode: BackplaneFailureMode,
    trace_parent: Option<fn() -> Option<TraceParent>>,
    lifecycle_observer: Option<Arc<dyn LifecycleObserver>>,
}

builder_methods! { HubLimits:
    messages_per_second: usize,
    bytes_per_second: usize,
    groups_per_connection: usize,
    group_name_bytes: usize,
    method_name_bytes: usize,
}
