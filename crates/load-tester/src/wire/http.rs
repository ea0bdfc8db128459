//! The little of HTTP/1.1 that server-sent events and long polling need.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::wire::socket::{self, Socket};
use crate::wire::target::Target;

const HEAD_LIMIT_BYTES: usize = 8192;
const BODY_LIMIT_BYTES: usize = 1 << 20;

/// A socket that takes one request after the other.
#[derive(Debug)]
pub(crate) struct HttpConnection {
    stream: Socket,
    reader: ResponseReader,
}

impl HttpConnection {
    pub(crate) async fn connect(target: &Target) -> anyhow::Result<Self> {
        Ok(Self { stream: socket::connect(target).await?, reader: ResponseReader::default() })
    }

    pub(crate) fn over(stream: Socket) -> Self {
        Self { stream, reader: ResponseReader::default() }
    }

    /// Makes a SignalR connection and returns the path and query that belong to it.
    pub(crate) async fn negotiate(&mut self, target: &Target) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Negotiated {
            connection_token: String,
        }
        let path = target.path_with("/negotiate", "negotiateVersion=1");
        let answer = self.exchange(&request(target, "POST", &path, "")).await.context("negotiating")?;
        let Negotiated { connection_token } = serde_json::from_slice(&answer)?;
        Ok(target.path_with("", &format!("id={connection_token}")))
    }

    pub(crate) fn send_now(&mut self, request: &[u8]) -> anyhow::Result<()> {
        socket::send_now(&mut self.stream, request)
    }

    /// Sends a request and returns the body of its answer, which has to be a success.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.send_now(request)?;
        let mut body = Vec::new();
        let mut whole = false;
        while !whole {
            let take = &mut |piece: Piece<'_>| {
                match piece {
                    Piece::Head(status) => ensure!((200..300).contains(&status), "answered {status}"),
                    Piece::Body(bytes) => body.extend_from_slice(bytes),
                    Piece::End => whole = true,
                }
                Ok(())
            };
            poll_fn(|context| self.poll_receive(context, take)).await?;
        }
        Ok(body)
    }

    /// Sends a request and returns its answer, whatever that is.
    ///
    /// # Errors
    /// The socket closed before the answer was whole, or this is no HTTP, or the body is over 1 MiB.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        socket::send(&mut self.stream, request).await?;
        self.answer().await
    }

    /// Waits for the rest of an answer that has begun, or for the next one.
    pub(crate) async fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut answer = Answer::default();
        let mut whole = false;
        while !whole {
            let take = &mut |piece: Piece<'_>| answer.take(&piece, &mut whole);
            poll_fn(|context| self.poll_receive(context, take)).await?;
        }
        answer.location = self.reader.location.take();
        Ok(answer)
    }

    /// Whether the server has neither closed the socket nor sent what nobody asked for.
    pub(crate) fn is_idle(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        socket::poll_read(&mut self.stream, &mut context, |_| Ok(())).is_pending()
    }

    pub(crate) fn socket(&mut self) -> &mut Socket {
        &mut self.stream
    }

    pub(crate) fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        on: &mut dyn FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> Poll<anyhow::Result<()>> {
        self.poll_receive_at_most(context, usize::MAX, on)
    }

    /// As [`HttpConnection::poll_receive`], `limit` bytes at most.
    pub(crate) fn poll_receive_at_most(
        &mut self,
        context: &mut Context<'_>,
        limit: usize,
        on: &mut dyn FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> Poll<anyhow::Result<()>> {
        let reader = &mut self.reader;
        socket::poll_read_at_most(&mut self.stream, context, limit, |bytes| {
            ensure!(!bytes.is_empty(), "the socket closed");
            reader.feed(bytes, on)
        })
    }
}

/// A whole response.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Where a redirect of HTTP leads.
    pub(crate) location: Option<String>,
}

impl Answer {
    pub(crate) fn take(&mut self, piece: &Piece<'_>, whole: &mut bool) -> anyhow::Result<()> {
        match piece {
            Piece::Head(status) => self.status = *status,
            Piece::Body(bytes) => {
                ensure!(
                    self.body.len() + bytes.len() <= BODY_LIMIT_BYTES,
                    "answer over {BODY_LIMIT_BYTES} bytes"
                );
                self.body.extend_from_slice(bytes);
            }
            Piece::End => *whole = true,
        }
        Ok(())
    }
}

/// Posts JSON to another path of the target's server.
pub(crate) async fn post_json(target: &Target, path: &str, body: &str) -> anyhow::Result<()> {
    let mut connection = HttpConnection::connect(target).await?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        target.address,
        body.len()
    );
    connection.exchange(request.as_bytes()).await.with_context(|| format!("POST {path}"))?;
    Ok(())
}

/// Posts hub messages on a socket of their own.
pub(crate) async fn post(target: &Target, path: &str, messages: &str) -> anyhow::Result<()> {
    let mut connection = HttpConnection::connect(target).await?;
    connection.exchange(&request(target, "POST", path, messages)).await.context("posting")?;
    Ok(())
}

