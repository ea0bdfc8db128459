//! What one client may ask for.

use hubline::HubLimits;

use super::keys;
use super::reader::Reader;

/// `Limits:*`; the library's limits are off, the program's are not.
pub(super) fn read(reader: &mut Reader) -> HubLimits {
    let mut limit = |key, default| reader.limit(key, default) as usize;
    let mut limits = HubLimits::default();
    limits.messages_per_second = limit(keys::LIMIT_MESSAGES_PER_SECOND, 10_000);
    limits.bytes_per_second = limit(keys::LIMIT_BYTES_PER_SECOND, 64 * 1024 * 1024);
    limits.groups_per_connection = limit(keys::LIMIT_GROUPS_PER_CONNECTION, 10_000);
    limits.group_name_bytes = limit(keys::LIMIT_GROUP_NAME_BYTES, 1024);
    limits.method_name_bytes = limit(keys::LIMIT_METHOD_NAME_BYTES, 256);
    limits
}
