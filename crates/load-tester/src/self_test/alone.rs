use std::collections::VecDeque;

use tokio::time::Instant;

use crate::oracle::{Origin, Origins, Receiver, Rules, Stamp};
use crate::self_test::clock::Stalls;
use crate::self_test::faults::{Delivery, Faults, Plan};
use crate::self_test::found::{Compared, Watched};

const CONNECTIONS: u32 = 10;
/// Those that everybody gets; behind them, one to each receiver alone.
const TO_ALL: u32 = 10;
const ORIGINS: u32 = TO_ALL + CONNECTIONS;
/// Between two messages of an origin.
const PACE_MICROS: u64 = 1_000;
const BEGIN_MICROS: u64 = 1_796_000_000_000_000;
const BLOCK: usize = 4096;

/// Gives the oracle messages without any socket: about so many, and how long each took it, in nanoseconds.
pub(super) fn alone(seed: u64, messages: u64, one_in: u64, run: u32) -> (Compared, f64) {
    let rules = Rules::new(run);
    let for_each_number = u64::from(CONNECTIONS * (TO_ALL + 1));
    let messages_of_each = messages.div_ceil(for_each_number);
    let plan = Plan { seed, one_in, connections: CONNECTIONS, origins: ORIGINS, messages_of_each };
    let mut faults = Faults::new(plan);
    let mut origins: Vec<Origin> = (0..ORIGINS).map(Origin::new).collect();
    let mut receivers: Vec<Watched> = (0..CONNECTIONS).map(|id| Watched::new(receiver(id))).collect();
    let mut block = Block::default();
    let mut delayed: VecDeque<(u64, u32, Stamp)> = VecDeque::new();
    for number in 0..messages_of_each {
        let now = BEGIN_MICROS + number * PACE_MICROS;
        while let Some((due, to, stamp)) = delayed.pop_front_if(|(due, ..)| *due <= now) {
            faults.comes_late(to, &stamp);
            block.list.push((to, stamp, due));
        }
        for origin in &mut origins {
            let stamp = origin.stamp(run, now);
            let alone = stamp.origin.checked_sub(TO_ALL);
            for to in 0..CONNECTIONS {
                if alone.is_some_and(|receiver| receiver != to) {
                    continue;
                }
                let stranger = alone.map(|receiver| (receiver + 1) % CONNECTIONS);
                faults.pass(to, stranger, &stamp, stamp, |delivery| match delivery {
                    Delivery::Now(to, stamp) => block.list.push((to, stamp, now + 1)),
                    Delivery::Late(to, stamp) => delayed.push_back((now + rules.late_micros + 2, to, stamp)),
                });
            }
        }
        if block.list.len() >= BLOCK {
            block.give(&rules, &mut receivers);
        }
    }
    for (due, to, stamp) in delayed {
        faults.comes_late(to, &stamp);
        block.list.push((to, stamp, due));
    }
    block.give(&rules, &mut receivers);
    let origins: Origins = origins.into_iter().collect();
    let stalls = Stalls::default();
    let compared = Compared::new(&rules, &receivers, &origins, faults.planted, block.arrived, &stalls);
    (compared, block.seconds * 1e9 / block.arrived.max(1) as f64)
}

fn receiver(id: u32) -> Receiver {
    let mut receiver = Receiver::new(id, TO_ALL as usize + 1);
    (0..TO_ALL).chain([TO_ALL + id]).for_each(|origin| receiver.expects(origin, BEGIN_MICROS));
    receiver
}

/// Messages that are made before the time of taking them is measured.
#[derive(Debug, Default)]
struct Block {
    list: Vec<(u32, Stamp, u64)>,
    arrived: u64,
    seconds: f64,
}

impl Block {
    fn give(&mut self, rules: &Rules, receivers: &mut [Watched]) {
        let started = Instant::now();
        for (to, stamp, now) in &self.list {
            if let Some(watched) = receivers.get_mut(*to as usize) {
                watched.arrived(rules, stamp, *now);
            }
        }
        self.seconds += started.elapsed().as_secs_f64();
        self.arrived += self.list.len() as u64;
        self.list.clear();
    }
}
