//! What a clinic answers for.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::clinic::ClinicStatistics;

/// Writes it out.
pub(super) fn encode(statistics: &ClinicStatistics, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let banned = i64::try_from(statistics.banned_users).unwrap_or(i64::MAX);
    let gauge = encoder.encode_descriptor(
        "hubline_banned_users",
        "Users who are kept out, as far as this instance knows.",
        None,
        MetricType::Gauge,
    )?;
    ConstGauge::new(banned).encode(gauge)?;
    for (name, help, count) in [
        (
            "hubline_banned_requests_refused",
            "Requests of users who are kept out, which were answered 403.",
            statistics.banned_requests_refused,
        ),
        (
            "hubline_user_connections_closed",
            "Connections that were closed because an administrator closed those of their user.",
            statistics.connections_closed,
        ),
        ("hubline_audit_sign_ins", "Sign-ins that were written into the audit.", statistics.sign_ins_written),
        (
            "hubline_audit_sign_ins_lost",
            "Sign-ins that are missing in the audit, because the database was away for too long.",
            statistics.sign_ins_lost,
        ),
        (
            "hubline_rows_deleted_by_age",
            "Rows of the database that this instance has deleted because of Retention settings.",
            statistics.rows_deleted_by_age,
        ),
    ] {
        let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(count).encode(counter)?;
    }
    Ok(())
}
