//! One connection of a run, from its beginning to its end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::client::link::Link;
use crate::client::message::push_invocation;
use crate::client::{ConnectOptions, Disconnected};
use crate::oracle::Cause;
use crate::plan::template::Fill;
use crate::plan::{Call, Pace, filled};
use crate::run::inbox::{Inbox, Pending};
use crate::run::opening::{connect, group_name};
use crate::run::shared::{Sending, Shared, Slot, micros, order};
use crate::wire::connection::INVOCATION;

/// How long official clients with automatic reconnects wait before each attempt; then they give up.
const RECONNECT_DELAYS: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30)];
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const ACK_INTERVAL: Duration = Duration::from_secs(1);
/// How soon a connection that the server does not take from is tried again.
const HELD_UP: Duration = Duration::from_millis(10);
/// A slow network brings bytes so often.
const SLOW_READ_EACH: Duration = Duration::from_millis(50);
const FAR: Duration = Duration::from_secs(86_400);

/// Why a connection's loop ended.
enum Ended {
    Closed,
    Cut(Cause),
    Lost(Disconnected),
}

struct Member {
    inbox: Inbox,
    link: Link,
    options: Arc<ConnectOptions>,
    /// When the next call is due.
    next_call: Option<Instant>,
    until: Instant,
    /// Calls so far, over all its connections.
    calls: u64,
    group: String,
    next_ping: Instant,
    next_ack: Instant,
    /// Nothing is read before.
    reads_at: Option<Instant>,
    is_paused: bool,
}

/// Connects at once and stays until told to close.
pub(crate) async fn run(shared: Arc<Shared>, index: usize) {
    let slot = &shared.slots[index];
    let options = shared.plan.role(slot.number).connect(slot.number);
    let connected = {
        let _permit = shared.connecting.acquire().await;
        connect(&shared, index, &options).await
    };
    let member = match connected {
        Ok((link, inbox, calls)) => {
            shared.listens(slot);
            Member::new(link, inbox, options, calls)
        }
        Err(error) => {
            shared.shard(index).lock().connect_error(&error);
            shared.tried.fetch_add(1, Ordering::Release);
            return;
        }
    };
    set_open(&shared, slot, true);
    shared.tried.fetch_add(1, Ordering::Release);
    member.stay(&shared, slot).await;
    set_open(&shared, slot, false);
}

fn set_open(shared: &Shared, slot: &Slot, is_open: bool) {
    if slot.is_open.swap(is_open, Ordering::AcqRel) != is_open {
        match is_open {
            true => shared.open.fetch_add(1, Ordering::Relaxed),
            false => shared.open.fetch_sub(1, Ordering::Relaxed),
        };
    }
}

impl Member {
    fn new(link: Link, inbox: Inbox, options: Arc<ConnectOptions>, calls: u64) -> Self {
        let now = Instant::now();
        let group = group_name(&inbox.shared, inbox.slot());
        let mut member = Self {
            inbox,
            link,
            next_call: None,
            until: now,
            calls,
            group,
            next_ping: now + options.ping_interval,
            next_ack: now + ACK_INTERVAL,
            reads_at: None,
            is_paused: false,
            options,
        };
        member.begins_slowly(now);
        member
    }

    fn begins_slowly(&mut self, now: Instant) {
        if self.inbox.shared.plan.faults.read_rate.is_some() {
            let at = self.inbox.shared.clock.micros(now);
            self.inbox.slot().seen.lock().reads_not(Cause::SlowReader, at);
        }
    }

