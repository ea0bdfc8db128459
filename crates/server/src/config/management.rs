//! Who may see how the server is, and where.

use super::addresses::Addresses;
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
pub(super) fn urls(reader: &mut Reader, served: &[ListenAddress]) -> Option<Addresses> {
    let mut addresses = addresses::read_management(&reader.settings, served);
    match &mut addresses {
        Some(addresses) => addresses.note(reader),
        None => reader.note(keys::MANAGEMENT_URLS, "none".to_owned(), Source::Default),
    }
    addresses
}
