//! Bytes on their way to a client that gets them in HTTP responses.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// From this size on a piece is shared with the other receivers of its message; copying smaller ones into
/// one buffer is cheaper than a piece of its own for each.
const SHARED_FROM: usize = 4 * 1024;

/// What waits to be taken, bounded by who puts it in: see [`Outgoing::is_full`].
#[derive(Debug)]
pub(crate) struct Outgoing {
    pieces: VecDeque<Bytes>,
    /// The last piece, which small ones are added to.
    open: BytesMut,
    size: usize,
    limit: usize,
    paused: bool,
}

impl Outgoing {
    pub(crate) fn new(limit: usize) -> Self {
        Self { pieces: VecDeque::new(), open: BytesMut::new(), size: 0, limit, paused: false }
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_FROM {
            self.push_copy(&bytes);
        } else {
            self.size += bytes.len();
            self.seal();
            self.pieces.push_back(bytes);
        }
    }

    pub(crate) fn push_copy(&mut self, bytes: &[u8]) {
        self.size += bytes.len();
        self.open.extend_from_slice(bytes);
    }

    /// Whether nothing should be added: from the limit on, until half of it is taken, as ASP.NET Core's
    /// pipes have it. Below the limit one more message of any size fits.
    pub(crate) fn is_full(&mut self) -> bool {
        self.paused = if self.paused { self.size > self.limit / 2 } else { self.size >= self.limit };
        self.paused
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.size == 0
    }

    pub(crate) fn take_piece(&mut self) -> Option<Bytes> {
        if self.pieces.is_empty() {
            self.seal();
        }
        let piece = self.pieces.pop_front()?;
        self.size -= piece.len();
        Some(piece)
    }

    pub(crate) fn take_all(&mut self) -> VecDeque<Bytes> {
        self.seal();
        self.size = 0;
        std::mem::take(&mut self.pieces)
    }

    /// Undoes [`Outgoing::take_all`]: the pieces come first again.
    pub(crate) fn put_back(&mut self, taken: VecDeque<Bytes>) {
        self.size += taken.iter().map(Bytes::len).sum::<usize>();
        for piece in taken.into_iter().rev() {
            self.pieces.push_front(piece);
        }
    }

    /// Gives the buffer away whole, so that nothing of it is kept while nothing is under way.
    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.open).freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_joined_and_large_ones_shared() {
        let large = Bytes::from(vec![b'x'; SHARED_FROM]);
        let mut outgoing = Outgoing::new(10);
        for bytes in [Bytes::from_static(b"a"), Bytes::from_static(b"b"), large.clone()] {
            outgoing.push(bytes);
        }
        outgoing.push_copy(b"c");
        assert_eq!(outgoing.take_piece().unwrap(), "ab");
        assert_eq!(outgoing.take_piece().unwrap().as_ptr(), large.as_ptr());
        assert_eq!(outgoing.take_all(), [Bytes::from_static(b"c")]);
        assert!(outgoing.is_empty());
        assert_eq!(outgoing.open.capacity(), 0);
    }

    #[test]
    fn full_at_the_limit_and_open_again_at_half() {
        let mut outgoing = Outgoing::new(4);
        outgoing.push_copy(b"abc");
        assert!(!outgoing.is_full());
        outgoing.pieces.push_back(std::mem::take(&mut outgoing.open).freeze());
        outgoing.push_copy(b"de");
        outgoing.push_copy(b"f");
        assert!(outgoing.is_full());
        outgoing.push_copy(b"");
        assert_eq!(outgoing.take_piece().unwrap(), "abc");
        assert!(outgoing.is_full(), "three bytes are more than half");
        outgoing.take_all();
        assert!(!outgoing.is_full());
    }
}
