//! What hubs and their transports do: `SignalR:*`, without what concerns Redis.

use std::time::Duration;

use hubline::{BackplaneFailureMode, HubProtocol, TokenKey, TransportKind};

use super::key::Key;
use super::reader::Reader;
use super::{Section, list};

const MAXIMUM_MESSAGE_SIZE: Key =
    Key::new("SignalR:MaximumMessageSize", "bytes a client may send in one message");
const BACKPLANE_FAILURE_MODE: Key = Key::new(
    "SignalR:BackplaneFailureMode",
    "Fail: a hub method gets an error when its message does not reach the other instances at once",
);
const ENABLE_DETAILED_ERRORS: Key =
    Key::new("SignalR:EnableDetailedErrors", "whether clients see what went wrong in a hub method");
const KEEP_ALIVE_INTERVAL: Key =
    Key::new("SignalR:KeepAliveInterval", "silence after which the server sends a ping");
const CLIENT_TIMEOUT_INTERVAL: Key =
    Key::new("SignalR:ClientTimeoutInterval", "silence after which a client counts as gone");
const HANDSHAKE_TIMEOUT: Key =
    Key::new("SignalR:HandshakeTimeout", "how long a client may take to send its handshake");
const MAXIMUM_PARALLEL_INVOCATIONS: Key =
    Key::new("SignalR:MaximumParallelInvocationsPerClient", "invocations of one client that run at once")
        .unit("invocations");
const STREAM_BUFFER_CAPACITY: Key =
    Key::new("SignalR:StreamBufferCapacity", "items of one upload that wait for their method").unit("items");
const SENDER_HOLD_TIMEOUT: Key = Key::new(
    "SignalR:SenderHoldTimeout",
    "how long a client's next invocation waits at most for those it sends to, who are behind with reading; 0: it never waits",
);
const STALLED_READER_TIMEOUT: Key =
    Key::new("SignalR:StalledReaderTimeout", "a client that has read nothing for so long is not waited for");
const STATEFUL_RECONNECT_BUFFER_SIZE: Key =
    Key::new("SignalR:StatefulReconnectBufferSize", "bytes kept for a client that may come back");
const ALLOW_STATEFUL_RECONNECTS: Key =
    Key::new("SignalR:AllowStatefulReconnects", "whether clients may resume a connection over a new socket");
const CLOSE_ON_AUTHENTICATION_EXPIRATION: Key =
    Key::new("SignalR:CloseOnAuthenticationExpiration", "whether a connection ends with its token");
const AUTHENTICATION_REFRESH: Key = Key::new(
    "SignalR:AuthenticationRefresh",
    "whether a client may renew its token without a new connection, as .NET 11 clients do; only where keys verify tokens",
);
const MAXIMUM_AUTHENTICATION_EXPIRATION: Key = Key::new(
    "SignalR:MaximumAuthenticationExpiration",
    "longest time an authentication lasts, whatever its token says",
)
.unset("as the token says");
const SUPPORTED_PROTOCOLS: Key = Key::new("SignalR:SupportedProtocols", "hub protocols that are served")
    .list()
    .unit("list of json, messagepack");
const TRANSPORTS: Key = Key::new("SignalR:Transports", "transports that are served")
    .list()
    .unit("list of WebSockets, ServerSentEvents, LongPolling");
const LONG_POLLING_POLL_TIMEOUT: Key = Key::new(
    "SignalR:LongPolling:PollTimeout",
    "how long a poll waits for data, from 1 s to less than 100 s; less than a proxy in front waits",
);
const MINIMUM_PROTOCOL_VERSION: Key = Key::new(
    "SignalR:MinimumProtocolVersion",
    "1 refuses clients that negotiate as @aspnet/signalr 1.x does, whose connection id is their only secret",
);
const TOKEN_KEYS: Key = Key::new(
    "SignalR:TokenKeys",
    "what signs connection tokens, the same on all instances, each from openssl rand -base64 32; the first signs, all verify. \
     Without any the instances agree on one through Redis",
)
.secret()
.list()
.unit("list of secrets in base64");

