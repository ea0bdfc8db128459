//! Channels spread over independent servers by rendezvous hashing: a channel belongs to the server whose name
//! and its own give the largest score together. So the order of the servers does not matter, and one more takes
//! its share from all others and leaves the rest where it is.

use crate::RedisEndpoint;

/// The servers' hashes. All instances of a fleet have to get the same ones, so this is part of the wire format.
#[derive(Debug)]
pub(crate) struct Spread(Vec<u64>);

impl Spread {
    pub(super) fn over(servers: &[RedisEndpoint]) -> Self {
        Self(servers.iter().map(|server| fnv1a(&server.to_string())).collect())
    }

    /// The place of the channel's server.
    pub(super) fn server_of(&self, channel: &str) -> usize {
        let channel = fnv1a(channel);
        let scores = self.0.iter().map(|server| mix(server ^ channel)).enumerate();
        scores.max_by_key(|(_, score)| *score).map_or(0, |(n, _)| n)
    }
}

/// FNV-1a, 64 bits.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finalizer of MurmurHash3: every bit of the input changes half of the output's.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const CHANNELS: usize = 30_000;

    fn servers(count: u16) -> Vec<RedisEndpoint> {
        (1..=count).map(|n| RedisEndpoint { host: format!("redis-{n}"), port: 6379 }).collect()
    }

    fn channels() -> impl Iterator<Item = String> {
        (0..CHANNELS).map(|n| format!("chat:Hub:group:{n}"))
    }

    #[test]
    fn every_instance_comes_to_the_same() {
        let spread = Spread::over(&servers(3));
        let of = |channel| spread.server_of(channel);
        assert_eq!([of("a"), of("b"), of("c"), of("ChatHub:all"), of("é😀")], [1, 0, 0, 2, 1]);
    }

    #[test]
    fn the_order_of_the_servers_does_not_matter() {
        let servers = servers(5);
        let mut reversed = servers.clone();
        reversed.reverse();
        let (one, other) = (Spread::over(&servers), Spread::over(&reversed));
        for channel in channels() {
            assert_eq!(servers[one.server_of(&channel)], reversed[other.server_of(&channel)]);
        }
    }

    #[test]
    fn each_server_has_its_share() {
        let spread = Spread::over(&servers(5));
        let mut counts = HashMap::<_, usize>::new();
        channels().for_each(|channel| *counts.entry(spread.server_of(&channel)).or_default() += 1);
        for (server, count) in counts {
            let share = CHANNELS / 5;
            assert!(count.abs_diff(share) < share / 10, "server {server} has {count}");
        }
    }

    #[test]
    fn another_server_takes_its_share_and_moves_nothing_else() {
        let (before, after) = (Spread::over(&servers(4)), Spread::over(&servers(5)));
        let moved: Vec<_> =
            channels().filter(|channel| before.server_of(channel) != after.server_of(channel)).collect();
        assert!(moved.iter().all(|channel| after.server_of(channel) == 4));
        assert!(moved.len().abs_diff(CHANNELS / 5) < CHANNELS / 50, "{} moved", moved.len());
    }
}
