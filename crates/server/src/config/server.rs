//! The process and its HTTP: where it listens, as what, for whom, and how long it takes to stop.

use std::time::Duration;

use hubline::{DrainOptions, TlsConfig};
use hubline_auth::{AllowedHost, AllowedOrigins};

use super::addresses::{self, HTTP_PORTS, HTTPS_PORTS, URLS};
use super::forwarded::Forwarded;
use super::host_environment::HostEnvironment;
use super::key::Key;
use super::listen_address::ListenAddress;
use super::reader::Reader;
use super::{Section, certificate, hosts, origins};

pub(super) const ENVIRONMENT: Key = Key::new(
    "Environment",
    "environment (ASPNETCORE_ENVIRONMENT, DOTNET_ENVIRONMENT, --environment), which also picks appsettings.{Environment}.json; in \
     Development, for which --dev is short, pages of any origin may connect and the test trigger is served",
);
pub(super) const CONTENT_ROOT: Key =
    Key::new("contentRoot", "directory of the appsettings files, from which relative paths start")
        .unit("path");
const KEEP_ALIVE_TIMEOUT: Key = Key::new(
    "Kestrel:Limits:KeepAliveTimeout",
    "how long an HTTP connection may stay without a request: longer than proxies keep theirs, or they answer 502",
);
const REQUEST_HEADERS_TIMEOUT: Key = Key::new(
    "Kestrel:Limits:RequestHeadersTimeout",
    "how long the head of a request may take, from its first byte",
);
pub(super) const SHUTDOWN_TIMEOUT: Key = Key::new(
    "ShutdownTimeout",
    "how long clients may take to leave, and calls and streams to end, after Drain:Delay; a second signal ends it at once",
);
const HOST_OPTIONS_SHUTDOWN_TIMEOUT: Key =
    Key::new("HostOptions:ShutdownTimeout", "the same as ShutdownTimeout, which goes before it")
        .unit("time span");
const SHUTDOWN_TIMEOUT_SECONDS: Key =
    Key::new("shutdownTimeoutSeconds", "the same as ShutdownTimeout, which goes before it").unit("seconds");

const APPLICATION_NAME: Key = Key::new(
    "ApplicationName",
    "stands in brackets before the line at start that says which backplane is in use",
);

const DRAIN_DELAY: Key = Key::new(
    "Drain:Delay",
    "how long clients are still served after SIGTERM, Ctrl-C or hubline drain while /health/ready and negotiations are 503, so that load \
     balancers send no new ones; a second signal ends it; 0 in Development",
);
const SHUTDOWN_DELAY: Key =
    Key::new("ShutdownDelay", "the same as Drain:Delay, which goes before it").unit("time span");

/// The process and its HTTP.
#[derive(Debug, Clone)]
pub(crate) struct ServerConfig {
    /// Addresses of the hubs. Never empty.
    pub(crate) urls: Vec<ListenAddress>,
    /// The certificate of addresses with https; never `None` if there is such an address.
    pub(crate) tls: Option<TlsConfig>,
    /// How long an HTTP connection may stay without a request.
    pub(crate) keep_alive_timeout: Duration,
    /// How long the head of a request may take.
    pub(crate) request_headers_timeout: Duration,
    /// Which proxies are believed about their clients' addresses.
    pub(crate) forwarded: Forwarded,
    /// Production unless something else is named.
    pub(crate) environment: HostEnvironment,
    /// Stands in brackets before the line that says at start which backplane is in use.
    pub(crate) application_name: Option<String>,
    /// Under which hosts the server may be reached; `None` for any.
    pub(crate) allowed_hosts: Option<Vec<AllowedHost>>,
    /// Pages of which origins may use the server, besides its own.
    pub(crate) allowed_origins: AllowedOrigins,
    /// Whether these are those that somebody listed, not all because nobody did.
    pub(crate) origins_are_listed: bool,
    /// How long it takes to stop.
    pub(crate) drain: DrainOptions,
}

impl Section for ServerConfig {
    const TITLE: &'static str = "Server";

    fn read(reader: &mut Reader) -> Self {
        reader.declare(ENVIRONMENT, "name");
        reader.declare(CONTENT_ROOT, "path");
        let public = read_urls(reader);
        let urls: Vec<ListenAddress> = public.iter().flat_map(|urls| urls.served.iter().copied()).collect();
        let management = addresses::read_management(&reader.settings);
        Self {
            tls: certificate::read(reader, public.iter().chain(&management)),
            urls,
            keep_alive_timeout: reader.interval(KEEP_ALIVE_TIMEOUT, Duration::from_secs(130)),
            request_headers_timeout: reader.interval(REQUEST_HEADERS_TIMEOUT, Duration::from_secs(30)),
            forwarded: Forwarded::read(reader),
            environment: reader.environment().clone(),
            application_name: reader.text(APPLICATION_NAME),
            allowed_hosts: hosts::read(reader),
            allowed_origins: origins::read(reader),
            origins_are_listed: origins::are_listed(reader),
            drain: read_drain(reader),
        }
    }
}

fn read_drain(reader: &mut Reader) -> DrainOptions {
    let default = DrainOptions::default();
    let delay = reader.preferred(&[DRAIN_DELAY, SHUTDOWN_DELAY]);
    let timeout =
        reader.preferred(&[SHUTDOWN_TIMEOUT, HOST_OPTIONS_SHUTDOWN_TIMEOUT, SHUTDOWN_TIMEOUT_SECONDS]);
    let default_delay = match reader.environment().is_development() {
        true => Duration::ZERO,
        false => default.delay,
    };
    let delay = reader.patience(delay, default_delay);
    default.delay(delay).timeout(reader.patience(timeout, default.timeout))
}

fn read_urls(reader: &mut Reader) -> Vec<addresses::Addresses> {
    for ports in [HTTP_PORTS, HTTPS_PORTS] {
        reader.preferred(&[URLS, ports]);
    }
    let mut addresses = addresses::read(&reader.settings);
    for addresses in &mut addresses {
        addresses.note(reader);
    }
    addresses
}
