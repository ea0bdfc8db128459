//! The keys this program reads, spelt as .NET does; they compare without case.

pub(super) const URLS: &str = "Urls";
pub(super) const HTTP_PORTS: &str = "http_ports";
pub(super) const HTTPS_PORTS: &str = "https_ports";
pub(super) const KESTREL_KEEP_ALIVE_TIMEOUT: &str = "Kestrel:Limits:KeepAliveTimeout";
pub(super) const KESTREL_REQUEST_HEADERS_TIMEOUT: &str = "Kestrel:Limits:RequestHeadersTimeout";
pub(super) const CERTIFICATE_PATH: &str = "Kestrel:Certificates:Default:Path";
pub(super) const CERTIFICATE_KEY_PATH: &str = "Kestrel:Certificates:Default:KeyPath";
pub(super) const CERTIFICATE_PASSWORD: &str = "Kestrel:Certificates:Default:Password";
pub(super) const CONNECTIONS_PER_ADDRESS: &str = "Limits:ConnectionsPerAddress";
pub(super) const NEGOTIATIONS_PER_ADDRESS: &str = "Limits:NegotiationsPerSecondPerAddress";
pub(super) const KNOWN_PROXIES: &str = "ForwardedHeaders:KnownProxies";
pub(super) const KNOWN_IP_NETWORKS: &str = "ForwardedHeaders:KnownIPNetworks";
pub(super) const KNOWN_NETWORKS: &str = "ForwardedHeaders:KnownNetworks";
pub(super) const FORWARD_LIMIT: &str = "ForwardedHeaders:ForwardLimit";
pub(super) const FORWARDED_HEADERS_ENABLED: &str = "ForwardedHeaders_Enabled";
pub(super) const ENVIRONMENT: &str = "Environment";
pub(super) const APPLICATION_NAME: &str = "ApplicationName";
pub(super) const CONTENT_ROOT: &str = "contentRoot";
pub(super) const REDIS_SIGNALR: &str = "ConnectionStrings:RedisSignalR";
pub(super) const REDIS_CONNECTION_STRING: &str = "Redis:ConnectionString";
pub(super) const REDIS_ABORT_ON_CONNECT_FAIL: &str = "Redis:AbortOnConnectFail";
pub(super) const REDIS_DEFAULT_DATABASE: &str = "Redis:DefaultDatabase";
pub(super) const REDIS_CLIENT_NAME: &str = "Redis:ClientName";
pub(super) const REDIS_INSTANCE_NAME: &str = "Redis:InstanceName";
pub(super) const USE_REDIS_BACKPLANE: &str = "SignalR:UseRedisBackplane";
pub(super) const CHANNEL_PREFIX: &str = "SignalR:ChannelPrefix";
pub(super) const BACKPLANE_FAILURE_MODE: &str = "SignalR:BackplaneFailureMode";
pub(super) const OUTBOX_MAXIMUM_MESSAGES: &str = "SignalR:Outbox:MaximumMessages";
pub(super) const OUTBOX_MAXIMUM_BYTES: &str = "SignalR:Outbox:MaximumBytes";
pub(super) const OUTBOX_MAXIMUM_AGE: &str = "SignalR:Outbox:MaximumAge";
pub(super) const MAXIMUM_MESSAGE_SIZE: &str = "SignalR:MaximumMessageSize";
pub(super) const ENABLE_DETAILED_ERRORS: &str = "SignalR:EnableDetailedErrors";
pub(super) const KEEP_ALIVE_INTERVAL: &str = "SignalR:KeepAliveInterval";
pub(super) const CLIENT_TIMEOUT_INTERVAL: &str = "SignalR:ClientTimeoutInterval";
pub(super) const HANDSHAKE_TIMEOUT: &str = "SignalR:HandshakeTimeout";
pub(super) const MAXIMUM_PARALLEL_INVOCATIONS: &str = "SignalR:MaximumParallelInvocationsPerClient";
pub(super) const STREAM_BUFFER_CAPACITY: &str = "SignalR:StreamBufferCapacity";
pub(super) const SENDER_HOLD_TIMEOUT: &str = "SignalR:SenderHoldTimeout";
pub(super) const STALLED_READER_TIMEOUT: &str = "SignalR:StalledReaderTimeout";
pub(super) const STATEFUL_RECONNECT_BUFFER_SIZE: &str = "SignalR:StatefulReconnectBufferSize";
pub(super) const ALLOW_STATEFUL_RECONNECTS: &str = "SignalR:AllowStatefulReconnects";
pub(super) const CLOSE_ON_AUTHENTICATION_EXPIRATION: &str = "SignalR:CloseOnAuthenticationExpiration";
pub(super) const AUTHENTICATION_REFRESH: &str = "SignalR:AuthenticationRefresh";
pub(super) const MAXIMUM_AUTHENTICATION_EXPIRATION: &str = "SignalR:MaximumAuthenticationExpiration";
pub(super) const SUPPORTED_PROTOCOLS: &str = "SignalR:SupportedProtocols";
pub(super) const TRANSPORTS: &str = "SignalR:Transports";
pub(super) const LONG_POLLING_POLL_TIMEOUT: &str = "SignalR:LongPolling:PollTimeout";
pub(super) const MINIMUM_PROTOCOL_VERSION: &str = "SignalR:MinimumProtocolVersion";
pub(super) const TOKEN_KEYS: &str = "SignalR:TokenKeys";
pub(super) const ALLOWED_HOSTS: &str = "AllowedHosts";
pub(super) const ALLOWED_ORIGINS: &str = "Cors:AllowedOrigins";
pub(super) const LIMIT_MESSAGES_PER_SECOND: &str = "Limits:MessagesPerSecond";
pub(super) const LIMIT_BYTES_PER_SECOND: &str = "Limits:BytesPerSecond";
pub(super) const LIMIT_GROUPS_PER_CONNECTION: &str = "Limits:GroupsPerConnection";
pub(super) const LIMIT_GROUP_NAME_BYTES: &str = "Limits:GroupNameBytes";
pub(super) const LIMIT_METHOD_NAME_BYTES: &str = "Limits:MethodNameBytes";
pub(super) const PROMETHEUS_ENABLED: &str = "Prometheus:Enabled";
pub(super) const PROMETHEUS_PATH: &str = "Prometheus:Path";
pub(super) const MANAGEMENT_KEY: &str = "Management:Key";
pub(super) const MANAGEMENT_URLS: &str = "Management:Urls";
pub(super) const JWT_KEY: &str = "Jwt:Key";
pub(super) const JWT_JWKS_URL: &str = "Jwt:JwksUrl";
pub(super) const JWT_ALLOW_PRIVATE_KEY_ADDRESSES: &str = "Jwt:AllowPrivateKeyAddresses";
pub(super) const JWT_ISSUER: &str = "Jwt:Issuer";
pub(super) const JWT_AUDIENCE: &str = "Jwt:Audience";
pub(super) const JWT_CLOCK_SKEW: &str = "Jwt:ClockSkew";
pub(super) const ALLOW_ANONYMOUS: &str = "Authentication:AllowAnonymous";
pub(super) const BEARER_AUTHORITY: &str = "Authentication:Schemes:Bearer:Authority";
pub(super) const BEARER_METADATA_ADDRESS: &str = "Authentication:Schemes:Bearer:MetadataAddress";
pub(super) const BEARER_REQUIRE_HTTPS_METADATA: &str = "Authentication:Schemes:Bearer:RequireHttpsMetadata";
pub(super) const BEARER_INCLUDE_ERROR_DETAILS: &str = "Authentication:Schemes:Bearer:IncludeErrorDetails";
pub(super) const BEARER_VALID_ISSUER: &str = "Authentication:Schemes:Bearer:ValidIssuer";
pub(super) const BEARER_VALID_ISSUERS: &str = "Authentication:Schemes:Bearer:ValidIssuers";
pub(super) const BEARER_VALID_AUDIENCE: &str = "Authentication:Schemes:Bearer:ValidAudience";
pub(super) const BEARER_VALID_AUDIENCES: &str = "Authentication:Schemes:Bearer:ValidAudiences";
pub(super) const BEARER_SIGNING_KEYS: &str = "Authentication:Schemes:Bearer:SigningKeys";
pub(super) const SHUTDOWN_TIMEOUT: &str = "ShutdownTimeout";
pub(super) const HOST_OPTIONS_SHUTDOWN_TIMEOUT: &str = "HostOptions:ShutdownTimeout";
pub(super) const SHUTDOWN_TIMEOUT_SECONDS: &str = "shutdownTimeoutSeconds";
pub(super) const DATABASE: &str = "ConnectionStrings:Database";
pub(super) const SKIP_DATABASE_INIT: &str = "CONDUIT_SKIP_DATABASE_INIT";
pub(super) const LOG_LEVEL: &str = "Logging:LogLevel:Default";

