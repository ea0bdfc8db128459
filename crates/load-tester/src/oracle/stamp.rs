use std::fmt::Write;

/// What a message of a run carries in its payload: whose it is, which one, and when it was sent.
///
/// As text: `@h`, the run in 8 hexadecimal digits, then origin, number and time in decimal, each behind a dot and the last one before
/// a dot too, then a filler: `@h0badcafe.3.4711.1796000000000000.xxxxx`. No character needs an escape in JSON or MessagePack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// A random mark of the run. All processes of a run have the same.
    pub run: u32,
    /// Who sends to whom: one sender and one audience. A sender with two audiences is two origins.
    pub origin: u32,
    /// Counted by origin, from 0, without gaps.
    pub number: u64,
    /// When it was sent: microseconds since the Unix epoch.
    pub sent_micros: u64,
}

/// The payload's size does not hold the stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payload of {size} bytes does not hold its stamp of {needed}; {} always do", Stamp::LONGEST_BYTES)]
pub struct TooSmall {
    /// What was asked for.
    pub size: usize,
    /// What this stamp takes.
    pub needed: usize,
}

impl Stamp {
    /// No stamp is longer, so a payload of this size always holds one.
    pub const LONGEST_BYTES: usize = 2 + 8 + 1 + 10 + 1 + 20 + 1 + 20 + 1;

    const MARK: u8 = b'@';
    const KIND: u8 = b'h';
    const RUN_DIGITS: usize = 8;
    const FILLER: u8 = b'x';

    /// The payload, filled up to `size` bytes.
    ///
    /// # Errors
    /// `size` is less than this stamp takes.
    pub fn text(&self, size: usize) -> Result<String, TooSmall> {
        let mut text = String::with_capacity(size.max(Self::LONGEST_BYTES));
        self.write(&mut text, size)?;
        Ok(text)
    }

    /// Appends the payload, filled up to `size` bytes.
    ///
    /// # Errors
    /// `size` is less than this stamp takes; `out` is as it was.
    pub fn write(&self, out: &mut String, size: usize) -> Result<(), TooSmall> {
        let before = out.len();
        let Self { run, origin, number, sent_micros } = self;
        write!(out, "@h{run:08x}.{origin}.{number}.{sent_micros}.").expect("a String takes every write");
        let needed = out.len() - before;
        if needed > size {
            out.truncate(before);
            return Err(TooSmall { size, needed });
        }
        out.extend(std::iter::repeat_n(char::from(Self::FILLER), size - needed));
        Ok(())
    }

    /// The first stamp in the bytes of a hub message of any protocol.
    pub fn find(message: &[u8]) -> Option<Self> {
        memchr::memchr_iter(Self::MARK, message).find_map(|mark| Self::read(&message[mark + 1..]))
    }

    /// How old the message was, in microseconds; 0 if the clocks disagree.
    pub fn age_micros(&self, now_micros: u64) -> u64 {
        now_micros.saturating_sub(self.sent_micros)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (run, rest) = bytes.strip_prefix(&[Self::KIND])?.split_at_checked(Self::RUN_DIGITS)?;
        let (origin, rest) = decimal(rest.strip_prefix(b".")?)?;
        let (number, rest) = decimal(rest)?;
        let (sent_micros, _) = decimal(rest)?;
        Some(Self { run: hexadecimal(run)?, origin: u32::try_from(origin).ok()?, number, sent_micros })
    }
}

/// A number and what is behind its dot.
fn decimal(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?,
            b'.' if index > 0 => return Some((number, &bytes[index + 1..])),
            _ => return None,
        }
    }
    None
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u32::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONGEST: Stamp = Stamp { run: u32::MAX, origin: u32::MAX, number: u64::MAX, sent_micros: u64::MAX };

    #[test]
    fn the_longest_stamp_fits_exactly() {
        let text = LONGEST.text(Stamp::LONGEST_BYTES).unwrap();
        assert_eq!((text.len(), Stamp::find(text.as_bytes())), (Stamp::LONGEST_BYTES, Some(LONGEST)));
        let error = LONGEST.text(Stamp::LONGEST_BYTES - 1).unwrap_err();
        assert_eq!(error.to_string(), "a payload of 63 bytes does not hold its stamp of 64; 64 always do");
        let mut out = "kept".to_owned();
        assert_eq!(LONGEST.write(&mut out, 10), Err(TooSmall { size: 10, needed: 64 }));
        assert_eq!(out, "kept");
    }

    #[test]
    fn what_only_looks_like_a_stamp_is_none() {
        for text in [
            "",
            "@",
            "@h",
            "@h0badcafe",
            "@h0badcafe.1.2.3",
            "@h0badcafe.1.2.x.",
            "@h0badcafe..2.3.",
            "@h0BADCAFE.1.2.3.",
            "@h0badcafe.4294967296.2.3.",
            "@h0badcafe.1.18446744073709551616.3.",
            "@m0000000001:0000000000000001",
            "somebody@home.example",
        ] {
            assert_eq!(Stamp::find(text.as_bytes()), None, "{text}");
        }
        let behind = b"@ somebody@home @h0badcafe.1.2.3.";
        assert_eq!(
            Stamp::find(behind),
            Some(Stamp { run: 0x0bad_cafe, origin: 1, number: 2, sent_micros: 3 })
        );
    }

    proptest! {
        #[test]
        fn a_stamp_survives_the_way(run: u32, origin: u32, number: u64, sent_micros: u64, more in 0..100_usize) {
            let stamp = Stamp { run, origin, number, sent_micros };
            let text = stamp.text(Stamp::LONGEST_BYTES + more).unwrap();
            prop_assert_eq!(text.len(), Stamp::LONGEST_BYTES + more);
            let escaped = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(&escaped[1..=text.len()], &text);
            prop_assert_eq!(Stamp::find(escaped.as_bytes()), Some(stamp));
        }

        #[test]
        fn no_bytes_are_too_odd(bytes: Vec<u8>) {
            let _ = Stamp::find(&bytes);
        }
    }
}
