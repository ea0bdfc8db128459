//! MessagePack's timestamp: extension type -1, as MessagePack-CSharp writes a `DateTime`.

use rmp::encode;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::message_pack::Token;

const TYPE: i8 = -1;

/// A timestamp without an offset, cut off to ticks, in the shortest of the three forms.
pub(super) fn encode(moment: PrimitiveDateTime) -> Vec<u8> {
    let seconds = moment.assume_utc().unix_timestamp();
    let nanoseconds = moment.nanosecond() / 100 * 100;
    let mut content = Vec::with_capacity(12);
    match u64::try_from(seconds) {
        Ok(seconds) if seconds >> 34 == 0 => {
            let both = u64::from(nanoseconds) << 34 | seconds;
            match u32::try_from(both) {
                Ok(seconds) => content.extend(seconds.to_be_bytes()),
                Err(_) => content.extend(both.to_be_bytes()),
            }
        }
        _ => {
            content.extend(nanoseconds.to_be_bytes());
            content.extend(seconds.to_be_bytes());
        }
    }
    let mut timestamp = Vec::with_capacity(16);
    let length = u32::try_from(content.len()).unwrap_or_default();
    // Writing to a `Vec` has no way to fail.
    _ = encode::write_ext_meta(&mut timestamp, length, TYPE);
    timestamp.extend(content);
    timestamp
}

/// Reads any of the three forms, cut off to ticks. Nanoseconds may be more than a second has, as in .NET.
pub(super) fn decode(token: Token<'_>) -> Option<PrimitiveDateTime> {
    let Token::Ext(TYPE, content) = token else { return None };
    let (seconds, nanoseconds) = if let Ok(seconds) = content.try_into() {
        (u32::from_be_bytes(seconds).into(), 0)
    } else if let Ok(both) = content.try_into() {
        let both = u64::from_be_bytes(both);
        (i64::try_from(both & ((1 << 34) - 1)).ok()?, u32::try_from(both >> 34).ok()?)
    } else {
        let (nanoseconds, seconds) = content.split_first_chunk()?;
        (i64::from_be_bytes(seconds.try_into().ok()?), u32::from_be_bytes(*nanoseconds))
    };
    let nanoseconds = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds / 100 * 100);
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?;
    (1..=9999).contains(&moment.year()).then(|| PrimitiveDateTime::new(moment.date(), moment.time()))
}
