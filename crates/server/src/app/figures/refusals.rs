//! Requests that are refused, or have to wait: for where they come from or go to, or for the key or token that they bring.

use std::time::UNIX_EPOCH;

use hubline::TlsConfig;
use hubline_auth::HostFilter;

use super::{Parts, SignIn, counters};
use crate::admin::Admin;
use crate::observe::metrics::{Figure, Figures};

/// All of them. What is not there in this configuration has no figures.
pub(super) fn figures(parts: &Parts, sign_in: &SignIn, admin: &Admin) -> Figures {
    let Parts { server, config, door, .. } = parts;
    let (server, door, admin, tokens) = (server.clone(), door.clone(), admin.clone(), sign_in.refusals());
    let (key, tls) = (config.management.key.clone(), config.server.tls.clone());
    Figures::new(move || {
        let connections = server.statistics().connections;
        let of_addresses = connections.address_refusals;
        let mut figures = by_reason(
            "hubline_requests_refused",
            "Requests of pages that Cors:AllowedOrigins does not let in, and for hosts that are not among AllowedHosts; and what the limits of addresses keep out.",
            [
                ("origin", door.cross_origin.refused()),
                ("host", door.host_filter.as_ref().map(HostFilter::refused).unwrap_or_default()),
                ("connections_per_address", of_addresses.connections),
                ("negotiations_per_address", of_addresses.negotiations),
            ],
        );
        let help = "Clients that had to wait for their turn because more came at once than Limits:ConnectionsPerSecond.";
        figures.extend(counters([("hubline_connections_delayed", help, connections.delayed)]));
        if let Some(key) = &key {
            let help = "Requests without the right Management:Key.";
            figures.extend(counters([("hubline_management_requests_refused", help, key.refused())]));
        }
        if let Some(tls) = &tls {
            let counts = tls.statistics();
            figures.extend(by_reason(
                "hubline_tls_handshakes_failed",
                "Connections to addresses of https that did not become TLS, by why.",
                [("error", counts.failed), ("timeout", counts.timed_out), ("plain_http", counts.plain_http)],
            ));
            figures.extend(certificate_end(tls));
        }
        figures.extend(of_admin(&admin));
        if let Some(tokens) = &tokens {
            let help = "Requests whose bearer token was not believed, by why, and those that had none and needed one.";
            figures.extend(by_reason("hubline_tokens_refused", help, tokens.counts()));
        }
        figures
    })
}

/// In seconds since 1970.
fn certificate_end(tls: &TlsConfig) -> Option<Figure> {
    let end = tls.not_after()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let help = "When the certificate of addresses of https ends, or one behind it in its file that ends earlier, in seconds since 1970.";
    Some(Figure::gauge("hubline_tls_certificate_expiration_timestamp_seconds", help, end))
}

fn of_admin(admin: &Admin) -> Vec<Figure> {
    let admin = admin.statistics();
    let mut figures = by_reason(
        "hubline_admin_requests_refused",
        "Requests to the admin API that were refused: without a right key, from an address that tried too many wrong ones, and while the API is off or from pages of other sites.",
        [("unauthorized", admin.unauthorized), ("limited", admin.limited), ("forbidden", admin.forbidden)],
    );
    let help =
        "Requests to the navigation state without a right virtual key, or without any where one is required.";
    figures.extend(counters([("hubline_virtual_keys_refused", help, admin.virtual_keys)]));
    figures
}

fn by_reason(
    name: &'static str,
    help: &'static str,
    counts: impl IntoIterator<Item = (&'static str, u64)>,
) -> Vec<Figure> {
    counts
        .into_iter()
        .map(|(reason, count)| Figure::counter(name, help, count).of("reason", reason))
        .collect()
}
