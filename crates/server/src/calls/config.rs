//! What can be configured of calls.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::config::{Key, Problem, Reader, Section};

const RING_TIMEOUT: Key =
    Key::new("Calls:RingTimeout", "how long a call rings before it counts as missed, from 1 s to 10 minutes")
        .unit("time span");
const REJOIN_TIMEOUT: Key = Key::new(
    "Calls:RejoinTimeout",
    "how long a participant whose connection has ended may take to go on by another, from 1 s to 10 minutes",
)
.unit("time span");
const URLS: Key = Key::new(
    "Calls:IceServers:{N}:Urls",
    "where a STUN or TURN server is, like stun:stun.example.org or turns:turn.example.org:5349?transport=tcp",
)
.list();
const USERNAME: Key = Key::new(
    "Calls:IceServers:{N}:Username",
    "fixed name at a TURN server, in the place of one that expires",
);
const CREDENTIAL: Key =
    Key::new("Calls:IceServers:{N}:Credential", "password that belongs to Username").secret();
const TURN_SECRET: Key = Key::new(
    "Calls:TurnSecret",
    "secret that is shared with the TURN servers (static-auth-secret of coturn), for credentials that expire",
)
.secret();
const TURN_CREDENTIAL_LIFETIME: Key = Key::new(
    "Calls:TurnCredentialLifetime",
    "how long a TURN server takes such credentials, from 1 minute to 7 days",
)
.unit("time span");

pub(super) const CALLS_PER_MINUTE: Key = Key::new(
    "Limits:CallsPerMinutePerUser",
    "calls that a user may begin in a minute, over all connections to an instance; who begins more is refused",
)
.unit("calls");

pub(super) const SIGNALS_PER_MINUTE: Key = Key::new(
    "Limits:CallMessagesPerMinutePerUser",
    "methods of the hub of calls, ICE candidates among them, that a user may call in a minute, over all connections to an instance; who calls more is refused",
)
.unit("calls of methods");

/// ICE servers that are given to browsers; with more they take long to find a way.
const LIMIT_ICE_SERVERS: usize = 20;

/// The section `Calls` of the configuration.
#[derive(Debug, Clone)]
pub struct CallsOptions {
    /// `Calls:RingTimeout`: how long a call rings before it counts as missed, from 1 s to 10 minutes. Default 45 s.
    pub ring_timeout: Duration,
    /// `Calls:RejoinTimeout`: how long a participant whose connection has ended may take to go on by another, from 1 s to 10 minutes.
    /// Default 30 s.
    pub rejoin_timeout: Duration,
    /// `Limits:CallsPerMinutePerUser`: how many calls a user may begin in a minute on one instance, 0 for no limit. Default 30.
    pub calls_per_minute_per_user: u32,
    /// `Limits:CallMessagesPerMinutePerUser`: how many methods of the hub, ICE candidates among them, a user may call in a minute on
    /// one instance, 0 for no limit. Default 600: a call takes 20 to 60.
    pub signals_per_minute_per_user: u32,
    /// How often calls are looked for that an instance has left when it died; not part of the configuration. Default 5 s.
    pub sweep_interval: Duration,
    /// `Calls:IceServers:N:*`: what `GetIceServers` answers, at most 20. Default none: then calls are
    /// possible within one network, and no stranger learns of anybody's address.
    pub ice_servers: Vec<IceServer>,
    /// `Calls:TurnSecret`: the secret that is shared with the TURN servers (coturn's `static-auth-secret`). Servers with a `turn:` or
    /// `turns:` URL and without `Username` get credentials that expire, made with it. Default none.
    pub turn_secret: Option<TurnSecret>,
    /// `Calls:TurnCredentialLifetime`: how long such credentials may be used to begin with, from 1 minute to 7 days. Default 12 h.
    pub turn_credential_lifetime: Duration,
}

/// A STUN or TURN server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IceServer {
    /// `Calls:IceServers:N:Urls`, a list, or one as text: `stun:`, `stuns:`, `turn:` or `turns:`.
    pub urls: Vec<String>,
    /// `Calls:IceServers:N:Username`, if the server has a fixed one. Default none.
    pub username: Option<String>,
    /// `Calls:IceServers:N:Credential`: the password of that user. Default none.
    pub credential: Option<TurnSecret>,
}

/// A secret that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnSecret(String);

