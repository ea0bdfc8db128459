//! Who may see how the server is, and where.

use super::listen_address::ListenAddress;
use super::reader::Reader;
use super::report::Source;
use super::{addresses, keys};
use crate::management::ManagementKey;

/// Reads `Management:Key`.
pub(super) fn key(reader: &mut Reader) -> Option<ManagementKey> {
    reader.optional(keys::MANAGEMENT_KEY, ManagementKey::parse, |_| String::new())
}

/// Reads `Management:Urls`, which share nothing with those that are `served` to everybody.
pub(super) fn urls(reader: &mut Reader, served: &[ListenAddress]) -> Vec<ListenAddress> {
    let Some(addresses) = addresses::read_management(&reader.settings, served) else {
        reader.note(keys::MANAGEMENT_URLS, "none".to_owned(), Source::Default);
        return Vec::new();
    };
    let shown: Vec<_> = addresses.served.iter().map(ToString::to_string).collect();
    let source = addresses.setting.map_or(Source::Default, |setting| setting.source.clone());
    let addresses::Addresses { served, mistakes, .. } = addresses;
    reader.mistakes.extend(mistakes);
    reader.note(keys::MANAGEMENT_URLS, shown.join(";"), source);
    served
}
