//! What one address may have and do at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Extensions;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Most addresses that are remembered at once, about 8 MB. Those beyond are not limited until there is room.
const MOST_ADDRESSES: usize = 100_000;

/// How long a full table is left alone before it is searched again for addresses to forget.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The IP address that a request comes from. A host puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteAddress(pub IpAddr);

/// Limits of each address, over all endpoints of this instance. Zero, the default of each, is none.
///
/// Use them where addresses are those of clients. Behind a network's router, a load tester or a proxy that forwards no addresses,
/// everybody has the same. An IPv6 address counts as its network of 64 bits, which is what one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AddressLimits {
    /// Connections at once, over all transports. One more is answered with 429.
    pub connections: u32,
    /// Negotiations a second, on average; as many may come at once. One more is answered with 429.
    pub negotiations_per_second: u32,
}

impl AddressLimits {
    /// Sets [`AddressLimits::connections`].
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// Sets [`AddressLimits::negotiations_per_second`].
    #[must_use]
    pub fn negotiations_per_second(mut self, negotiations: u32) -> Self {
        self.negotiations_per_second = negotiations;
        self
    }
}

/// Requests that [`AddressLimits`] have refused since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AddressRefusals {
    /// Requests that would have opened a connection.
    pub connections: u64,
    /// Negotiations.
    pub negotiations: u64,
}

/// An address has all that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OverLimit;

/// Keeps [`AddressLimits`].
#[derive(Debug)]
pub(crate) struct AddressLimiter {
    limits: AddressLimits,
    table: Mutex<Table>,
    connections: Refused,
    negotiations: Refused,
    knows_no_address: AtomicBool,
    is_full: AtomicBool,
}

#[derive(Debug, Default)]
struct Table {
    addresses: HashMap<Subscriber, Account>,
    swept: Option<Instant>,
}

/// An IPv4 address, or the upper half of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subscriber {
    V4(u32),
    V6(u64),
}

#[derive(Debug, Default)]
struct Account {
    connections: u32,
    /// Until when its negotiations are paid for, each of which takes a part of a second.
    negotiated_until: Option<Instant>,
}

#[derive(Debug, Default)]
struct Refused(AtomicU64);

impl AddressLimiter {
    /// `None` if there is nothing to keep.
    pub(crate) fn new(limits: AddressLimits) -> Option<Arc<Self>> {
        (limits != AddressLimits::default()).then(|| {
            Arc::new(Self {
                limits,
                table: Mutex::default(),
                connections: Refused::default(),
                negotiations: Refused::default(),
                knows_no_address: AtomicBool::new(false),
                is_full: AtomicBool::new(false),
            })
        })
    }

    pub(crate) fn refusals(&self) -> AddressRefusals {
        AddressRefusals {
            connections: self.connections.0.load(Ordering::Relaxed),
            negotiations: self.negotiations.0.load(Ordering::Relaxed),
        }
    }

    /// Counts a connection that the request is about to open, until what is returned is dropped. `None` if it is not counted.
    pub(crate) fn open(self: &Arc<Self>, request: &Extensions) -> Result<Option<Box<Counted>>, OverLimit> {
        let limit = self.limits.connections;
        if limit == 0 {
            return Ok(None);
        }
        let Some(subscriber) = self.subscriber(request) else { return Ok(None) };
        let mut table = self.lock();
        let Some(account) = self.account(&mut table, subscriber) else { return Ok(None) };
        if account.connections >= limit {
            drop(table);
            self.connections.count("ConnectionsPerAddress", limit, subscriber);
            return Err(OverLimit);
        }
        account.connections += 1;
        Ok(Some(Box::new(Counted { limiter: Arc::clone(self), subscriber })))
    }

    /// Counts a negotiation.
    pub(crate) fn negotiate(&self, request: &Extensions) -> Result<(), OverLimit> {
        let limit = self.limits.negotiations_per_second;
        if limit == 0 {
            return Ok(());
        }
        let Some(subscriber) = self.subscriber(request) else { return Ok(()) };
        let mut table = self.lock();
        let Some(account) = self.account(&mut table, subscriber) else { return Ok(()) };
        let now = Instant::now();
        let until =
            account.negotiated_until.map_or(now, |until| until.max(now)) + Duration::from_secs(1) / limit;
        if until > now + Duration::from_secs(1) {
            drop(table);
            self.negotiations.count("NegotiationsPerSecondPerAddress", limit, subscriber);
            return Err(OverLimit);
        }
        account.negotiated_until = Some(until);
        Ok(())
    }

    fn subscriber(&self, request: &Extensions) -> Option<Subscriber> {
        let address = request.get::<RemoteAddress>();
        if address.is_none() && !self.knows_no_address.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "AddressLimits count nobody whose address is unknown: serve with hubline::serve, or give requests an \
                 axum::extract::ConnectInfo<SocketAddr>"
            );
        }
        address.map(|RemoteAddress(address)| Subscriber::of(*address))
    }

    /// What an address has; `None` if there is no room for it.
    fn account<'a>(&self, table: &'a mut Table, subscriber: Subscriber) -> Option<&'a mut Account> {
        if table.addresses.len() >= MOST_ADDRESSES && !table.addresses.contains_key(&subscriber) {
            table.sweep(Instant::now());
            if table.addresses.len() >= MOST_ADDRESSES {
                if !self.is_full.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        addresses = MOST_ADDRESSES,
                        "Limits:ConnectionsPerAddress and Limits:NegotiationsPerSecondPerAddress remember no more addresses \
                         at once, further ones are not limited"
                    );
                }
                return None;
            }
        }
        Some(table.addresses.entry(subscriber).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

impl Table {
    /// Forgets who has nothing, unless that was just tried.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + SWEEP_INTERVAL) {
            return;
        }
        self.swept = Some(now);
        self.addresses.retain(|_, account| {
            account.connections > 0 || account.negotiated_until.is_some_and(|until| until > now)
        });
    }
}