/// Followed by the name of a hub.
pub(super) const HUB_NAMES: &str = "SignalR:HubNames:";

/// Read only from the command line and from `DOTNET_` and `ASPNETCORE_` variables, because they
/// decide which files are read.
const HOST_KEYS: [&str; 2] = [ENVIRONMENT, CONTENT_ROOT];

const KNOWN: &[&str] = &[
    URLS,
    HTTP_PORTS,
    HTTPS_PORTS,
    KESTREL_KEEP_ALIVE_TIMEOUT,
    KESTREL_REQUEST_HEADERS_TIMEOUT,
    CERTIFICATE_PATH,
    CERTIFICATE_KEY_PATH,
    CERTIFICATE_PASSWORD,
    CONNECTIONS_PER_ADDRESS,
    NEGOTIATIONS_PER_ADDRESS,
    KNOWN_PROXIES,
    KNOWN_IP_NETWORKS,
    KNOWN_NETWORKS,
    FORWARD_LIMIT,
    FORWARDED_HEADERS_ENABLED,
    ENVIRONMENT,
    CONTENT_ROOT,
    APPLICATION_NAME,
    REDIS_SIGNALR,
    REDIS_CONNECTION_STRING,
    REDIS_ABORT_ON_CONNECT_FAIL,
    REDIS_DEFAULT_DATABASE,
    REDIS_CLIENT_NAME,
    REDIS_INSTANCE_NAME,
    USE_REDIS_BACKPLANE,
    CHANNEL_PREFIX,
    BACKPLANE_FAILURE_MODE,
    OUTBOX_MAXIMUM_MESSAGES,
    OUTBOX_MAXIMUM_BYTES,
    OUTBOX_MAXIMUM_AGE,
    MAXIMUM_MESSAGE_SIZE,
    ENABLE_DETAILED_ERRORS,
    KEEP_ALIVE_INTERVAL,
    CLIENT_TIMEOUT_INTERVAL,
    HANDSHAKE_TIMEOUT,
    MAXIMUM_PARALLEL_INVOCATIONS,
    STREAM_BUFFER_CAPACITY,
    SENDER_HOLD_TIMEOUT,
    STALLED_READER_TIMEOUT,
    STATEFUL_RECONNECT_BUFFER_SIZE,
    ALLOW_STATEFUL_RECONNECTS,
    CLOSE_ON_AUTHENTICATION_EXPIRATION,
    AUTHENTICATION_REFRESH,
    MAXIMUM_AUTHENTICATION_EXPIRATION,
    SUPPORTED_PROTOCOLS,
    TRANSPORTS,
    LONG_POLLING_POLL_TIMEOUT,
    MINIMUM_PROTOCOL_VERSION,
    TOKEN_KEYS,
    ALLOWED_HOSTS,
    ALLOWED_ORIGINS,
    LIMIT_MESSAGES_PER_SECOND,
    LIMIT_BYTES_PER_SECOND,
    LIMIT_GROUPS_PER_CONNECTION,
    LIMIT_GROUP_NAME_BYTES,
    LIMIT_METHOD_NAME_BYTES,
    PROMETHEUS_ENABLED,
    PROMETHEUS_PATH,
    MANAGEMENT_KEY,
    MANAGEMENT_URLS,
    JWT_KEY,
    JWT_JWKS_URL,
    JWT_ALLOW_PRIVATE_KEY_ADDRESSES,
    JWT_ISSUER,
    JWT_AUDIENCE,
    JWT_CLOCK_SKEW,
    ALLOW_ANONYMOUS,
    BEARER_AUTHORITY,
    BEARER_METADATA_ADDRESS,
    BEARER_REQUIRE_HTTPS_METADATA,
    BEARER_INCLUDE_ERROR_DETAILS,
    BEARER_VALID_ISSUER,
    BEARER_VALID_ISSUERS,
    BEARER_VALID_AUDIENCE,
    BEARER_VALID_AUDIENCES,
    BEARER_SIGNING_KEYS,
    SHUTDOWN_TIMEOUT,
    HOST_OPTIONS_SHUTDOWN_TIMEOUT,
    SHUTDOWN_TIMEOUT_SECONDS,
    DATABASE,
    SKIP_DATABASE_INIT,
    LOG_LEVEL,
];

