//! TLS on the way to Redis: what is trusted, and what went wrong in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, RootCertStore, SupportedProtocolVersion,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{RedisEndpoint, RedisOptions, RedisTlsVersions};

/// TLS cannot be spoken, whatever Redis does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisTlsError {
    /// A file cannot be read, holds no PEM of that kind, or something that TLS cannot use.
    #[error("{key}={} cannot be used: {cause}", path.display())]
    File {
        /// The key that names it: `sslCaFile`, `sslCertFile` or `sslKeyFile`.
        key: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// There are no root certificates on this machine.
    #[error("this machine has no root certificates{}; sslCaFile names the file with those of Redis", reason(.0))]
    NoSystemRoots(Vec<String>),
}

fn reason(errors: &[String]) -> String {
    match errors.is_empty() {
        true => String::new(),
        false => format!(" ({})", errors.join("; ")),
    }
}

/// Those of the system; read once, which takes milliseconds.
static SYSTEM_ROOTS: LazyLock<Result<Arc<RootCertStore>, Vec<String>>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    match roots.is_empty() {
        true => Err(found.errors.iter().map(ToString::to_string).collect()),
        false => Ok(Arc::new(roots)),
    }
});

/// Whether links can speak TLS, where they are to.
///
/// # Errors
/// The files that the options name cannot be used.
pub(crate) fn check(options: &RedisOptions) -> Result<(), RedisTlsError> {
    if options.ssl {
        connector(options)?;
    }
    Ok(())
}

/// What a link needs to speak TLS. Files are read each time, so that they can be replaced meanwhile.
///
/// # Errors
/// The files that the options name cannot be used.
pub(crate) fn connector(options: &RedisOptions) -> Result<TlsConnector, RedisTlsError> {
    let roots = match &options.ssl_ca_file {
        Some(path) => Arc::new(roots_of(path)?),
        None => SYSTEM_ROOTS.as_ref().map(Arc::clone).map_err(|e| RedisTlsError::NoSystemRoots(e.clone()))?,
    };
    let versions: &[&SupportedProtocolVersion] = match options.ssl_protocols {
        RedisTlsVersions::Both => &[&TLS13, &TLS12],
        RedisTlsVersions::OnlyTls12 => &[&TLS12],
        RedisTlsVersions::OnlyTls13 => &[&TLS13],
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap_or_else(|_| unreachable!("ring speaks both versions"))
        .with_root_certificates(roots);
    let config = match &options.ssl_client_certificate {
        None => config.with_no_client_auth(),
        Some(ours) => {
            let certificates = certificates("sslCertFile", &ours.certificate_file)?;
            let path = &ours.key_file;
            let key = PrivateKeyDer::from_pem_file(path);
            let key = key.map_err(|cause| file("sslKeyFile", path, pem_cause(cause)))?;
            let config = config.with_client_auth_cert(certificates, key);
            config.map_err(|cause| file("sslKeyFile", path, cause))?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots_of(path: &Path) -> Result<RootCertStore, RedisTlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("sslCaFile", path)? {
        roots.add(certificate).map_err(|cause| file("sslCaFile", path, cause))?;
    }
    Ok(roots)
}

/// At least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, RedisTlsError> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(file(key, path, "it has no certificate as PEM")),
        outcome => outcome.map_err(|cause| file(key, path, pem_cause(cause))),
    }
}

fn pem_cause(error: pem::Error) -> String {
    match error {
        pem::Error::Io(cause) => cause.to_string(),
        pem::Error::NoItemsFound => "it has nothing of that kind as PEM".to_owned(),
        other => other.to_string(),
    }
}

fn file(key: &'static str, path: &Path, cause: impl ToString) -> RedisTlsError {
    RedisTlsError::File { key, path: path.to_owned(), cause: cause.to_string() }
}

/// Shakes hands.
///
/// # Errors
/// Why not, for people to read.
pub(crate) async fn handshake(
    connector: &TlsConnector,
    options: &RedisOptions,
    endpoint: &RedisEndpoint,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let name = options.ssl_host.as_deref().unwrap_or(&endpoint.host);
    let server_name = ServerName::try_from(name.to_owned())
        .map_err(|_| format!("'{name}' cannot be the name of a certificate, sslHost sets another one"))?;
    connector.connect(server_name, stream).await.map_err(|error| explain(&error, name))
}

/// An error of TLS in words that say what to do about it.
pub(crate) fn explain(error: &io::Error, name: &str) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "its certificate is from an authority that is not trusted here; sslCaFile names the file with \
             the authority's certificate"
                .to_owned()
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!("its certificate is not for '{name}'; sslHost sets the name that it is for"),
        // What `openssl req -x509` makes unless told otherwise.
        Some(Error::InvalidCertificate(CertificateError::Other(other)))
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            "its certificate is that of an authority (CA:TRUE), which no server may have; `openssl req -x509` makes one for a \
             server with -addext basicConstraints=critical,CA:FALSE"
                .to_owned()
        }
        Some(Error::InvalidMessage(_)) => {
            "what it says is no TLS; is this its port for connections without TLS?".to_owned()
        }
        Some(Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            "it wants a certificate of this client; sslCertFile and sslKeyFile name one".to_owned()
        }
        Some(cause) => cause.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection instead of answering in TLS; is this its port for connections without TLS?"
                .to_owned()
        }
        None => error.to_string(),
    }
}

/// There was no answer at all.
pub(crate) fn silent(waited: Duration) -> String {
    format!(
        "no answer to the handshake within {} ms; is this its port for connections without TLS?",
        waited.as_millis()
    )
}

#[cfg(test)]
mod tests {
    use rustls::OtherError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("CA used as an end entity")]
    struct CaUsedAsEndEntity;

    #[test]
    fn the_certificate_of_an_authority_is_told_with_how_to_make_another() {
        let problem = CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity)));
        let error = io::Error::other(Error::InvalidCertificate(problem));
        let told = explain(&error, "redis");
        assert!(told.contains("basicConstraints=critical,CA:FALSE"), "{told}");
    }
}
