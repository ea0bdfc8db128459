//! The configuration, typed, from the layers a .NET application has. Lowest first:
//!
//! 1. defaults;
//! 2. `appsettings.json` and `appsettings.{Environment}.json` of the content root;
//! 3. environment variables, `__` for `:`, from lowest to highest with prefix `ASPNETCORE_`,
//!    with prefix `DOTNET_`, without prefix;
//! 4. the command line.
//!
//! Keys compare without case. An empty value means the default, whatever lower layers say.

mod addresses;
mod bearer;
mod certificate;
mod describe;
mod forwarded;
mod gather;
mod host_environment;
mod hosts;
mod hub_names;
mod json_file;
mod keys;
mod layer;
mod limits;
mod list;
mod listen_address;
mod management;
mod origins;
mod prometheus;
mod reader;
mod redis;
mod report;
mod secrets;
mod time_span;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use hubline::{
    AddressLimits, BackplaneFailureMode, HubLimits, HubProtocol, TlsConfig, TokenKey, TransportKind,
};
use hubline_auth::{AllowedHost, AllowedOrigins, BearerOptions};
use hubline_redis::RedisOptions;
use tracing::level_filters::LevelFilter;

pub(crate) use describe::{ConfigFile, EffectiveSetting};
pub(crate) use forwarded::Forwarded;
pub(crate) use host_environment::HostEnvironment;
pub(crate) use hub_names::HubNames;
pub(crate) use keys::is_known as is_known_key;
pub(crate) use listen_address::{ListenAddress, ListenHost, Scheme};
pub(crate) use report::{ConfigErrors, Warning};

use crate::cli::ConfigArgs;
use crate::management::ManagementKey;
use addresses::Addresses;
use reader::Reader;

