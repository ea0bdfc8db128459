use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::ops::Range;

use parking_lot::Mutex;

/// Below the range that Linux takes outgoing ports from: a client that keeps dialling a server which
/// is down could otherwise be given that very port for its own end, and connect to itself.
const FIRST: u16 = 20_000;
const BLOCKS: u64 = 240;
/// Ports of a block, which belongs to one process.
const BLOCK: u16 = 50;

static PORTS: Mutex<Ports> = Mutex::new(Ports { left: 0..0, claims: Vec::new() });

/// This process's ports. A block is claimed by a UDP socket on its first port number, which the kernel gives to one process
/// at a time and takes back when that ends; `tests/javascript` and `tests/python` claim theirs in the same way.
struct Ports {
    left: Range<u16>,
    claims: Vec<UdpSocket>,
}

/// A port of the loopback interface on which nothing listens. No port is given out twice, neither by this process nor by
/// another one at the same time: a server that is down may start again on its own.
///
/// # Panics
/// When no port is free.
pub fn free_port() -> u16 {
    free_ports(1).start
}

/// `count` free ports in a row, at most 50, each as [`free_port`] gives them.
///
/// # Panics
/// When there are none, or `count` is over 50.
pub fn free_ports(count: u16) -> Range<u16> {
    assert!(count <= BLOCK, "{count} ports in a row are asked for, {BLOCK} is the most");
    let mut ports = PORTS.lock();
    loop {
        let found = ports.next(count);
        // Connecting leaves nothing behind; a listener would live on in a process forked just now.
        if found.clone().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()) {
            return found;
        }
    }
}

impl Ports {
    fn next(&mut self, count: u16) -> Range<u16> {
        if self.left.len() < count.into() {
            self.left = self.claim();
        }
        let next = self.left.start..self.left.start + count;
        self.left.start = next.end;
        next
    }

    fn claim(&mut self) -> Range<u16> {
        let (first, claim) = (0..10_000)
            .filter_map(|attempt| u16::try_from(RandomState::new().hash_one(attempt) % BLOCKS).ok())
            .map(|block| FIRST + block * BLOCK)
            .find_map(|first| Some((first, UdpSocket::bind((Ipv4Addr::LOCALHOST, first)).ok()?)))
            .expect("one of 240 blocks of ports is unclaimed");
        self.claims.push(claim);
        first..first + BLOCK
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_free_port_can_be_bound() {
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).is_ok());
    }

    #[test]
    fn no_port_is_given_out_twice() {
        let ports: Vec<u16> =
            (0..60).map(|_| free_port()).chain(free_ports(20)).chain(free_ports(40)).collect();
        assert_eq!(ports.len(), 120);
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 120);
    }

    #[test]
    fn a_block_belongs_to_who_claimed_it() {
        let mut other = Ports { left: 0..0, claims: Vec::new() };
        let first = other.next(1).start;
        assert!(UdpSocket::bind((Ipv4Addr::LOCALHOST, first)).is_err(), "another process could claim it too");
    }
}
