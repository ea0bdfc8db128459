//! The program with TLS.

#![allow(clippy::unwrap_used, reason = "what fails here is the test")]

mod request;

use std::fs;
use std::sync::Arc;

use hubline_testkit::{Certificates, Launch, ServerProcess};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The status that answers `GET /health` over TLS, to a client that trusts this authority alone.
async fn health(port: u16, trusted: &Certificates) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted.authority()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn certificates_change_without_a_restart_and_broken_ones_change_nothing() {
    let [ours, new] = [0, 1].map(|_| Certificates::new(&["localhost"]).unwrap());
    let launch = Launch::new(env!("CARGO_BIN_EXE_hubline"))
        .arg("serve")
        .env("Kestrel__Certificates__Default__Path", ours.certificate())
        .env("Kestrel__Certificates__Default__KeyPath", ours.key())
        .with_https();
    let (port, https) = (launch.port(), launch.https_port().unwrap());
    let server = ServerProcess::start(launch).await.unwrap();
    server.line_with(&format!("https://127.0.0.1:{https}")).await.unwrap();
    assert_eq!(health(https, &ours).await.unwrap(), "HTTP/1.1 200 OK");

    let trusted = fs::read(ours.authority()).unwrap();
    fs::copy(new.certificate(), ours.certificate()).unwrap();
    let refused = server.line_with("stays in use").await.unwrap();
    assert!(
        refused.contains("is the key of another certificate") && refused.contains("key.pem"),
        "{refused}"
    );
    assert_eq!(health(https, &ours).await.unwrap(), "HTTP/1.1 200 OK");

    fs::copy(new.key(), ours.key()).unwrap();
    server.line_with("was replaced").await.unwrap();
    assert_eq!(health(https, &new).await.unwrap(), "HTTP/1.1 200 OK");
    assert_eq!(fs::read(ours.authority()).unwrap(), trusted);
    health(https, &ours).await.unwrap_err();

    let (head, _) = request::ask(https, "GET /health", "").await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    server.line_with("speaks plain HTTP to an address of https").await.unwrap();
    let (_, metrics) = request::ask(port, "GET /metrics", "").await;
    for counted in ["plain_http\"} 1", "error\"} 1", "timeout\"} 0"] {
        assert!(
            metrics.contains(&format!("hubline_tls_handshakes_failed_total{{reason=\"{counted}")),
            "{metrics}"
        );
    }
}