impl TurnSecret {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for TurnSecret {
    fn from(secret: T) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Default for CallsOptions {
    fn default() -> Self {
        Self {
            ring_timeout: Duration::from_secs(45),
            rejoin_timeout: Duration::from_secs(30),
            calls_per_minute_per_user: 30,
            signals_per_minute_per_user: 600,
            sweep_interval: Duration::from_secs(5),
            ice_servers: Vec::new(),
            turn_secret: None,
            turn_credential_lifetime: Duration::from_secs(12 * 60 * 60),
        }
    }
}

impl Section for CallsOptions {
    const TITLE: &'static str = "Calls";

    fn read(reader: &mut Reader) -> Self {
        let default = Self::default();
        Self {
            ring_timeout: span(reader, RING_TIMEOUT, default.ring_timeout, WAIT),
            rejoin_timeout: span(reader, REJOIN_TIMEOUT, default.rejoin_timeout, WAIT),
            turn_credential_lifetime: span(
                reader,
                TURN_CREDENTIAL_LIFETIME,
                default.turn_credential_lifetime,
                LIFETIME,
            ),
            turn_secret: reader.text(TURN_SECRET).map(TurnSecret),
            ice_servers: ice_servers(reader),
            calls_per_minute_per_user: reader.limit(CALLS_PER_MINUTE, default.calls_per_minute_per_user),
            signals_per_minute_per_user: reader
                .limit(SIGNALS_PER_MINUTE, default.signals_per_minute_per_user),
            ..default
        }
    }
}

/// From, to, and what is told of it.
type Range = (u64, u64, &'static str);

const WAIT: Range = (1, 600, "a time span from 1 s to 10 minutes, such as 00:00:45 or 45");
const LIFETIME: Range = (60, 7 * 86_400, "a time span from 1 minute to 7 days, such as 12:00:00");

fn span(reader: &mut Reader, key: Key, default: Duration, (from, to, expected): Range) -> Duration {
    reader.span_within(key, default, Duration::from_secs(from)..=Duration::from_secs(to), expected)
}

/// The servers by what stands for N, and whether each is complete.
fn ice_servers(reader: &mut Reader) -> Vec<IceServer> {
    let has_secret = reader.is_set(TURN_SECRET);
    let mut servers: BTreeMap<String, IceServer> = BTreeMap::new();
    let [urls, usernames, credentials] =
        [URLS, USERNAME, CREDENTIAL].map(|key| reader.matching_elements(key));
    for (number, setting) in &usernames {
        servers.entry(number.clone()).or_default().username = Some(setting.value.trim().to_owned());
        reader.note(&setting.key, setting.value.clone(), setting.source.clone());
    }
    for (number, setting) in &credentials {
        servers.entry(number.clone()).or_default().credential = Some(setting.value.trim().into());
        reader.note(&setting.key, "***".to_owned(), setting.source.clone());
    }
    for (number, setting) in &urls {
        let server = servers.entry(number.clone()).or_default();
        reader.note(&setting.key, setting.value.clone(), setting.source.clone());
        for url in setting.value.split([',', ' ']).filter(|url| !url.is_empty()) {
            server.urls.push(url.to_owned());
            let needs = match url.split_once(':') {
                Some(("stun" | "stuns", host)) if !host.is_empty() => continue,
                Some(("turn" | "turns", host)) if !host.is_empty() => {
                    let has_own = server.username.is_some() && server.credential.is_some();
                    match has_own || (has_secret && server.username.is_none()) {
                        true => continue,
                        false => {
                            "Calls:TurnSecret, or Username and Credential beside it: browsers use no TURN server without"
                        }
                    }
                }
                _ => {
                    "a URL that begins with stun:, stuns:, turn: or turns: and has a host, such as stun:stun.example.org:3478"
                }
            };
            reader.mistake(&setting.key, setting, Problem::Expected(needs));
        }
    }
    for (number, setting) in usernames.iter().chain(&credentials) {
        if servers.get(number).is_none_or(|server| server.urls.is_empty()) {
            reader.mistake(
                &setting.key,
                setting,
                Problem::Expected("Urls beside it, which say where the server is"),
            );
        }
    }
    if let Some((_, setting)) = urls.last().filter(|_| servers.len() > LIMIT_ICE_SERVERS) {
        reader.mistake(&setting.key, setting, Problem::Expected("20 servers at most"));
    }
    servers.into_values().collect()
}
