//! Who may see how the server is, and where.

use super::addresses::Addresses;
use super::key::Key;
use super::listen_address::ListenAddress;
use super::reader::Reader;
use super::report::Source;
use super::{Section, addresses};
use crate::management::ManagementKey;

const KEY: Key = Key::new(
    "Management:Key",
    "required as Authorization: Bearer for the metrics and for the details of /health; 32 characters or more, as openssl rand \
     -base64 32 prints. Without it everybody sees them in Development, elsewhere nobody sees the details",
)
.secret();
pub(super) const MANAGEMENT_URLS: Key = Key::new(
    "Management:Urls",
    "addresses for operators alone, as Urls: all of /health, and the metrics, which are nowhere else then",
)
.url()
.unit("URLs, separated by ;");
const PROMETHEUS_ENABLED: Key = Key::new("Prometheus:Enabled", "whether metrics are served");
const PROMETHEUS_PATH: Key = Key::new("Prometheus:Path", "where metrics are served");

/// What operators see, and where.
#[derive(Debug, Clone)]
pub(crate) struct ManagementConfig {
    /// What operators bring; `None` if there is no key.
    pub(crate) key: Option<ManagementKey>,
    /// Addresses for operators alone.
    pub(crate) urls: Vec<ListenAddress>,
    /// Where metrics are served for Prometheus; `None` if they are not.
    pub(crate) metrics_path: Option<String>,
}

impl Section for ManagementConfig {
    const TITLE: &'static str = "Management";

    fn read(reader: &mut Reader) -> Self {
        let urls = urls(reader).map(|addresses| addresses.served).unwrap_or_default();
        Self { urls, key: key(reader), metrics_path: metrics_path(reader) }
    }
}

fn metrics_path(reader: &mut Reader) -> Option<String> {
    let is_enabled = reader.boolean(PROMETHEUS_ENABLED, true);
    let path = reader.free_path(PROMETHEUS_PATH, "/metrics");
    is_enabled.then_some(path)
}

/// Reads `Management:Key`.
fn key(reader: &mut Reader) -> Option<ManagementKey> {
    reader.optional(KEY, ManagementKey::parse, |_| String::new())
}

/// Reads `Management:Urls`, which share nothing with those that are served to everybody.
fn urls(reader: &mut Reader) -> Option<Addresses> {
    reader.declare(MANAGEMENT_URLS, "URLs");
    let mut addresses = addresses::read_management(&reader.settings);
    match &mut addresses {
        Some(addresses) => addresses.note(reader),
        None => reader.note(MANAGEMENT_URLS.name, "none".to_owned(), Source::Default),
    }
    addresses
}
