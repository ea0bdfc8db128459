//! TLS: real verification for load tests, and for the probes, which go to this machine only, none.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use anyhow::{Context as _, ensure};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls::{WantsVerifier, client::WantsClientCert};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

static UNVERIFIED: LazyLock<TlsConnector> = LazyLock::new(unverified);

pub(crate) async fn connect(server: IpAddr, socket: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
    UNVERIFIED.connect(ServerName::IpAddress(server.into()), socket).await.context("TLS")
}

/// Takes any certificate.
pub(crate) fn unverified() -> TlsConnector {
    connector(builder().dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate)))
}

/// Takes certificates that the authorities of the operating system vouch for.
///
/// # Errors
/// There are none.
pub(crate) fn system() -> anyhow::Result<TlsConnector> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    ensure!(
        !roots.is_empty(),
        "this machine has no certificate authorities (package ca-certificates); name the server's with --ca FILE, or use --insecure"
    );
    Ok(connector(builder().with_root_certificates(roots)))
}

/// Takes certificates that the authorities in a PEM file vouch for.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub(crate) fn authorities(file: &Path) -> anyhow::Result<TlsConnector> {
    let shown = file.display();
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(file).with_context(|| format!("--ca {shown} cannot be read"))?;
    for certificate in certificates {
        let certificate =
            certificate.with_context(|| format!("--ca {shown} is no PEM file with certificates"))?;
        roots.add(certificate).with_context(|| format!("a certificate in --ca {shown} cannot be used"))?;
    }
    ensure!(!roots.is_empty(), "--ca {shown} holds no certificate (-----BEGIN CERTIFICATE-----)");
    Ok(connector(builder().with_root_certificates(roots)))
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|_| unreachable!("ring speaks both versions"))
}

fn connector(builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> TlsConnector {
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each connection is one of a client of its own.
    config.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
