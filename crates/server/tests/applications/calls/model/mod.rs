//! Random sequences of what three users with five devices on two servers do. Each step alone is held against a small reference model;
//! several at once, and all of it at the end, against what everybody has to agree on.
//!
//! `CALLS_SEED=7 cargo test -p hubline-server --test applications model` repeats one, `CALLS_RUNS=5000` runs more.

mod reference;
mod world;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use hubline_testkit::RedisServer;
use parking_lot::Mutex;

use super::{CallServer, options, store};
use crate::fleet::Reader;
use world::{Fleet, World};

/// Runs in the suite.
const RUNS: u64 = 24;
/// Runs at the same time, each with users of its own.
const AT_ONCE: usize = 8;
const STEPS: usize = 30;

/// Numbers by SplitMix64.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[tokio::test]
async fn whatever_is_done_both_sides_agree() {
    let redis = RedisServer::start().await.unwrap();
    let at = redis.connection_string();
    let mut options = options();
    // Deadlines pass when a step says so.
    let hour = std::time::Duration::from_secs(3_600);
    (options.ring_timeout, options.rejoin_timeout) = (hour, hour);
    options.sweep_interval /= 5;
    let store = store().await;
    let start = || CallServer::start(Some(&at), options.clone(), Some(store.clone()));
    let fleet = Fleet { servers: [start().await, start().await], reader: Reader::new(&at) };
    let first = number("CALLS_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos().into()
    });
    let runs = number("CALLS_RUNS").unwrap_or(if number("CALLS_SEED").is_some() { 1 } else { RUNS });
    println!("seeds {first} to {}", first + runs - 1);
    let run = async |seed| {
        let trace = Arc::new(Mutex::new(Vec::new()));
        let run = run(&fleet, seed, Arc::clone(&trace));
        if let Err(panic) = AssertUnwindSafe(run).catch_unwind().await {
            println!("CALLS_SEED={seed} did:\n{}", trace.lock().join("\n"));
            resume_unwind(panic);
        }
    };
    stream::iter((first..first + runs).map(run)).buffer_unordered(AT_ONCE).collect::<()>().await;
}

async fn run(fleet: &Fleet, seed: u64, trace: Arc<Mutex<Vec<String>>>) {
    let mut random = Random(seed);
    let mut world = World::new(fleet, seed, trace).await;
    let mut left = STEPS;
    while left > 0 {
        let together = if random.below(3) == 0 { 2 + random.below(2) } else { 1 };
        left = left.saturating_sub(together);
        if together == 1 {
            world.step(&mut random).await;
        } else {
            world.steps_at_once(&mut random, together).await;
        }
    }
    world.end().await;
}