/// Everything that can be configured. An environment variable is the key with `__` for `:`.
///
/// Time spans are .NET's (`00:00:15`, `1.12:00:00`) or plain seconds (`15`, `0.5`).
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// `Urls` (`--urls`, `ASPNETCORE_URLS`), separated by `;`; without it `http_ports`
    /// (`ASPNETCORE_HTTP_PORTS`) and `https_ports` (`ASPNETCORE_HTTPS_PORTS`), ports to listen at on every address.
    /// Never empty; default `http://localhost:5000`.
    pub(crate) urls: Vec<ListenAddress>,
    /// `Kestrel:Certificates:Default:Path`, `KeyPath` and `Password`: the certificate of addresses with https and its key, PEM
    /// files relative to the content root. Default none; never `None` if there is such an address.
    pub(crate) tls: Option<TlsConfig>,
    /// `Kestrel:Limits:KeepAliveTimeout`: how long an HTTP connection may stay without a request. Default 130 s.
    pub(crate) keep_alive_timeout: Duration,
    /// `Kestrel:Limits:RequestHeadersTimeout`: how long the head of a request may take. Default 30 s.
    pub(crate) request_headers_timeout: Duration,
    /// `Limits:ConnectionsPerAddress`, `Limits:NegotiationsPerSecondPerAddress`: what one address may have at once and do, 0 for no
    /// limit. Default 0.
    pub(crate) address_limits: AddressLimits,
    /// Which proxies are believed about their clients' addresses: `ForwardedHeaders:KnownProxies`, a list of addresses,
    /// `ForwardedHeaders:KnownIPNetworks` and the older `KnownNetworks`, lists of networks, `ForwardedHeaders:ForwardLimit`, how many
    /// proxies stand one behind the other (default 1), and `ForwardedHeaders_Enabled` (`ASPNETCORE_FORWARDEDHEADERS_ENABLED`), which
    /// believes everybody where none is named. Proxies on this machine are always believed.
    pub(crate) forwarded: Forwarded,
    /// `Environment` (`--environment`, `DOTNET_ENVIRONMENT`, `ASPNETCORE_ENVIRONMENT`; never a
    /// file); `--dev` is Development. Default Production, as in ASP.NET Core.
    pub(crate) environment: HostEnvironment,
    /// `ApplicationName`: stands in brackets before the line that says at start which backplane is in use. Default none.
    pub(crate) application_name: Option<String>,
    /// `ConnectionStrings:RedisSignalR` (`--redis` goes before it), else `Redis:ConnectionString`;
    /// `None` means the in-process backplane, also with `SignalR:UseRedisBackplane=false`.
    /// `Redis:AbortOnConnectFail`, `Redis:DefaultDatabase` and `Redis:ClientName` stand in for a missing `abortConnect`,
    /// `defaultDatabase` and `name`, `SignalR:ChannelPrefix` replaces the string's `channelPrefix`. What is kept while Redis is away has the bounds
    /// `SignalR:Outbox:MaximumMessages` (default 10000), `MaximumBytes` (33554432) and `MaximumAge` (60 s).
    pub(crate) redis: Option<RedisOptions>,
    /// `Redis:InstanceName`: stands before the name of every key in Redis, nothing between. Default: none; then the channel
    /// prefix stands before the names of Hubline's own keys, and nothing before those for other programs.
    pub(crate) redis_instance_name: Option<String>,
    /// `SignalR:HubNames:{hub}`: what other servers call a hub on Redis.
    pub(crate) hub_names: HubNames,
    /// `SignalR:MaximumMessageSize`: bytes a client may send in one message,
    /// `HubOptions.MaximumReceiveMessageSize` of ASP.NET Core. Default 32768.
    pub(crate) maximum_message_size_bytes: usize,
    /// `SignalR:BackplaneFailureMode`: whether hub methods go on (`DeliverLocally`, the default) or `Fail` when
    /// a message does not reach the other instances at once.
    pub(crate) backplane_failure_mode: BackplaneFailureMode,
    /// `SignalR:EnableDetailedErrors`: whether clients see what went wrong. Default false.
    pub(crate) enable_detailed_errors: bool,
    /// `SignalR:KeepAliveInterval`: silence after which the server sends a ping. Default 15 s.
    pub(crate) keep_alive_interval: Duration,
    /// `SignalR:ClientTimeoutInterval`: silence after which a client is gone. Default 30 s.
    pub(crate) client_timeout_interval: Duration,
    /// `SignalR:HandshakeTimeout`: how long a client may take to say hello. Default 15 s.
    pub(crate) handshake_timeout: Duration,
    /// `SignalR:MaximumParallelInvocationsPerClient`: how many invocations of one client run at once. Default 1.
    pub(crate) maximum_parallel_invocations_per_client: usize,
    /// `SignalR:StreamBufferCapacity`: items of one upload that wait for its method. Default 10.
    pub(crate) stream_buffer_capacity: usize,
    /// `SignalR:SenderHoldTimeout`: how long a client's next invocation waits at most for those it has sent to and who are
    /// behind with reading. 0: it never waits. Default 1 s.
    pub(crate) sender_hold_timeout: Duration,
    /// `SignalR:StalledReaderTimeout`: a client that has read nothing for so long is not waited for. Default 250 ms.
    pub(crate) stalled_reader_timeout: Duration,
    /// `SignalR:StatefulReconnectBufferSize`: bytes kept for a client that may come back. Default 100000.
    pub(crate) stateful_reconnect_buffer_size_bytes: usize,
    /// `SignalR:AllowStatefulReconnects`: whether a client may resume its connection. Default false.
    pub(crate) allow_stateful_reconnects: bool,
    /// `SignalR:CloseOnAuthenticationExpiration`: whether a connection ends with its token. Default false.
    pub(crate) close_on_authentication_expiration: bool,
    /// `SignalR:AuthenticationRefresh`: whether a client may replace its token by a newer one of the same user without a
    /// new connection, as .NET 11 clients do. Default true; without keys that tokens are verified by there is nothing
    /// to refresh, and it is off.
    pub(crate) authentication_refresh: bool,
    /// `SignalR:MaximumAuthenticationExpiration`: how long an authentication lasts at most, whatever its token says.
    /// Default as long as the token says.
    pub(crate) maximum_authentication_expiration: Option<Duration>,
    /// `SignalR:SupportedProtocols`, a list of `json` and `messagepack`. Never empty; default both.
    pub(crate) supported_protocols: Vec<HubProtocol>,
    /// `SignalR:Transports`, a list of `WebSockets`, `ServerSentEvents` and `LongPolling`. Never empty;
    /// default all three.
    pub(crate) transports: Vec<TransportKind>,
    /// `SignalR:LongPolling:PollTimeout`: how long a poll waits for data, from 1 s to less than 100 s. A proxy in front
    /// must have more patience. Default 90 s.
    pub(crate) long_polling_poll_timeout: Duration,
    /// `SignalR:MinimumProtocolVersion`: the lowest version that clients may negotiate with, 0 or 1; 1 refuses
    /// `@aspnet/signalr` 1.x, whose connection ids are their only secret. Default 0.
    pub(crate) minimum_protocol_version: i32,
    /// `SignalR:TokenKeys`, a list of secrets, each base64 of 32 bytes or more: what signs connection tokens, so
    /// that every instance with the same keys can serve every request. The first signs, all verify. Without
    /// any the instances agree on one through Redis.
    pub(crate) token_keys: Vec<TokenKey>,
    /// Which bearer tokens are believed; `None` if no key is configured. What is in both sections counts
    /// together:
    ///
    /// - `Authentication:Schemes:Bearer:*`, as ASP.NET Core reads it: `Authority` or `MetadataAddress`,
    ///   `SigningKeys` (the `Value` of each is base64), `ValidIssuer`, `ValidIssuers`, `ValidAudience`,
    ///   `ValidAudiences`, `RequireHttpsMetadata` (default true), `IncludeErrorDetails` (default true);
    /// - `Jwt:Key` (a secret as text, or a public key as PEM, certificate, JWK or JWKS), `Jwt:JwksUrl`, `Jwt:Issuer`,
    ///   `Jwt:Audience`, `Jwt:ClockSkew` (default 5 minutes); `Jwt:AllowPrivateKeyAddresses` (default false), which lets
    ///   metadata from a public address name keys at a private one.
    ///
    /// Without issuers, or audiences, any will do.
    pub(crate) bearer: Option<BearerOptions>,
    /// `Authentication:AllowAnonymous`: whether somebody who brings no token may use the chat. Default: only without keys
    /// that tokens are verified by. See [`anonymous_may_chat`](Self::anonymous_may_chat).
    pub(crate) allow_anonymous: Option<bool>,
    /// `AllowedHosts`: under which hosts the server may be reached, a list of names and addresses without ports, as
    /// ASP.NET Core reads it; `*.example.org` is every subdomain. `None` for any, the default, also written `*`.
    pub(crate) allowed_hosts: Option<Vec<AllowedHost>>,
    /// `Cors:AllowedOrigins`: pages of which origins may use the server, besides its own; a list of origins, of
    /// subdomains (`https://*.example.org`), `null` and `file://` for pages opened from a file, `*` for any. Default
    /// none, in Development any.
    pub(crate) allowed_origins: AllowedOrigins,
    /// What one client may ask for, each off with 0. Who sends faster is not read for a while: `Limits:MessagesPerSecond`
    /// (default 10000) and `Limits:BytesPerSecond` (67108864). What is more fails: `Limits:GroupsPerConnection` (10000),
    /// `Limits:GroupNameBytes` (1024), `Limits:MethodNameBytes` (256).
    pub(crate) limits: HubLimits,
    /// Where metrics are served for Prometheus: `Prometheus:Path`, default `/metrics`; `None` with
    /// `Prometheus:Enabled=false`.
    pub(crate) metrics_path: Option<String>,
    /// `Management:Key`: who brings it as `Authorization: Bearer` sees all of `/health`, and then only they see the
    /// metrics. At least 32 printable ASCII characters. Default none: in Development everybody sees all of it, elsewhere
    /// nobody.
    pub(crate) management_key: Option<ManagementKey>,
    /// `Management:Urls`: addresses to listen at for operators alone, as in `Urls`, with all of `/health` and the
    /// metrics, which are nowhere else then. Default none.
    pub(crate) management_urls: Vec<ListenAddress>,
    /// `ShutdownTimeout` (`--shutdown-timeout`), else `HostOptions:ShutdownTimeout`, else
    /// `shutdownTimeoutSeconds`: how long connections may take to end. Default 5 s.
    pub(crate) shutdown_timeout: Duration,
    /// `ConnectionStrings:Database`, an Npgsql connection string. Default none.
    pub(crate) database: Option<DatabaseConnectionString>,
    /// `CONDUIT_SKIP_DATABASE_INIT`: leaves the database's tables to another instance.
    /// Default false.
    pub(crate) skip_database_init: bool,
    /// `Logging:LogLevel:Default`, in .NET's words. Default Information; Critical logs as Error.
    pub(crate) log_level: LevelFilter,
}

