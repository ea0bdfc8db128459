//! Changes the bytes of requests on their way to hyper.

use tokio::io::ReadBuf;

use super::requests::{Edit, Phase, Requests, Step, lift};

/// httparse accepts this byte nowhere in a request target, so hyper answers 400 and closes the connection.
const REFUSED: u8 = 0x7f;

/// The bytes of one connection between its client and hyper. Nearly all of them pass where they are; from one that grows to three,
/// or that hyper must not see yet, what has come is copied, until hyper has it all.
#[derive(Debug, Default)]
pub(super) struct Rewriter {
    requests: Requests,
    held: Option<Box<Held>>,
    has_lifted: bool,
}

/// What hyper has not been given, of which it may have all up to `ready`.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    given: usize,
    ready: usize,
}

impl Rewriter {
    /// Takes the bytes that come next, and returns how many of them, from the first on and changed in their place, go to hyper
    /// at once. What does not is to be had from [`Rewriter::give`].
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> usize {
        if self.held.is_some() {
            self.hold(bytes);
            return 0;
        }
        let mut done = 0;
        while done < bytes.len() && !self.requests.are_lost() {
            let Step { taken, edit } = self.requests.step(&bytes[done..]);
            done += taken;
            match edit {
                Edit::Nothing => {}
                Edit::Refuse => bytes[done - 1] = REFUSED,
                Edit::Lift(length) => self.has_lifted |= lift(&mut bytes[done - length..done]),
                Edit::Encode => {
                    let held = self.held.get_or_insert_default();
                    held.bytes.extend(percent_encoded(bytes[done - 1]));
                    self.hold(&bytes[done..]);
                    return done - 1;
                }
            }
        }
        let kept = bytes.len() - self.requests.undecided();
        if kept < bytes.len() {
            self.held.get_or_insert_default().bytes.extend(&bytes[kept..]);
        }
        kept
    }

    /// Takes them behind those that are held.
    fn hold(&mut self, mut bytes: &[u8]) {
        let held = self.held.get_or_insert_default();
        while !bytes.is_empty() {
            let Step { taken, edit } = self.requests.step(bytes);
            let (piece, rest) = bytes.split_at(taken);
            held.bytes.extend(piece);
            let length = held.bytes.len();
            match edit {
                Edit::Nothing => {}
                Edit::Refuse => held.bytes[length - 1] = REFUSED,
                Edit::Lift(head) => self.has_lifted |= lift(&mut held.bytes[length - head..]),
                Edit::Encode => {
                    held.bytes.truncate(length - 1);
                    held.bytes.extend(percent_encoded(piece[taken - 1]));
                }
            }
            bytes = rest;
        }
        held.ready = held.bytes.len() - self.requests.undecided();
    }

    /// No more bytes come: hyper may have what there is.
    pub(super) fn end(&mut self) {
        self.requests.lose();
        if let Some(held) = &mut self.held {
            held.ready = held.bytes.len();
        }
    }

    /// Puts what hyper may have into its buffer, as much as there is room for, and returns whether that is anything.
    pub(super) fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let Some(held) = &mut self.held else { return false };
        let from = held.given;
        held.given = held.ready.min(from + buffer.remaining());
        buffer.put_slice(&held.bytes[from..held.given]);
        let has_given = held.given > from;
        self.held.take_if(|held| held.given == held.bytes.len());
        has_given
    }

    /// All that hyper has not been given.
    pub(super) fn into_rest(self) -> Vec<u8> {
        self.held.map(|held| held.bytes[held.given..].to_vec()).unwrap_or_default()
    }

    pub(super) fn phase(&self) -> Phase {
        self.requests.phase()
    }

    /// Whether the last request of the connection came over HTTP/1.0, and hyper sees it as one of HTTP/1.1.
    pub(super) fn has_lifted(&self) -> bool {
        self.has_lifted
    }
}

