use std::collections::HashMap;
use std::fmt::{Debug, Formatter};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, lookup_host};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::client::error::{ConnectError, ConnectPhase};
use crate::wire::hub_url::{HubUrl, is_loopback};
use crate::wire::socket::Socket;
use crate::wire::tls;

/// How servers are reached: whether they may be on other machines, whose certificates count, where connections really go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkOptions {
    /// Servers that are not on this machine may be reached too.
    pub allow_remote: bool,
    /// Certificates are not verified.
    pub insecure: bool,
    /// PEM file of the authorities that count instead of the operating system's.
    pub ca: Option<PathBuf>,
    /// `HOST:PORT` that all connections go to, while `Host` and certificate are those of the URL.
    pub connect_to: Option<String>,
    /// Bytes that the operating system may hold for a connection that is not read; the operating system's default if none.
    pub receive_buffer_bytes: Option<u32>,
}

/// Opens sockets to servers. Names are looked up once.
pub struct Network {
    options: NetworkOptions,
    tls: OnceLock<Result<TlsConnector, String>>,
    looked_up: Mutex<HashMap<(String, u16), Vec<SocketAddr>>>,
}

impl Debug for Network {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A socket, and what it took.
pub(crate) struct Opened {
    pub(crate) socket: Socket,
    pub(crate) tcp: Duration,
    pub(crate) tls: Option<Duration>,
}

impl Network {
    /// Reads the authorities of `ca`, if there are some.
    ///
    /// # Errors
    /// The file cannot be read or has no certificate, or `connect_to` is not `HOST:PORT`.
    pub fn new(options: NetworkOptions) -> anyhow::Result<Self> {
        let tls = OnceLock::new();
        if let (Some(file), false) = (&options.ca, options.insecure) {
            let _ = tls.set(Ok(tls::authorities(file)?));
        }
        if let Some(text) = &options.connect_to {
            anyhow::ensure!(
                host_and_port(text).is_some(),
                "--connect-to {text:?} is not HOST:PORT, for example 10.0.0.7:5000"
            );
        }
        Ok(Self { options, tls, looked_up: Mutex::default() })
    }

    /// The addresses that connections to this hub go to.
    ///
    /// # Errors
    /// There is no such host; or it is not this machine, and other machines are not allowed.
    pub async fn addresses(&self, url: &HubUrl) -> Result<Vec<SocketAddr>, ConnectError> {
        let named = self.options.connect_to.as_deref().and_then(host_and_port);
        let (host, port) = named.unwrap_or_else(|| match url.address() {
            Some(address) => (address.to_string(), url.port()),
            None => (url.host(), url.port()),
        });
        let key = (host, port);
        if let Some(addresses) = self.looked_up.lock().get(&key) {
            return Ok(addresses.clone());
        }
        let (host, port) = &key;
        let error = |text: String| ConnectError::new(ConnectPhase::Lookup, text);
        let found = lookup_host((host.as_str(), *port)).await;
        let addresses: Vec<_> =
            found.map_err(|cause| error(format!("{host} is not found: {cause}")))?.collect();
        if addresses.is_empty() {
            return Err(error(format!("{host} has no address")));
        }
        let remote = addresses.iter().find(|address| !is_loopback(address.ip()));
        if let (Some(remote), false) = (remote, self.options.allow_remote) {
            return Err(error(format!(
                "{host} ({}) is not this machine; load on other machines needs --allow-remote, and the consent of who runs them",
                remote.ip()
            )));
        }
        self.looked_up.lock().insert(key.clone(), addresses.clone());
        Ok(addresses)
    }

    pub(crate) async fn open(&self, url: &HubUrl) -> Result<Opened, ConnectError> {
        let addresses = self.addresses(url).await?;
        let started = Instant::now();
        let mut failed = None;
        for address in addresses {
            match self.tcp(address).await {
                Ok(stream) => {
                    let tcp = started.elapsed();
                    if !url.is_secure() {
                        return Ok(Opened { socket: Box::new(stream), tcp, tls: None });
                    }
                    let started = Instant::now();
                    let socket = self.secure(url, stream).await?;
                    return Ok(Opened { socket, tcp, tls: Some(started.elapsed()) });
                }
                Err(error) => failed = Some(ConnectError::io(ConnectPhase::Tcp, &error)),
            }
        }
        Err(failed.unwrap_or_else(|| ConnectError::new(ConnectPhase::Tcp, "no address")))
    }

    async fn tcp(&self, address: SocketAddr) -> std::io::Result<tokio::net::TcpStream> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        if let Some(bytes) = self.options.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn secure(&self, url: &HubUrl, stream: tokio::net::TcpStream) -> Result<Socket, ConnectError> {
        let insecure = self.options.insecure;
        let connector = self.tls.get_or_init(|| match insecure {
            true => Ok(tls::unverified()),
            false => tls::system().map_err(|error| format!("{error:#}")),
        });
        let failed = |text: String| ConnectError::new(ConnectPhase::Tls, text);
        let connector = connector.as_ref().map_err(|text| failed(text.clone()))?;
        let name = match url.address() {
            Some(address) if url.host() != "localhost" => ServerName::IpAddress(address.into()),
            _ => ServerName::try_from(url.host()).map_err(|error| failed(error.to_string()))?,
        };
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    (!host.is_empty()).then_some(())?;
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn addresses(options: NetworkOptions, url: &str) -> Result<Vec<SocketAddr>, ConnectError> {
        Network::new(options).unwrap().addresses(&url.parse().unwrap()).await
    }

    #[tokio::test]
    async fn other_machines_need_consent() {
        let refused = addresses(NetworkOptions::default(), "http://192.0.2.1/hub").await.unwrap_err();
        assert!(refused.to_string().contains("--allow-remote"), "{refused}");
        let allowed = NetworkOptions { allow_remote: true, ..NetworkOptions::default() };
        assert_eq!(
            addresses(allowed, "http://192.0.2.1/hub").await.unwrap(),
            ["192.0.2.1:80".parse().unwrap()]
        );
        let elsewhere =
            NetworkOptions { connect_to: Some("192.0.2.1:81".to_owned()), ..NetworkOptions::default() };
        addresses(elsewhere, "http://localhost/hub").await.unwrap_err();
    }

    #[tokio::test]
    async fn connections_go_where_they_are_told() {
        let options =
            NetworkOptions { connect_to: Some("127.0.0.1:81".to_owned()), ..NetworkOptions::default() };
        assert_eq!(
            addresses(options, "https://signalr.example.org/hub").await.unwrap(),
            ["127.0.0.1:81".parse().unwrap()]
        );
        let wrong = NetworkOptions { connect_to: Some("somewhere".to_owned()), ..NetworkOptions::default() };
        assert!(Network::new(wrong).unwrap_err().to_string().contains("HOST:PORT"));
    }
}