pub(crate) fn request(target: &Target, method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let host = target.address;
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain;charset=UTF-8\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A poll, or with `accept` an event stream.
pub(crate) fn get(target: &Target, path: &str, accept: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\n\r\n", target.address).into_bytes()
}

/// What a response consists of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Head(u16),
    Body(&'a [u8]),
    End,
}

/// Takes responses apart as they come. Copies only heads and chunk sizes that a read cut in two.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    place: Place,
    held: Vec<u8>,
    /// Of the last head that had one.
    location: Option<String>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Place {
    #[default]
    Head,
    /// Bytes of the body that are still to come.
    Body(usize),
    ChunkSize,
    /// Bytes of the chunk that are still to come, with its line end.
    Chunk(usize),
    /// The line end after the last chunk; servers here send no trailers.
    Trailer,
}

impl ResponseReader {
    pub(crate) fn location(&mut self) -> Option<String> {
        self.location.take()
    }

    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        on: &mut dyn FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let held = std::mem::take(&mut self.held);
        let whole = [&held, bytes].concat();
        let mut rest = if held.is_empty() { bytes } else { &whole };
        while let Some(used) = self.step(rest, on)? {
            rest = &rest[used..];
        }
        ensure!(rest.len() <= HEAD_LIMIT_BYTES, "head or chunk size without end");
        self.held.extend_from_slice(rest);
        Ok(())
    }

    /// Returns how many bytes it took; `None` if it needs more of them.
    fn step(
        &mut self,
        bytes: &[u8],
        on: &mut dyn FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<usize>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        match self.place {
            Place::Head => {
                let Some((status, size, place)) = head(bytes, &mut self.location)? else {
                    return Ok(None);
                };
                on(Piece::Head(status))?;
                self.go_on(place, on)?;
                Ok(Some(size))
            }
            Place::Body(left) => {
                let part = &bytes[..left.min(bytes.len())];
                on(Piece::Body(part))?;
                self.go_on(Place::Body(left - part.len()), on)?;
                Ok(Some(part.len()))
            }
            Place::ChunkSize => match httparse::parse_chunk_size(bytes) {
                Ok(httparse::Status::Complete((used, size))) => {
                    let size = usize::try_from(size)?;
                    self.place =
                        if size == 0 { Place::Trailer } else { Place::Chunk(size.saturating_add(2)) };
                    Ok(Some(used))
                }
                Ok(httparse::Status::Partial) => Ok(None),
                Err(_) => bail!("no chunk size"),
            },
            Place::Chunk(left) => {
                let part = &bytes[..left.min(bytes.len())];
                let data = &part[..part.len().min(left.saturating_sub(2))];
                if !data.is_empty() {
                    on(Piece::Body(data))?;
                }
                let left = left - part.len();
                self.place = if left == 0 { Place::ChunkSize } else { Place::Chunk(left) };
                Ok(Some(part.len()))
            }
            Place::Trailer if bytes.len() < 2 => Ok(None),
            Place::Trailer => {
                ensure!(bytes.starts_with(b"\r\n"), "trailers");
                self.place = Place::Head;
                on(Piece::End)?;
                Ok(Some(2))
            }
        }
    }

    fn go_on(
        &mut self,
        place: Place,
        on: &mut dyn FnMut(Piece<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let ended = matches!(place, Place::Body(0));
        self.place = if ended { Place::Head } else { place };
        if ended { on(Piece::End) } else { Ok(()) }
    }
}

/// Status, size, and what follows; `None` while it is not whole.
fn head(bytes: &[u8], location: &mut Option<String>) -> anyhow::Result<Option<(u16, usize, Place)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(size) = response.parse(bytes).context("no HTTP response")? else {
        return Ok(None);
    };
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    *location = value("location").map(str::to_owned);
    let place = match value("content-length") {
        _ if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) => {
            Place::ChunkSize
        }
        Some(length) => Place::Body(length.parse().context("no length")?),
        None => Place::Body(0),
    };
    Ok(Some((response.code.unwrap_or_default(), size, place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<String> {
        let mut reader = ResponseReader::default();
        let mut seen: Vec<String> = Vec::new();
        for chunk in chunks {
            let on = &mut |piece: Piece<'_>| {
                match piece {
                    Piece::Head(status) => seen.push(format!("{status} ")),
                    Piece::Body(bytes) => {
                        seen.last_mut().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
                    }
                    Piece::End => seen.last_mut().unwrap().push('.'),
                }
                Ok(())
            };
            reader.feed(chunk, on).unwrap();
        }
        assert!(reader.held.is_empty());
        seen
    }

    #[test]
    fn responses_are_found_wherever_a_read_cuts() {
        let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\
            HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello\
            HTTP/1.1 204 No Content\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:\r\n\r\n1b\r\ndata: and some more of that\r\n0\r\n\r\n\
            HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
        let expected = ["200 .", "200 hello.", "204 .", "200 :\r\ndata: and some more of that.", "404 no."];
        assert_eq!(read(&[wire]), expected);
        for cut in 1..wire.len() {
            let (start, end) = wire.split_at(cut);
            assert_eq!(read(&[start, end]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for wire in [
            &b"nonsense\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            &[b"HTTP/1.1 200 OK\r\nA: ", &b"a".repeat(HEAD_LIMIT_BYTES)[..]].concat(),
        ] {
            assert!(ResponseReader::default().feed(wire, &mut |_| Ok(())).is_err());
        }
    }
}
