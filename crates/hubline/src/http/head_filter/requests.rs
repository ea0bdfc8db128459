//! Where in the bytes of a connection its requests have their heads.

use memchr::memchr;

/// Longer than each part that matters, the longest of which is `Content-Length: ` with 20 digits.
const PART: usize = 40;

/// Most bytes of a head that are held back until it is known whether it asks for a WebSocket; as many as a head may have.
const MOST_UNDECIDED: u32 = 64 * 1024;

/// Follows the requests that a client sends on one connection, and says what in their heads is to be changed.
///
/// A request is followed to the next one only if no server could read its length in another way: HTTP/1.1, lines that
/// end in CR LF, no `Transfer-Encoding`, and one `Content-Length` of digits or none. After any other request, after one that
/// asks for an upgrade, and after a refused one, the bytes of the connection are not looked at any more.
/// Bytes that are no HTTP at all need no care: hyper answers 400 to them and reads no further.
#[derive(Debug, Default)]
pub(super) struct Requests {
    at: At,
    part: Part,
    chance: Chance,
    /// Bytes of a head, from its version on, that hyper must not see until the head has ended.
    undecided: u32,
}

/// What is to be done with the bytes that a [`Step`] has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    Nothing,
    /// The last byte makes a target that Kestrel refuses.
    Refuse,
    /// The last byte may stand in a target for Kestrel, and for hyper if it is percent-encoded.
    Encode,
    /// The last so many bytes are a head without body of a GET over HTTP/1.0, from its version on.
    Lift(usize),
}

/// How far [`Requests`] went, at least one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) taken: usize,
    pub(super) edit: Edit,
}

/// What a client may be in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Between,
    Within,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// Before a request, where empty lines may be, or in its method.
    #[default]
    Method,
    Target(Place),
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Path,
    Query,
    /// A target that is not just a path and a query, which proxies are sent.
    Other,
}

/// Whether a request may be one for a WebSocket over HTTP/1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Chance {
    #[default]
    None,
    Get,
    GetOverHttp10,
}

impl Requests {
    /// Whether the rest of the connection is not looked at.
    pub(super) fn are_lost(&self) -> bool {
        self.at == At::Unknown
    }

    pub(super) fn lose(&mut self) {
        (self.at, self.undecided) = (At::Unknown, 0);
    }

    /// How many of the last bytes must be held back.
    pub(super) fn undecided(&self) -> usize {
        self.undecided as usize
    }

    pub(super) fn phase(&self) -> Phase {
        match self.at {
            At::Unknown => Phase::Unknown,
            At::Method if self.part.is_empty() => Phase::Between,
            _ => Phase::Within,
        }
    }

