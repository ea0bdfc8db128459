//! TLS in front of HTTP.

mod certificate;
mod handshake;
mod reload;
mod validity;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

pub use certificate::{CertificateError, CertificateFiles, CertificateProblem};
use reload::WatchedFiles;

/// The only protocol that is negotiated by ALPN.
const HTTP_1_1: &[u8] = b"http/1.1";

/// TLS for [`HttpOptions::tls`](super::HttpOptions::tls): versions 1.2 and 1.3, with ALPN `http/1.1`.
///
/// Clones share the certificate and the counts, so one value serves several listeners.
///
/// The certificate's files are looked at every two seconds while something is served with them, and loaded again once
/// they have changed and then stayed the same for two seconds. Open connections go on; new ones get the new certificate. If the new files cannot be
/// used, the certificate in use stays and a warning is logged, once for each change.
///
/// A client has 10 s for its handshake ([`TlsConfig::handshake_timeout`]). A client that speaks plain HTTP gets an answer
/// with status 400 that says so. The first failure of each kind is logged, and all are counted ([`TlsConfig::statistics`]).
#[derive(Clone)]
pub struct TlsConfig {
    acceptor: TlsAcceptor,
    files: Option<Arc<WatchedFiles>>,
    handshake_timeout: Duration,
    counts: Arc<Counts>,
}

/// Handshakes that have failed, since the [`TlsConfig`] was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsStatistics {
    /// Handshakes that ended with an error, for instance because the client does not trust the certificate.
    pub failed: u64,
    /// Handshakes that were not complete in time.
    pub timed_out: u64,
    /// Connections on which a client spoke HTTP without TLS.
    pub plain_http: u64,
}

#[derive(Debug, Default)]
struct Counts {
    failed: AtomicU64,
    timed_out: AtomicU64,
    plain_http: AtomicU64,
}

impl TlsConfig {
    /// Loads a certificate and its key from files, which are loaded again when they change.
    ///
    /// # Errors
    /// A file cannot be used, or the key does not belong to the certificate; the error names the file and what would be
    /// right.
    pub fn load(files: CertificateFiles) -> Result<Self, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let watched = Arc::new(WatchedFiles::load(files, Arc::clone(&provider))?);
        let resolver = Resolver(Arc::clone(&watched));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap_or_else(|_| unreachable!("ring speaks both versions"))
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        Ok(Self { files: Some(watched), ..Self::from_rustls(config) })
    }

    /// Uses a configuration of rustls, for instance with certificates of clients or one certificate for each name. Its ALPN
    /// protocols are replaced by `http/1.1`. Nothing is reloaded.
    pub fn from_rustls(mut config: ServerConfig) -> Self {
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            files: None,
            handshake_timeout: Duration::from_secs(10),
            counts: Arc::default(),
        }
    }

    /// How long a client may take for the TLS handshake, from the connection on
    /// (`HttpsConnectionAdapterOptions.HandshakeTimeout` of Kestrel). Default: 10 s.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// How many handshakes have failed.
    pub fn statistics(&self) -> TlsStatistics {
        let Counts { failed, timed_out, plain_http } = &*self.counts;
        TlsStatistics {
            failed: failed.load(Ordering::Relaxed),
            timed_out: timed_out.load(Ordering::Relaxed),
            plain_http: plain_http.load(Ordering::Relaxed),
        }
    }

    /// When the certificate in use ends, or one of the authorities' behind it that ends earlier; `None` for
    /// [`TlsConfig::from_rustls`].
    pub fn not_after(&self) -> Option<SystemTime> {
        let certificate = self.files.as_ref()?.certificate();
        certificate.cert.iter().filter_map(|one| validity::not_after(one).ok()).min()
    }

    /// Loads the certificate again whenever its files have changed. Never ends.
    pub(super) async fn watch(&self) {
        match &self.files {
            Some(files) => files.watch().await,
            None => std::future::pending().await,
        }
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, handshake_timeout, counts, .. } = self;
        f.debug_struct("TlsConfig")
            .field("files", &files.as_ref().map(|watched| &watched.files))
            .field("handshake_timeout", handshake_timeout)
            .field("counts", counts)
            .finish_non_exhaustive()
    }
}

/// Gives every client the certificate in use.
#[derive(Debug)]
struct Resolver(Arc<WatchedFiles>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.certificate())
    }
}

impl Counts {
    fn plain_http(&self, client: impl fmt::Display) {
        if self.plain_http.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                %client,
                "A client speaks plain HTTP to an address of https and is answered with 400. Use https:// or wss:// in its \
                 URL, or a health check's; further ones are counted, not logged"
            );
        }
    }

    fn failed(&self, client: impl fmt::Display, error: &io::Error) {
        if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::info!(
                %client,
                %error,
                "A TLS handshake failed. A client that does not trust the certificate needs its authority's; further \
                 failures are counted, not logged"
            );
        } else {
            tracing::debug!(%client, %error, "a TLS handshake failed");
        }
    }

    fn timed_out(&self, client: impl fmt::Display) {
        if self.timed_out.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::info!(
                %client,
                "A client did not complete its TLS handshake in time (TlsConfig::handshake_timeout); further ones are \
                 counted, not logged"
            );
        }
    }
}