impl Subscriber {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6(u64::try_from(address.to_bits() >> 64).unwrap_or_default()),
        }
    }

    fn address(self) -> IpAddr {
        match self {
            Self::V4(bits) => IpAddr::V4(bits.into()),
            Self::V6(bits) => IpAddr::V6((u128::from(bits) << 64).into()),
        }
    }
}

impl Refused {
    /// Counts a refusal; the first is told to the operator.
    fn count(&self, setting: &str, limit: u32, subscriber: Subscriber) {
        let address = subscriber.address();
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                %address, limit,
                "refused: Limits:{setting} allows this address no more (AddressLimits in a library). If many clients share the address, \
                 raise the limit, or name the proxy that they come through in ForwardedHeaders:KnownProxies or \
                 ForwardedHeaders:KnownIPNetworks. Further refusals are counted and logged at Debug"
            );
        } else {
            tracing::debug!(%address, limit, "refused: Limits:{setting} allows this address no more");
        }
    }
}

/// A connection that counts for its address until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    limiter: Arc<AddressLimiter>,
    subscriber: Subscriber,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut table = self.limiter.lock();
        let Some(account) = table.addresses.get_mut(&self.subscriber) else { return };
        account.connections = account.connections.saturating_sub(1);
        if account.connections == 0 && account.negotiated_until.is_none_or(|until| until <= Instant::now()) {
            table.addresses.remove(&self.subscriber);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Extensions {
        let mut request = Extensions::new();
        request.insert(RemoteAddress(address.parse().unwrap()));
        request
    }

    #[test]
    fn an_address_has_so_many_connections_at_once() {
        let limiter = AddressLimiter::new(AddressLimits::default().connections(2)).unwrap();
        let open = |address| limiter.open(&from(address));
        let (first, _second) = (open("10.0.0.1").unwrap(), open("::ffff:10.0.0.1").unwrap());
        assert_eq!(open("10.0.0.1").unwrap_err(), OverLimit);
        let _other = open("10.0.0.2").unwrap().expect("counted");
        drop(first);
        let _third = open("10.0.0.1").unwrap();
        assert!(open("10.0.0.1").is_err());
        assert_eq!(limiter.refusals(), AddressRefusals { connections: 2, negotiations: 0 });
        assert!(limiter.negotiate(&from("10.0.0.1")).is_ok(), "there is no limit");
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let limiter = AddressLimiter::new(AddressLimits::default().connections(1)).unwrap();
        let _first = limiter.open(&from("2001:db8:0:1::1")).unwrap();
        assert!(limiter.open(&from("2001:db8:0:1:ffff::2")).is_err());
        assert!(limiter.open(&from("2001:db8:0:2::1")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_negotiates_so_often() {
        let limiter = AddressLimiter::new(AddressLimits::default().negotiations_per_second(4)).unwrap();
        let negotiated =
            |address: &str| (0..10).filter(|_| limiter.negotiate(&from(address)).is_ok()).count();
        assert_eq!((negotiated("10.0.0.1"), negotiated("10.0.0.2")), (4, 4));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(negotiated("10.0.0.1"), 1);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(negotiated("10.0.0.1"), 4, "what was not used is not saved");
        assert_eq!(limiter.refusals().negotiations, 6 + 6 + 9 + 6);
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_has_a_bound_and_forgets() {
        let limits = AddressLimits::default().connections(1).negotiations_per_second(1);
        let limiter = AddressLimiter::new(limits).unwrap();
        let address = |number: usize| from(&IpAddr::V4(u32::try_from(number).unwrap().into()).to_string());
        let _kept = limiter.open(&address(0)).unwrap();
        for number in 1..MOST_ADDRESSES {
            limiter.negotiate(&address(number)).unwrap();
        }
        for _ in 0..2 {
            limiter.negotiate(&address(MOST_ADDRESSES)).expect("not limited");
        }
        assert_eq!(limiter.lock().addresses.len(), MOST_ADDRESSES);
        tokio::time::advance(Duration::from_secs(2)).await;
        limiter.negotiate(&address(MOST_ADDRESSES)).unwrap();
        assert!(limiter.negotiate(&address(MOST_ADDRESSES)).is_err());
        assert_eq!(limiter.lock().addresses.len(), 2);
        assert!(limiter.open(&address(0)).is_err());
    }

    #[test]
    fn a_connection_that_has_ended_leaves_nothing() {
        let limiter = AddressLimiter::new(AddressLimits::default().connections(1)).unwrap();
        drop(limiter.open(&from("10.0.0.1")).unwrap());
        assert!(limiter.lock().addresses.is_empty());
    }

    #[test]
    fn who_has_no_address_is_not_limited() {
        let limits = AddressLimits::default().connections(1).negotiations_per_second(1);
        let limiter = AddressLimiter::new(limits).unwrap();
        for _ in 0..3 {
            assert!(limiter.open(&Extensions::new()).unwrap().is_none());
            limiter.negotiate(&Extensions::new()).unwrap();
        }
        assert!(AddressLimiter::new(AddressLimits::default()).is_none());
    }
}
