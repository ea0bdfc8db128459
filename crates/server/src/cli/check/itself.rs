//! `hubline check --self`: the health check of an image, which has no shell and no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use ::http::{Method, StatusCode};
use anyhow::{Context, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::http::Http;
use super::report::say;
use crate::config::{Config, ListenAddress, Scheme};
use crate::paths::HEALTH_READY;

/// Asks the instance of this configuration whether it is ready, and says so in one line.
pub(super) async fn run(config: &Config) -> ExitCode {
    let (line, code) = match ask(config).await {
        Ok((url, StatusCode::OK, _)) => (format!("✓ {url} is ready"), ExitCode::SUCCESS),
        Ok((url, status, body)) => {
            let body = body.lines().next().unwrap_or_default().to_owned();
            (format!("✗ {url} answers {}: {body}", status.as_u16()), ExitCode::FAILURE)
        }
        Err(error) => (format!("✗ {error:#}"), ExitCode::FAILURE),
    };
    say(&format!("{line}\n"));
    code
}

async fn ask(config: &Config) -> Result<(String, StatusCode, String)> {
    let addresses = addresses(config);
    let first = addresses.first().context(
        "the instance listens at ports that are picked at its start (port 0): give it one, for instance ASPNETCORE_HTTP_PORTS=8080",
    )?;
    let mut failure = anyhow::anyhow!("{first}: no answer");
    let http = Http::to_this_machine(trusting(), host(config).as_deref())?;
    for address in &addresses {
        let url = format!("{address}{HEALTH_READY}");
        match http.whole(Method::GET, &url, &[], String::new()).await {
            Ok((status, body)) => return Ok((address.clone(), status, body)),
            Err(error) => failure = error.context(address.clone()),
        }
    }
    Err(failure.context("the instance does not answer"))
}

/// Where the instance is reached from this machine, those without TLS first.
fn addresses(config: &Config) -> Vec<String> {
    let mut listened: Vec<&ListenAddress> =
        config.server.urls.iter().chain(&config.management.urls).collect();
    listened.sort_by_key(|address| address.scheme == Scheme::Https);
    let reached = |address: &&ListenAddress| {
        let scheme = address.scheme;
        address
            .socket_addresses()
            .into_iter()
            .flat_map(reachable)
            .map(move |at| format!("{scheme}://{at}"))
            .collect::<Vec<_>>()
    };
    let mut addresses: Vec<String> =
        listened.iter().filter(|address| address.port != 0).flat_map(reached).collect();
    addresses.dedup();
    addresses
}

fn reachable(at: SocketAddr) -> Vec<SocketAddr> {
    let loopback: &[IpAddr] = match at.ip() {
        // An IPv6 socket for all addresses usually takes IPv4 too.
        IpAddr::V6(ip) if ip.is_unspecified() => {
            &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        }
        IpAddr::V4(ip) if ip.is_unspecified() => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        _ => return vec![at],
    };
    loopback.iter().map(|ip| SocketAddr::new(*ip, at.port())).collect()
}

/// A host that the instance is reached under, if it is particular about that.
fn host(config: &Config) -> Option<String> {
    let first = config.server.allowed_hosts.as_ref()?.first()?.to_string();
    Some(match first.strip_prefix("*.") {
        Some(domain) => format!("check.{domain}"),
        None => first,
    })
}

/// TLS to whoever listens at an address of this machine, which is told nothing secret. Its certificate is for other names.
fn trusting() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|_| unreachable!("ring speaks both versions"))
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth()
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
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
