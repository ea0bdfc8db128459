//! Outgoing messages, encoded once and shared by all receivers.

use bytes::Bytes;
use hubline_protocol::{Encoded, TransferFormat};

/// A hub message ready for any transport.
///
/// Nearly every receiver is a WebSocket, so the header of its frame (RFC 6455, section 5.2; server frames are
/// not masked, their header depends on the length alone) stands in front of the payload already. Other
/// transports take the payload alone. Cloning shares the bytes.
#[derive(Debug, Clone)]
pub struct Frame {
    bytes: Bytes,
    payload_at: u8,
    counted: bool,
}

impl Frame {
    /// A frame of an encoded invocation, stream item, completion or cancellation (types 1 to 5) for connections of this
    /// format. With stateful reconnect these messages are counted, and sent again if a socket is lost with them.
    pub fn new(encoded: Encoded, format: TransferFormat) -> Self {
        let (header, header_length) = web_socket_header(format, encoded.payload().len());
        let (buffer, start) = encoded.prepend(&header[..header_length]);
        let bytes = Bytes::from(buffer).slice(start..);
        Self { bytes, payload_at: u8::try_from(header_length).unwrap_or(u8::MAX), counted: true }
    }

    /// A frame of any other message: ping, acknowledgement, sequence, Close, handshake.
    pub fn uncounted(encoded: Encoded, format: TransferFormat) -> Self {
        Self { counted: false, ..Self::new(encoded, format) }
    }

    /// Whether stateful reconnect counts the message.
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// The whole WebSocket frame: its header and the message.
    pub fn web_socket(&self) -> &[u8] {
        &self.bytes
    }

    /// The message without the WebSocket header, with its length prefix (MessagePack) or record separator (JSON).
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(usize::from(self.payload_at)..)
    }

    /// Size of the message without the WebSocket header, in bytes.
    pub fn payload_size(&self) -> usize {
        self.bytes.len() - usize::from(self.payload_at)
    }

    /// The format of the frame: text or binary.
    pub fn format(&self) -> TransferFormat {
        match self.bytes.first() {
            Some(&FINAL_TEXT) => TransferFormat::Text,
            _ => TransferFormat::Binary,
        }
    }

    /// Size of the whole WebSocket frame in bytes, which counts against an outbound limit.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

const FINAL_TEXT: u8 = 0x81;
const FINAL_BINARY: u8 = 0x82;

fn web_socket_header(format: TransferFormat, length: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = match format {
        TransferFormat::Text => FINAL_TEXT,
        TransferFormat::Binary => FINAL_BINARY,
    };
    let used = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => {
            header[1] = short;
            2
        }
        (_, Ok(medium)) => {
            header[1] = 126;
            header[2..4].copy_from_slice(&medium.to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    (header, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_grow_with_the_payload() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65535, &[0x81, 126, 0xff, 0xff]),
            (65536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = Frame::new(Encoded::copy_from(&vec![b'x'; length]), TransferFormat::Text);
            assert_eq!(&frame.web_socket()[..header.len()], header, "{length}");
            assert_eq!(frame.payload().len(), length);
            assert_eq!(frame.size(), header.len() + length);
        }
        let binary = Frame::new(Encoded::copy_from(&[1]), TransferFormat::Binary);
        assert_eq!(binary.web_socket(), [0x82, 1, 1]);
    }
}
