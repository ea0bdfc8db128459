use std::future::poll_fn;
use std::task::{Context, Poll};

use anyhow::{Context as _, bail, ensure};

use crate::wire::connection::{Receive, ensure_open};
use crate::wire::framing::MessageReader;
use crate::wire::http::{self, HttpConnection, Piece};
use crate::wire::messages::{PING, Protocol, message_type};
use crate::wire::target::Target;

const LINE_LIMIT_BYTES: usize = 1 << 20;

/// A connection over server-sent events.
#[derive(Debug)]
pub(crate) struct EventStream {
    http: HttpConnection,
    target: Target,
    path: String,
    events: EventReader,
}

impl EventStream {
    /// Negotiates, opens the stream and sends the handshake.
    pub(crate) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let mut http = HttpConnection::connect(target).await?;
        let path = http.negotiate(target).await?;
        http.send_now(&http::get(target, &path, "text/event-stream"))?;
        let mut stream = Self { http, target: target.clone(), path, events: EventReader::new() };
        // Nothing but the opening comment comes before the handshake.
        poll_fn(|context| stream.poll_receive(context, &mut |_, _| ()))
            .await
            .context("opening the stream")?;
        stream.post(Protocol::Json.handshake()).await?;
        Ok(stream)
    }

    pub(crate) async fn ping(&self) -> anyhow::Result<()> {
        self.post(PING).await
    }

    async fn post(&self, message: &str) -> anyhow::Result<()> {
        http::post(&self.target, &self.path, message).await
    }
}

impl Receive for EventStream {
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        on_message: &mut dyn FnMut(u8, &[u8]),
    ) -> Poll<anyhow::Result<()>> {
        let events = &mut self.events;
        self.http.poll_receive(context, &mut |piece| match piece {
            Piece::Head(status) => {
                ensure!(status == 200, "answered {status}");
                Ok(())
            }
            Piece::Body(bytes) => events.feed(bytes, on_message),
            Piece::End => bail!("the stream ended"),
        })
    }
}

/// Finds hub messages in the lines of events; each is one `data` line, as JSON has no line ends.
#[derive(Debug)]
pub(crate) struct EventReader {
    line_start: Vec<u8>,
    messages: MessageReader,
}

impl EventReader {
    pub(crate) fn new() -> Self {
        Self { line_start: Vec::new(), messages: MessageReader::new(Protocol::Json) }
    }

    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        on_message: &mut dyn FnMut(u8, &[u8]),
    ) -> anyhow::Result<()> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let held = std::mem::take(&mut self.line_start);
            let whole = if held.is_empty() { Vec::new() } else { [&held, &bytes[..end]].concat() };
            let line = if held.is_empty() { &bytes[..end] } else { &whole };
            bytes = &bytes[end + 1..];
            if let Some(data) = line.strip_prefix(b"data: ") {
                self.data(data.strip_suffix(b"\r").unwrap_or(data), on_message)?;
            }
        }
        ensure!(
            self.line_start.len() + bytes.len() <= LINE_LIMIT_BYTES,
            "event over {LINE_LIMIT_BYTES} bytes"
        );
        self.line_start.extend_from_slice(bytes);
        Ok(())
    }

    fn data(&mut self, data: &[u8], on_message: &mut dyn FnMut(u8, &[u8])) -> anyhow::Result<()> {
        let mut open = Ok(());
        self.messages.feed(data, |message| {
            let kind = message_type(message).unwrap_or(0);
            on_message(kind, message);
            if open.is_ok() {
                open = ensure_open(kind, message);
            }
        })?;
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_events_wherever_a_read_cuts() {
        let wire = b":\r\ndata: {}\x1e\r\n\r\ndata: {\"type\":6}\x1e{\"type\":1}\x1e\r\n\r\n";
        for cut in 0..wire.len() {
            let (start, end) = wire.split_at(cut);
            let mut events = EventReader::new();
            let mut kinds = Vec::new();
            for part in [start, end] {
                events.feed(part, &mut |kind, _| kinds.push(kind)).unwrap();
            }
            assert_eq!(kinds, [0, 6, 1], "cut at {cut}");
        }
    }

    #[test]
    fn a_close_message_ends_the_connection() {
        let mut kinds = Vec::new();
        let closed =
            EventReader::new().feed(b"data: {\"type\":7}\x1e\r\n\r\n", &mut |kind, _| kinds.push(kind));
        assert!(closed.is_err());
        assert_eq!(kinds, [7]);
    }
}