    /// Stays connected, over cuts and losses, until told to close.
    async fn stay(mut self, shared: &Arc<Shared>, slot: &Slot) {
        loop {
            let ended = self.serve(shared, slot).await;
            let at = Instant::now();
            let cause = match &ended {
                Ended::Closed => {
                    self.inbox.give_up(None, "a call was not answered before the end");
                    self.link.close().await;
                    return;
                }
                Ended::Cut(cause) => *cause,
                Ended::Lost(error) => {
                    self.inbox.measure(|measured| {
                        measured.disconnects += 1;
                        measured.error(&error.to_string(), &error.to_string());
                    });
                    Cause::ConnectionLost
                }
            };
            set_open(shared, slot, false);
            self.end_pause(at);
            let may_return = !matches!(&ended, Ended::Lost(error) if !error.allows_reconnect());
            self.link.cut();
            let is_back = match cause {
                Cause::Drop | Cause::Storm | Cause::ConnectionLost if self.link.is_stateful() => {
                    self.resume(shared, slot, cause, at).await
                }
                cause => {
                    slot.seen.lock().goes_away(cause, shared.clock.micros(at));
                    may_return && self.come_back(shared, slot).await
                }
            };
            if !is_back {
                self.inbox.give_up(None, "a call was lost with its connection");
                return;
            }
            self.is_back(shared, slot, cause, at);
        }
    }

    fn is_back(&mut self, shared: &Arc<Shared>, slot: &Slot, cause: Cause, at: Instant) {
        set_open(shared, slot, true);
        let now = Instant::now();
        let took = micros(now - at);
        self.inbox.measure(|measured| {
            measured.reconnects += 1;
            measured.recovery.record(took);
            let named = if shared.plan.faults.stateful { Cause::Stateful } else { cause };
            if let Some(fault) = measured.fault(named).filter(|_| cause != Cause::ConnectionLost) {
                fault.count += 1;
                fault.recovery.record(took);
            }
        });
        (self.next_ping, self.next_ack) = (now + self.options.ping_interval, now + ACK_INTERVAL);
        self.inbox.last_received = now;
        // A person without a connection does not send.
        if let (Some(due), Some(Pace::Interval(interval))) = (self.next_call, self.pace()) {
            self.next_call = Some(next_due(due, interval, now));
        }
    }

    /// Resumes the connection; nothing may be lost then, so that the oracle is told of nothing. If the server does not have it any more
    /// a new one is opened.
    async fn resume(&mut self, shared: &Arc<Shared>, slot: &Slot, cause: Cause, at: Instant) -> bool {
        match self.link.resume().await {
            Ok(_) => true,
            Err(error) => {
                self.inbox.measure(|measured| measured.connect_error(&error));
                let cause = if cause == Cause::ConnectionLost { cause } else { Cause::Stateful };
                slot.seen.lock().goes_away(cause, shared.clock.micros(at));
                self.come_back(shared, slot).await
            }
        }
    }

    /// Opens a new connection as official clients do that reconnect.
    async fn come_back(&mut self, shared: &Arc<Shared>, slot: &Slot) -> bool {
        self.inbox.give_up(None, "a call was lost with its connection");
        for delay in RECONNECT_DELAYS {
            let at = Instant::now() + delay;
            while Instant::now() < at {
                tokio::select! {
                    () = sleep_until(at) => {}
                    () = slot.ordered.notified() => {}
                }
                if slot.take_orders() & order::CLOSE != 0 {
                    return false;
                }
            }
            match connect(shared, self.inbox.index, &self.options).await {
                Ok((link, inbox, calls)) => {
                    let has_called = self.inbox.has_called();
                    (self.link, self.inbox) = (link, inbox.which_called(has_called));
                    self.calls = self.calls.max(calls);
                    let now = Instant::now();
                    slot.seen.lock().is_back(shared.clock.micros(now));
                    self.begins_slowly(now);
                    // Told while it was away.
                    slot.order(order::SEND);
                    return true;
                }
                Err(error) => self.inbox.measure(|measured| measured.connect_error(&error)),
            }
        }
        false
    }