/// What hubs and their transports do.
#[derive(Debug, Clone)]
pub(crate) struct SignalRConfig {
    /// `HubOptions.MaximumReceiveMessageSize` of ASP.NET Core.
    pub(crate) maximum_message_size_bytes: usize,
    /// Whether hub methods go on when a message does not reach the other instances at once.
    pub(crate) backplane_failure_mode: BackplaneFailureMode,
    /// Whether clients see what went wrong.
    pub(crate) enable_detailed_errors: bool,
    /// Silence after which the server sends a ping.
    pub(crate) keep_alive_interval: Duration,
    /// Silence after which a client is gone.
    pub(crate) client_timeout_interval: Duration,
    /// How long a client may take to say hello.
    pub(crate) handshake_timeout: Duration,
    /// How many invocations of one client run at once.
    pub(crate) maximum_parallel_invocations_per_client: usize,
    /// Items of one upload that wait for its method.
    pub(crate) stream_buffer_capacity: usize,
    /// How long a client's next invocation waits at most for those it has sent to and who are behind with reading. Zero: never.
    pub(crate) sender_hold_timeout: Duration,
    /// A client that has read nothing for so long is not waited for.
    pub(crate) stalled_reader_timeout: Duration,
    /// Bytes kept for a client that may come back.
    pub(crate) stateful_reconnect_buffer_size_bytes: usize,
    /// Whether a client may resume its connection.
    pub(crate) allow_stateful_reconnects: bool,
    /// Whether a connection ends with its token.
    pub(crate) close_on_authentication_expiration: bool,
    /// Whether a client may replace its token by a newer one of the same user. Without keys that tokens are verified by there is
    /// nothing to refresh, and it is off.
    pub(crate) authentication_refresh: bool,
    /// How long an authentication lasts at most; `None` for as long as the token says.
    pub(crate) maximum_authentication_expiration: Option<Duration>,
    /// Never empty.
    pub(crate) supported_protocols: Vec<HubProtocol>,
    /// Never empty.
    pub(crate) transports: Vec<TransportKind>,
    /// How long a poll waits for data.
    pub(crate) long_polling_poll_timeout: Duration,
    /// The lowest version that clients may negotiate with, 0 or 1.
    pub(crate) minimum_protocol_version: i32,
    /// What signs connection tokens; empty if the instances agree on one through Redis.
    pub(crate) token_keys: Vec<TokenKey>,
}

impl Section for SignalRConfig {
    const TITLE: &'static str = "SignalR";

    fn read(reader: &mut Reader) -> Self {
        Self {
            maximum_message_size_bytes: reader.bytes(MAXIMUM_MESSAGE_SIZE, 32 * 1024),
            backplane_failure_mode: reader.backplane_failure_mode(BACKPLANE_FAILURE_MODE),
            enable_detailed_errors: reader.boolean(ENABLE_DETAILED_ERRORS, false),
            keep_alive_interval: reader.interval(KEEP_ALIVE_INTERVAL, Duration::from_secs(15)),
            client_timeout_interval: reader.interval(CLIENT_TIMEOUT_INTERVAL, Duration::from_secs(30)),
            handshake_timeout: reader.interval(HANDSHAKE_TIMEOUT, Duration::from_secs(15)),
            maximum_parallel_invocations_per_client: reader.count(MAXIMUM_PARALLEL_INVOCATIONS, 1),
            stream_buffer_capacity: reader.count(STREAM_BUFFER_CAPACITY, 10),
            sender_hold_timeout: reader.patience(SENDER_HOLD_TIMEOUT, Duration::from_secs(1)),
            stalled_reader_timeout: reader.interval(STALLED_READER_TIMEOUT, Duration::from_millis(250)),
            stateful_reconnect_buffer_size_bytes: reader.bytes(STATEFUL_RECONNECT_BUFFER_SIZE, 100_000),
            allow_stateful_reconnects: reader.boolean(ALLOW_STATEFUL_RECONNECTS, false),
            close_on_authentication_expiration: reader.boolean(CLOSE_ON_AUTHENTICATION_EXPIRATION, false),
            authentication_refresh: reader.boolean(AUTHENTICATION_REFRESH, true),
            maximum_authentication_expiration: reader.optional_interval(MAXIMUM_AUTHENTICATION_EXPIRATION),
            supported_protocols: list::supported_protocols(reader, SUPPORTED_PROTOCOLS),
            transports: list::transports(reader, TRANSPORTS),
            long_polling_poll_timeout: reader
                .poll_timeout(LONG_POLLING_POLL_TIMEOUT, Duration::from_secs(90)),
            minimum_protocol_version: reader.protocol_version(MINIMUM_PROTOCOL_VERSION),
            token_keys: list::token_keys(reader, TOKEN_KEYS),
        }
    }
}
