//! From an HTTP request to a WebSocket (RFC 6455, section 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::{Response, StatusCode};
use hubline_pipe::Pipe;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use sha1::{Digest, Sha1};
use tokio::net::TcpStream;

use crate::response::empty;
use crate::web_socket::{Settings, WebSocket};
use crate::{Body, SendTimeout};

const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An upgrade that is agreed and becomes a pipe once the response is out.
pub(crate) struct Upgrade(OnUpgrade);

impl Upgrade {
    /// The response that agrees; `None` if the connection is not one that hyper can upgrade.
    pub(crate) fn begin(request: &mut Parts) -> Option<(Self, Response<Body>)> {
        let key = request.headers.get(SEC_WEBSOCKET_KEY)?;
        let accept = HeaderValue::from_str(&accept_key(key.as_bytes())).ok()?;
        let pending = request.extensions.remove::<OnUpgrade>()?;
        let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        Some((Self(pending), response))
    }

    /// Waits for the response to be sent.
    pub(crate) async fn finish(self, settings: Settings) -> hyper::Result<Box<dyn Pipe>> {
        Ok(match bare(self.0.await?) {
            Ok((socket, early)) => {
                // Whoever accepted it may have left Nagle's algorithm on, which holds small messages back.
                _ = socket.set_nodelay(true);
                Box::new(WebSocket::new(socket, early, settings))
            }
            Err(upgraded) => Box::new(WebSocket::new(TokioIo::new(upgraded), Bytes::new(), settings)),
        })
    }
}

/// The socket without the layers of HTTP, and what has been read of it already: an idle connection then
/// holds no buffer at all. Whatever else carries HTTP comes back as it is.
///
/// The hosts are `hubline::serve`, hyper alone, and `axum::serve`, whose hyper-util adds a layer of its own.
fn bare(upgraded: Upgraded) -> Result<(TcpStream, Bytes), Upgraded> {
    let upgraded = match upgraded.downcast::<TokioIo<SendTimeout<TcpStream>>>() {
        Ok(parts) => return Ok((parts.io.into_inner().into_inner(), owned(&parts.read_buf))),
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Ok((parts.io.into_inner(), owned(&parts.read_buf))),
        Err(upgraded) => upgraded,
    };
    let parts = auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)?;
    Ok((parts.io.into_inner(), owned(&parts.read_buf)))
}

/// A copy, because even an empty piece keeps the whole of hyper's buffer.
fn owned(read: &[u8]) -> Bytes {
    Bytes::copy_from_slice(read)
}

fn accept_key(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(KEY_SUFFIX);
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use hyper::Request;
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    use super::*;

    const REQUEST: &[u8] = b"GET /hub HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly";

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Host {
        Hubline,
        Axum,
        Hyper,
    }

    /// Serves one connection and hands out what it is upgraded to.
    async fn upgrade_under(host: Host, socket: TcpStream) -> Upgraded {
        let (send, upgraded) = oneshot::channel();
        let send = Arc::new(Mutex::new(Some(send)));
        let service = service_fn(move |request: Request<Incoming>| {
            let (mut parts, _) = request.into_parts();
            let (upgrade, response) = Upgrade::begin(&mut parts).unwrap();
            send.lock().unwrap().take().unwrap().send(upgrade).map_err(|_| "nobody waits").unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        let http = http1::Builder::new();
        match host {
            Host::Hubline => {
                let io = TokioIo::new(SendTimeout::new(socket, Duration::MAX));
                http.serve_connection(io, service).with_upgrades().await.unwrap();
            }
            Host::Hyper => {
                http.serve_connection(TokioIo::new(socket), service).with_upgrades().await.unwrap();
            }
            Host::Axum => {
                let auto = auto::Builder::new(TokioExecutor::new());
                auto.serve_connection_with_upgrades(TokioIo::new(socket), service).await.unwrap();
            }
        }
        upgraded.await.unwrap().0.await.unwrap()
    }

    #[tokio::test]
    async fn every_host_gives_its_bare_socket_away() {
        for host in [Host::Hubline, Host::Axum, Host::Hyper] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(REQUEST).await.unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let upgraded = upgrade_under(host, socket).await;
            let Ok((mut socket, early)) = bare(upgraded) else { panic!("{host:?} hides the socket") };
            assert_eq!(early, "early", "{host:?}");
            client.write_all(b"later").await.unwrap();
            let mut later = [0; 5];
            socket.read_exact(&mut later).await.unwrap();
            assert_eq!(&later, b"later", "{host:?}");
        }
    }

    #[test]
    fn the_example_of_the_specification() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
