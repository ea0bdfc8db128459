//! What the program says on standard error, without ever waiting for who reads it.
//!
//! Lines go into memory, and a thread of their own writes them. Where the reader has gone or does not read, or the disk is full,
//! that thread alone is stopped; what finds no room is counted, and told once there is some. `tracing-appender` bounds lines
//! instead of bytes, tells nobody what it has dropped, and prints to standard error when it cannot end, which is what must not be
//! waited for.

mod buffer;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use buffer::Buffer;

/// How long the end of the program waits for what is still to be written.
const FAREWELL: Duration = Duration::from_secs(1);
/// Between two attempts at an output that is set not to block, by who shares it.
const NOT_NOW: Duration = Duration::from_millis(10);

/// Standard error. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Output(Arc<Buffer>);

impl Output {
    /// Through a file descriptor of our own, so that no lock of the standard library is held while it blocks.
    ///
    /// # Errors
    /// There is no file descriptor, or no thread, to be had.
    pub(crate) fn start() -> io::Result<Self> {
        let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let buffer = Arc::new(Buffer::default());
        let written = Arc::clone(&buffer);
        std::thread::Builder::new().name("hubline-log".to_owned()).spawn(move || written.write_to(&file))?;
        Ok(Self(buffer))
    }

    /// One that loses all there is, where another cannot be had.
    pub(crate) fn nowhere() -> Self {
        Self(Arc::new(Buffer::of_bytes(0)))
    }

    /// Writes whole lines, with a newline at the end. Never waits.
    pub(crate) fn say(&self, lines: &str) {
        self.0.push(lines.as_bytes());
    }

    /// From now on everything is written as JSON, one object a line.
    pub(crate) fn become_json(&self) {
        self.0.become_json();
    }

    /// Says why the program ends, as an error of the log where that is JSON.
    pub(crate) fn fail(&self, reason: &str) {
        match self.0.is_json() {
            true => self.say(&line(true, "ERROR", reason)),
            false => self.say(&format!("{reason}\n")),
        }
    }

    /// What is for standard output: as it is, or as a line of JSON for each of its lines where the log is that, since both are often read
    /// as one.
    pub(crate) fn for_standard_output(&self, text: &str) -> String {
        match self.0.is_json() {
            true => text.lines().map(|text| line(true, "INFO", text)).collect(),
            false => text.to_owned(),
        }
    }

    /// Lines that were not written since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost()
    }

    /// Waits until everything is written, 1 s at most.
    pub(crate) fn flush(&self) {
        self.0.flush(FAREWELL);
    }

    /// Says of each panic where it was, as the standard library does, but here.
    pub(crate) fn take_panics(&self) {
        let output = self.clone();
        std::panic::set_hook(Box::new(move |panic| output.say(&described(output.0.is_json(), panic))));
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(&self.0)
    }
}

/// Takes what one event becomes, which comes in one piece, and makes it one line: who may choose a user id or the name of a room
/// could write lines of the log otherwise.
#[derive(Debug)]
pub(crate) struct Line<'a>(&'a Buffer);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        match text.iter().any(|&byte| is_control(byte)) {
            true => self.0.push(&escaped(text)),
            false => self.0.push(line),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a byte is a control character but for tabs, and for what begins colours: the subscriber itself has escaped those of others.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t' && byte != 0x1b
}

/// A line whose control characters are written as in Rust.
fn escaped(text: &[u8]) -> Vec<u8> {
    let escape = |&byte: &u8| match is_control(byte) {
        true => char::from(byte).escape_default().to_string().into_bytes(),
        false => vec![byte],
    };
    let mut line: Vec<u8> = text.iter().flat_map(escape).collect();
    line.push(b'\n');
    line
}

fn described(is_json: bool, panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let (name, backtrace) = (thread.name().unwrap_or("unnamed"), std::backtrace::Backtrace::capture());
    let backtrace = match backtrace.status() {
        std::backtrace::BacktraceStatus::Captured => format!("{backtrace}"),
        _ => String::new(),
    };
    line(is_json, "ERROR", &format!("thread '{name}' {panic}\n{backtrace}"))
}

/// A line as the log has them.
fn line(is_json: bool, level: &str, text: &str) -> String {
    let mut time = String::new();
    _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let text = text.trim_end();
    if is_json {
        let event =
            serde_json::json!({ "timestamp": time, "level": level, "message": text, "target": "hubline" });
        return format!("{event}\n");
    }
    format!("{time} {level} hubline: {text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let output = Output(Arc::new(Buffer::default()));
        let written = |event: &str| {
            output.make_writer().write_all(event.as_bytes()).unwrap();
            output.0.waiting()
        };
        let plain = "INFO \u{1b}[2mx\u{1b}[0m: a\tb \u{fc}\n";
        assert_eq!(written(plain), plain);
        let forged = "INFO x: User connected to chat: root\nINFO x: forged\r\0\n";
        assert_eq!(written(forged), "INFO x: User connected to chat: root\\nINFO x: forged\\r\\u{0}\n");
    }
}
