//! What the configuration says to the library.

use hubline::{EndpointOptions, ExpiredPrincipals, HttpOptions, HubOptions, Policy};

use crate::config::Config;
use crate::observe::Telemetry;

/// How HTTP is served.
pub(crate) fn http_options(config: &Config) -> HttpOptions {
    HttpOptions::default()
        .keep_alive_timeout(config.server.keep_alive_timeout)
        .request_headers_timeout(config.server.request_headers_timeout)
        .forwarded_headers(config.server.forwarded.headers())
}

/// The hubs' options.
pub(crate) fn hub_options(config: &Config, telemetry: &Telemetry) -> HubOptions {
    HubOptions::default()
        .keep_alive_interval(config.signalr.keep_alive_interval)
        .backplane_failure_mode(config.signalr.backplane_failure_mode)
        .client_timeout_interval(config.signalr.client_timeout_interval)
        .handshake_timeout(config.signalr.handshake_timeout)
        .maximum_receive_message_size(Some(config.signalr.maximum_message_size_bytes))
        .detailed_errors(config.signalr.enable_detailed_errors)
        .maximum_parallel_invocations_per_client(config.signalr.maximum_parallel_invocations_per_client)
        .stream_buffer_capacity(config.signalr.stream_buffer_capacity)
        .sender_hold_timeout(config.signalr.sender_hold_timeout)
        .stalled_reader_timeout(config.signalr.stalled_reader_timeout)
        .limits(config.limits.clients.clone())
        .stateful_reconnect_buffer_size(config.signalr.stateful_reconnect_buffer_size_bytes)
        .supported_protocols(config.signalr.supported_protocols.clone())
        .trace_parent(telemetry.current_span())
}

/// The options of the paths of chat and calls, which let nobody in who is not signed in, unless anonymous users may come.
pub(super) fn chat_options(config: &Config, telemetry: &Telemetry) -> EndpointOptions {
    match config.authentication.anonymous_may_chat() {
        true => endpoint_options(config, telemetry),
        false => endpoint_options(config, telemetry).authorize(Policy::authenticated()),
    }
}

/// The options of the navigation state's path: where it needs a key, a connection ends with its key.
pub(super) fn navigation_options(config: &Config, telemetry: &Telemetry) -> EndpointOptions {
    let mut options = endpoint_options(config, telemetry);
    options.close_on_authentication_expiration |= config.applications.admin.requires_virtual_key;
    options
}

/// The options of the hubs of operators, `hubline check` and consoles, whose clients have admin keys.
pub(super) fn operator_options(config: &Config, telemetry: &Telemetry) -> EndpointOptions {
    let mut options = endpoint_options(config, telemetry);
    options.close_on_authentication_expiration = false;
    options.enable_authentication_refresh = false;
    options
}

/// The options of the hubs' paths.
fn endpoint_options(config: &Config, telemetry: &Telemetry) -> EndpointOptions {
    let mut options = EndpointOptions::default().transports(config.signalr.transports.clone());
    options.minimum_protocol_version = config.signalr.minimum_protocol_version;
    options.allow_stateful_reconnects = config.signalr.allow_stateful_reconnects;
    options.close_on_authentication_expiration = config.signalr.close_on_authentication_expiration;
    options.enable_authentication_refresh =
        config.signalr.authentication_refresh && config.authentication.bearer.is_some();
    options.maximum_authentication_expiration = config.signalr.maximum_authentication_expiration;
    options.long_polling_poll_timeout = config.signalr.long_polling_poll_timeout;
    // Tokens that are not believed are refused, so one that is merely expired may not come as nobody either.
    options.expired_principals = ExpiredPrincipals::KeepOwnConnections;
    if telemetry.has_traces() { options.keep_trace_parent() } else { options }
}
