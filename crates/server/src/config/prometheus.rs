//! Where metrics are served, if they are.

use super::keys;
use super::reader::Reader;

/// `Prometheus:Enabled` and `Prometheus:Path`; `None` if metrics are not served.
pub(super) fn read(reader: &mut Reader) -> Option<String> {
    let is_enabled = reader.boolean(keys::PROMETHEUS_ENABLED, true);
    let path = reader.free_path(keys::PROMETHEUS_PATH, "/metrics");
    is_enabled.then_some(path)
}
