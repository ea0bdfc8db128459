//! Packed commands on their way to a socket.

use redis::Cmd;

/// The buffer keeps this much room once it is empty, and none that one large command needed.
const KEPT_BYTES: usize = 128 * 1024;

/// Commands, the first bytes of them written already. Positions count from the link's first byte.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    packed: Vec<u8>,
    /// How many of these are written.
    skip: usize,
    written: u64,
}

impl Unwritten {
    pub(super) fn pack(&mut self, command: &Cmd) {
        command.write_packed_command(&mut self.packed);
    }

    /// The position behind the last command.
    pub(super) fn end(&self) -> u64 {
        self.written + self.len() as u64
    }

    /// The position behind what is written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.packed[self.skip..]
    }

    pub(super) fn len(&self) -> usize {
        self.packed.len() - self.skip
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves what is left only when that is the smaller part.
    pub(super) fn advance(&mut self, written: usize) {
        self.skip += written;
        self.written += written as u64;
        if self.skip * 2 >= self.packed.len() {
            self.packed.drain(..self.skip);
            self.skip = 0;
        }
        if self.packed.is_empty() {
            self.packed.shrink_to(KEPT_BYTES);
        }
    }

    /// Forgets what is behind a position, all of it without one.
    pub(super) fn truncate(&mut self, end: Option<u64>) {
        let left = end.unwrap_or(0).saturating_sub(self.written);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        self.packed.truncate(self.skip.saturating_add(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_stay_when_bytes_go() {
        let mut unwritten = Unwritten::default();
        let ping = redis::cmd("PING");
        unwritten.pack(&ping);
        let first = unwritten.end();
        unwritten.pack(&ping);
        let second = unwritten.end();
        assert_eq!(second, 2 * first);
        unwritten.advance(3);
        assert_eq!((unwritten.written(), unwritten.end()), (3, second));
        unwritten.truncate(Some(first));
        assert_eq!((unwritten.end(), unwritten.len() as u64), (first, first - 3));
        assert!(unwritten.bytes().ends_with(b"PING\r\n"));
        unwritten.advance(unwritten.len());
        assert!(unwritten.is_empty() && unwritten.written() == first);
        unwritten.pack(&ping);
        unwritten.truncate(None);
        assert!(unwritten.is_empty() && unwritten.end() == first);
    }
}
