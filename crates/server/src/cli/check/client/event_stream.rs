//! Server-sent events.

use anyhow::{Result, anyhow, bail, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::super::http::{Http, LIMIT_BYTES};

/// An answer that does not end.
pub(super) struct EventStream {
    body: Incoming,
    events: Events,
}

/// Lines of which an empty one ends an event.
#[derive(Default)]
struct Events {
    line: Vec<u8>,
    data: String,
}

impl EventStream {
    pub(super) async fn open(http: &Http, url: &str) -> Result<Self> {
        let headers = [("accept", "text/event-stream")];
        let (head, body) = http.send(Method::GET, url, &headers, String::new()).await?.into_parts();
        ensure!(head.status == StatusCode::OK, "it answers {}", head.status);
        Ok(Self { body, events: Events::default() })
    }

    /// The data of the events that have come, perhaps none.
    pub(super) async fn receive(&mut self) -> Result<String> {
        let Some(frame) = self.body.frame().await else { bail!("the stream has ended") };
        let bytes = frame.map_err(|error| anyhow!("{error}"))?.into_data().unwrap_or_default();
        self.events.feed(&bytes)
    }
}

impl Events {
    fn feed(&mut self, bytes: &Bytes) -> Result<String> {
        let mut whole = String::new();
        for byte in bytes {
            match byte {
                b'\r' => {}
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    let line = String::from_utf8_lossy(&line);
                    match line.strip_prefix("data:") {
                        Some(data) => self.data.push_str(data.strip_prefix(' ').unwrap_or(data)),
                        None if line.is_empty() => whole.push_str(&std::mem::take(&mut self.data)),
                        // A comment.
                        None => {}
                    }
                }
                byte => self.line.push(*byte),
            }
        }
        ensure!(
            self.line.len() + self.data.len() <= LIMIT_BYTES,
            "an event of more than {LIMIT_BYTES} bytes"
        );
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_a_read_cuts() {
        let wire = ":\r\n\r\ndata: {}\u{1e}\r\n\r\ndata: a\r\ndata: b\r\n\r\ndata: half";
        for cut in 0..wire.len() {
            let (start, end) = (&wire.as_bytes()[..cut], &wire.as_bytes()[cut..]);
            let mut events = Events::default();
            let mut seen = events.feed(&Bytes::copy_from_slice(start)).unwrap();
            seen.push_str(&events.feed(&Bytes::copy_from_slice(end)).unwrap());
            assert_eq!(seen, "{}\u{1e}ab", "cut at {cut}");
        }
        assert!(Events::default().feed(&Bytes::from(vec![b'x'; LIMIT_BYTES + 1])).is_err());
    }
}
