//! Lines on their way to a file that may not take them.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{NOT_NOW, line};

/// Bytes that wait, besides those that are being written.
const LIMIT_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Buffer {
    state: Mutex<State>,
    limit_bytes: usize,
    filled: Condvar,
    emptied: Condvar,
    is_json: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Whether the thread has some that are in no buffer any more.
    is_writing: bool,
    /// Lines that were never written, and how many of them have been told of.
    lost: u64,
    told: u64,
}

impl Default for Buffer {
    fn default() -> Self {
        Self::of_bytes(LIMIT_BYTES)
    }
}

impl Buffer {
    pub(super) fn of_bytes(limit_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            limit_bytes,
            filled: Condvar::new(),
            emptied: Condvar::new(),
            is_json: AtomicBool::new(false),
        }
    }

    /// Takes lines if there is room for all of them, and counts them otherwise.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.lock();
        if state.lines.len() + lines.len() > self.limit_bytes {
            state.lost += count(lines);
            return;
        }
        state.lines.extend_from_slice(lines);
        drop(state);
        self.filled.notify_one();
    }

    /// What waits to be written, which is not written any more.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.lock().lines)).unwrap()
    }

    pub(super) fn become_json(&self) {
        self.is_json.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_json(&self) -> bool {
        self.is_json.load(Ordering::Relaxed)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// Waits until everything is written, or has turned out not to be writable.
    pub(super) fn flush(&self, patience: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.lines.is_empty();
        _ = self.emptied.wait_while_for(&mut self.lock(), is_busy, patience);
    }

    /// Writes what comes, for ever. What fails is lost, and the next is tried all the same: a disk gets room, a pipe another reader.
    pub(super) fn write_to(&self, mut file: impl Write) {
        let mut is_torn = false;
        let mut batch = Vec::new();
        loop {
            let told = self.next(&mut batch);
            let ends_another = usize::from(is_torn);
            if is_torn {
                batch.insert(0, b'\n');
            }
            let written = write(&mut file, &batch);
            is_torn = written < batch.len() && !batch[..written].ends_with(b"\n") && (is_torn || written > 0);
            let mut state = self.lock();
            state.is_writing = false;
            if written < batch.len() {
                let notice = u64::from(told > 0);
                state.lost += count(&batch[written.max(ends_another)..]).saturating_sub(notice);
            } else {
                state.told += told;
            }
            drop(state);
            self.emptied.notify_all();
            batch.clear();
        }
    }

    /// Waits for lines, with a notice behind them if some were lost; of how many it tells.
    fn next(&self, batch: &mut Vec<u8>) -> u64 {
        let mut state = self.lock();
        self.filled.wait_while(&mut state, |state| state.lines.is_empty());
        std::mem::swap(&mut state.lines, batch);
        state.is_writing = true;
        let untold = state.lost - state.told;
        drop(state);
        if untold > 0 {
            let text = format!("{untold} lines of the log were lost, their reader did not take them");
            let notice = line(self.is_json(), "WARN", &text);
            batch.extend_from_slice(notice.as_bytes());
        }
        untold
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

fn count(lines: &[u8]) -> u64 {
    let newlines = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
    newlines + u64::from(!lines.is_empty() && !lines.ends_with(b"\n"))
}

/// Writes as much as can be written, and returns how much that was.
fn write(file: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(NOT_NOW),
            Err(_) => break,
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;

    use super::*;

    /// Does with each write what it is told to: takes so many bytes at most, or fails.
    struct Sink {
        answers: mpsc::Receiver<Result<usize, ErrorKind>>,
        taken: mpsc::Sender<String>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // The test is over when it has no more answers.
            let length = self.answers.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            _ = self.taken.send(text);
            Ok(length)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    const ALL: Result<usize, ErrorKind> = Ok(usize::MAX);

    struct Written {
        buffer: Arc<Buffer>,
        answer: mpsc::Sender<Result<usize, ErrorKind>>,
        taken: mpsc::Receiver<String>,
    }

    fn written(limit_bytes: usize) -> Written {
        let (answer, answers) = mpsc::channel();
        let (takes, taken) = mpsc::channel();
        let buffer = Arc::new(Buffer::of_bytes(limit_bytes));
        let of_thread = Arc::clone(&buffer);
        std::thread::spawn(move || of_thread.write_to(Sink { answers, taken: takes }));
        Written { buffer, answer, taken }
    }

    impl Written {
        fn next(&self) -> String {
            self.taken.recv_timeout(Duration::from_secs(30)).unwrap()
        }

        fn flush(&self) {
            self.buffer.flush(Duration::from_secs(30));
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_once_there_is_some() {
        let output = written(30);
        output.buffer.push(b"first\n");
        while !output.buffer.lock().is_writing {
            std::thread::yield_now();
        }
        // The thread is stuck in its write from here on.
        output.buffer.push(b"second, of 20 bytes\n");
        output.buffer.push(b"third, of 19 bytes\n");
        output.buffer.push(b"fourth, of 20 bytes\n");
        output.buffer.push(b"fits\n");
        assert_eq!(output.buffer.lost(), 2);
        output.answer.send(ALL).unwrap();
        assert_eq!(output.next(), "first\n");
        output.answer.send(ALL).unwrap();
        let rest = output.next();
        let lines: Vec<_> = rest.lines().collect();
        assert_eq!(lines[..2], ["second, of 20 bytes", "fits"]);
        assert!(lines[2].contains("WARN hubline: 2 lines of the log were lost"), "{rest}");
        output.flush();
        output.buffer.push(b"last\n");
        output.answer.send(ALL).unwrap();
        assert_eq!(output.next(), "last\n", "it is told once");
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_the_next_begins_a_line() {
        let output = written(1024);
        for answer in [Ok(9), Err(ErrorKind::StorageFull)] {
            output.answer.send(answer).unwrap();
        }
        output.buffer.push(b"whole\ntorn apart\nnever\n");
        output.flush();
        assert_eq!((output.next(), output.buffer.lost()), ("whole\ntor".to_owned(), 2));
        output.answer.send(Err(ErrorKind::BrokenPipe)).unwrap();
        output.buffer.push(b"nobody\n");
        output.flush();
        assert_eq!(output.buffer.lost(), 3, "the notice is no line of the log");
        output.answer.send(Err(ErrorKind::WouldBlock)).unwrap();
        output.answer.send(Err(ErrorKind::Interrupted)).unwrap();
        output.answer.send(ALL).unwrap();
        output.buffer.push(b"again\n");
        let text = output.next();
        assert!(text.starts_with("\nagain\n") && text.contains(" 3 lines of the log"), "{text:?}");
    }
}