/// Those of [`KNOWN`] that may be sections with one element for each key in them, as lists are in JSON.
const LISTS: &[&str] = &[
    SUPPORTED_PROTOCOLS,
    TRANSPORTS,
    TOKEN_KEYS,
    ALLOWED_HOSTS,
    KNOWN_PROXIES,
    KNOWN_IP_NETWORKS,
    KNOWN_NETWORKS,
    ALLOWED_ORIGINS,
    BEARER_VALID_ISSUERS,
    BEARER_VALID_AUDIENCES,
];

/// What `dotnet user-jwts` writes for each signing key.
const SIGNING_KEY_PARTS: [&str; 4] = ["Id", "Issuer", "Value", "Length"];

/// Whether the program reads this key.
pub(crate) fn is_known(key: &str) -> bool {
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(key))
        || LISTS.iter().any(|list| element_of(key, list).is_some())
        || signing_key_part(key).is_some()
        || hub_of(key).is_some()
}

/// The name of a list's element, usually a number, if the key is one of this list.
pub(super) fn element_of<'a>(key: &'a str, list: &str) -> Option<&'a str> {
    let (section, element) = key.split_at_checked(list.len())?;
    let element = element.strip_prefix(':')?;
    let is_element = !element.is_empty() && !element.contains(':');
    (section.eq_ignore_ascii_case(list) && is_element).then_some(element)
}

