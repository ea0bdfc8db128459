//! The handshake of one connection.

use std::io;
use std::net::SocketAddr;

use hubline_transport::SendTimeout;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::TlsConfig;

/// Encrypted bytes that a connection keeps while its socket takes none: one record. More would hide from hubs who reads and
/// who does not.
const LIMIT_UNSENT_BYTES: usize = 16 * 1024;

/// The first byte of a TLS connection: a record with a handshake message (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Bytes of a plain HTTP request that are read before the connection is closed, so that the answer is not lost in a reset.
const PLAIN_REQUEST_BYTES: u64 = 64 * 1024;

const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 62\r\n\
    Connection: close\r\n\r\nThis address is served with TLS: use https:// or wss:// here.\n";

impl TlsConfig {
    /// Shakes hands with a client; `None` if that has failed, which is counted.
    pub(in crate::http) async fn accept(
        &self,
        io: SendTimeout<TcpStream>,
        client: SocketAddr,
    ) -> Option<TlsStream<SendTimeout<TcpStream>>> {
        match timeout(self.handshake_timeout, self.shake_hands(io, client)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                self.counts.failed(client, &error);
                None
            }
            Err(_) => {
                self.counts.timed_out(client);
                None
            }
        }
    }

    async fn shake_hands(
        &self,
        io: SendTimeout<TcpStream>,
        client: SocketAddr,
    ) -> io::Result<Option<TlsStream<SendTimeout<TcpStream>>>> {
        let mut first = [0];
        let came = io.get_ref().peek(&mut first).await;
        match (came, first) {
            // Load balancers see in this way whether somebody listens.
            (Ok(0) | Err(_), _) => Ok(None),
            (Ok(_), [HANDSHAKE]) => {
                let limit = Some(LIMIT_UNSENT_BYTES);
                self.acceptor.accept_with(io, |session| session.set_buffer_limit(limit)).await.map(Some)
            }
            (Ok(_), [letter]) if letter.is_ascii_alphabetic() => {
                self.counts.plain_http(client);
                refuse_plain_http(io.into_inner()).await;
                Ok(None)
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks no TLS")),
        }
    }
}

/// Says what is wrong. A client that is gone already needs no answer.
async fn refuse_plain_http(mut socket: TcpStream) {
    if socket.write_all(PLAIN_HTTP).await.is_ok() && socket.shutdown().await.is_ok() {
        _ = tokio::io::copy(&mut socket.take(PLAIN_REQUEST_BYTES), &mut tokio::io::sink()).await;
    }
}
