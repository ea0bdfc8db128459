//! Checks UTF-8 that comes in pieces.

/// A text that is checked piece by piece. Holds at most the three first bytes of a split character.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    split: [u8; 4],
    length: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotUtf8;

impl Utf8 {
    /// Checks the next piece.
    pub(super) fn check(&mut self, mut piece: &[u8]) -> Result<(), NotUtf8> {
        while self.length > 0 {
            let Some((first, rest)) = piece.split_first() else { return Ok(()) };
            self.split[self.length] = *first;
            self.length += 1;
            piece = rest;
            match std::str::from_utf8(&self.split[..self.length]) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_some() => return Err(NotUtf8),
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(NotUtf8),
            Err(error) => {
                let tail = &piece[error.valid_up_to()..];
                self.split[..tail.len()].copy_from_slice(tail);
                self.length = tail.len();
                Ok(())
            }
        }
    }

    /// Checks that the text does not stop within a character.
    pub(super) fn end(self) -> Result<(), NotUtf8> {
        if self.length == 0 { Ok(()) } else { Err(NotUtf8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], size: usize) -> Result<(), NotUtf8> {
        let mut utf8 = Utf8::default();
        text.chunks(size).try_for_each(|piece| utf8.check(piece))?;
        utf8.end()
    }

    #[test]
    fn pieces_of_any_size_give_the_same_answer() {
        let texts: [&[u8]; 6] =
            ["aé€😀z".as_bytes(), b"", b"\xff", b"a\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc3\x28"];
        for text in texts {
            for size in 1..=text.len().max(1) {
                assert_eq!(
                    check(text, size).is_ok(),
                    std::str::from_utf8(text).is_ok(),
                    "{text:02x?} by {size}"
                );
            }
        }
    }
}