fn percent_encoded(byte: u8) -> [u8; 3] {
    let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value & 0xf)];
    [b'%', digit(byte >> 4), digit(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hyper reads of what a client sends in these pieces.
    fn filtered<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let (mut rewriter, mut read) = (Rewriter::default(), Vec::new());
        for piece in pieces {
            rewrite(&mut rewriter, piece, &mut read);
        }
        rewriter.end();
        read.extend(rewriter.into_rest());
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

    /// Adds what hyper may have once this piece has come.
    fn rewrite(rewriter: &mut Rewriter, piece: &[u8], read: &mut Vec<u8>) {
        let mut piece = piece.to_vec();
        let kept = rewriter.take(&mut piece);
        read.extend(&piece[..kept]);
        let mut room = [0; 7];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            if !rewriter.give(&mut buffer) {
                break;
            }
            read.extend(buffer.filled());
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
        let long = "x".repeat(120);
        let head = format!("GET /{long} HTTP/1.1\r\n{long}: {long}#\r\nA: {long}\r\n\r\n");
        assert_read(&format!("{head}GET /#x HTTP/1.1\r\n"), &format!("{head}GET /^x HTTP/1.1\r\n"));
    }

    #[test]
    fn behind_a_doubtful_request_nothing_is_touched() {
        let zeros = "0".repeat(40);
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
    fn what_kestrel_takes_in_a_target_is_percent_encoded_for_hyper() {
        for (sent, read) in [
            ("GET /?name=<b>&a=\"<\" HTTP/1.1\r\n", "GET /?name=%3Cb%3E&a=%22%3C%22 HTTP/1.1\r\n"),
            ("POST /a<b>`c?a=`{}|\\ HTTP/1.0\r\n", "POST /a%3Cb%3E%60c?a=`{}|\\ HTTP/1.0\r\n"),
            ("GET /\"{}|\\??<#<> HTTP/1.1\r\n", "GET /\"{}|\\??%3C^<> HTTP/1.1\r\n"),
            ("\r\nPUT /<\r\n?<", "\r\nPUT /%3C\r\n?%3C"),
        ] {
            assert_read(sent, read);
        }
        assert_untouched("GE<T\" /%3C HTTP/1.1<\r\n\"<: \"<\r\n\r\n");
        for target in ["http://h\"/<?<", "*<", "?<", "<", ""] {
            assert_untouched(&format!("GET {target} HTTP/1.1\r\n\r\n"));
        }
        let body = "POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\nGET /< HTTP/";
        let next = "GET /?\" HTTP/1.1\r\n\r\n";
        assert_read(&format!("{next}{body}{next}"), &format!("{n}{body}{n}", n = next.replace('"', "%22")));
    }

    const ASKING: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";

    #[test]
    fn a_request_for_a_web_socket_over_http_10_is_lifted() {
        for rest in [
            ASKING,
            "connection:close\r\nCONNECTION:upgrade\r\nupgrade: h2c, websocket\r\nHost: hub\r\n",
            &format!("Content-Length: 0\r\n{ASKING}"),
            &format!("{ASKING}X: {}\r\n", "x".repeat(200)),
        ] {
            let (head, behind) = (format!("{rest}\r\n"), "\x01GET /# HTTP/1.0\r\n\r\n");
            assert_read(
                &format!("GET /hub?id=<1> HTTP/1.0\r\n{head}{behind}"),
                &format!("GET /hub?id=%3C1%3E HTTP/1.1\r\n{head}{behind}"),
            );
        }
    }

    #[test]
    fn nothing_else_over_http_10_is_lifted() {
        let request =
            |first: &str, head: &str| format!("{first}\r\n{head}\r\nGET /# HTTP/1.0\r\n{ASKING}\r\n");
        for head in [
            "",
            "Connection: Upgrade\r\n",
            "Upgrade: websocket\r\n",
            "Connection: Upgraded\r\nUpgrade: websocket\r\n",
            "Connection: Upgrade\r\nUpgrade: h2c\r\n",
            "Connection: Upgrade\r\nX: websocket\r\nX-Upgrade: websocket\r\n",
            &format!("{ASKING}Content-Length: 1\r\n"),
            &format!("{ASKING}Content-Length: 0\r\nContent-Length: 0\r\n"),
            &format!("{ASKING}Content-Length: x\r\n"),
            &format!("{ASKING}Transfer-Encoding: chunked\r\n"),
            &format!("{ASKING}X: folded\r\n into two\r\n"),
            &format!("X: ends early\n{ASKING}"),
            &format!("{ASKING}\n"),
        ] {
            assert_untouched(&request("GET /hub HTTP/1.0", head));
        }
        for first in [
            "POST /hub HTTP/1.0",
            "HEAD /hub HTTP/1.0",
            "get /hub HTTP/1.0",
            "GET http://hub/ HTTP/1.0",
            "GET  /hub HTTP/1.0",
            "GET /hub  HTTP/1.0",
            "GET /hub HTTP/1.0 ",
            "GET /hub HTTP/1.00",
            "GET /hub HTTP/0.9",
            "GET /hub HTTP/1.1",
            "GET * HTTP/1.0",
            "GET /hub http/1.0",
        ] {
            assert_untouched(&request(first, ASKING));
        }
    }

    #[test]
    fn a_head_is_held_back_until_it_ends_or_is_too_long() {
        let (mut rewriter, mut read) = (Rewriter::default(), Vec::new());
        let mut sent = b"GET /hub HTTP/1.0\r\n".to_vec();
        rewrite(&mut rewriter, &sent, &mut read);
        assert_eq!(read, b"GET /hub ");
        let line = format!("X: {}\r\n", "x".repeat(1000));
        while read.len() < 100 {
            rewrite(&mut rewriter, line.as_bytes(), &mut read);
            sent.extend(line.as_bytes());
            assert!(sent.len() < 70_000, "held for ever");
        }
        assert!(sent.len() > 64 * 1024);
        assert_eq!(read, sent);
        rewrite(&mut rewriter, format!("{ASKING}\r\n").as_bytes(), &mut read);
        assert!(!rewriter.has_lifted());
    }

    #[test]
    fn nothing_is_kept_once_hyper_has_it() {
        let (mut rewriter, mut read) = (Rewriter::default(), Vec::new());
        let head = format!("GET /?a=< HTTP/1.1\r\nHost: hub\r\n\r\nGET /hub HTTP/1.0\r\n{ASKING}\r\n");
        for byte in head.as_bytes() {
            rewrite(&mut rewriter, &[*byte], &mut read);
        }
        assert!(rewriter.held.is_none() && rewriter.has_lifted());
    }

    #[test]
    fn a_connection_is_followed_in_a_few_bytes() {
        assert!(size_of::<Rewriter>() <= 80, "{}", size_of::<Rewriter>());
    }
}
