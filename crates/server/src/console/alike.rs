//! Refused requests that are alike, which are counted: anybody may send as many as he likes.

use std::net::IpAddr;

use parking_lot::Mutex;

/// How long requests that are alike count together.
const WINDOW_MS: u64 = 10 * 60 * 1_000;
/// Kinds of requests that are counted at once, 24 KiB. One more takes the place of another, which counts from 1 again.
const PLACES: usize = 1_024;

/// Counts of requests by what they are like. Nothing is allocated before the first.
#[derive(Debug, Default)]
pub(super) struct Alike(Mutex<Vec<Place>>);

#[derive(Debug, Clone, Default)]
struct Place {
    key: u64,
    since: u64,
    times: u32,
}

/// How many there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) count: u32,
    /// Since the first.
    pub(super) seconds: u16,
}

impl Times {
    /// When the first was, if the last was then; in milliseconds.
    pub(super) fn since(self, last: u64) -> u64 {
        last.saturating_sub(u64::from(self.seconds) * 1_000)
    }
}

impl Alike {
    /// Counts a request at a time in milliseconds. Returns how many there were if that is to be written down, as it is for the first, the
    /// second, the fourth and so on.
    pub(super) fn count(&self, key: u64, now: u64) -> Option<Times> {
        let mut places = self.0.lock();
        if places.is_empty() {
            places.resize(PLACES, Place::default());
        }
        let place = &mut places[usize::try_from(key % PLACES as u64).unwrap_or_default()];
        let lasts = now.checked_sub(place.since).filter(|lasts| *lasts < WINDOW_MS);
        let Some(lasts) = lasts.filter(|_| place.key == key && place.times > 0) else {
            *place = Place { key, since: now, times: 1 };
            return Some(Times { count: 1, seconds: 0 });
        };
        place.times = place.times.saturating_add(1);
        let seconds = u16::try_from(lasts / 1_000).unwrap_or(u16::MAX);
        place.times.is_power_of_two().then_some(Times { count: place.times, seconds })
    }
}

/// What one customer of a network provider has: an IPv4 address, or an IPv6 network of 64 bits.
pub(super) fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_are_alike_are_written_down_a_few_times() {
        let alike = Alike::default();
        let written: Vec<_> = (0..1_000).filter_map(|n| alike.count(7, 5_000 + n * 100)).collect();
        let counts: Vec<_> = written.iter().map(|times| times.count).collect();
        assert_eq!(counts, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(written[9].seconds, 51);
        assert_eq!(alike.count(8, 6_000).unwrap().count, 1, "another kind");
        assert_eq!(alike.count(7, 5_000 + WINDOW_MS).unwrap().count, 1, "another ten minutes");
        assert_eq!(alike.count(7, 100).unwrap().count, 1, "the clock was set back");
        assert_eq!(alike.count(7 + PLACES as u64, 200).unwrap().count, 1, "it takes the place of the other");
        let [a, b, c] =
            ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"].map(|a| network(a.parse().unwrap()));
        assert!(a == b && a != c);
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), network("10.0.0.1".parse().unwrap()));
    }
}
