//! Options of serving HTTP.

use std::sync::Arc;
use std::time::Duration;

use super::ForwardedHeaders;
#[cfg(feature = "tls")]
use super::TlsConfig;

/// How [`serve_with`](crate::serve_with) and [`Workers::serve_with`](crate::Workers::serve_with) treat HTTP connections, under
/// Kestrel's names (`KestrelServerLimits`).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpOptions {
    /// How long a connection may stay without a request: before its first one, and between the end of an answer and the first byte of
    /// the next request. Choose it longer than proxies in front keep idle connections, or they send requests into
    /// connections that are just being closed, and answer 502 for them. Default: 130 s.
    pub keep_alive_timeout: Duration,
    /// How long the head of a request may take, from its first byte to its last. Default: 30 s.
    pub request_headers_timeout: Duration,
    /// The proxies whose `X-Forwarded-For` is trusted. Default: none, a request's address is the peer address of its socket.
    pub forwarded_headers: Option<Arc<ForwardedHeaders>>,
    /// Serves with TLS. Default: none, plain HTTP.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsConfig>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            keep_alive_timeout: Duration::from_secs(130),
            request_headers_timeout: Duration::from_secs(30),
            forwarded_headers: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl HttpOptions {
    /// Loads certificates again whenever their files have changed. Never ends.
    pub(super) async fn watch(&self) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            tls.watch().await;
        }
        std::future::pending().await
    }

    /// Sets [`keep_alive_timeout`](Self::keep_alive_timeout).
    #[must_use]
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.keep_alive_timeout = timeout;
        self
    }

    /// Sets [`request_headers_timeout`](Self::request_headers_timeout).
    #[must_use]
    pub fn request_headers_timeout(mut self, timeout: Duration) -> Self {
        self.request_headers_timeout = timeout;
        self
    }

    /// Sets [`forwarded_headers`](Self::forwarded_headers): the proxies whose `X-Forwarded-For` is trusted.
    #[must_use]
    pub fn forwarded_headers(mut self, forwarded: ForwardedHeaders) -> Self {
        self.forwarded_headers = Some(Arc::new(forwarded));
        self
    }

    /// Serves with TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }
}
