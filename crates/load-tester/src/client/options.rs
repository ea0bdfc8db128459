use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::wire::messages::Protocol;

/// How messages travel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
pub enum TransportChoice {
    /// The first one that the server offers, as official clients choose
    #[default]
    #[value(name = "auto")]
    #[serde(rename = "auto")]
    Automatic,
    /// WebSockets
    #[value(name = "ws", alias = "websockets", alias = "WebSockets")]
    #[serde(rename = "ws", alias = "websockets", alias = "WebSockets")]
    WebSockets,
    /// Server-sent events, and a POST for what the client sends
    #[value(name = "sse", alias = "ServerSentEvents")]
    #[serde(rename = "sse", alias = "ServerSentEvents")]
    ServerSentEvents,
    /// Long polling
    #[value(name = "lp", alias = "long-polling", alias = "LongPolling")]
    #[serde(rename = "lp", alias = "long-polling", alias = "LongPolling")]
    LongPolling,
}

impl TransportChoice {
    /// The name that negotiation has for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Automatic => "any",
            Self::WebSockets => "WebSockets",
            Self::ServerSentEvents => "ServerSentEvents",
            Self::LongPolling => "LongPolling",
        }
    }
}

/// Where the token of a WebSocket or an event stream is. All other requests have it in the `Authorization` header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenPlace {
    /// In the query, as `access_token`: browsers
    #[default]
    Query,
    /// In the Authorization header: .NET and Java clients
    Header,
}

/// How a client connects, and how it behaves when the connection is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Which transport.
    pub transport: TransportChoice,
    /// How hub messages are written.
    pub protocol: Protocol,
    /// A WebSocket without a negotiation before it.
    pub skip_negotiation: bool,
    /// Sent with every request, names and values; values have no line ends.
    pub headers: Vec<(String, String)>,
    /// The bearer token.
    pub token: Option<String>,
    /// Where a WebSocket and an event stream have it.
    pub token_place: TokenPlace,
    /// Asks for stateful reconnects, which need WebSockets and a negotiation.
    pub stateful: bool,
    /// How long connecting may take, all phases together.
    pub timeout: Duration,
    /// How often the client pings; official clients 15 s.
    pub ping_interval: Duration,
    /// How long nothing may come; official clients 30 s. Not for long polls.
    pub server_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            transport: TransportChoice::default(),
            protocol: Protocol::Json,
            skip_negotiation: false,
            headers: Vec::new(),
            token: None,
            token_place: TokenPlace::default(),
            stateful: false,
            timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(15),
            server_timeout: Duration::from_secs(30),
        }
    }
}