    /// Goes on by at least one of these bytes, of which there is one or more.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        let plain = |taken| Step { taken, edit: Edit::Nothing };
        match self.at {
            At::Method if self.part.is_empty() && matches!(bytes[0], b'\r' | b'\n') => plain(1),
            At::Method => plain(self.read_part(bytes, b' ')),
            At::Target(place) => self.target(bytes, place),
            At::Version | At::Headers { .. } => {
                let taken = self.read_part(bytes, b'\n');
                Step { taken, edit: self.hold(taken) }
            }
            At::Body { left } => {
                let part = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - part as u64;
                self.at = if left == 0 { At::Method } else { At::Body { left } };
                plain(part)
            }
            At::Unknown => plain(bytes.len()),
        }
    }

    fn target(&mut self, bytes: &[u8], place: Place) -> Step {
        if place == Place::Start {
            self.at = At::Target(if bytes[0] == b'/' { Place::Path } else { Place::Other });
            if bytes[0] == b'/' {
                return Step { taken: 1, edit: Edit::Nothing };
            }
            self.chance = Chance::None;
        }
        let Some(end) = bytes.iter().position(|&byte| STOPS[usize::from(byte)]) else {
            return Step { taken: bytes.len(), edit: Edit::Nothing };
        };
        let (at, edit) = match (bytes[end], self.at) {
            (b'#', _) => (At::Unknown, Edit::Refuse),
            (b' ', _) => (At::Version, Edit::Nothing),
            (b'?', At::Target(Place::Path)) => (At::Target(Place::Query), Edit::Nothing),
            (b'<' | b'>' | b'`', at @ At::Target(Place::Path)) => (at, Edit::Encode),
            (b'<' | b'>' | b'"', at @ At::Target(Place::Query)) => (at, Edit::Encode),
            (_, at) => (at, Edit::Nothing),
        };
        self.at = at;
        Step { taken: end + 1, edit }
    }

    /// Goes to the end of the part that has this last byte; what comes in several pieces is put together.
    fn read_part(&mut self, bytes: &[u8], last: u8) -> usize {
        let Some(end) = memchr(last, bytes) else {
            self.part.push(bytes);
            return bytes.len();
        };
        let piece = &bytes[..=end];
        if self.part.is_empty() {
            self.end_part(piece);
        } else {
            self.part.push(piece);
            let part = std::mem::take(&mut self.part);
            self.end_part(part.as_slice());
        }
        piece.len()
    }

    fn end_part(&mut self, part: &[u8]) {
        self.at = match self.at {
            // What follows a CONNECT that is granted are no requests.
            At::Method if part != b"CONNECT " => {
                self.chance = if part == b"GET " { Chance::Get } else { Chance::None };
                At::Target(Place::Start)
            }
            At::Version if part == b"HTTP/1.1\r\n" => At::Headers { content_length: None },
            At::Version if part == HTTP_10 && self.chance == Chance::Get => {
                self.chance = Chance::GetOverHttp10;
                At::Headers { content_length: None }
            }
            At::Headers { content_length } => {
                after_header(part, content_length, self.chance == Chance::GetOverHttp10)
            }
            _ => At::Unknown,
        };
    }

    /// Counts the bytes that hyper must not see yet, `taken` of which were just taken, and says when they have an end.
    fn hold(&mut self, taken: usize) -> Edit {
        let undecided = self.undecided.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        self.undecided = match (self.at, self.chance) {
            _ if undecided > MOST_UNDECIDED => 0,
            (At::Version, Chance::Get) if HTTP_10.starts_with(self.part.as_slice()) => undecided,
            (At::Headers { .. }, Chance::GetOverHttp10) => undecided,
            (At::Method, Chance::GetOverHttp10) => {
                self.lose();
                return Edit::Lift(undecided as usize);
            }
            _ => 0,
        };
        if self.undecided == 0 && self.chance == Chance::GetOverHttp10 {
            self.lose();
        }
        Edit::Nothing
    }
}

const HTTP_10: &[u8] = b"HTTP/1.0\r\n";

/// Changes the version in the rest of a head to 1.1, if the head asks for a WebSocket, and returns whether it does.
///
/// Kestrel grants upgrades over HTTP/1.0, because nginx without `proxy_http_version 1.1` asks so. hyper reads
/// the version alone. `head` begins with it and has no body.
pub(super) fn lift(head: &mut [u8]) -> bool {
    let has = |name: &str, item: &str| {
        let lines = head.split(|&byte| byte == b'\n').skip(1);
        let values = lines.filter_map(|line| {
            let (start, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(b":")?;
            start.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        });
        values
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|entry| entry.trim_ascii().eq_ignore_ascii_case(item.as_bytes()))
    };
    let asks = has("Connection", "upgrade") && has("Upgrade", "websocket");
    if asks {
        head[HTTP_10.len() - 3] = b'1';
    }
    asks
}

/// The bytes of a target at which there may be something to do.
const STOPS: [bool; 256] = {
    let (mut stops, bytes, mut at) = ([false; 256], b" #?<>`\"", 0);
    while at < bytes.len() {
        stops[bytes[at] as usize] = true;
        at += 1;
    }
    stops
};

/// Where the next byte is after a line of a head, given the length that the lines before it named.
fn after_header(line: &[u8], content_length: Option<u64>, is_http_10: bool) -> At {
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
        b'u' if value_of("upgrade:").is_some() && !is_http_10 => At::Unknown,
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
    length: u8,
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
        &self.bytes[..usize::from(self.length)]
    }

    fn push(&mut self, piece: &[u8]) {
        let free = &mut self.bytes[usize::from(self.length)..];
        let (fits, more) = piece.split_at(piece.len().min(free.len()));
        free[..fits.len()].copy_from_slice(fits);
        self.length += u8::try_from(fits.len()).unwrap_or_default();
        for &byte in &more[more.len().saturating_sub(2)..] {
            self.bytes[PART - 2] = self.bytes[PART - 1];
            self.bytes[PART - 1] = byte;
        }
    }
}
