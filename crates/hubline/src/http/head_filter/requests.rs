//! Where in the bytes of a connection its requests have their heads.

use memchr::{memchr, memchr2};

/// httparse accepts this byte nowhere in a request target, so hyper answers 400 and closes the connection.
const REFUSED: u8 = 0x7f;

/// Longer than each part that matters, the longest of which is `Content-Length: ` with 20 digits.
const PART: usize = 40;

/// Follows the requests that a client sends on one connection, and spoils a target that contains a `#`.
///
/// A request is followed to the next one only if no server could read its length in another way: HTTP/1.1, lines that
/// end in CR LF, no `Transfer-Encoding`, and one `Content-Length` of digits or none. After any other request, after one that
/// asks for an upgrade, and after a spoilt one, the bytes of the connection are not looked at any more.
/// Bytes that are no HTTP at all need no care: hyper answers 400 to them and reads no further.
#[derive(Debug, Default)]
pub(super) struct Requests {
    at: At,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// Before a request, where empty lines may be, or in its method.
    #[default]
    Method,
    Target,
    Version,
    Headers {
        content_length: Option<u64>,
    },
    Body {
        left: u64,
    },
    /// Where the next request begins is not certain.
    Unknown,
}

impl Requests {
    /// Looks at the bytes that come next and changes what hyper has to refuse.
    pub(super) fn filter(&mut self, bytes: &mut [u8]) {
        let mut done = 0;
        while done < bytes.len() && self.at != At::Unknown {
            done += self.step(&mut bytes[done..]);
        }
    }

    /// Goes on by at least one byte, and returns by how many.
    fn step(&mut self, bytes: &mut [u8]) -> usize {
        match self.at {
            At::Method if self.part.is_empty() && matches!(bytes[0], b'\r' | b'\n') => 1,
            At::Method => self.read_part(bytes, b' '),
            At::Target => self.target(bytes),
            At::Version | At::Headers { .. } => self.read_part(bytes, b'\n'),
            At::Body { left } => {
                let part = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - part as u64;
                self.at = if left == 0 { At::Method } else { At::Body { left } };
                part
            }
            At::Unknown => bytes.len(),
        }
    }

    fn target(&mut self, bytes: &mut [u8]) -> usize {
        let Some(end) = memchr2(b' ', b'#', bytes) else { return bytes.len() };
        if bytes[end] == b'#' {
            bytes[end] = REFUSED;
            self.at = At::Unknown;
        } else {
            self.at = At::Version;
        }
        end + 1
    }

    /// Goes to the end of the part that has this last byte; what comes in several pieces is put together.
    fn read_part(&mut self, bytes: &[u8], last: u8) -> usize {
        let Some(end) = memchr(last, bytes) else {
            self.part.push(bytes);
            return bytes.len();
        };
        let piece = &bytes[..=end];
        self.at = if self.part.is_empty() {
            self.at.after(piece)
        } else {
            self.part.push(piece);
            self.at.after(self.part.as_slice())
        };
        self.part.length = 0;
        piece.len()
    }
}

impl At {
    /// Where the next byte is after the part of a head that was expected here.
    fn after(self, part: &[u8]) -> Self {
        match self {
            // What follows a CONNECT that is granted are no requests.
            Self::Method if part != b"CONNECT " => Self::Target,
            Self::Version if part == b"HTTP/1.1\r\n" => Self::Headers { content_length: None },
            Self::Headers { content_length } => after_header(part, content_length),
            _ => Self::Unknown,
        }
    }
}