/// A configuration, and what there is to tell about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The values.
    pub(crate) config: Config,
    /// To be logged at start.
    pub(crate) warnings: Vec<Warning>,
    /// Every key with its value and source.
    pub(crate) settings: Vec<EffectiveSetting>,
    /// The files that were looked for.
    pub(crate) files: Vec<ConfigFile>,
}

impl Config {
    /// Reads all layers; `variables` are usually [`process_variables`].
    ///
    /// # Errors
    /// Every mistake there is, each with key, value, source and what would be right. Values that
    /// a higher layer replaces are not looked at.
    pub(crate) fn load(
        args: &ConfigArgs,
        variables: impl IntoIterator<Item = (String, String)>,
        working_directory: &Path,
    ) -> Result<Loaded, ConfigErrors> {
        let gathered = gather::gather(args, variables, working_directory);
        let mut mistakes = gathered.mistakes;
        let mut files = Vec::new();
        for file in gathered.files {
            mistakes.extend(file.mistakes);
            files.push(ConfigFile { name: file.name, found: file.found });
        }
        let mut reader = Reader::new(gathered.settings, mistakes);
        let (environment, source) = gathered.environment;
        reader.note(keys::ENVIRONMENT, environment.to_string(), source);
        let (content_root, source) = gathered.content_root;
        let directory = working_directory.join(&content_root);
        reader.note(keys::CONTENT_ROOT, content_root.display().to_string(), source);
        let config = Self::read(&mut reader, environment, &directory);
        reader.warn_of_unknown_keys();
        reader.warn_of_unexpanded_values();

        let Reader { effective: settings, mistakes, warnings, .. } = reader;
        match mistakes.is_empty() {
            true => Ok(Loaded { config, warnings, settings, files }),
            false => Err(ConfigErrors { mistakes, warnings }),
        }
    }

