//! Listening, as Kestrel does, on what the machine has.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::{ListenAddress, ListenHost, Scheme};

/// Connections that may wait to be accepted; the kernel's `net.core.somaxconn` goes before it.
const BACKLOG: u32 = 4096;

/// Listens on all of these, which `settings` have chosen, and says what is spoken there.
///
/// # Errors
/// One cannot be listened on.
pub(crate) fn listen(addresses: &[ListenAddress], settings: &str) -> Result<Vec<(TcpListener, Scheme)>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let bound = bind(address, listener).map_err(|error| cannot_listen(address, settings, error))?;
        listeners.extend(bound.into_iter().map(|listener| (listener, address.scheme)));
    }
    Ok(listeners)
}

fn cannot_listen(address: &ListenAddress, settings: &str, error: io::Error) -> anyhow::Error {
    let is_any_v6 = address.host == ListenHost::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let cure = match is_any_v6 && is_missing(&error) {
        true => format!("this host is without IPv6, and {}://*:{} needs none", address.scheme, address.port),
        false => format!("choose another address with {settings}"),
    };
    anyhow::Error::new(error).context(format!("cannot listen on {address}; {cure}"))
}

/// Binds what there is of an address; an error if that is nothing.
fn bind<L>(address: &ListenAddress, listener: impl Fn(SocketAddr) -> io::Result<L>) -> io::Result<Vec<L>> {
    let mut listeners = Vec::new();
    let mut missing = None;
    for socket_address in address.socket_addresses() {
        match listener(socket_address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_missing(&error) => missing = Some(error),
            Err(error) => return Err(error),
        }
        if address.host == ListenHost::Any && !listeners.is_empty() {
            break;
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// Whether the machine has no such address, or none of its family at all.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

/// `[::]` takes IPv4 too, also where `net.ipv6.bindv6only` says otherwise.
fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        set_ipv6_v6only(&socket, false)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Binds on a machine where this fails for IPv6 or IPv4.
    fn bound(url: &str, v6: Result<(), Errno>, v4: Result<(), Errno>) -> Result<String, String> {
        let bound = bind(&url.parse().unwrap(), |address| {
            let result = if address.is_ipv6() { v6 } else { v4 };
            result.map(|()| address.to_string()).map_err(io::Error::from)
        });
        bound.map(|bound| bound.join(" ")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_machine_without_ipv6_listens_on_ipv4() {
        for missing in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            for (url, sockets) in [
                ("http://*:5000", "0.0.0.0:5000"),
                ("http://+:5000", "0.0.0.0:5000"),
                ("http://localhost:5000", "127.0.0.1:5000"),
            ] {
                assert_eq!(bound(url, Err(missing), Ok(())).as_deref(), Ok(sockets), "{url}");
            }
            assert!(bound("http://[::]:5000", Err(missing), Ok(())).is_err(), "it was asked for by name");
            assert!(bound("http://*:5000", Err(missing), Err(missing)).is_err());
        }
        assert_eq!(bound("http://*:5000", Ok(()), Ok(())).as_deref(), Ok("[::]:5000"));
        assert_eq!(bound("http://localhost:1", Ok(()), Ok(())).as_deref(), Ok("127.0.0.1:1 [::1]:1"));
        assert_eq!(bound("http://localhost:1", Ok(()), Err(Errno::AFNOSUPPORT)).as_deref(), Ok("[::1]:1"));
    }

    #[test]
    fn an_address_in_use_is_no_missing_one() {
        for url in ["http://*:5000", "http://localhost:5000"] {
            let error = bound(url, Err(Errno::ADDRINUSE), Err(Errno::ADDRINUSE)).unwrap_err();
            assert!(error.contains("in use"), "{error}");
        }
    }

    #[test]
    fn who_asks_for_ipv6_and_has_none_is_told_what_to_write() {
        let said = |url: &str, errno: Errno| {
            format!("{:#}", cannot_listen(&url.parse().unwrap(), "--urls or ASPNETCORE_URLS", errno.into()))
        };
        let without = said("http://[::]:5000", Errno::AFNOSUPPORT);
        assert!(without.contains("http://*:5000") && without.contains("not supported"), "{without}");
        for (url, errno) in
            [("http://[::]:5000", Errno::ADDRINUSE), ("http://[fe80::1]:1", Errno::ADDRNOTAVAIL)]
        {
            assert!(said(url, errno).contains("another address with --urls"), "{url}");
        }
    }

    #[tokio::test]
    async fn every_address_is_ipv4_and_ipv6() {
        let listeners = listen(&["http://*:0".parse().unwrap()], "--urls").unwrap();
        let port = listeners[0].0.local_addr().unwrap().port();
        let mut reached = 0;
        for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            match tokio::net::TcpStream::connect(&address).await {
                Ok(_) => reached += 1,
                Err(error) => assert!(is_missing(&error), "{address}: {error}"),
            }
        }
        assert!(reached > 0);
    }
}
