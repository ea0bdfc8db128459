//! Which connections are cut, or stop reading, and when.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::plan::{ShareEachSecond, Storm};
use crate::run::shared::{Shared, Slot, order};

const TICK: Duration = Duration::from_millis(100);

/// Plants the faults of one step; it ends with the step, or at once if there are none.
pub(crate) async fn plant(shared: &Shared, connections: usize, start: Instant, until: Instant) {
    let faults = shared.plan.faults;
    let slots = &shared.slots[..connections];
    let mut storm = faults.storm.map(|storm| match storm {
        Storm::Middle => start + (until - start) / 2,
        Storm::Every(every) => start + every,
    });
    let mut chosen = [(faults.drop, order::DROP, 0.0), (faults.pause_readers, order::PAUSE, 0.0)];
    if storm.is_none() && chosen.iter().all(|(share, ..)| share.is_none()) {
        return;
    }
    let mut due = start + TICK;
    while due < until {
        sleep_until(due).await;
        due += TICK;
        for (share, order, owed) in &mut chosen {
            let Some(ShareEachSecond(share)) = share else { continue };
            #[expect(clippy::cast_precision_loss, reason = "connections are far fewer than 2^52")]
            let open = shared.open.load(Ordering::Relaxed) as f64;
            *owed += open * *share * TICK.as_secs_f64();
            while *owed >= 1.0 {
                *owed -= 1.0;
                if let Some(slot) = any_open(slots) {
                    slot.order(*order);
                }
            }
        }
        if storm.is_some_and(|at| at <= due) {
            slots.iter().for_each(|slot| slot.order(order::STORM));
            storm = match faults.storm {
                Some(Storm::Every(every)) => storm.map(|at| at + every),
                _ => None,
            };
        }
    }
}

/// One that is open, if a few tries find it.
fn any_open(slots: &[Slot]) -> Option<&Slot> {
    const TRIES: usize = 16;
    let mut any = (0..TRIES).filter_map(|_| slots.get(fastrand::usize(..slots.len().max(1))));
    any.find(|slot| slot.is_open.load(Ordering::Relaxed))
}