/// The part of a signing key that a key below `SigningKeys` is.
fn signing_key_part(key: &str) -> Option<&str> {
    let (of_key, part) = key.rsplit_once(':')?;
    element_of(of_key, BEARER_SIGNING_KEYS)?;
    SIGNING_KEY_PARTS.iter().any(|known| known.eq_ignore_ascii_case(part)).then_some(part)
}

/// Whether the key holds a signing key itself.
pub(super) fn is_signing_key_value(key: &str) -> bool {
    key.eq_ignore_ascii_case(JWT_KEY)
        || signing_key_part(key).is_some_and(|part| part.eq_ignore_ascii_case("Value"))
}

/// Whether the key holds addresses, whose spelling may have a user and a password.
pub(super) fn is_url(key: &str) -> bool {
    let urls =
        [URLS, MANAGEMENT_URLS, JWT_JWKS_URL, BEARER_AUTHORITY, BEARER_METADATA_ADDRESS, ALLOWED_ORIGINS];
    urls.iter().any(|url| url.eq_ignore_ascii_case(key)) || element_of(key, ALLOWED_ORIGINS).is_some()
}

/// Whether the key holds what signs connection tokens.
pub(super) fn is_token_key(key: &str) -> bool {
    key.eq_ignore_ascii_case(TOKEN_KEYS) || element_of(key, TOKEN_KEYS).is_some()
}

