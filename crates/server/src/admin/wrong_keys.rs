use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Addresses that are remembered; what more come from count as one.
const MOST_ADDRESSES: usize = 4_096;

/// Bounds how many wrong keys an address may try in a minute. What counts is the client's address behind proxies that are configured, and of
/// IPv6 the network of 64 bits.
#[derive(Debug)]
pub(super) struct WrongKeys {
    per_minute: u32,
    /// By when each address has all its tries again.
    tries: Mutex<HashMap<Option<IpAddr>, Instant>>,
}

impl WrongKeys {
    /// So many in a minute, all at once if they come so; 0 for no limit.
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, tries: Mutex::default() }
    }

    /// How long an address waits for another try.
    fn refill(&self) -> Duration {
        Duration::from_secs(60) / self.per_minute.max(1)
    }

    /// How long an address has to wait until it may try a key that could be wrong; `None` if it may.
    pub(super) fn wait(&self, address: Option<IpAddr>) -> Option<Duration> {
        if self.per_minute == 0 {
            return None;
        }
        let tries = self.tries.lock();
        let whole = tries.get(&place(&tries, address.map(network)))?;
        let used = whole.saturating_duration_since(Instant::now());
        used.checked_sub(self.refill() * (self.per_minute - 1)).filter(|wait| !wait.is_zero())
    }

    /// Counts a wrong key.
    pub(super) fn add(&self, address: Option<IpAddr>) {
        let mut tries = self.tries.lock();
        let now = Instant::now();
        if tries.len() >= MOST_ADDRESSES {
            tries.retain(|_, whole| *whole > now);
        }
        let place = place(&tries, address.map(network));
        let whole = tries.entry(place).or_insert(now);
        *whole = (*whole).max(now) + self.refill();
    }
}

/// Where an address is counted: by itself, or with all that find no room.
fn place(tries: &HashMap<Option<IpAddr>, Instant>, address: Option<IpAddr>) -> Option<IpAddr> {
    address.filter(|_| tries.len() < MOST_ADDRESSES || tries.contains_key(&address))
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: u32 = 30;
    const REFILL: Duration = Duration::from_secs(2);

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_tries_thirty_and_then_one_every_two_seconds() {
        let wrong = WrongKeys::new(BURST);
        let attacker = address("2001:db8::1");
        for _ in 0..BURST {
            assert_eq!(wrong.wait(attacker), None);
            wrong.add(attacker);
        }
        assert_eq!(wrong.wait(address("2001:db8::ffff")), Some(REFILL), "one network");
        assert_eq!(wrong.wait(address("2001:db8:0:1::1")), None, "another");
        tokio::time::advance(REFILL).await;
        assert_eq!(wrong.wait(attacker), None);
        wrong.add(attacker);
        assert!(wrong.wait(attacker).is_some());
        tokio::time::advance(REFILL * BURST).await;
        assert_eq!(wrong.wait(attacker), None);
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_without_room_share_one_place_until_others_are_forgotten() {
        let wrong = WrongKeys::new(BURST);
        for number in 0..u32::try_from(MOST_ADDRESSES).unwrap() {
            wrong.add(Some(IpAddr::V4(number.into())));
        }
        for number in 0..BURST {
            wrong.add(Some(IpAddr::V4((u32::MAX - number).into())));
        }
        assert!(wrong.wait(address("255.0.0.1")).is_some(), "as one");
        assert_eq!(wrong.wait(address("0.0.0.1")), None, "those that are known keep their tries");
        tokio::time::advance(REFILL * (BURST + 1)).await;
        wrong.add(address("255.0.0.1"));
        assert_eq!(wrong.tries.lock().len(), 1);
    }
}