    /// Whether somebody who brings no token may use the chat.
    pub(crate) fn anonymous_may_chat(&self) -> bool {
        self.allow_anonymous.unwrap_or(self.bearer.is_none())
    }

    fn read(reader: &mut Reader, environment: HostEnvironment, content_root: &Path) -> Self {
        let public = read_urls(reader);
        let urls: Vec<ListenAddress> = public.iter().flat_map(|urls| urls.served.iter().copied()).collect();
        let management = management::urls(reader, &urls);
        let shutdown_timeout =
            [keys::SHUTDOWN_TIMEOUT, keys::HOST_OPTIONS_SHUTDOWN_TIMEOUT, keys::SHUTDOWN_TIMEOUT_SECONDS];
        let shutdown_timeout = reader.preferred(&shutdown_timeout);
        Self {
            management_key: management::key(reader),
            tls: certificate::read(reader, public.iter().chain(&management), content_root),
            management_urls: management.map(|management| management.served).unwrap_or_default(),
            urls,
            keep_alive_timeout: reader.interval(keys::KESTREL_KEEP_ALIVE_TIMEOUT, Duration::from_secs(130)),
            request_headers_timeout: reader
                .interval(keys::KESTREL_REQUEST_HEADERS_TIMEOUT, Duration::from_secs(30)),
            address_limits: AddressLimits::default()
                .connections(reader.limit(keys::CONNECTIONS_PER_ADDRESS, 0))
                .negotiations_per_second(reader.limit(keys::NEGOTIATIONS_PER_ADDRESS, 0)),
            forwarded: Forwarded::read(reader),
            application_name: reader.text(keys::APPLICATION_NAME),
            redis: redis::read(reader),
            redis_instance_name: reader.text(keys::REDIS_INSTANCE_NAME),
            hub_names: HubNames::read(reader),
            maximum_message_size_bytes: reader.bytes(keys::MAXIMUM_MESSAGE_SIZE, 32 * 1024),
            backplane_failure_mode: reader.backplane_failure_mode(keys::BACKPLANE_FAILURE_MODE),
            enable_detailed_errors: reader.boolean(keys::ENABLE_DETAILED_ERRORS, false),
            keep_alive_interval: reader.interval(keys::KEEP_ALIVE_INTERVAL, Duration::from_secs(15)),
            client_timeout_interval: reader.interval(keys::CLIENT_TIMEOUT_INTERVAL, Duration::from_secs(30)),
            handshake_timeout: reader.interval(keys::HANDSHAKE_TIMEOUT, Duration::from_secs(15)),
            maximum_parallel_invocations_per_client: reader.count(keys::MAXIMUM_PARALLEL_INVOCATIONS, 1),
            stream_buffer_capacity: reader.count(keys::STREAM_BUFFER_CAPACITY, 10),
            sender_hold_timeout: reader.patience(keys::SENDER_HOLD_TIMEOUT, Duration::from_secs(1)),
            stalled_reader_timeout: reader.interval(keys::STALLED_READER_TIMEOUT, Duration::from_millis(250)),
            stateful_reconnect_buffer_size_bytes: reader.bytes(keys::STATEFUL_RECONNECT_BUFFER_SIZE, 100_000),
            allow_stateful_reconnects: reader.boolean(keys::ALLOW_STATEFUL_RECONNECTS, false),
            close_on_authentication_expiration: reader
                .boolean(keys::CLOSE_ON_AUTHENTICATION_EXPIRATION, false),
            authentication_refresh: reader.boolean(keys::AUTHENTICATION_REFRESH, true),
            maximum_authentication_expiration: reader
                .optional_interval(keys::MAXIMUM_AUTHENTICATION_EXPIRATION),
            supported_protocols: list::supported_protocols(reader),
            transports: list::transports(reader),
            long_polling_poll_timeout: reader
                .poll_timeout(keys::LONG_POLLING_POLL_TIMEOUT, Duration::from_secs(90)),
            minimum_protocol_version: reader.protocol_version(keys::MINIMUM_PROTOCOL_VERSION),
            token_keys: list::token_keys(reader),
            bearer: bearer::read(reader),
            allow_anonymous: reader.optional_boolean(keys::ALLOW_ANONYMOUS),
            allowed_hosts: hosts::read(reader),
            allowed_origins: origins::read(reader, &environment),
            environment,
            limits: limits::read(reader),
            metrics_path: prometheus::read(reader),
            shutdown_timeout: reader.patience(shutdown_timeout, Duration::from_secs(5)),
            database: reader.text(keys::DATABASE).map(DatabaseConnectionString),
            skip_database_init: reader.boolean(keys::SKIP_DATABASE_INIT, false),
            log_level: reader.log_level(keys::LOG_LEVEL, LevelFilter::INFO),
        }
    }
}

fn read_urls(reader: &mut Reader) -> Vec<Addresses> {
    for ports in [keys::HTTP_PORTS, keys::HTTPS_PORTS] {
        reader.preferred(&[keys::URLS, ports]);
    }
    let mut addresses = addresses::read(&reader.settings);
    for addresses in &mut addresses {
        addresses.note(reader);
    }
    addresses
}

/// An Npgsql connection string; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseConnectionString(String);

impl DatabaseConnectionString {
    /// The connection string itself, password and all.
    #[cfg(test)]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The environment variables of this process; bytes that are not UTF-8 are replaced.
pub(crate) fn process_variables() -> impl Iterator<Item = (String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (lossy(name), lossy(value)))
}

#[cfg(test)]
mod tests;
