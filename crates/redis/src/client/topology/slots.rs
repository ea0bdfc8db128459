//! The hash slot of a name, as Redis Cluster computes it.
//!
//! Source: Redis Cluster specification, "Key distribution model" and "Hash tags".

pub(super) const SLOTS: u16 = 16384;

/// Of a `{tag}` in it, if there is one that is not empty; else of all of it.
pub(super) fn slot(name: &[u8]) -> u16 {
    crc16(tag(name).unwrap_or(name)) % SLOTS
}

fn tag(name: &[u8]) -> Option<&[u8]> {
    let open = name.iter().position(|byte| *byte == b'{')?;
    let rest = &name[open + 1..];
    let length = rest.iter().position(|byte| *byte == b'}')?;
    Some(&rest[..length]).filter(|tag| !tag.is_empty())
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_redis_computes_it() {
        // Answers of CLUSTER KEYSLOT.
        let cases = [
            ("123456789", 12739),
            ("foo", 12182),
            ("{user1000}.following", 3443),
            ("{user1000}.followers", 3443),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("", 0),
        ];
        for (name, expected) in cases {
            assert_eq!(slot(name.as_bytes()), expected, "{name}");
        }
    }
}
