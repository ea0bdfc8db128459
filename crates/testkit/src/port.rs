use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Mutex, PoisonError};

/// Below the range that Linux takes outgoing ports from: a client that keeps dialling a server which
/// is down could otherwise be given that very port for its own end, and connect to itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// None is given out twice: a server that is down may start again on its own.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port of the loopback interface on which nothing listens, another one each time.
///
/// # Panics
/// When no port is free.
pub fn free_port() -> u16 {
    let span = u64::from(PORTS.end - PORTS.start);
    (0..1000)
        .filter_map(|attempt| u16::try_from(RandomState::new().hash_one(attempt) % span).ok())
        .map(|offset| PORTS.start + offset)
        // Connecting leaves nothing behind; a listener would live on in a process forked just now.
        .filter(|&port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err())
        .find(|&port| TAKEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port))
        .expect("one of a thousand ports is free")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_free_port_can_be_bound() {
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).is_ok());
    }
}