/// Where the next byte is after a line of a head, given the length that the lines before it named.
fn after_header(line: &[u8], content_length: Option<u64>) -> At {
    let value_of = |name: &str| {
        let (start, value) = line.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    };
    match line[0].to_ascii_lowercase() {
        _ if !line.ends_with(b"\r\n") => At::Unknown,
        b'\r' if line.len() == 2 => match content_length {
            None | Some(0) => At::Method,
            Some(left) => At::Body { left },
        },
        // The line before goes on, which was allowed long ago.
        b' ' | b'\t' => At::Unknown,
        b't' if value_of("transfer-encoding:").is_some() => At::Unknown,
        b'u' if value_of("upgrade:").is_some() => At::Unknown,
        b'c' if let Some(value) = value_of("content-length:") => {
            let length = digits(value).filter(|_| content_length.is_none() && line.len() < PART);
            length.map_or(At::Unknown, |length| At::Headers { content_length: Some(length) })
        }
        _ => At::Headers { content_length },
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// A part of a head as it comes, in one piece or several. One that fills it may be longer: of such a part the beginning is
/// kept, and the last two bytes.
#[derive(Debug)]
struct Part {
    bytes: [u8; PART],
    length: usize,
}

impl Default for Part {
    fn default() -> Self {
        Self { bytes: [0; PART], length: 0 }
    }
}

impl Part {
    fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, piece: &[u8]) {
        let free = &mut self.bytes[self.length..];
        let (fits, more) = piece.split_at(piece.len().min(free.len()));
        free[..fits.len()].copy_from_slice(fits);
        self.length += fits.len();
        for &byte in &more[more.len().saturating_sub(2)..] {
            self.bytes[PART - 2] = self.bytes[PART - 1];
            self.bytes[PART - 1] = byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hyper reads of what a client sends in these pieces.
    fn filtered<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let (mut requests, mut read) = (Requests::default(), Vec::new());
        for piece in pieces {
            let mut piece = piece.to_vec();
            requests.filter(&mut piece);
            read.extend(piece);
        }
        String::from_utf8(read).unwrap()
    }

    /// `^` stands for the byte that hyper refuses.
    #[track_caller]
    fn assert_read(sent: &str, expected: &str) {
        let expected = expected.replace('^', "\x7f");
        let bytes = sent.as_bytes();
        assert_eq!(filtered([bytes]), expected, "in one piece");
        assert_eq!(filtered(bytes.chunks(1)), expected, "byte by byte");
        for at in 0..bytes.len() {
            let (one, two) = bytes.split_at(at);
            assert_eq!(filtered([one, two]), expected, "in two pieces: {one:?}, {two:?}");
        }
    }

    #[track_caller]
    fn assert_untouched(sent: &str) {
        assert_read(sent, sent);
    }

    #[test]
    fn the_first_number_sign_of_a_target_is_replaced() {
        for (sent, read) in [
            ("GET /#a#b HTTP/1.1\r\n", "GET /^a#b HTTP/1.1\r\n"),
            ("GET # HTTP/1.1\r\n", "GET ^ HTTP/1.1\r\n"),
            ("POST http://hub/?id=1# HTTP/1.0\r\n", "POST http://hub/?id=1^ HTTP/1.0\r\n"),
            ("\r\n\nPROPPATCH /hub# HTTP/1.1\r\n", "\r\n\nPROPPATCH /hub^ HTTP/1.1\r\n"),
        ] {
            assert_read(sent, read);
        }
        assert_untouched("GE#T /%23 HTTP/1.1#\r\nReferer: #\r\n#: #\r\n\r\n");
    }

    #[test]
    fn the_next_request_begins_behind_the_body() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: #\r\nUpgrade-Insecure-Requests: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n\r\n",
            "POST / HTTP/1.1\r\nCONTENT-LENGTH:\t 012 \r\n\r\nGET /#x HTTP",
            "POST / HTTP/1.1\r\ncontent-lengths: 99\r\nContent-Length: 4\r\nX: 5\r\n\r\n #\r\n",
        ] {
            assert_read(&format!("{head}GET /#x HTTP/1.1\r\n"), &format!("{head}GET /^x HTTP/1.1\r\n"));
        }
        let long = "x".repeat(3 * PART);
        let head = format!("GET /{long} HTTP/1.1\r\n{long}: {long}#\r\nA: {long}\r\n\r\n");
        assert_read(&format!("{head}GET /#x HTTP/1.1\r\n"), &format!("{head}GET /^x HTTP/1.1\r\n"));
    }

    #[test]
    fn behind_a_doubtful_request_nothing_is_touched() {
        let zeros = "0".repeat(PART);
        for head in [
            "CONNECT / HTTP/1.1\r\n",
            "GET / HTTP/1.0\r\n",
            "GET / HTTP/1.1 \r\n",
            "GET  / HTTP/1.1\r\n",
            "GET / HTTP/1.1\n",
            "GET / HTTP/1.1\r\nHost: hub\n",
            "GET / HTTP/1.1\r\nHost:\r\n hub\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\thub\r\n",
            "GET / HTTP/1.1\r\nupgrade: websocket\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: identity\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0\r\nTRANSFER-ENCODING: chunked\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n",
            "GET / HTTP/1.1\r\nContent-Length: +0\r\n",
            "GET / HTTP/1.1\r\nContent-Length: -0\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0x0\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0, 0\r\n",
            "GET / HTTP/1.1\r\nContent-Length:\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n",
            &format!("GET / HTTP/1.1\r\nContent-Length: {zeros}\r\n"),
        ] {
            assert_untouched(&format!("{head}\r\nGET /#x HTTP/1.1\r\n"));
        }
        assert_read(
            "GET /# HTTP/1.1\r\n\r\nGET /# HTTP/1.1\r\n",
            "GET /^ HTTP/1.1\r\n\r\nGET /# HTTP/1.1\r\n",
        );
    }

    #[test]
    fn a_connection_is_followed_in_a_few_bytes() {
        assert!(size_of::<Requests>() <= 64, "{}", size_of::<Requests>());
    }
}
