//! What proving a message costs the tester: `cargo bench -p hubline-load-tester`.

#![allow(clippy::unwrap_used, reason = "what fails here is the benchmark")]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use hubline_load_tester::oracle::{Origin, Origins, Receiver, Rules, Stamp, judge};

const RUN: u32 = 7;
const ORIGINS: u32 = 10;

fn main() {
    divan::main();
}

fn receivers(count: u32) -> Vec<Receiver> {
    let receiver = |id| {
        let mut receiver = Receiver::new(id, ORIGINS as usize);
        (0..ORIGINS).for_each(|origin| receiver.expects(origin, 0));
        receiver
    };
    (0..count).map(receiver).collect()
}

/// One message of each origin to each receiver: 10 receivers stay in the processor's cache, 10,000 do not.
#[divan::bench(args = [10, 10_000])]
fn arrive_in_order(bencher: Bencher<'_, '_>, count: u32) {
    let rules = Rules::new(RUN);
    let mut receivers = receivers(count);
    let mut number = 0;
    bencher.counter(ItemsCount::new(count * ORIGINS)).bench_local(|| {
        for origin in 0..ORIGINS {
            let stamp = Stamp { run: RUN, origin, number, sent_micros: number };
            for receiver in &mut receivers {
                black_box(receiver.arrived(&rules, &stamp, number + 1));
            }
        }
        number += 1;
    });
}

#[divan::bench]
fn find_the_stamp(bencher: Bencher<'_, '_>) {
    let text =
        Stamp { run: RUN, origin: 3, number: 4711, sent_micros: 1_796_000_000_000_000 }.text(100).unwrap();
    let message = format!(r#"{{"type":1,"target":"OnBroadcast","arguments":["{text}"]}}"#);
    bencher.bench(|| Stamp::find(black_box(message.as_bytes())));
}

#[divan::bench]
fn stamp_a_message(bencher: Bencher<'_, '_>) {
    let mut origin = Origin::new(3);
    let mut text = String::with_capacity(100);
    let mut now = 1_796_000_000_000_000;
    bencher.bench_local(|| {
        now += 10_000;
        text.clear();
        origin.stamp(RUN, now).write(&mut text, 100).unwrap();
        black_box(&text);
    });
}

/// The verdict on 10,000 receivers of 10 origins that have got everything.
#[divan::bench]
fn judge_them_all(bencher: Bencher<'_, '_>) {
    let rules = Rules::new(RUN);
    let mut receivers = receivers(10_000);
    let mut origins: Vec<Origin> = (0..ORIGINS).map(Origin::new).collect();
    for number in 0..10 {
        for origin in &mut origins {
            let stamp = origin.stamp(RUN, number * 10_000);
            for receiver in &mut receivers {
                receiver.arrived(&rules, &stamp, number * 10_000 + 1);
            }
        }
    }
    let origins: Origins = origins.into_iter().collect();
    bencher.bench_local(|| judge(&rules, &receivers, &origins, &origins, None));
}
