//! Requests that are refused for where they come from or go to, or for the token that they bring.

use std::fmt;

use hubline::{Server, TlsConfig};
use hubline_auth::{CrossOrigin, HostFilter, TokenRefusals};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::{calls, clinic};
use crate::admin::Admin;
use crate::calls::Calls;
use crate::clinic::Clinic;
use crate::management::ManagementKey;

#[derive(Debug)]
pub(crate) struct RefusalCollector {
    pub(crate) server: Server,
    pub(crate) cross_origin: CrossOrigin,
    /// None if any host is served.
    pub(crate) host_filter: Option<HostFilter>,
    pub(crate) management_key: Option<ManagementKey>,
    /// None if there are no keys to verify tokens with.
    pub(crate) token_refusals: Option<TokenRefusals>,
    pub(crate) calls: Calls,
    pub(crate) clinic: Clinic,
    /// None without https.
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) admin: Admin,
}

impl Collector for RefusalCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut refused = encoder.encode_descriptor(
            "hubline_requests_refused",
            "Requests of pages that Cors:AllowedOrigins does not let in, and for hosts that are not among AllowedHosts; and what the limits of addresses keep out.",
            None,
            MetricType::Counter,
        )?;
        let hosts = self.host_filter.as_ref().map(HostFilter::refused);
        let of_addresses = self.server.statistics().connections.address_refusals;
        for (reason, count) in [
            ("origin", self.cross_origin.refused()),
            ("host", hosts.unwrap_or_default()),
            ("connections_per_address", of_addresses.connections),
            ("negotiations_per_address", of_addresses.negotiations),
        ] {
            ConstCounter::new(count).encode(refused.encode_family(&[("reason", reason)])?)?;
        }
        if let Some(key) = &self.management_key {
            let management = encoder.encode_descriptor(
                "hubline_management_requests_refused",
                "Requests without the right Management:Key.",
                None,
                MetricType::Counter,
            )?;
            ConstCounter::new(key.refused()).encode(management)?;
        }
        if let Some(tls) = &self.tls {
            let mut failed = encoder.encode_descriptor(
                "hubline_tls_handshakes_failed",
                "Connections to addresses of https that did not become TLS, by why.",
                None,
                MetricType::Counter,
            )?;
            let counts = tls.statistics();
            for (reason, count) in
                [("error", counts.failed), ("timeout", counts.timed_out), ("plain_http", counts.plain_http)]
            {
                ConstCounter::new(count).encode(failed.encode_family(&[("reason", reason)])?)?;
            }
        }
        calls::encode(&self.calls.statistics(), &mut encoder)?;
        clinic::encode(&self.clinic.statistics(), &mut encoder)?;
        let mut refused = encoder.encode_descriptor(
            "hubline_admin_requests_refused",
            "Requests to the admin API that were refused: without a right key, from an address that tried too many wrong ones, and while the API is off or from pages of other sites.",
            None,
            MetricType::Counter,
        )?;
        let admin = self.admin.statistics();
        for (reason, count) in
            [("unauthorized", admin.unauthorized), ("limited", admin.limited), ("forbidden", admin.forbidden)]
        {
            ConstCounter::new(count).encode(refused.encode_family(&[("reason", reason)])?)?;
        }
        let virtual_keys = encoder.encode_descriptor(
            "hubline_virtual_keys_refused",
            "Requests to the navigation state without a right virtual key, or without any where one is required.",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(admin.virtual_keys).encode(virtual_keys)?;
        let Some(tokens) = &self.token_refusals else { return Ok(()) };
        let mut refused = encoder.encode_descriptor(
            "hubline_tokens_refused",
            "Requests whose bearer token was not believed, by why, and those that had none and needed one.",
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in tokens.counts() {
            ConstCounter::new(count).encode(refused.encode_family(&[("reason", reason)])?)?;
        }
        Ok(())
    }
}