    async fn serve(&mut self, shared: &Arc<Shared>, slot: &Slot) -> Ended {
        let read_rate = shared.plan.faults.read_rate;
        let limit =
            read_rate.map_or(usize::MAX, |rate| usize::try_from(rate.0 / 20).unwrap_or(usize::MAX).max(1));
        let mut timer = pin!(sleep_until(self.deadline()));
        loop {
            if let Some(ended) = self.do_what_is_due(shared, slot) {
                return ended;
            }
            let deadline = self.deadline();
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            let Self { inbox, link, reads_at, .. } = self;
            let mut now = None;
            let mut take = |kind: u8, message: &[u8]| {
                inbox.take(*now.get_or_insert_with(Instant::now), kind, message);
            };
            let reads = reads_at.is_none().then_some(limit);
            let outcome = tokio::select! {
                biased;
                () = slot.ordered.notified() => Ok(()),
                received = link.exchange(reads, &mut take) => {
                    if read_rate.is_some() {
                        *reads_at = Some(Instant::now() + SLOW_READ_EACH);
                    }
                    received
                }
                () = timer.as_mut() => Ok(()),
            };
            if let Err(error) = outcome {
                return Ended::Lost(error);
            }
        }
    }

    /// The next moment at which something is due without bytes from the server.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let call = match self.next_call {
            Some(_) if self.link.is_held_up() => now + HELD_UP,
            Some(due) => due,
            None => now + FAR,
        };
        let ack = if self.link.is_stateful() { self.next_ack } else { now + FAR };
        let ping = if self.link.is_pinged() { self.next_ping } else { now + FAR };
        call.min(ack).min(ping).min(self.reads_at.unwrap_or(now + FAR))
    }

    fn do_what_is_due(&mut self, shared: &Arc<Shared>, slot: &Slot) -> Option<Ended> {
        let orders = slot.take_orders();
        if orders != 0
            && let Some(ended) = self.obey(orders, shared)
        {
            return Some(ended);
        }
        self.inbox.answer(&mut self.link);
        let now = Instant::now();
        if self.reads_at.is_some_and(|at| now >= at) {
            self.reads_at = None;
            self.end_pause(now);
        }
        if self.link.is_pinged() && now >= self.next_ping {
            self.link.push_ping();
            self.next_ping = now + self.options.ping_interval;
            let silent = now - self.inbox.last_received;
            if silent >= self.options.server_timeout && self.reads_at.is_none() {
                return Some(Ended::Lost(Disconnected::Silent(silent.as_secs())));
            }
            if let Some(before) = now.checked_sub(CALL_TIMEOUT) {
                self.inbox.give_up(Some(before), "a call was not answered within 30 s");
            }
        }
        if self.link.is_stateful() && now >= self.next_ack {
            self.link.push_ack();
            self.next_ack = now + ACK_INTERVAL;
        }
        if let (Some(Pace::ThinkTime(think)), Some(answered)) = (self.pace(), self.inbox.answered.take()) {
            self.next_call = Some(answered + think);
        }
        self.call_what_is_due(shared, slot, now);
        None
    }

    fn obey(&mut self, orders: u8, shared: &Arc<Shared>) -> Option<Ended> {
        if orders & order::CLOSE != 0 {
            return Some(Ended::Closed);
        }
        if orders & order::SEND != 0 {
            self.begin_to_send(*shared.sending.lock());
        }
        if orders & order::PAUSE != 0 && !self.is_paused {
            let now = Instant::now();
            self.is_paused = true;
            self.reads_at = Some(now + shared.plan.faults.pause);
            self.inbox.slot().seen.lock().reads_not(Cause::PausedReader, shared.clock.micros(now));
        }
        if orders & order::STORM != 0 {
            return Some(Ended::Cut(Cause::Storm));
        }
        (orders & order::DROP != 0).then_some(Ended::Cut(Cause::Drop))
    }

    fn end_pause(&mut self, now: Instant) {
        if !std::mem::take(&mut self.is_paused) {
            return;
        }
        let at = self.inbox.shared.clock.micros(now);
        self.inbox.slot().seen.lock().reads_again(at);
        let pause = micros(self.inbox.shared.plan.faults.pause);
        self.inbox.measure(|measured| {
            if let Some(fault) = measured.fault(Cause::PausedReader) {
                fault.count += 1;
                fault.recovery.record(pause);
            }
        });
    }

    fn call_of<'a>(&self, shared: &'a Shared) -> Option<&'a Call> {
        let slot = self.inbox.slot();
        let role = shared.plan.role(slot.number);
        if role.sends(slot.rank) { role.call.as_ref() } else { None }
    }

    fn pace(&self) -> Option<Pace> {
        self.call_of(&self.inbox.shared).map(|call| call.pace)
    }

    /// Connections begin one after the other, spread over the interval.
    fn begin_to_send(&mut self, sending: Option<Sending>) {
        let Some(Sending { start, until }) = sending else { return };
        let Some(pace) = self.pace() else { return };
        let now = Instant::now();
        if now >= until {
            return;
        }
        let shared = &self.inbox.shared;
        let slot = self.inbox.slot();
        let role = usize::from(shared.plan.members[slot.number as usize]);
        let (Pace::Interval(interval) | Pace::ThinkTime(interval)) = pace;
        let begins = start + interval.mul_f64(f64::from(slot.rank) / f64::from(shared.senders(role)));
        self.until = until;
        self.next_call = match pace {
            Pace::ThinkTime(_) if !self.inbox.pending.is_empty() => None,
            _ => Some(next_due(begins, interval, now)),
        };
    }

    fn call_what_is_due(&mut self, shared: &Arc<Shared>, slot: &Slot, now: Instant) {
        while let Some(due) = self.next_call.filter(|due| *due <= now) {
            if due >= self.until {
                self.next_call = None;
                return;
            }
            let Some(call) = self.call_of(shared) else { return };
            if self.link.is_held_up() {
                return;
            }
            self.send(shared, slot, call, due, now);
            self.next_call = match call.pace {
                Pace::Interval(interval) => Some(due + interval),
                Pace::ThinkTime(_) => None,
            };
        }
    }

    fn send(&mut self, shared: &Shared, slot: &Slot, call: &Call, due: Instant, now: Instant) {
        self.calls += 1;
        let role = shared.plan.role(slot.number);
        let stamp = call.size.map(|size| {
            let mut seen = slot.seen.lock();
            let at = shared.clock.micros(due);
            let run = shared.plan.rules.run;
            let stamp = seen.origin.as_mut().map(|origin| origin.stamp(run, at));
            stamp.map_or_else(|| "x".repeat(size), |stamp| stamp.text(size).unwrap_or_default())
        });
        let fill = Fill {
            connection: slot.number,
            call: self.calls - 1,
            group: &self.group,
            stamp: stamp.as_deref().unwrap_or_default(),
            role: &role.name,
        };
        let id = call.has_answer.then(|| self.calls.to_string());
        let mut message = Vec::with_capacity(160);
        let arguments = filled(&call.arguments, &fill);
        push_invocation(
            &mut message,
            self.link.protocol(),
            INVOCATION,
            id.as_deref(),
            &call.method,
            &arguments,
        );
        self.link.push(INVOCATION, &message);
        if call.has_answer {
            self.inbox.pending.push_back(Pending { id: self.calls, due });
            shared.outstanding.fetch_add(1, Ordering::Relaxed);
        }
        let behind = micros(now - due);
        self.inbox.measure(|measured| {
            measured.sent += 1;
            measured.window.sent += 1;
            measured.behind.record(behind);
        });
    }
}

/// The first of the times `begins + n * interval` that is not over.
fn next_due(begins: Instant, interval: Duration, now: Instant) -> Instant {
    let Some(late) = now.checked_duration_since(begins) else { return begins };
    let over = late.as_nanos().div_ceil(interval.as_nanos().max(1));
    begins + interval.saturating_mul(u32::try_from(over).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_schedule_goes_on_where_it_would_be() {
        let begins = Instant::now();
        let interval = Duration::from_millis(100);
        let at = |millis| begins + Duration::from_millis(millis);
        assert_eq!(next_due(at(50), interval, begins), at(50));
        assert_eq!(next_due(begins, interval, at(250)), at(300));
        assert_eq!(next_due(begins, interval, at(300)), at(300));
    }
}
