//! Where one hub message ends and the next begins.

use crate::DecodeError;

/// Ends every JSON hub message and both halves of the handshake.
pub const RECORD_SEPARATOR: u8 = 0x1e;

/// The first text message in `input`, without its separator; `None` if it is not whole yet.
///
/// The separator counts against `limit`, as in ASP.NET Core: 32768 bytes pass, 32769 do not.
///
/// # Errors
/// [`DecodeError::TooLarge`] as soon as the message cannot fit any more, whole or not.
pub fn split_text(input: &[u8], limit: usize) -> Result<Option<&[u8]>, DecodeError> {
    let searched = &input[..input.len().min(limit)];
    match memchr::memchr(RECORD_SEPARATOR, searched) {
        Some(end) => Ok(Some(&input[..end])),
        None if input.len() > limit => Err(DecodeError::TooLarge { limit }),
        None => Ok(None),
    }
}

/// Most bytes that [`var_int`] writes.
pub(crate) const VAR_INT_MAX: usize = 5;

/// `length` as a VarInt: seven bits a byte, least significant first. Returns the bytes used.
///
/// Source: HubProtocol.md, "MessagePack ... framing".
pub(crate) fn var_int(mut length: u32, out: &mut [u8; VAR_INT_MAX]) -> usize {
    let mut used = 0;
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        out[used] = if length == 0 { low } else { low | 0x80 };
        used += 1;
        if length == 0 {
            return used;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_counts_against_the_limit() {
        assert_eq!(split_text(b"ab\x1ecd\x1e", 3), Ok(Some(&b"ab"[..])));
        assert_eq!(split_text(b"abc\x1e", 3), Err(DecodeError::TooLarge { limit: 3 }));
        assert_eq!(split_text(b"abc", 3), Ok(None));
        assert_eq!(split_text(b"abcd", 3), Err(DecodeError::TooLarge { limit: 3 }));
        assert_eq!(split_text(b"", 3), Ok(None));
    }

    #[test]
    fn var_ints_are_as_the_specification_shows() {
        let mut out = [0; VAR_INT_MAX];
        for (length, bytes) in [(0, &[0][..]), (127, &[0x7f]), (128, &[0x80, 1]), (5248, &[0x80, 0x29])] {
            let used = var_int(length, &mut out);
            assert_eq!(&out[..used], bytes, "{length}");
        }
        assert_eq!(var_int(u32::MAX, &mut out), 5);
    }
}
