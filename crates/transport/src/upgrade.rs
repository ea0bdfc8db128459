//! From an HTTP request to a WebSocket (RFC 6455, section 4).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::request::Parts;
use http::{Response, StatusCode};
use hubline_pipe::Pipe;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::response::empty;
use crate::web_socket::{Settings, WebSocket};
use crate::{Body, EndpointOptions};

const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Removes the layers that a host has put around its sockets, once a connection has become a WebSocket.
///
/// An extension of such a host's requests. The function returns the stream and the bytes that have been read from it
/// already, or its argument unchanged if that is not a connection of this host.
#[derive(Debug, Clone, Copy)]
pub struct BareSocket(pub fn(Upgraded) -> Result<(BareIo, Bytes), Upgraded>);

/// A connection's stream without the layers of HTTP.
pub enum BareIo {
    /// A TCP socket.
    Tcp(TcpStream),
    /// Anything else, such as a TLS stream.
    Other(Box<dyn Io>),
}

/// A stream of bytes in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

impl fmt::Debug for BareIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(socket) => f.debug_tuple("Tcp").field(socket).finish(),
            Self::Other(_) => f.debug_tuple("Other").finish_non_exhaustive(),
        }
    }
}

/// An upgrade that is agreed and becomes a pipe once the response is out.
pub(crate) struct Upgrade {
    pending: OnUpgrade,
    host: Option<BareSocket>,
}

impl Upgrade {
    /// The response that agrees; `None` if the connection is not one that hyper can upgrade.
    pub(crate) fn begin(request: &mut Parts, options: &EndpointOptions) -> Option<(Self, Response<Body>)> {
        let key = request.headers.get(SEC_WEBSOCKET_KEY)?;
        let accept = HeaderValue::from_str(&accept_key(key.as_bytes())).ok()?;
        let pending = request.extensions.remove::<OnUpgrade>()?;
        let host = request.extensions.remove::<BareSocket>();
        let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        let selector = options.sub_protocol_selector.as_ref();
        if let Some(protocol) = selector.and_then(|selector| selector.select(&request.headers)) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        Some((Self { pending, host }, response))
    }

    /// Waits for the response to be sent.
    pub(crate) async fn finish(self, settings: Settings) -> hyper::Result<Box<dyn Pipe>> {
        Ok(match bare(self.pending.await?, self.host) {
            Ok((BareIo::Tcp(socket), early)) => {
                // Whoever accepted it may have left Nagle's algorithm on, which holds small messages back.
                _ = socket.set_nodelay(true);
                // A copy, because even an empty piece keeps the whole of hyper's buffer.
                Box::new(WebSocket::new(socket, Bytes::copy_from_slice(&early), settings))
            }
            Ok((BareIo::Other(io), early)) => {
                Box::new(WebSocket::new(io, Bytes::copy_from_slice(&early), settings))
            }
            Err(upgraded) => Box::new(WebSocket::new(TokioIo::new(upgraded), Bytes::new(), settings)),
        })
    }
}

/// The socket without the layers of HTTP, and what has been read of it already: an idle connection then
/// holds no buffer at all. Whatever else carries HTTP comes back as it is.
///
/// hyper alone and `axum::serve`, whose hyper-util adds a layer of its own, are known; other hosts bring a [`BareSocket`].
fn bare(upgraded: Upgraded, host: Option<BareSocket>) -> Result<(BareIo, Bytes), Upgraded> {
    if let Some(BareSocket(bare)) = host {
        return bare(upgraded);
    }
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Ok((BareIo::Tcp(parts.io.into_inner()), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let parts = auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)?;
    Ok((BareIo::Tcp(parts.io.into_inner()), parts.read_buf))
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
    use std::sync::Arc;
    use std::time::Duration;

    use hyper::Request;
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioExecutor;
    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    use super::*;
    use crate::SendTimeout;

    const REQUEST: &[u8] = b"GET /hub HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly";

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Host {
        Axum,
        Hyper,
        Wrapping,
    }

    fn unwrap(upgraded: Upgraded) -> Result<(BareIo, Bytes), Upgraded> {
        let parts = upgraded.downcast::<TokioIo<SendTimeout<TcpStream>>>()?;
        Ok((BareIo::Tcp(parts.io.into_inner().into_inner()), parts.read_buf))
    }

    /// Serves one connection and hands out the socket that it is upgraded to.
    async fn upgrade_under(host: Host, socket: TcpStream) -> Result<(BareIo, Bytes), Upgraded> {
        let (send, upgraded) = oneshot::channel();
        let send = Arc::new(Mutex::new(Some(send)));
        let service = service_fn(move |request: Request<Incoming>| {
            let (mut parts, _) = request.into_parts();
            if host == Host::Wrapping {
                parts.extensions.insert(BareSocket(unwrap));
            }
            let (upgrade, response) = Upgrade::begin(&mut parts, &EndpointOptions::default()).unwrap();
            send.lock().take().unwrap().send(upgrade).map_err(|_| "nobody waits").unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        let http = http1::Builder::new();
        match host {
            Host::Wrapping => {
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
        let Upgrade { pending, host } = upgraded.await.unwrap();
        bare(pending.await.unwrap(), host)
    }

    #[tokio::test]
    async fn every_host_gives_its_bare_socket_away() {
        for host in [Host::Axum, Host::Hyper, Host::Wrapping] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(REQUEST).await.unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let upgraded = upgrade_under(host, socket).await;
            let Ok((BareIo::Tcp(mut socket), early)) = upgraded else { panic!("{host:?} hides the socket") };
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
