//! Where one hub message ends and the next begins.

use crate::{DecodeError, HubProtocol};

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

/// A hub message found in what has come so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framed<'a> {
    /// The message without its separator or length.
    pub message: &'a [u8],
    /// How many bytes of the input it takes with it.
    pub used: usize,
}

/// The first message in `input`; `None` if it is not whole yet. Separator and length count against `limit`.
///
/// # Errors
/// The message cannot fit any more, or its length is not one.
pub fn split(protocol: HubProtocol, input: &[u8], limit: usize) -> Result<Option<Framed<'_>>, DecodeError> {
    match protocol {
        HubProtocol::Json => {
            let text = split_text(input, limit)?;
            Ok(text.map(|message| Framed { message, used: message.len() + 1 }))
        }
        HubProtocol::MessagePack => split_binary(input, limit),
    }
}

/// The first binary message in `input`; `None` if it is not whole yet.
///
/// Only bytes that have come count against `limit`: a length over it is no error by itself, as in ASP.NET Core.
///
/// # Errors
/// [`DecodeError::TooLarge`] once more than `limit` bytes hold no whole message, [`DecodeError::Over2Gb`]
/// for a length that is none.
pub fn split_binary(input: &[u8], limit: usize) -> Result<Option<Framed<'_>>, DecodeError> {
    let searched = &input[..input.len().min(limit)];
    if let Some((length, prefix)) = read_var_int(searched)?
        && let Some(message) = searched[prefix..].get(..length)
    {
        return Ok(Some(Framed { message, used: prefix + length }));
    }
    if input.len() > limit { Err(DecodeError::TooLarge { limit }) } else { Ok(None) }
}

/// The VarInt that `input` begins with and how many bytes it takes; `None` if it is not whole yet.
/// It need not be in its shortest form.
fn read_var_int(input: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut length = 0;
    for (at, byte) in input.iter().take(VAR_INT_MAX).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        let last = at + 1 == VAR_INT_MAX;
        if last && *byte > 7 {
            return Err(DecodeError::Over2Gb);
        }
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    Ok(None)
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

    fn framed(message: &[u8], used: usize) -> Result<Option<Framed<'_>>, DecodeError> {
        Ok(Some(Framed { message, used }))
    }

    #[test]
    fn binary_messages_follow_their_length() {
        assert_eq!(split_binary(&[2, 0x91, 6, 9], 3), framed(&[0x91, 6], 3));
        assert_eq!(split_binary(&[0x82, 0, 0x91, 6], 9), framed(&[0x91, 6], 4), "not in shortest form");
        assert_eq!(split_binary(&[0], 9), framed(&[], 1));
        assert_eq!(split_binary(&[2, 0x91], 9), Ok(None));
        assert_eq!(split_binary(&[0x82], 9), Ok(None));
        assert_eq!(split_binary(&[], 9), Ok(None));
    }

    #[test]
    fn the_length_counts_against_the_limit_but_only_bytes_that_have_come() {
        assert_eq!(split_binary(&[3, 1, 2, 3], 4), framed(&[1, 2, 3], 4));
        assert_eq!(split_binary(&[3, 1, 2, 3], 3), Err(DecodeError::TooLarge { limit: 3 }));
        assert_eq!(split_binary(&[0x81, 0x80, 2, 0, 0], 5), Ok(None));
        assert_eq!(split_binary(&[0x81, 0x80, 2, 0, 0, 0], 5), Err(DecodeError::TooLarge { limit: 5 }));
        assert_eq!(split_binary(&[0xff, 0xff, 0xff, 0xff, 7], usize::MAX), Ok(None));
    }

    #[test]
    fn no_message_is_longer_than_2_gb() {
        for length in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
            assert_eq!(split_binary(length, 9), Err(DecodeError::Over2Gb));
        }
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
