//! From an HTTP request to a WebSocket (RFC 6455, section 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Request, Response, StatusCode};
use hubline_pipe::Pipe;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::net::TcpStream;

use crate::response::{Body, empty};
use crate::web_socket::WebSocket;

const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An upgrade that is agreed and becomes a pipe once the response is out.
pub(crate) struct Upgrade(OnUpgrade);

impl Upgrade {
    /// The response that agrees; `None` if the connection is not one that hyper can upgrade.
    pub(crate) fn begin<B>(request: &mut Request<B>) -> Option<(Self, Response<Body>)> {
        let key = request.headers().get(SEC_WEBSOCKET_KEY)?;
        let accept = HeaderValue::from_str(&accept_key(key.as_bytes())).ok()?;
        let pending = request.extensions_mut().remove::<OnUpgrade>()?;
        let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        Some((Self(pending), response))
    }

    /// Waits for the response to be sent.
    pub(crate) async fn finish(self) -> hyper::Result<Box<dyn Pipe>> {
        Ok(match self.0.await?.downcast::<TokioIo<TcpStream>>() {
            // The bare socket, without hyper's layers: an idle connection then holds no buffer at all.
            Ok(parts) => {
                let socket = parts.io.into_inner();
                // Whoever accepted it may have left Nagle's algorithm on, which holds small messages back.
                _ = socket.set_nodelay(true);
                Box::new(WebSocket::new(socket, parts.read_buf))
            }
            Err(upgraded) => wrapped(upgraded),
        })
    }
}

fn wrapped(upgraded: Upgraded) -> Box<dyn Pipe> {
    Box::new(WebSocket::new(TokioIo::new(upgraded), bytes::Bytes::new()))
}

fn accept_key(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(KEY_SUFFIX);
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_of_the_specification() {
        assert_eq!(super::accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