pub(super) fn is_host_key(key: &str) -> bool {
    HOST_KEYS.iter().any(|host_key| host_key.eq_ignore_ascii_case(key))
}

/// The hub a `SignalR:HubNames:{hub}` key names.
pub(super) fn hub_of(key: &str) -> Option<&str> {
    let (section, hub) = key.split_at_checked(HUB_NAMES.len())?;
    (section.eq_ignore_ascii_case(HUB_NAMES) && !hub.is_empty()).then_some(hub)
}

/// Sections that .NET, its logging and other schemes have keys in that mean nothing here.
const SHARED_SECTIONS: [&str; 4] = ["Authentication", "ConnectionStrings", "HostOptions", "Logging"];

/// What is below this is ASP.NET Core's, of which the program reads a part, and who sets something else has to know.
const BEARER_SECTION: &str = "Authentication:Schemes:Bearer:";

/// Kestrel's own way to configure addresses, which has a warning of its own.
const KESTREL_ENDPOINTS: &str = "Kestrel:Endpoints:";

/// How much like a known key one has to be, from 0 to 1, to be taken for a misspelt one: in a section of the program's, where
/// nothing else should be, and elsewhere.
const LIKENESS: f64 = 0.6;
const LIKENESS_ELSEWHERE: f64 = 0.88;

/// Whether nothing reads the key, and whoever set it has to know: all keys are known in the program's own sections, and elsewhere
/// those are meant that are spelt almost as a known one.
pub(super) fn is_stray(key: &str) -> bool {
    !is_known(key) && !starts_with(key, KESTREL_ENDPOINTS) && (is_ours(key) || is_misspelt(key))
}

/// Whether the key configures one of Kestrel's endpoints.
pub(super) fn is_kestrel_endpoint(key: &str) -> bool {
    starts_with(key, KESTREL_ENDPOINTS)
}

/// Whether the key is in a section that has no other keys than those the program reads. [`KNOWN`] has all of these sections.
fn is_ours(key: &str) -> bool {
    let has_section = |known: &&str| known.contains(':') && section(known).eq_ignore_ascii_case(section(key));
    let is_shared = || SHARED_SECTIONS.iter().any(|shared| shared.eq_ignore_ascii_case(section(key)));
    (KNOWN.iter().any(has_section) && !is_shared()) || starts_with(key, BEARER_SECTION)
}

fn is_misspelt(key: &str) -> bool {
    key.contains(':') && most_like(key).is_some_and(|(likeness, _)| likeness >= LIKENESS_ELSEWHERE)
}

fn starts_with(key: &str, section: &str) -> bool {
    key.get(..section.len()).is_some_and(|start| start.eq_ignore_ascii_case(section))
}

/// The known keys of the section a key is in, if that section is ours.
pub(super) fn in_section_of(key: &str) -> Vec<&'static str> {
    let beside = |known: &&str| is_ours(key) && section(known).eq_ignore_ascii_case(section(key));
    let known = KNOWN.iter().copied().chain(["SignalR:HubNames:{hub}"]);
    known.filter(beside).collect()
}

fn section(key: &str) -> &str {
    key.split(':').next().unwrap_or(key)
}

/// The known key a misspelt one was probably meant to be.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    most_like(key).filter(|(likeness, _)| *likeness >= LIKENESS).map(|(_, known)| known)
}

/// The known key that is most like this one, or like the list that it is an element of, and how much.
fn most_like(key: &str) -> Option<(f64, &'static str)> {
    let key = key.to_ascii_lowercase();
    let list = key.rsplit_once(':').filter(|(_, element)| element.bytes().all(|byte| byte.is_ascii_digit()));
    let spelt = list.map_or(&*key, |(list, _)| list);
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(spelt, &known.to_ascii_lowercase());
    KNOWN.iter().map(|known| (likeness(known), *known)).max_by(|a, b| a.0.total_cmp(&b.0))
}

/// The environment variable that sets a key.
pub(super) fn variable(key: &str) -> String {
    key.replace(':', "__")
}
